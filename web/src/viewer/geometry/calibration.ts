import type { ImageInfo, Measured } from "../../api/types";
import type { Point } from "./affine";

export type Calibration = Measured["calibration"];

type Scaled = Pick<ImageInfo, "spacing" | "calibration"> & Partial<Pick<ImageInfo, "calibrated_within">>;

/** How far a length between these points may be trusted: "pixels only" without a spacing, or where the points leave the part of
 *  the image in which alone it holds (regions of ultrasound). */
export function calibrationOf({ spacing, calibration, calibrated_within }: Scaled, points: Point[] = []): Calibration {
  if (!spacing || !(spacing[0] > 0) || !(spacing[1] > 0)) return "pixels only";
  const boxes = calibrated_within ?? [];
  const inside = ([left, top, right, bottom]: (typeof boxes)[number]) =>
    points.every(([x, y]) => x >= left && x <= right && y >= top && y <= bottom);
  return boxes.length > 0 && !boxes.some(inside) ? "pixels only" : calibration;
}

/** Millimetres of a row and a column step (y, x), or 1 and 1 where only pixels are known. */
export function steps(image: Scaled, points: Point[] = []): [number, number] {
  return calibrationOf(image, points) === "pixels only" || !image.spacing ? [1, 1] : image.spacing;
}

export type Quantity = "length" | "area" | "angle";

/** UCUM code. */
export function unitOf(quantity: Quantity, calibration: Calibration): string {
  if (quantity === "angle") return "deg";
  if (calibration === "pixels only") return "{pixels}";
  return quantity === "length" ? "mm" : "mm2";
}

/** As it is read on the screen. Angles need no calibration unless the pixels' shape is unknown too. */
export function words(quantity: Quantity, value: number, calibration: Calibration): string {
  if (quantity === "angle") return `${value.toFixed(1)}°`;
  if (calibration === "pixels only")
    return `${value.toFixed(quantity === "area" ? 0 : 1)} px${quantity === "area" ? "²" : ""}`;
  if (quantity === "length") return `${value.toFixed(value < 100 ? 1 : 0)} mm`;
  return value >= 1000 ? `${(value / 100).toFixed(1)} cm²` : `${value.toFixed(value < 10 ? 1 : 0)} mm²`;
}

/** Lengths for a scale bar in mm, of which the longest that fits is drawn. */
export function scaleBar(pixelsPerMm: number, room: number): { length: number; mm: number } | null {
  if (!(pixelsPerMm > 0)) return null;
  const fitting = [1, 2, 5, 10, 20, 50, 100, 200].filter((mm) => mm * pixelsPerMm <= room);
  const mm = fitting.at(-1);
  return mm === undefined || mm * pixelsPerMm < 20 ? null : { mm, length: mm * pixelsPerMm };
}
