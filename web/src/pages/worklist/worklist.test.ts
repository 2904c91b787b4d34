// @vitest-environment node
import { expect, test, vi } from "vitest";
import type { Entry, WorklistPage } from "../../api/types";
import { noticeOf } from "./columns";
import { PAGE, RowStore } from "./rows";
import { fits, parse, query, write } from "./search";

test("a search is its address, there and back, and unknown words are passed over", () => {
  const address = "state=drafted&state=final&text=M%C3%BCller&modality=CT&sort=patient&reverse=1";
  expect(write(parse(new URLSearchParams(address))).toString()).toBe(address);
  const odd = parse(new URLSearchParams("state=nonsense&sort=size&reverse=yes"));
  expect(odd).toEqual({ states: [], text: "", modality: "", sort: "priority", reverse: false });
  expect(write(odd).toString()).toBe("");
  expect(query({ ...odd, reverse: true }, 100, 50)).toMatchObject({
    state: [],
    reverse: "true",
    offset: 100,
    limit: 50,
  });
});

/** A server with a list that changes. */
function house(count: number) {
  const list = Array.from({ length: count }, (_, index) => ({ study: `s${index}`, state: "drafted" }) as Entry);
  const load = vi.fn(
    async (offset: number, limit: number) =>
      ({
        total: list.length,
        entries: list.slice(offset, offset + limit).map((entry) => ({ ...entry })),
        counts: {},
        modalities: ["CT"],
        now: new Date().toISOString(),
      }) as unknown as WorklistPage,
  );
  return { list, load };
}

test("only pages in view are asked for, each once", async () => {
  const { load } = house(10_000);
  const store = new RowStore(load, 0);
  store.ensure(0, 30);
  await vi.waitFor(() => expect(store.snapshot().total).toBe(10_000));
  store.ensure(10, 40);
  store.ensure(9_980, 9_999);
  store.ensure(9_985, 9_999);
  await vi.waitFor(() => expect(store.snapshot().at(9_999)?.study).toBe("s9999"));
  expect(load.mock.calls.map(([offset]) => offset)).toEqual([0, 9_900]);
  expect(store.snapshot().at(5_000)).toBeUndefined();
  expect(store.snapshot().indexOf("s9950")).toBe(9_950);
});

test("after a cut the rows in view are asked for again, and what is out of view when it comes into view", async () => {
  const { list, load } = house(5 * PAGE);
  const store = new RowStore(load, 0);
  store.ensure(0, 20);
  store.ensure(250, 260);
  store.ensure(10, 20);
  await vi.waitFor(() => expect(store.snapshot().at(250)).toBeDefined());
  (list[4] as Entry).state = "opened";
  (list[255] as Entry).state = "final";
  store.again();
  await vi.waitFor(() => expect(store.snapshot().at(4)?.state).toBe("opened"));
  expect(store.snapshot().at(255)).toBeUndefined();
  store.ensure(250, 260);
  await vi.waitFor(() => expect(store.snapshot().at(255)?.state).toBe("final"));
});

test("a list of some states takes in a study that an opening brings there", async () => {
  const { list, load } = house(10);
  const news = { entries: [{ study: "late", state: "opened" } as Entry], moved: [], counts: {} as never, many: false };
  for (const narrow of [false, true]) {
    const store = new RowStore(load, 0, { fits: () => true, place: () => "", narrow });
    store.ensure(0, 9);
    await vi.waitFor(() => expect(store.snapshot().total).not.toBeNull());
    const asked = load.mock.calls.length;
    store.apply(news as never);
    await new Promise((resume) => setTimeout(resume, 20));
    expect(load.mock.calls.length > asked).toBe(narrow);
    store.stop();
  }
  expect(list.length).toBe(10);
});

test("news changes a row where it stands, and a new study moves no row until the reader asks", async () => {
  const { list, load } = house(3 * PAGE);
  const store = new RowStore(load, 0);
  store.ensure(0, 20);
  await vi.waitFor(() => expect(store.snapshot().total).toBe(300));
  (list[4] as Entry).state = "opened";
  (list[4] as Entry).opened_by = "eva";
  list.unshift({ study: "new", state: "drafted" } as Entry);
  store.touch("s4");
  store.touch("new");
  await vi.waitFor(() => expect(store.snapshot().fresh).toBe(1));
  const rows = store.snapshot();
  expect(rows.at(0)?.study).toBe("s0");
  expect(rows.at(4)).toMatchObject({ study: "s4", state: "opened", opened_by: "eva" });
  expect(rows).toMatchObject({ total: 300, changed: true });
  await store.refresh();
  expect(store.snapshot().at(0)?.study).toBe("new");
  expect(store.snapshot()).toMatchObject({ total: 301, fresh: 0, changed: false });
});

