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

/** Screen pixels per image pixel (of its narrow side) when the image just fits. */
export function fitScale(image: ImageInfo, width: number, height: number, rotation: number): number {
  const [px, py] = pixelShape(image);
  const [w, h] = [image.columns * px, image.rows * py];
  const turned = rotation % 180 !== 0;
  return Math.max(1e-6, Math.min(width / (turned ? h : w), height / (turned ? w : h)));
}

/** Image to screen. */
export function affineOf(image: ImageInfo, view: View, width: number, height: number): Affine {
  const scale = fitScale(image, width, height, view.rotation) * view.zoom;
  const [px, py] = pixelShape(image);
  const [cos, sin] = { 0: [1, 0], 90: [0, 1], 180: [-1, 0], 270: [0, -1] }[view.rotation];
  const [fx, fy] = [view.flipHorizontal ? -1 : 1, view.flipVertical ? -1 : 1];
  const [a, b, c, d] = [fx * cos * scale * px, fy * sin * scale * px, fx * -sin * scale * py, fy * cos * scale * py];
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
