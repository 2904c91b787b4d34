import type { ImageInfo } from "../../api/types";
import type { Point } from "../geometry/affine";
import type { Pixels } from "../types";

/** The value at a place of the image, with its unit; null outside. Columns and rows are counted from 1, as people do. */
export function probed(
  image: ImageInfo,
  pixels: Pixels,
  [x, y]: Point,
): { value: string; column: number; row: number } | null {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column < 0 || row < 0 || column >= image.columns || row >= image.rows) return null;
  const at = (row * image.columns + column) * image.samples;
  const value =
    image.samples === 3
      ? `RGB ${pixels[at]}, ${pixels[at + 1]}, ${pixels[at + 2]}`
      : `${Number.isInteger(pixels[at]) ? pixels[at] : pixels[at].toFixed(3)}${image.unit ? ` ${image.unit}` : ""}`;
  return { value, column: column + 1, row: row + 1 };
}
