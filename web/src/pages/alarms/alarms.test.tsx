import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, fireEvent, render, screen, waitFor } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { perform } from "../../actions/registry";
import { createQueries } from "../../api/queries";
import Alarms from "./Alarms";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

const alarm = (id: string, name: string, seen: number) => ({
  id,
  name,
  seen,
  patient: seen,
  title: "Potassium",
  severity: "critical",
  state: "open",
  since: "2026-11-30T08:00:00Z",
  raised: "2026-11-30T08:00:00Z",
  changed: "2026-11-30T08:00:00Z",
  text: "potassium 6.9",
  rule: "potassium",
  version: 1,
  problem: "potassium",
  birth_date: "",
  sex: "",
  source: "",
  url: "",
  advice: "",
  ended: null,
  ended_reason: "",
  evidence: [],
  missing: [],
  notes: [],
  related: [],
  tellings: [],
  acts: [],
  worse_since_act: false,
});

const page = (alarms: unknown[]) => ({
  alarms,
  total: alarms.length,
  states: { open: alarms.length },
  rules: {},
  now: "2026-11-30T09:00:00Z",
  following: { on: true, records: 2, judged_at: null, late: false, problems: [] },
});

test("an act is done on the alarm that the dialog was opened for, though another one comes first", async () => {
  vi.stubGlobal("CSS", { escape: (text: string) => text }); // jsdom has none
  const sent: string[] = [];
  let shown = page([alarm("first", "Roe, Jane", 1)]);
  vi.stubGlobal(
    "fetch",
    vi.fn(async (input: RequestInfo | URL, init?: RequestInit) => {
      const url = String(input instanceof Request ? input.url : input);
      if (init?.method === "POST") sent.push(url);
      return new Response(JSON.stringify(url.includes("/api/alarms?") ? shown : {}), {
        headers: { "Content-Type": "application/json" },
      });
    }),
  );
  const queries = createQueries();
  queries.setQueryData(["session"], { user: { login: "ana", role: "reader" }, csrf: "x" });
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter>
        <Alarms />
      </MemoryRouter>
    </QueryClientProvider>,
  );
  await screen.findAllByText(/Roe/);
  await act(async () => void perform("alarms.acknowledge"));
  const dialog = await screen.findByRole("dialog");
  shown = page([alarm("second", "Poe, Ann", 2), alarm("first", "Roe, Jane", 1)]);
  await act(async () => void (await queries.refetchQueries({ queryKey: ["/api/alarms"] })));
  await waitFor(() => expect(document.body.textContent).toContain("Poe"));
  expect(dialog.textContent).toContain("Roe");
  const form = dialog.querySelector("form");
  if (!form) throw new Error("no form");
  await act(async () => void fireEvent.submit(form));
  await waitFor(() => expect(sent).toHaveLength(1));
  expect(sent[0]).toContain("/api/alarms/first/acts");
});
