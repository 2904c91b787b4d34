import { describe, expect, it } from "vitest";
import type { ImageInfo } from "../../api/types";
import { affineOf, decomposed, FITTED, flippedAcross, quarterOf, turned, zoomed } from "../surface/view";
import { apply, fromCorners, invert, type Point, scales } from "./affine";
import { calibrationOf, scaleBar, unitOf, words } from "./calibration";
import { linked, linkOf } from "./linking";
import { letters, side } from "./orientation";
import { automatic, bounds, dragged, initialWindow, presets } from "./window";

const image = (over: Partial<ImageInfo> = {}): ImageInfo => ({
  uid: "1.2",
  frame: 1,
  rows: 100,
  columns: 200,
  samples: 1,
  dtype: "int16",
  unit: "",
  inverted: false,
  window: [],
  least: null,
  greatest: null,
  spacing: null,
  calibration: "pixels only",
  orientation: null,
  position: null,
  frame_of_reference: "",
  number: "1",
  laterality: "",
  view: "",
  cine_rate: null,
  problem: "",
  calibration_note: "",
  calibrated_within: [],
  patient_orientation: null,
  turn: null,
  lossy: false,
  notes: [],
  ...over,
});
const axial = (z: number, frame_of_reference = "f") =>
  image({ orientation: [1, 0, 0, 0, 1, 0], position: [0, 0, z], frame_of_reference });
const close = (found: Point, wanted: Point) => {
  expect(found[0]).toBeCloseTo(wanted[0], 6);
  expect(found[1]).toBeCloseTo(wanted[1], 6);
};

describe("the view", () => {
  it("fits an image into its pane and puts its middle into the middle", () => {
    const affine = affineOf(image(), FITTED, 400, 400);
    close(apply(affine, [100, 50]), [200, 200]);
    close(apply(affine, [0, 0]), [0, 100]);
  });
  it("shows pixels that are not square in their shape", () => {
    const affine = affineOf(image({ spacing: [2, 1] }), FITTED, 400, 400);
    expect(scales(affine)).toEqual([2, 4]);
  });
  it("turns to the right as seen, also when it is flipped", () => {
    const start = flippedAcross(FITTED);
    const before = apply(affineOf(image(), start, 300, 300), [200, 50]);
    expect(before[0]).toBeCloseTo(0);
    const after = apply(affineOf(image(), turned(start), 300, 300), [200, 50]);
    close(after, [150, 0]);
  });
  it("keeps the point under the pointer when it zooms", () => {
    const at: Point = [90, 130];
    const affine = affineOf(image(), FITTED, 400, 300);
    const back = invert(affine);
    const under = back && apply(back, at);
    const next = zoomed(FITTED, 2.5, at, 400, 300);
    close(apply(affineOf(image(), next, 400, 300), under as Point), at);
  });
  it("is undone by its inverse", () => {
    const affine = fromCorners([3, 4], [5, 4.5], [2, 8]);
    const back = invert(affine);
    close(apply(back as NonNullable<typeof back>, apply(affine, [7, -2])), [7, -2]);
    expect(invert([0, 0, 0, 0, 1, 1])).toBeNull();
  });
});

describe("an image that is stored turned", () => {
  const turn = { transpose: true, flip_rows: false, flip_columns: true };
  it("is shown in the usual view, and turns and flips act on what is seen", () => {
    const slanted = image({ turn });
    const shown = affineOf(slanted, FITTED, 300, 300);
    // 200 columns become rows; the first row becomes the last column.
    close(apply(shown, [0, 0]), [225, 0]);
    close(apply(shown, [200, 0]), [225, 300]);
    close(apply(shown, [0, 100]), [75, 0]);
    close(apply(affineOf(slanted, flippedAcross(FITTED), 300, 300), [0, 0]), [75, 0]);
  });
  it("is the same to the engine as a turn and a flip", () => {
    for (const transpose of [false, true])
      for (const flip_rows of [false, true])
        for (const flip_columns of [false, true])
          for (const view of [FITTED, turned(FITTED), flippedAcross(turned(FITTED))]) {
            const one = image({ turn: { transpose, flip_rows, flip_columns } });
            const quarter = quarterOf(one, view);
            const { rotation, flip } = decomposed(quarter);
            expect(quarterOf(image(), { ...FITTED, rotation, flipHorizontal: flip })).toEqual(quarter);
          }
  });
});

