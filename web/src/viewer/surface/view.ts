import type { ImageInfo } from "../../api/types";
import type { Affine, Point } from "../geometry/affine";

/** How an image lies in its pane. `zoom` 1 fits it in; `pan` is in screen pixels from the middle; the turn comes first, then
 *  the flips, so that a flip mirrors what is seen. */
export interface View {
  zoom: number;
  pan: Point;
  rotation: 0 | 90 | 180 | 270;
  flipHorizontal: boolean;
  flipVertical: boolean;
}
export const FITTED: View = { zoom: 1, pan: [0, 0], rotation: 0, flipHorizontal: false, flipVertical: false };

/** The relative size of a pixel on the screen: not square where the spacing is not. */
export function pixelShape({ spacing }: Pick<ImageInfo, "spacing">): [number, number] {
  if (!spacing || !(spacing[0] > 0) || !(spacing[1] > 0)) return [1, 1];
  const least = Math.min(spacing[0], spacing[1]);
  return [spacing[1] / least, spacing[0] / least];
}

/** A right-angled turn or mirroring as a matrix: x' = a x + c y, y' = b x + d y. */
export type Quarter = [a: number, b: number, c: number, d: number];

const QUARTERS: Record<View["rotation"], Quarter> = {
  0: [1, 0, 0, 1],
  90: [0, 1, -1, 0],
  180: [-1, 0, 0, -1],
  270: [0, -1, 1, 0],
};
/** One after the other: `second` is done to what `first` gives. */
const after = ([a, b, c, d]: Quarter, [e, f, g, h]: Quarter): Quarter => [
  // Adding 0 keeps -0 out.
  a * e + c * f + 0,
  b * e + d * f + 0,
  a * g + c * h + 0,
  b * g + d * h + 0,
];

/** From the stored pixels to the view that readers are used to, as the server says it. */
function stored({ turn }: Pick<ImageInfo, "turn">): Quarter {
  if (!turn) return QUARTERS[0];
  const flips: Quarter = [turn.flip_columns ? -1 : 1, 0, 0, turn.flip_rows ? -1 : 1];
  return turn.transpose ? after(flips, [0, 1, 1, 0]) : flips;
}

/** From the stored pixels to the screen: the image's own turn, then the reader's. */
export function quarterOf(image: Pick<ImageInfo, "turn">, view: View): Quarter {
  const flips: Quarter = [view.flipHorizontal ? -1 : 1, 0, 0, view.flipVertical ? -1 : 1];
  return after(after(flips, QUARTERS[view.rotation]), stored(image));
}

/** The same as a turn and a flip from left to right after it. */
export function decomposed(quarter: Quarter): { rotation: View["rotation"]; flip: boolean } {
  const flip = quarter[0] * quarter[3] - quarter[1] * quarter[2] < 0;
  const [a, b] = flip ? after([-1, 0, 0, 1], quarter) : quarter;
  return { rotation: a > 0.5 ? 0 : a < -0.5 ? 180 : b > 0.5 ? 90 : 270, flip };
}

/** Screen pixels per image pixel (of its narrow side) when the image just fits. */
export function fitScale(image: ImageInfo, view: Pick<View, "rotation">, width: number, height: number): number {
  const [px, py] = pixelShape(image);
  const [w, h] = [image.columns * px, image.rows * py];
  const lies = (view.rotation % 180 !== 0) !== (image.turn?.transpose ?? false);
  return Math.max(1e-6, Math.min(width / (lies ? h : w), height / (lies ? w : h)));
}

/** Image to screen. */
export function affineOf(image: ImageInfo, view: View, width: number, height: number): Affine {
  const scale = fitScale(image, view, width, height) * view.zoom;
  const [px, py] = pixelShape(image);
  const quarter = quarterOf(image, view);
  const [a, b, c, d] = [
    quarter[0] * scale * px,
    quarter[1] * scale * px,
    quarter[2] * scale * py,
    quarter[3] * scale * py,
  ];
  const [mx, my] = [image.columns / 2, image.rows / 2];
  return [a, b, c, d, width / 2 + view.pan[0] - a * mx - c * my, height / 2 + view.pan[1] - b * mx - d * my];
}

/** Zooms by a factor; the image point under `at` (screen) stays where it is. */
export function zoomed(view: View, factor: number, at: Point, width: number, height: number): View {
  const zoom = Math.min(64, Math.max(0.05, view.zoom * factor));
  const real = zoom / view.zoom;
  const [cx, cy] = [at[0] - width / 2, at[1] - height / 2];
  return { ...view, zoom, pan: [cx - (cx - view.pan[0]) * real, cy - (cy - view.pan[1]) * real] };
}

/** A quarter turn to the right as seen on the screen. */
export function turned(view: View): View {
  const mirrored = view.flipHorizontal !== view.flipVertical;
  const rotation = ((view.rotation + (mirrored ? 270 : 90)) % 360) as View["rotation"];
  return { ...view, rotation, pan: [-view.pan[1], view.pan[0]] };
}

export const flippedAcross = (view: View): View => ({
  ...view,
  flipHorizontal: !view.flipHorizontal,
  pan: [-view.pan[0], view.pan[1]],
});
export const flippedDown = (view: View): View => ({
  ...view,
  flipVertical: !view.flipVertical,
  pan: [view.pan[0], -view.pan[1]],
});
