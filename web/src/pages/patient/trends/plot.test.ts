import { describe, expect, it } from "vitest";
import type { TrendPoint } from "../../../api/types";
import { ends, shortNumber, side, steps } from "./plot";

const point = (value: number, some: Partial<TrendPoint> = {}): TrendPoint => ({
  id: "Observation/1",
  at: "2026-01-01T00:00:00Z",
  value,
  shown: String(value),
  comparator: "",
  low: null,
  high: null,
  flag: "",
  status: "final",
  flagged: "",
  ...some,
});

describe("a plot's axis", () => {
  it("has round steps that cover the values", () => {
    expect(steps(3.2, 6.6)).toEqual([3, 4, 5, 6, 7]);
    for (const [least, greatest] of [
      [0.001, 0.004],
      [-5, 900],
      [7, 7],
      [0, 0],
    ] as const) {
      const made = steps(least, greatest);
      expect(made.length).toBeGreaterThan(1);
      expect(made.length).toBeLessThan(9);
      expect(made[0]).toBeLessThanOrEqual(least);
      expect(made.at(-1)).toBeGreaterThanOrEqual(greatest);
    }
  });
  it("takes a near band in, and leaves a far one out", () => {
    const near = ends([point(4), point(6)], 3.5, 5.1);
    expect(near[0]).toBeLessThan(3.5);
    const far = ends([point(400), point(410)], null, 5);
    expect(far[0]).toBeGreaterThan(300);
    expect(ends([point(1), point(2)], null, null)[0]).toBeGreaterThanOrEqual(0);
  });
  it("tells where a value lies by its own range, and by its comparator", () => {
    expect(side(point(6, { high: 5 }))).toBe(1);
    expect(side(point(1, { low: 2 }))).toBe(-1);
    expect(side(point(6, { high: 5, comparator: "<" }))).toBe(0);
    expect(side(point(6))).toBe(0);
  });
  it("writes numbers shortly", () => {
    expect(shortNumber(4.3999999)).toBe("4.4");
    expect(shortNumber(0.30000000000000004)).toBe("0.3");
  });
});
