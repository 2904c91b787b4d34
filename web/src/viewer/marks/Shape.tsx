import { type Affine, apply, type Point } from "../geometry/affine";
import type { Kind } from "./kinds";

/** The outline of a measurement on the screen, as an SVG path. Ellipses and rectangles follow turns of the image. */
export function pathOf(kind: Kind, points: Point[], affine: Affine): string {
  const at = (point: Point) =>
    apply(affine, point)
      .map((value) => value.toFixed(2))
      .join(" ");
  if ((kind === "rectangle" || kind === "ellipse") && points.length === 2) {
    const [[x0, y0], [x1, y1]] = [points[0], points[1]];
    if (kind === "rectangle") return `M${at([x0, y0])}L${at([x1, y0])}L${at([x1, y1])}L${at([x0, y1])}Z`;
    const [cx, cy, rx, ry] = [(x0 + x1) / 2, (y0 + y1) / 2, (x1 - x0) / 2, (y1 - y0) / 2];
    const ring = Array.from({ length: 64 }, (_, i): Point => {
      const turn = (i / 64) * 2 * Math.PI;
      return [cx + rx * Math.cos(turn), cy + ry * Math.sin(turn)];
    });
    return `M${ring.map(at).join("L")}Z`;
  }
  if (kind === "cobb") {
    const lines = [points.slice(0, 2), points.slice(2, 4)].filter((line) => line.length === 2);
    return lines.map(([from, to]) => `M${at(from)}L${at(to)}`).join("");
  }
  return points.length < 2 ? "" : `M${points.map(at).join("L")}`;
}

/** The dashed line between the two lines of a Cobb angle. */
export function helperOf(kind: Kind, points: Point[], affine: Affine): string {
  if (kind !== "cobb" || points.length < 4) return "";
  const middle = (p: Point, q: Point): Point => [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2];
  const [from, to] = [apply(affine, middle(points[0], points[1])), apply(affine, middle(points[2], points[3]))];
  return `M${from.join(" ")}L${to.join(" ")}`;
}

/** Where the words of a measurement stand: right of its rightmost point, held inside the pane. */
export function labelAt(points: Point[], affine: Affine, width: number, height: number, lines: number): Point {
  const screen = points.map((point) => apply(affine, point));
  const right = screen.reduce((best, point) => (point[0] > best[0] ? point : best), screen[0] ?? [0, 0]);
  return [
    Math.max(8, Math.min(width - 190, right[0] + 12)),
    Math.max(48, Math.min(height - 16 * lines - 8, right[1] + 4)),
  ];
}
