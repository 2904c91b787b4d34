// @vitest-environment node
import { expect, test } from "vitest";
import { age, bytes, clock, day, moment, personName, probability, since } from "./format";

test("names, dates, ages and sizes are read as people write them", () => {
  expect(["Doe^Jane", "Doe^Jane^Q^Dr", "Doe", "", "^Jane", "Yamada^Tarou=山田^太郎"].map(personName)).toEqual([
    "Doe, Jane",
    "Doe, Dr Jane Q",
    "Doe",
    "",
    "Jane",
    "Yamada, Tarou",
  ]);
  expect(["20260131", "2026-01-31T10:00:00Z", ""].map(day)).toEqual(["2026-01-31", "2026-01-31", ""]);
  expect(["142530.123", "14:25", "", "x"].map(clock)).toEqual(["14:25", "14:25", "", ""]);
  expect(["045Y", "003M", "000D", "unknown"].map(age)).toEqual(["45 y", "3 m", "0 d", "unknown"]);
  expect([0, 999, 812_345_678, 40_200_000_000].map(bytes)).toEqual(["0 B", "999 B", "812 MB", "40.2 GB"]);
});

test("a moment has its seconds where the order of events counts", () => {
  const at = new Date(2026, 0, 31, 14, 5, 9).toISOString();
  expect([moment(at), moment(at, true), moment(null), moment("x")]).toEqual([
    "2026-01-31 14:05",
    "2026-01-31 14:05:09",
    "",
    "x",
  ]);
});

test("waiting is said in the largest fitting unit", () => {
  const now = Date.parse("2026-11-30T12:00:00Z");
  expect(
    ["2026-11-30T11:59:40Z", "2026-11-30T11:18:00Z", "2026-11-30T08:55:00Z", "2026-11-20T12:00:00Z", "x"].map((at) =>
      since(at, now),
    ),
  ).toEqual(["just now", "42 min", "3 h 05", "10 d", ""]);
});

test("a probability is never said to be certain", () => {
  expect([1, 0.996, 0.99, 0.5, 0.014, 0.01, 0.009, 0].map(probability)).toEqual([
    ">0.99",
    ">0.99",
    "0.99",
    "0.50",
    "0.01",
    "0.01",
    "<0.01",
    "<0.01",
  ]);
});
