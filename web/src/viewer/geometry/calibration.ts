import type { ImageInfo, Measured } from "../../api/types";

export type Calibration = Measured["calibration"];

/** How far a length on this image may be trusted: never more than "pixels only" without a spacing. */
export function calibrationOf({ spacing, calibration }: Pick<ImageInfo, "spacing" | "calibration">): Calibration {
  if (!spacing || !(spacing[0] > 0) || !(spacing[1] > 0)) return "pixels only";
  return calibration;
}

/** Millimetres of a row and a column step (y, x), or 1 and 1 where only pixels are known. */
export function steps(image: Pick<ImageInfo, "spacing" | "calibration">): [number, number] {
  return calibrationOf(image) === "pixels only" || !image.spacing ? [1, 1] : image.spacing;
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
