import type { TrendPoint } from "../../../api/types";

/** Return about `most` round values of an axis that covers the least and the greatest. */
export function steps(least: number, greatest: number, most = 5): number[] {
  const length = greatest - least || Math.abs(greatest) || 1;
  const raw = length / Math.max(most - 1, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = ([1, 2, 2.5, 5, 10].find((each) => each * power >= raw) ?? 10) * power;
  const made: number[] = [];
  for (let at = Math.floor(least / step) * step; at <= greatest + step * 0.999 || made.length < 2; at += step)
    made.push(Number(at.toPrecision(12)));
  return made;
}

/** Return the ends of a value axis: of the points and of the band where that is near, with room at both ends. */
export function ends(points: readonly TrendPoint[], low: number | null, high: number | null): [number, number] {
  const values = points.map((each) => each.value);
  let least = Math.min(...values);
  let greatest = Math.max(...values);
  const near = (greatest - least || Math.abs(greatest) || 1) * 2;
  // A band far away would press all points into a line.
  if (low !== null && least - low < near) least = Math.min(least, low);
  if (high !== null && high - greatest < near) greatest = Math.max(greatest, high);
  const room = (greatest - least || Math.abs(greatest) || 1) * 0.08;
  return [least >= 0 && least - room < 0 ? 0 : least - room, greatest + room];
}

/** Return where a point lies to its own range: 1 above, -1 below, 0 within or unknown. */
export function side(point: TrendPoint): -1 | 0 | 1 {
  if (point.high !== null && point.value > point.high && !point.comparator.startsWith("<")) return 1;
  if (point.low !== null && point.value < point.low && !point.comparator.startsWith(">")) return -1;
  return 0;
}

/** Return a number without more digits than it needs. */
export function shortNumber(value: number): string {
  return String(Number(value.toPrecision(4)));
}
