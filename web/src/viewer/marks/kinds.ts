import type { ImageInfo, Measured, NewMeasurement } from "../../api/types";
import { distance, type Point } from "../geometry/affine";
import { calibrationOf, type Quantity, steps, unitOf, words } from "../geometry/calibration";
import { digits } from "../geometry/window";
import type { Pixels } from "../types";
import { statistics } from "./statistics";

export type Kind = "length" | "angle" | "cobb" | "rectangle" | "ellipse";

interface Facts {
  name: string;
  quantity: Quantity;
  /** Points that are drawn. */
  needs: number;
}
export const KINDS: Record<Kind, Facts> = {
  length: { name: "Length", quantity: "length", needs: 2 },
  angle: { name: "Angle", quantity: "angle", needs: 3 },
  cobb: { name: "Cobb angle", quantity: "angle", needs: 4 },
  rectangle: { name: "Rectangle area", quantity: "area", needs: 2 },
  ellipse: { name: "Ellipse area", quantity: "area", needs: 2 },
};

export const isKind = (name: string): name is Kind => name in KINDS;

/** The kind of a stored measurement by its name and points; null where it is of another make. */
export function kindOf({ name, points }: Pick<Measured, "name" | "points">): Kind | null {
  const found = (Object.keys(KINDS) as Kind[]).find((kind) => name.startsWith(KINDS[kind].name)) ?? null;
  if (!found) return points.length === 2 ? "length" : null;
  return points.length === storedPoints(found) ? found : null;
}

const storedPoints = (kind: Kind) => (kind === "rectangle" || kind === "ellipse" ? 4 : KINDS[kind].needs);

/** As they are stored: a rectangle by its corners, an ellipse by the ends of its axes (the longer first), as SCOORD has them. */
export function toStored(kind: Kind, points: Point[]): Point[] {
  if (kind !== "rectangle" && kind !== "ellipse") return points;
  const [[x0, y0], [x1, y1]] = [points[0], points[1]];
  if (kind === "rectangle")
    return [
      [x0, y0],
      [x1, y0],
      [x1, y1],
      [x0, y1],
    ];
  const [cx, cy] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const across: Point[] = [
    [x0, cy],
    [x1, cy],
  ];
  const down: Point[] = [
    [cx, y0],
    [cx, y1],
  ];
  return Math.abs(x1 - x0) >= Math.abs(y1 - y0) ? [...across, ...down] : [...down, ...across];
}

/** As they are drawn and dragged: opposite corners of a rectangle and of an ellipse's box. */
export function fromStored(kind: Kind, points: Point[]): Point[] {
  if (kind !== "rectangle" && kind !== "ellipse") return points;
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [
    [Math.min(...xs), Math.min(...ys)],
    [Math.max(...xs), Math.max(...ys)],
  ];
}

/** The angle between two directions, 0 to 180 degrees. */
function between([ax, ay]: Point, [bx, by]: Point): number {
  const lengths = Math.hypot(ax, ay) * Math.hypot(bx, by);
  if (lengths === 0) return 0;
  return (Math.acos(Math.min(1, Math.max(-1, (ax * bx + ay * by) / lengths))) * 180) / Math.PI;
}

/** The value in the unit of `unitOf`. */
export function measured(kind: Kind, points: Point[], image: Parameters<typeof calibrationOf>[0]): number {
  const [down, across] = steps(image, points);
  // An angle is right as soon as the pixels' shape is known, whatever their size.
  const real: Point[] = points.map(([x, y]) => [x * across, y * down]);
  const from = (p: Point, q: Point): Point => [q[0] - p[0], q[1] - p[1]];
  if (kind === "length") return distance(real[0], real[1]);
  if (kind === "angle") return between(from(real[1], real[0]), from(real[1], real[2]));
  if (kind === "cobb") {
    const angle = between(from(real[0], real[1]), from(real[2], real[3]));
    return Math.min(angle, 180 - angle);
  }
  const area = Math.abs((real[1][0] - real[0][0]) * (real[1][1] - real[0][1]));
  return kind === "ellipse" ? (area * Math.PI) / 4 : area;
}

/** What is written beside a measurement: its value, how far it is calibrated, and the values inside. */
export function linesOf(kind: Kind, points: Point[], image: ImageInfo, pixels?: Pixels): string[] {
  const calibration = calibrationOf(image, points);
  const { quantity } = KINDS[kind];
  const lines = [`${words(quantity, measured(kind, points, image), calibration)} · ${calibration}`];
  if ((kind === "rectangle" || kind === "ellipse") && pixels) {
    const found = statistics(kind, [points[0], points[1]], image, pixels);
    if (found) {
      const width = Math.max(found.greatest - found.least, found.deviation * 4);
      const unit = image.unit ? ` ${image.unit}` : "";
      lines.push(`mean ${digits(found.mean, width)}${unit} · SD ${digits(found.deviation, width)}`);
    }
  }
  return lines;
}

export function measurement(kind: Kind, points: Point[], image: ImageInfo, pixels?: Pixels): NewMeasurement {
  const calibration = calibrationOf(image, points);
  const { name, quantity } = KINDS[kind];
  const inside =
    image.unit && pixels && (kind === "rectangle" || kind === "ellipse")
      ? statistics(kind, [points[0], points[1]], image, pixels)
      : null;
  const values = inside ? ` (mean ${inside.mean.toFixed(1)} ${image.unit}, SD ${inside.deviation.toFixed(1)})` : "";
  const rounded = (value: number) => Math.round(value * 1000) / 1000;
  return {
    image: image.uid,
    frame: image.frame,
    name: `${name}${values}`,
    value: rounded(measured(kind, points, image)),
    unit: unitOf(quantity, calibration),
    calibration,
    points: toStored(kind, points).map(([x, y]) => [rounded(x), rounded(y)]),
  };
}
