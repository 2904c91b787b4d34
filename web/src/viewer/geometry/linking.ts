import type { ImageInfo } from "../../api/types";
import { along, normal, parallel } from "./orientation";

/** How two stacks are scrolled together, said on the screen. */
export type Link = "position" | "distance" | "fraction";

/** Where the two stacks stood when they were linked by hand. */
export interface Anchor {
  from: number;
  to: number;
}

/** `position`: one frame of reference and parallel planes; `distance`: parallel planes, aligned by hand; else `fraction`. */
export function linkOf(from: ImageInfo[], to: ImageInfo[], anchor: Anchor | null): Link {
  const [one, other] = [from[0], to[0]];
  if (!one || !other || !parallel(one, other) || along(one) === null || along(other) === null) return "fraction";
  if (one.frame_of_reference !== "" && one.frame_of_reference === other.frame_of_reference) return "position";
  return anchor ? "distance" : "fraction";
}

/** The image of the other stack that belongs to this one. */
export function linked(from: ImageInfo[], index: number, to: ImageInfo[], anchor: Anchor | null = null): number {
  const how = linkOf(from, to, anchor);
  const here = from[index];
  if (!here || to.length === 0) return 0;
  if (how === "fraction") return byFraction(from.length, index, to.length, anchor);
  const axis = here.orientation ? normal(here.orientation) : undefined;
  let wanted = along(here, axis) ?? 0;
  if (how === "distance" && anchor) {
    const [start, goal] = [from[anchor.from], to[anchor.to]];
    if (start && goal) wanted += (along(goal, axis) ?? 0) - (along(start, axis) ?? 0);
  }
  return nearest(to, wanted, axis);
}

function byFraction(count: number, index: number, other: number, anchor: Anchor | null): number {
  const step = count > 1 ? (other - 1) / (count - 1) : 0;
  const place = anchor ? anchor.to + (index - anchor.from) * step : index * step;
  return Math.min(other - 1, Math.max(0, Math.round(place)));
}

function nearest(images: ImageInfo[], wanted: number, axis?: [number, number, number]): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  images.forEach((image, i) => {
    const away = Math.abs((along(image, axis) ?? Number.POSITIVE_INFINITY) - wanted);
    if (away < least) [best, least] = [i, away];
  });
  return best;
}

export const LINK_WORDS: Record<Link, string> = {
  position: "linked by position",
  distance: "linked by distance from where you aligned them",
  fraction: "linked by share of the stack, not by position",
};
