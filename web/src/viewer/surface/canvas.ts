import type { Affine } from "../geometry/affine";
import { paint } from "./paint";
import type { Scene, Surface } from "./surface";
import { affineOf } from "./view";

/** Draws with the 2D canvas alone: where there is no WebGL, and where WebGL is only emulated in software, which is slower
 *  than this (see `web/tools/viewer_speed.py`). */
export class CanvasSurface implements Surface {
  readonly kind = "canvas";
  private readonly shown: HTMLCanvasElement;
  private readonly slice = document.createElement("canvas");
  private data: ImageData | null = null;
  private painted = "";
  private width = 1;
  private height = 1;

  constructor(element: HTMLElement) {
    this.shown = document.createElement("canvas");
    this.shown.style.cssText = "position:absolute;inset:0;width:100%;height:100%;display:block";
    element.appendChild(this.shown);
  }

  open(): void {
    this.painted = "";
  }

  resize(width: number, height: number): void {
    [this.width, this.height] = [Math.max(1, width), Math.max(1, height)];
    const ratio = window.devicePixelRatio || 1;
    this.shown.width = Math.round(this.width * ratio);
    this.shown.height = Math.round(this.height * ratio);
  }

  draw(scene: Scene): void {
    this.paintSlice(scene);
    const context = this.shown.getContext("2d", { alpha: false });
    if (!context) return;
    const ratio = this.shown.width / this.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, this.shown.width, this.shown.height);
    const [a, b, c, d, e, f] = this.affine(scene).map((value) => value * ratio);
    context.setTransform(a, b, c, d, e, f);
    const scale = Math.hypot(a, b);
    // Beyond 6 screen pixels to a pixel the pixels themselves are what one wants to see.
    context.imageSmoothingEnabled = scale < 6;
    context.imageSmoothingQuality = scale < 0.6 ? "medium" : "low";
    context.drawImage(this.slice, 0, 0);
  }

  private paintSlice({ image, pixels, window, invert }: Scene): void {
    const key = `${image.uid}#${image.frame} ${window.center} ${window.width} ${invert}`;
    if (key === this.painted) return;
    const context = this.slice.getContext("2d", { alpha: false });
    if (!context) return;
    if (!this.data || this.data.width !== image.columns || this.data.height !== image.rows) {
      this.slice.width = image.columns;
      this.slice.height = image.rows;
      this.data = context.createImageData(image.columns, image.rows);
    }
    paint(new Uint32Array(this.data.data.buffer), image, pixels, window, invert);
    context.putImageData(this.data, 0, 0);
    this.painted = key;
  }

  clear(): void {
    const context = this.shown.getContext("2d", { alpha: false });
    context?.setTransform(1, 0, 0, 1, 0, 0);
    context?.fillRect(0, 0, this.shown.width, this.shown.height);
  }

  affine({ image, view }: Scene): Affine {
    return affineOf(image, view, this.width, this.height);
  }

  canvas(): HTMLCanvasElement {
    return this.shown;
  }

  destroy(): void {
    this.shown.remove();
    // Gives its memory back at once.
    this.shown.width = this.slice.width = 0;
    this.data = null;
  }
}
