// @vitest-environment node
import { expect, test } from "vitest";
import { type Shown, told } from "./stream";

const nothing: Shown = { state: "asking", question: "?", sentences: [], passages: [], answer: null, error: null };
const sentence = (text: string, ...references: number[]) => ({ text, kind: "verbatim", references, coverage: 1 });

test("sentences and their passages add up, and the whole answer takes their place", () => {
  let shown = told(nothing, "found", { passages: 3 });
  expect(shown).toEqual(nothing);
  shown = told(shown, "sentence", { sentence: sentence("A.", 1), passages: [{ number: 1 }] });
  shown = told(shown, "sentence", { sentence: sentence("B.", 1), passages: [] });
  expect(shown.sentences.map((one) => one.text)).toEqual(["A.", "B."]);
  expect(shown.passages).toHaveLength(1);
  const answer = { sentences: [sentence("A.", 1)], passages: [{ number: 1 }, { number: 2 }] };
  shown = told(shown, "done", answer);
  expect([shown.state, shown.sentences.length, shown.passages.length]).toEqual(["done", 1, 2]);
});

test("a failure is said, and what came before it stays", () => {
  const shown = told(told(nothing, "sentence", { sentence: sentence("A.", 1), passages: [] }), "failed", {
    code: "busy",
    message: "the model is busy",
  });
  expect(shown.state).toBe("failed");
  expect(shown.sentences).toHaveLength(1);
  expect(String(shown.error)).toContain("the model is busy");
});
