import type { ImageInfo } from "../../api/types";
import type { Affine } from "../geometry/affine";
import type { Window } from "../geometry/window";
import type { Pixels } from "../types";
import type { View } from "./view";

/** What is to be seen in a pane. */
export interface Scene {
  image: ImageInfo;
  pixels: Pixels;
  view: View;
  window: Window;
  /** High values are dark (MONOCHROME1 or the reader's wish, not both). */
  invert: boolean;
}

/** Something that draws one pane: the graphics card by way of Cornerstone3D, or a plain canvas. */
export interface Surface {
  readonly kind: "gpu" | "canvas";
  /** The stack whose images are drawn next. */
  open(images: ImageInfo[]): void;
  draw(scene: Scene): void;
  /** Nothing to show. */
  clear(): void;
  resize(width: number, height: number): void;
  /** Image to screen as it is drawn. */
  affine(scene: Scene): Affine;
  /** The canvas with what is seen, for the magnifying glass. */
  canvas(): HTMLCanvasElement;
  destroy(): void;
}
