// @vitest-environment node
import { expect, test } from "vitest";
import type { Uploaded } from "../../../api/types";
import { sendAll } from "./queue";

const file = (name: string) => new File(["x"], name);
const answer = (some: Partial<Uploaded> = {}): Uploaded => ({
  studies: ["1"],
  added: 1,
  known: 0,
  refused: [],
  ...some,
});

test("files are added up, refusals are named, a failure stops no other, and the last one goes last and alone", async () => {
  const order: string[] = [];
  const mores: boolean[] = [];
  let running = 0;
  const outcome = await sendAll(
    ["a", "b", "c", "d"].map(file),
    async ({ name }, more) => {
      running += 1;
      order.push(name);
      mores.push(more);
      if (!more) expect(running).toBe(1);
      await Promise.resolve();
      running -= 1;
      if (name === "b") throw new Error("not an image");
      if (name === "c")
        return answer({ added: 0, known: 2, studies: ["2"], refused: [{ name: "c/1", reason: "too large" }] });
      return answer();
    },
    () => undefined,
    new AbortController().signal,
  );
  expect(order.at(-1)).toBe("d");
  expect(mores.filter((more) => !more)).toHaveLength(1);
  expect(outcome).toMatchObject({ total: 4, done: 4, added: 2, known: 2, running: false, share: 1 });
  expect(outcome.studies).toEqual(["1", "2"]);
  expect(outcome.refused).toContainEqual({ name: "b", reason: "not an image" });
  expect(outcome.refused).toContainEqual({ name: "c/1", reason: "too large" });
});

test("a stop sends nothing more and calls nothing refused", async () => {
  const control = new AbortController();
  const sent: string[] = [];
  const outcome = await sendAll(
    ["a", "b", "c"].map(file),
    async ({ name }) => {
      sent.push(name);
      control.abort();
      throw new DOMException("stopped", "AbortError");
    },
    () => undefined,
    control.signal,
    1,
  );
  expect(sent).toEqual(["a"]);
  expect(outcome.refused).toEqual([]);
});
