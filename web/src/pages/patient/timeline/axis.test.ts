import { describe, expect, it } from "vitest";
import { moved, spanWords, ticks, zoomed } from "./axis";

const DAY = 86_400_000;
const whole = { from: Date.UTC(2000, 0, 1), to: Date.UTC(2020, 0, 1) };

describe("the axis of time", () => {
  it("zooms about a place and stays within the record", () => {
    const half = zoomed(whole, 0.5, whole);
    expect(half.to - half.from).toBeCloseTo((whole.to - whole.from) / 2);
    expect(half.from).toBeGreaterThan(whole.from);
    const left = zoomed(whole, 0.1, whole, 0);
    expect(left.from).toBe(whole.from);
    expect(zoomed(half, 100, whole)).toEqual(whole);
  });
  it("never shows less than an hour", () => {
    const least = zoomed({ from: whole.from, to: whole.from + 3_600_000 }, 0.001, whole);
    expect(least.to - least.from).toBe(3_600_000);
    const point = { from: whole.from, to: whole.from };
    expect(zoomed(point, 0.5, point).to).toBeGreaterThan(whole.from);
  });
  it("moves up to the record's ends and no further", () => {
    const some = { from: whole.from + 10 * DAY, to: whole.from + 20 * DAY };
    expect(moved(some, 0.5, whole).from).toBe(whole.from + 15 * DAY);
    expect(moved(some, -5, whole).from).toBe(whole.from);
    expect(moved(some, 1e6, whole).to).toBe(whole.to);
  });
  it("labels years, months, days and hours, and few of them", () => {
    expect(ticks(whole).map((each) => each.label)).toContain("2010");
    for (const length of [2 * 3_600_000, 9 * 3_600_000, 2 * DAY, 20 * DAY, 200 * DAY, 3000 * DAY, 30_000 * DAY]) {
      const found = ticks({ from: whole.from, to: whole.from + length });
      expect(found.length).toBeGreaterThan(0);
      expect(found.length).toBeLessThan(11);
      expect(found.every((each) => each.at >= whole.from && each.at <= whole.from + length)).toBe(true);
    }
  });
  it("says a short span with its hours", () => {
    expect(spanWords(whole)).not.toContain(":");
    expect(spanWords({ from: whole.from, to: whole.from + DAY })).toContain(":");
  });
});
