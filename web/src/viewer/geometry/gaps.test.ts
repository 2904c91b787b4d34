import { expect, test } from "vitest";
import type { ImageInfo } from "../../api/types";
import { gapsInWords, gapsOf, gapWords } from "./gaps";

const slice = (z: number) => ({ orientation: [1, 0, 0, 0, 1, 0], position: [0, 0, z] }) as unknown as ImageInfo;

test("slices that did not come are counted where they are missing", () => {
  const gaps = gapsOf([0, 2.5, 5, 7.5, 15, 17.5, 20].map(slice));
  expect([...gaps]).toEqual([[4, { mm: 7.5, missing: 2 }]]);
  expect(gapWords(gaps.get(4))).toBe("about 2 slices are missing before this image (7.5 mm)");
  expect(gapWords(gaps.get(3))).toBe("");
  expect(gapsInWords(gaps)).toBe("The series is not whole: about 2 slices are missing, between images 4 and 5.");
  expect(gapsInWords(gapsOf([0, 5, 15, 20, 25].map(slice)))).toMatch(
    /about 1 slice is missing, between images 2 and 3/,
  );
});

test("a whole stack, a stack from the head down, time points and films have no gap", () => {
  expect(gapsOf([0, 2.5, 5, 7.5, 10].map(slice)).size).toBe(0);
  expect(gapsOf([40, 37.5, 35, 32.5].map(slice)).size).toBe(0);
  // Two time points, one after the other: the way back is no gap.
  expect(gapsOf([0, 5, 10, 15, 0, 5, 10, 15].map(slice)).size).toBe(0);
  expect(gapsOf([0, 3, 11, 12, 30, 31].map(slice)).size).toBe(0);
  expect(gapsOf([0, 0, 0, 0, 0].map(slice)).size).toBe(0);
  expect(gapsOf([{} as ImageInfo, {} as ImageInfo, {} as ImageInfo, {} as ImageInfo]).size).toBe(0);
  expect(gapsInWords(new Map())).toBe("");
});