test("a study that was signed elsewhere is shown as gone in its place", async () => {
  const { list, load } = house(5);
  const store = new RowStore(load, 0);
  store.ensure(0, 4);
  await vi.waitFor(() => expect(store.snapshot().total).toBe(5));
  list.splice(2, 1);
  store.touch("s2");
  await vi.waitFor(() => expect(store.snapshot().gone.has("s2")).toBe(true));
  expect(store.snapshot().at(2)?.study).toBe("s2");
  expect(store.snapshot().total).toBe(5);
});

test("an answer to an old question is dropped, and a failure is said and tried again", async () => {
  const { list, load } = house(5);
  const store = new RowStore(load, 0);
  load.mockRejectedValueOnce(new Error("down"));
  store.ensure(0, 4);
  await vi.waitFor(() => expect(store.snapshot().error).toBeInstanceOf(Error));
  await store.refresh();
  expect(store.snapshot()).toMatchObject({ error: null, total: 5 });
  let late: (page: WorklistPage) => void = () => undefined;
  load.mockImplementationOnce(() => new Promise((resolve) => (late = resolve)));
  const first = store.refresh();
  list.pop();
  await store.refresh();
  late({ total: 99, entries: [], counts: {}, modalities: [], now: "" } as unknown as WorklistPage);
  await first;
  expect(store.snapshot().total).toBe(4);
});

test("told rows change where they stand, without a question to the server", async () => {
  const { load } = house(3 * PAGE);
  const search = parse(new URLSearchParams(""));
  const store = new RowStore(load, 0, { fits: (entry) => fits(search, entry), place: (entry) => `${entry.concern}` });
  store.ensure(0, 20);
  await vi.waitFor(() => expect(store.snapshot().total).toBe(300));
  const asked = load.mock.calls.length;
  const row = (study: string, some: Partial<Entry>) =>
    ({ study, state: "drafted", patient_name: "", patient_id: "", notice: "", modalities: [], ...some }) as Entry;
  const tell = (entries: Entry[], moved: string[] = []) =>
    store.apply({ entries, moved, counts: { drafted: 7 } as WorklistPage["counts"], many: false });
  tell([row("s4", { state: "opened", opened_by: "eva" }), row("s250", { state: "opened" })]);
  expect(store.snapshot().at(4)).toMatchObject({ state: "opened", opened_by: "eva" });
  expect(store.snapshot()).toMatchObject({ changed: false, counts: { drafted: 7 } });
  tell([row("s5", { state: "final" })]);
  expect(store.snapshot().gone.has("s5")).toBe(true);
  expect(store.snapshot().changed).toBe(true);
  expect(load.mock.calls.length).toBe(asked);
  // A study that may stand among the rows now is the one thing to ask for.
  tell([row("s270", {})], ["s270"]);
  await vi.waitFor(() => expect(load.mock.calls.length).toBeGreaterThan(asked));
});

test("a study fits a search as the server has it", () => {
  const entry = {
    state: "final",
    notice: "",
    patient_name: "MÜLLER^Zoë",
    patient_id: "P1",
    modalities: ["CT"],
  } as never;
  const search = (address: string) => parse(new URLSearchParams(address));
  expect(fits(search(""), entry)).toBe(false);
  expect(fits(search(""), { ...(entry as object), notice: "more images" } as Entry)).toBe(true);
  expect(fits(search(""), { ...(entry as object), critical: 1 } as Entry)).toBe(true);
  expect(noticeOf({ notice: "more images", critical: 2 })).toBe("2 critical open; more images");
  expect(fits(search("state=final&text=müller zoë&modality=CT"), entry)).toBe(true);
  expect(fits(search("state=final&text=müller p2"), entry)).toBe(false);
  expect(fits(search("state=final&modality=MR"), entry)).toBe(false);
});