describe("windows", () => {
  it("gives CT its five windows, in the order of the keys", () => {
    expect(presets("CT", image({ unit: "HU" })).map(({ name }) => name)).toEqual([
      "Soft tissue",
      "Lung",
      "Bone",
      "Brain",
      "Liver",
    ]);
  });
  it("gives others the header's window, the full range and an automatic one", () => {
    const mr = image({ window: [{ center: 300, width: 600, name: "" }], least: 0, greatest: 1000 });
    const found = presets(
      "MR",
      mr,
      Int16Array.from({ length: 1000 }, (_, i) => i),
    );
    expect(found.map(({ name }) => name)).toEqual(["Default", "Full range", "Automatic"]);
    expect(found[1]).toMatchObject({ center: 500, width: 1000 });
  });
  it("opens with the header's window, colours with the full range", () => {
    expect(initialWindow("CR", image({ window: [{ center: 10, width: 20, name: "" }] }))).toMatchObject({
      center: 10,
      width: 20,
    });
    expect(initialWindow("US", image({ samples: 3, dtype: "uint8" }))).toEqual({ center: 127.5, width: 255 });
  });
  it("follows DICOM's linear function for whole values", () => {
    expect(bounds({ center: 2048, width: 4096 })).toEqual([0, 4095]);
    expect(bounds({ center: 1, width: 2 }, true)).toEqual([0, 2]);
  });
  it("never drags a width to nothing, and leaves outliers out of the automatic window", () => {
    expect(dragged({ center: 0, width: 10 }, -10_000, 0, 4000).width).toBe(1);
    const values = Float32Array.from({ length: 10_000 }, (_, i) => (i === 0 ? 1e9 : i % 100));
    expect(automatic(values).width).toBeLessThan(101);
    expect(automatic(new Float32Array([Number.NaN]))).toEqual({ center: 0.5, width: 1 });
  });
});

describe("orientation", () => {
  it("names the sides of an axial image, and follows turns and flips", () => {
    const one = axial(0);
    expect(letters(one, affineOf(one, FITTED, 100, 100))).toEqual({ left: "R", right: "L", top: "A", bottom: "P" });
    const flipped = letters(one, affineOf(one, flippedAcross(FITTED), 100, 100));
    expect(flipped).toMatchObject({ left: "L", right: "R", top: "A" });
    const quarter = letters(one, affineOf(one, turned(FITTED), 100, 100));
    expect(quarter).toEqual({ left: "P", right: "A", top: "R", bottom: "L" });
  });
  it("reads a film's letters from its patient orientation, and follows turns", () => {
    const film = image({ patient_orientation: ["L", "F"] });
    expect(letters(film, affineOf(film, FITTED, 100, 100))).toEqual({ left: "R", right: "L", top: "H", bottom: "F" });
    expect(letters(film, affineOf(film, turned(FITTED), 100, 100))).toMatchObject({ right: "H", bottom: "L" });
  });
  it("says two letters where it is oblique, none where the header has no orientation", () => {
    expect(side([0.7, 0.7, 0.1])).toBe("LP");
    expect(letters(image(), [1, 0, 0, 1, 0, 0])).toBeNull();
  });
});

describe("linked scrolling", () => {
  const now = Array.from({ length: 100 }, (_, i) => axial(-i));
  const thick = Array.from({ length: 20 }, (_, i) => axial(-i * 5 - 2));
  it("goes by position within one frame of reference, whatever the order of the stack", () => {
    expect(linkOf(now, thick, null)).toBe("position");
    expect(linked(now, 52, thick)).toBe(10);
    expect(linked(now, 52, [...thick].reverse())).toBe(9);
  });
  it("goes by fraction between frames of reference, by distance once they are aligned by hand", () => {
    const prior = Array.from({ length: 50 }, (_, i) => axial(300 - i * 2, "other"));
    expect(linkOf(now, prior, null)).toBe("fraction");
    expect(linked(now, 99, prior)).toBe(49);
    expect(linkOf(now, prior, { from: 10, to: 20 })).toBe("distance");
    expect(linked(now, 30, prior, { from: 10, to: 20 })).toBe(30);
  });
  it("goes by fraction where the planes differ", () => {
    const coronal = [0, 1, 2].map((y) =>
      image({ orientation: [1, 0, 0, 0, 0, -1], position: [0, y, 0], frame_of_reference: "f" }),
    );
    expect(linkOf(now, coronal, null)).toBe("fraction");
    expect(linked(now, 99, coronal)).toBe(2);
  });
});

describe("calibration", () => {
  it("never says millimetres without a spacing", () => {
    expect(calibrationOf({ spacing: null, calibration: "calibrated" })).toBe("pixels only");
    expect(calibrationOf({ spacing: [0, 0], calibration: "at detector" })).toBe("pixels only");
    expect(unitOf("length", "pixels only")).toBe("{pixels}");
    expect(words("length", 12.34, "pixels only")).toBe("12.3 px");
    expect(words("area", 12.34, "pixels only")).toBe("12 px²");
  });
  it("trusts ultrasound only inside its regions", () => {
    const scan = image({ spacing: [0.1, 0.1], calibration: "calibrated", calibrated_within: [[10, 10, 90, 90]] });
    expect(
      calibrationOf(scan, [
        [20, 20],
        [80, 80],
      ]),
    ).toBe("calibrated");
    expect(
      calibrationOf(scan, [
        [20, 20],
        [95, 80],
      ]),
    ).toBe("pixels only");
  });
  it("writes lengths, areas and angles", () => {
    expect(words("length", 12.34, "calibrated")).toBe("12.3 mm");
    expect(words("area", 1234, "at detector")).toBe("12.3 cm²");
    expect(words("angle", 12.34, "pixels only")).toBe("12.3°");
  });
  it("draws the longest bar that fits", () => {
    expect(scaleBar(2, 250)).toEqual({ mm: 100, length: 200 });
    expect(scaleBar(0, 250)).toBeNull();
  });
});
