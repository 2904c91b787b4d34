/** Image coordinates are continuous, in stored pixels: the outer corner of the first pixel is 0, 0 and its middle 0.5, 0.5
 *  (as in DICOM's SCOORD). Screen coordinates are CSS pixels inside a pane. */
export type Point = [number, number];

/** Image to screen: x' = a x + c y + e, y' = b x + d y + f (the order of an SVG matrix). */
export type Affine = [a: number, b: number, c: number, d: number, e: number, f: number];

export const IDENTITY: Affine = [1, 0, 0, 1, 0, 0];

export function apply([a, b, c, d, e, f]: Affine, [x, y]: Point): Point {
  return [a * x + c * y + e, b * x + d * y + f];
}

/** The other way round; null where the affine flattens the plane. */
export function invert([a, b, c, d, e, f]: Affine): Affine | null {
  const det = a * d - b * c;
  if (!Number.isFinite(det) || Math.abs(det) < 1e-12) return null;
  return [d / det, -b / det, -c / det, a / det, (c * f - d * e) / det, (b * e - a * f) / det];
}

/** The affine that takes 0,0 and 1,0 and 0,1 to these points. */
export function fromCorners(origin: Point, right: Point, down: Point): Affine {
  return [right[0] - origin[0], right[1] - origin[1], down[0] - origin[0], down[1] - origin[1], origin[0], origin[1]];
}

/** Screen pixels to one column and one row of the image. */
export function scales([a, b, c, d]: Affine): [number, number] {
  return [Math.hypot(a, b), Math.hypot(c, d)];
}

export const distance = (p: Point, q: Point) => Math.hypot(p[0] - q[0], p[1] - q[1]);

/** Screen distance of a point from a segment. */
export function fromSegment(point: Point, from: Point, to: Point): number {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const squared = dx * dx + dy * dy;
  const t = squared === 0 ? 0 : ((point[0] - from[0]) * dx + (point[1] - from[1]) * dy) / squared;
  const along = Math.min(1, Math.max(0, t));
  return distance(point, [from[0] + along * dx, from[1] + along * dy]);
}
