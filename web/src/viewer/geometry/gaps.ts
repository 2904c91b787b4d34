import type { ImageInfo } from "../../api/types";
import { along, normal, parallel } from "./orientation";

/** Slices that are missing before an image: the distance in mm, and how many usual steps are left out. */
export interface Gap {
  mm: number;
  missing: number;
}

/** A step is a gap from here on, in usual steps: tables and gantries are not exact. */
const WIDE = 1.6;

/** Where a stack of parallel slices leaves some out, by the number (from 0) of the image after the gap. A stack whose steps have no
 *  usual length (several groups of slices) has none. */
export function gapsOf(images: readonly ImageInfo[]): Map<number, Gap> {
  const found = new Map<number, Gap>();
  const first = images[0];
  if (images.length < 4 || !first?.orientation) return found;
  const axis = normal(first.orientation);
  const places = images.map((image) => (parallel(first, image) ? along(image, axis) : null));
  if (places.some((each) => each === null)) return found;
  const steps = places.slice(1).map((each, i) => Math.abs((each as number) - (places[i] as number)));
  const usual = [...steps].sort((a, b) => a - b)[Math.floor(steps.length / 2)];
  if (!(usual > 0.01)) return found;
  // Time points and echoes begin anew: a way back is no gap.
  const forward = Math.sign((places.at(-1) as number) - (places[0] as number));
  const alike = steps.filter((step) => Math.abs(step - usual) <= 0.1 * usual).length;
  if (alike < steps.length / 2) return found;
  steps.forEach((step, i) => {
    const onward = Math.sign((places[i + 1] as number) - (places[i] as number)) === forward;
    if (onward && step > WIDE * usual)
      found.set(i + 1, { mm: step, missing: Math.max(1, Math.round(step / usual) - 1) });
  });
  return found;
}

/** What is said on the image after a gap. */
export function gapWords(gap: Gap | undefined): string {
  if (!gap) return "";
  const slices = gap.missing === 1 ? "1 slice is missing" : `${gap.missing} slices are missing`;
  return `about ${slices} before this image (${gap.mm.toFixed(1)} mm)`;
}

/** What is said of the whole stack; "" where nothing is missing. */
export function gapsInWords(gaps: ReadonlyMap<number, Gap>): string {
  if (gaps.size === 0) return "";
  const missing = [...gaps.values()].reduce((sum, gap) => sum + gap.missing, 0);
  const where = [...gaps.keys()].slice(0, 3).map((at) => `${at} and ${at + 1}`);
  const more = gaps.size > 3 ? " and at other places" : "";
  return `The series is not whole: about ${missing} ${missing === 1 ? "slice is" : "slices are"} missing, between images ${where.join(", ")}${more}.`;
}
