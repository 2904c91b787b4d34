import { QueryClientProvider } from "@tanstack/react-query";
import { cleanup, render, screen } from "@testing-library/react";
import { MemoryRouter, Route, Routes } from "react-router";
import { afterEach, expect, test, vi } from "vitest";
import { createQueries } from "../../api/queries";
import Print from "./Print";

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
});

test("a handoff is laid out when its record has been read, with the allergies in it", async () => {
  const head = { id: 1, name: "Roe, Jane", sex: "", age: "", birth_date: "", identifiers: [], source: "ward" };
  let asked = 0;
  vi.stubGlobal(
    "fetch",
    vi.fn(async (input: RequestInfo | URL) => {
      const url = String(input instanceof Request ? input.url : input);
      const record =
        asked++ < 2
          ? { ...head, state: "reading", allergies: [] }
          : { ...head, state: "ready", allergies: [{ text: "Penicillin" }] };
      const body = url.includes("/summary") ? { as_of: "2026", sections: [], omissions: [] } : record;
      return new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });
    }),
  );
  const queries = createQueries();
  queries.setQueryData(["session"], { user: { login: "ana", role: "reader", name: "Ana" }, csrf: "x" });
  render(
    <QueryClientProvider client={queries}>
      <MemoryRouter initialEntries={["/patient/1/print"]}>
        <Routes>
          <Route path="/patient/:id/print" element={<Print />} />
        </Routes>
      </MemoryRouter>
    </QueryClientProvider>,
  );
  const allergies = await screen.findByText(/Allergies/, undefined, { timeout: 4000 });
  expect(allergies.parentElement?.textContent).toContain("Penicillin");
});
