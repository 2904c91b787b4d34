// @vitest-environment node
import { expect, test } from "vitest";
import type { Agreement } from "../../api/types";
import { lines, months, percent } from "./figures";

const row = (some: Partial<Agreement>): Agreement => ({
  model: "nano",
  revision: "3",
  month: "2026-01",
  kind: "finding",
  accepted: 0,
  edited: 0,
  rejected: 0,
  added: 0,
  unchanged: 0,
  judged: 0,
  agreed: null,
  ...some,
});

test("kinds are joined by their counts, not by their shares", () => {
  const [line] = lines([
    row({ accepted: 9, rejected: 1, judged: 10 }),
    row({ kind: "sentence", edited: 10, added: 4, unchanged: 30, judged: 10 }),
  ]);
  expect(line?.points[0]).toMatchObject({ judged: 20, unchanged: 30, agreed: 9 / 20 });
  expect(lines([row({ accepted: 1 })], "sentence")).toEqual([]);
  expect(lines([row({})])[0]?.points[0]?.agreed).toBeNull();
  expect(percent(null)).toBe("none judged");
});

test("months without verdicts have their place", () => {
  expect(months(lines([row({ month: "2026-11" }), row({ month: "2027-02" })]))).toEqual([
    "2026-11",
    "2026-12",
    "2027-01",
    "2027-02",
  ]);
  expect(months([])).toEqual([]);
});
