import type { ImageInfo } from "../../api/types";
import type { Point } from "../geometry/affine";
import type { Pixels } from "../types";

export interface Statistics {
  mean: number;
  deviation: number;
  least: number;
  greatest: number;
  count: number;
}

/** Values of the pixels whose middle lies inside the shape; null where it holds none, or the image has colours. */
export function statistics(
  shape: "rectangle" | "ellipse",
  corners: [Point, Point],
  image: ImageInfo,
  pixels: Pixels,
): Statistics | null {
  if (image.samples !== 1) return null;
  const [x0, x1] = [corners[0][0], corners[1][0]].sort((a, b) => a - b);
  const [y0, y1] = [corners[0][1], corners[1][1]].sort((a, b) => a - b);
  const [cx, cy, rx, ry] = [(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2];
  let [count, mean, squares] = [0, 0, 0];
  let [least, greatest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let row = Math.max(0, Math.floor(y0)); row < Math.min(image.rows, Math.ceil(y1)); row++) {
    for (let column = Math.max(0, Math.floor(x0)); column < Math.min(image.columns, Math.ceil(x1)); column++) {
      const [x, y] = [column + 0.5, row + 0.5];
      if (x < x0 || x > x1 || y < y0 || y > y1) continue;
      if (shape === "ellipse" && ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 > 1) continue;
      const value = pixels[row * image.columns + column];
      if (!Number.isFinite(value)) continue;
      count++;
      const away = value - mean;
      mean += away / count;
      squares += away * (value - mean);
      least = Math.min(least, value);
      greatest = Math.max(greatest, value);
    }
  }
  if (count === 0) return null;
  return { mean, deviation: Math.sqrt(squares / count), least, greatest, count };
}
