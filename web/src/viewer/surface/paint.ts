import type { ImageInfo } from "../../api/types";
import { bounds, type Window } from "../geometry/window";
import type { Pixels } from "../types";

const OPAQUE = 0xff000000;
/** Browsers run on little-endian machines: 0xAABBGGRR. */
const grey = (value: number) => OPAQUE | (value << 16) | (value << 8) | value;

let table = new Uint32Array(65536);

/** The grey of each value from `least` on, as 32-bit pixels; the array is reused. */
function lookup(window: Window, invert: boolean, least: number, count: number): Uint32Array {
  if (table.length < count) table = new Uint32Array(count);
  const [low, high] = bounds(window);
  const slope = 255 / Math.max(high - low, 1e-9);
  const sigmoid = window.shape === "SIGMOID";
  for (let i = 0; i < count; i++) {
    const value = sigmoid
      ? 255 / (1 + Math.exp((-4 * (least + i - window.center)) / window.width))
      : Math.min(255, Math.max(0, (least + i - low) * slope));
    table[i] = grey(Math.round(invert ? 255 - value : value));
  }
  return table;
}

/** Writes the windowed values of an image as RGBA. */
export function paint(out: Uint32Array, image: ImageInfo, pixels: Pixels, window: Window, invert: boolean): void {
  if (image.samples === 3) paintColour(out, pixels, window, invert);
  else if (pixels instanceof Float32Array) paintFloat(out, pixels, window, invert);
  else paintWhole(out, pixels, window, invert);
}

function paintWhole(out: Uint32Array, pixels: Pixels, window: Window, invert: boolean): void {
  const least = pixels instanceof Int16Array ? -32768 : 0;
  const greys = lookup(window, invert, least, pixels instanceof Uint8Array ? 256 : 65536);
  const count = Math.min(out.length, pixels.length);
  if (least === 0) for (let i = 0; i < count; i++) out[i] = greys[pixels[i]];
  else for (let i = 0; i < count; i++) out[i] = greys[pixels[i] + 32768];
}

function paintFloat(out: Uint32Array, pixels: Float32Array, window: Window, invert: boolean): void {
  const [low, high] = bounds(window, true);
  const slope = 255 / Math.max(high - low, 1e-12);
  const count = Math.min(out.length, pixels.length);
  for (let i = 0; i < count; i++) {
    const shade = Math.min(255, Math.max(0, (pixels[i] - low) * slope)) | 0;
    out[i] = grey(invert ? 255 - shade : shade);
  }
}

function paintColour(out: Uint32Array, pixels: Pixels, window: Window, invert: boolean): void {
  const greys = lookup(window, invert, 0, 256);
  const count = Math.min(out.length, Math.floor(pixels.length / 3));
  for (let i = 0, j = 0; i < count; i++, j += 3)
    out[i] =
      OPAQUE | ((greys[pixels[j + 2]] & 255) << 16) | ((greys[pixels[j + 1]] & 255) << 8) | (greys[pixels[j]] & 255);
}
