import { describe, expect, it } from "vitest";
import type { ImageInfo } from "../../api/types";
import type { Point } from "../geometry/affine";
import { complete, type Draft, moved, pressed, released, visible } from "./drawing";
import { outline } from "./GraphicsLayer";
import { fromStored, kindOf, linesOf, measured, measurement, toStored } from "./kinds";
import { probed } from "./probe";
import { statistics } from "./statistics";
import { mapBytes } from "./useMapAddress";

const image = {
  uid: "1",
  frame: 2,
  rows: 10,
  columns: 10,
  samples: 1,
  unit: "HU",
  spacing: [0.5, 2],
  calibration: "calibrated",
} as unknown as ImageInfo;
const bare = { ...image, spacing: null, unit: "" } as ImageInfo;

describe("measurements", () => {
  it("measure in millimetres by row and column spacing, else in pixels", () => {
    const across: Point[] = [
      [0, 0],
      [3, 4],
    ];
    expect(measured("length", across, image)).toBeCloseTo(Math.hypot(6, 2));
    expect(measured("length", across, bare)).toBe(5);
    expect(measurement("length", across, bare)).toMatchObject({
      unit: "{pixels}",
      calibration: "pixels only",
      value: 5,
    });
  });
  it("measure angles in the real shape of pixels", () => {
    const corner: Point[] = [
      [4, 0],
      [0, 0],
      [0, 4],
    ];
    expect(measured("angle", corner, image)).toBeCloseTo(90);
    expect(
      measured(
        "angle",
        [
          [1, 4],
          [0, 0],
          [1, 0],
        ],
        image,
      ),
    ).toBeCloseTo(45);
  });
  it("give a Cobb angle of at most 90 degrees, whichever way the lines were drawn", () => {
    const lines: Point[] = [
      [0, 0],
      [10, 0],
      [10, 5],
      [0, 6],
    ];
    expect(measured("cobb", lines, bare)).toBeCloseTo((Math.atan2(1, 10) * 180) / Math.PI);
  });
  it("give areas, and an ellipse's is smaller than its box by pi over four", () => {
    const box: Point[] = [
      [1, 1],
      [5, 3],
    ];
    expect(measured("rectangle", box, image)).toBeCloseTo(8 * 1);
    expect(measured("ellipse", box, bare)).toBeCloseTo(Math.PI * 2);
  });
  it("come back from the server as they were drawn", () => {
    for (const kind of ["length", "angle", "cobb", "rectangle", "ellipse"] as const) {
      const points = (
        [
          [8, 2],
          [3, 9],
          [4, 4],
          [6, 1],
        ] as Point[]
      ).slice(0, { length: 2, angle: 3, cobb: 4, rectangle: 2, ellipse: 2 }[kind]);
      const sent = measurement(kind, points, image);
      expect(kindOf(sent)).toBe(kind);
      expect(measured(kind, fromStored(kind, sent.points), image)).toBeCloseTo(sent.value, 2);
      expect(sent).toMatchObject({ image: "1", frame: 2 });
    }
    expect(kindOf({ name: "Something else", points: [[0, 0]] })).toBeNull();
  });
  it("store an ellipse by its axes, the longer first", () => {
    expect(
      toStored("ellipse", [
        [0, 0],
        [2, 6],
      ]),
    ).toEqual([
      [1, 0],
      [1, 6],
      [0, 3],
      [2, 3],
    ]);
  });
  it("say how far they are calibrated, and values only of pixels inside", () => {
    const values = Int16Array.from({ length: 100 }, (_, i) => (i % 10 < 5 ? 0 : 100));
    const lines = linesOf(
      "rectangle",
      [
        [5, 0],
        [10, 10],
      ],
      image,
      values,
    );
    expect(lines[0]).toContain("calibrated");
    expect(lines[1]).toBe("mean 100.000 HU · SD 0.000");
    const half = statistics(
      "rectangle",
      [
        [10, 10],
        [0, 0],
      ],
      image,
      values,
    );
    expect(half).toMatchObject({ mean: 50, count: 100, least: 0, greatest: 100 });
    expect(half?.deviation).toBeCloseTo(50);
    expect(
      statistics(
        "ellipse",
        [
          [0, 0],
          [10, 10],
        ],
        image,
        values,
      )?.count,
    ).toBe(80);
    expect(
      statistics(
        "rectangle",
        [
          [20, 20],
          [30, 30],
        ],
        image,
        values,
      ),
    ).toBeNull();
  });
});

describe("drawing", () => {
  const through = (kind: Draft["kind"], steps: ["down" | "move" | "up", Point][]) => {
    let draft: Draft | null = null;
    for (const [what, at] of steps) {
      if (what === "down") draft = pressed(draft, kind, at);
      else if (draft) draft = what === "move" ? moved(draft, at) : released(draft, at, 1);
    }
    return draft as unknown as Draft;
  };
  it("is done by one drag or by two clicks", () => {
    expect(
      complete(
        through("length", [
          ["down", [0, 0]],
          ["move", [5, 0]],
          ["up", [9, 0]],
        ]),
      ),
    ).toBe(true);
    const first: ["down" | "move" | "up", Point][] = [
      ["down", [0, 0]],
      ["up", [0, 0]],
    ];
    expect(complete(through("length", first))).toBe(false);
    expect(complete(through("length", [...first, ["down", [9, 0]], ["up", [9, 0]]]))).toBe(true);
  });
  it("takes three points for an angle and two lines for Cobb's", () => {
    const angle = through("angle", [
      ["down", [0, 0]],
      ["up", [9, 0]],
      ["down", [9, 9]],
      ["up", [9, 9]],
    ]);
    expect(complete(angle)).toBe(true);
    const one: ["down" | "move" | "up", Point][] = [
      ["down", [0, 0]],
      ["up", [9, 0]],
    ];
    expect(visible(through("cobb", [...one, ["move", [4, 4]]]))).toHaveLength(2);
    expect(visible(through("cobb", [...one, ["down", [0, 5]], ["up", [9, 6]]]))).toEqual([
      [0, 0],
      [9, 0],
      [0, 5],
      [9, 6],
    ]);
  });
});

describe("others' marks and the probe", () => {
  it("turn circles and ellipses into rings", () => {
    const { points, closed } = outline({
      kind: "circle",
      points: [
        [5, 5],
        [8, 5],
      ],
      closed: false,
    });
    expect(closed).toBe(true);
    for (const [x, y] of points) expect(Math.hypot(x - 5, y - 5)).toBeCloseTo(3);
  });
  it("tell the value under the pointer, and nothing outside", () => {
    const values = Int16Array.from({ length: 100 }, (_, i) => i);
    expect(probed(image, values, [3.9, 2.1])).toEqual({ value: "23 HU", column: 4, row: 3 });
    expect(probed(image, values, [10, 0])).toBeNull();
  });
  it("take a map of evidence as data, and leave paths alone", () => {
    expect(mapBytes("data:image/png;base64,AAEC")?.bytes).toEqual(Uint8Array.from([0, 1, 2]));
    expect(mapBytes("AAEC")?.type).toBe("image/png");
    expect(mapBytes("/api/studies/1/map.png")).toBeNull();
    expect(mapBytes("https://elsewhere.example/map.png")).toBeNull();
  });
});
