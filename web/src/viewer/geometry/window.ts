import type { ImageInfo } from "../../api/types";
import type { Pixels } from "../types";

export interface Window {
  center: number;
  width: number;
  /** VOI LUT Function of the header; linear where it is left out. */
  shape?: "LINEAR_EXACT" | "SIGMOID";
}
export interface Preset extends Window {
  name: string;
}

/** Usual windows of CT in HU, in the order of the keys 1 to 5. */
const CT: Preset[] = [
  { name: "Soft tissue", center: 40, width: 400 },
  { name: "Lung", center: -600, width: 1500 },
  { name: "Bone", center: 400, width: 1800 },
  { name: "Brain", center: 40, width: 80 },
  { name: "Liver", center: 60, width: 160 },
];

/** From the lowest to the highest value. */
export function fullRange(least: number, greatest: number): Window {
  const width = Math.max(greatest - least, Number.isInteger(least) && Number.isInteger(greatest) ? 1 : 1e-6);
  return { center: (least + greatest) / 2, width };
}

/** Between the 1st and the 99th percentile of the values (of every nth, at most about 50,000 of them). */
export function automatic(values: Pixels): Window {
  const step = Math.max(1, Math.floor(values.length / 50_000));
  const sample: number[] = [];
  for (let i = 0; i < values.length; i += step) {
    const value = values[i];
    if (Number.isFinite(value)) sample.push(value);
  }
  if (sample.length === 0) return { center: 0.5, width: 1 };
  sample.sort((a, b) => a - b);
  const at = (share: number) => sample[Math.min(sample.length - 1, Math.floor(share * sample.length))];
  return fullRange(at(0.01), at(0.99));
}

/** The lowest and highest of the values; 0 and 1 if there are none. */
export function extremes(values: Pixels): [number, number] {
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  return Number.isFinite(least) && Number.isFinite(greatest) ? [least, greatest] : [0, 1];
}

/** The windows on keys 1 to 5: CT's by organ where the values are HU; else the header's, full range and automatic. */
export function presets(modality: string, image: ImageInfo | undefined, values?: Pixels): Preset[] {
  if (modality === "CT" && (!image || image.unit === "HU")) return CT;
  if (!image) return [];
  if (image.samples === 3) return [{ name: "Full range", center: 127.5, width: 255 }];
  const found: Preset[] = [];
  const add = (preset: Preset) => {
    if (found.length < 5 && !found.some((each) => each.center === preset.center && each.width === preset.width))
      found.push(preset);
  };
  const header = image.window.map(
    (each, i): Preset => ({
      center: each.center,
      width: each.width,
      shape: shapeOf(each),
      name: each.name || (i === 0 ? "Default" : `Header ${i + 1}`),
    }),
  );
  if (header[0]) add(header[0]);
  const range =
    image.least !== null && image.greatest !== null ? [image.least, image.greatest] : values && extremes(values);
  if (range) add({ name: "Full range", ...fullRange(range[0], range[1]) });
  if (values) add({ name: "Automatic", ...automatic(values) });
  for (const each of header.slice(1)) add(each);
  return found;
}

const shapeOf = (own: ImageInfo["window"][number]): Window["shape"] =>
  own.function === "SIGMOID" || own.function === "LINEAR_EXACT" ? own.function : undefined;

/** The window that an image opens with: its header's, else its modality's first. */
export function initialWindow(modality: string, image: ImageInfo, values?: Pixels): Window {
  if (image.samples === 3) return { center: 127.5, width: 255 };
  const own = image.window[0];
  if (own && own.width > 0) return { center: own.center, width: own.width, shape: shapeOf(own) };
  if (modality !== "CT" && values && image.samples === 1 && image.dtype !== "uint8") return automatic(values);
  const { center, width } = presets(modality, image, values)[0] ?? fullRange(0, 255);
  return { center, width };
}

/** The values that become black and white: DICOM's LINEAR function (PS3.3 C.11.2.1.2), with float values its exact one. */
export function bounds({ center, width, shape }: Window, exact = false): [number, number] {
  if (exact || width <= 1 || shape) return [center - width / 2, center + width / 2];
  return [center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2];
}

/** A drag changes width across and centre down, by a share of the values' range so that it feels alike on all images. */
export function dragged(start: Window, dx: number, dy: number, range: number): Window {
  const step = Math.max(range, start.width) / 1200;
  const least = range > 0 && range <= 4 ? range / 1000 : 1;
  return { ...start, center: start.center + dy * step, width: Math.max(least, start.width + dx * step) };
}

/** For display: whole numbers, or as many digits as a small range needs. */
export function digits(value: number, width: number): string {
  return width >= 20 ? String(Math.round(value)) : value.toFixed(width >= 2 ? 1 : 3);
}
