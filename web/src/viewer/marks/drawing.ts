import { distance, type Point } from "../geometry/affine";
import { KINDS, type Kind } from "./kinds";

/** A measurement that is being drawn: points set so far, and where the pointer is. Every kind can be dragged or clicked point by point. */
export interface Draft {
  kind: Kind;
  points: Point[];
  floating: Point;
}

/** The pointer goes down: the first point; of a Cobb angle also the second line's first. */
export function pressed(draft: Draft | null, kind: Kind, at: Point): Draft {
  if (!draft || draft.kind !== kind) return { kind, points: [at], floating: at };
  if (kind === "cobb" && draft.points.length === 2) return { ...draft, points: [...draft.points, at], floating: at };
  return { ...draft, floating: at };
}

export const moved = (draft: Draft, at: Point): Draft => ({ ...draft, floating: at });

/** The pointer goes up: sets a point where it came at least `apart` (image pixels) from the last one. */
export function released(draft: Draft, at: Point, apart: number): Draft {
  const last = draft.points[draft.points.length - 1];
  if (last && distance(last, at) < apart) return { ...draft, floating: at };
  return { ...draft, points: [...draft.points, at], floating: at };
}

export const complete = (draft: Draft) => draft.points.length >= KINDS[draft.kind].needs;

/** What is drawn now: the set points and the floating one. */
export function visible(draft: Draft): Point[] {
  if (complete(draft)) return draft.points.slice(0, KINDS[draft.kind].needs);
  if (draft.kind === "cobb" && draft.points.length === 2) return draft.points;
  return [...draft.points, draft.floating];
}
