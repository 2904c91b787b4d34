import type { ImageInfo } from "../../api/types";
import type { Affine } from "./affine";

export type Vector = [number, number, number];
export interface Letters {
  left: string;
  right: string;
  top: string;
  bottom: string;
}

const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** The direction in which the slices of an image's plane are stacked. */
export function normal([a, b, c, d, e, f]: NonNullable<ImageInfo["orientation"]>): Vector {
  return [b * f - c * e, c * d - a * f, a * e - b * d];
}

/** An image's place along its own normal in mm; null where the header does not say it. */
export function along(image: ImageInfo, axis?: Vector): number | null {
  if (!image.orientation || !image.position) return null;
  return dot(axis ?? normal(image.orientation), image.position);
}

/** Do two images lie in parallel planes (within about 5 degrees)? */
export function parallel(one: ImageInfo, other: ImageInfo): boolean {
  if (!one.orientation || !other.orientation) return false;
  return Math.abs(dot(normal(one.orientation), normal(other.orientation))) > 0.996;
}

/** The patient's side to which a direction points: R, L, A, P, H, F, two of them where it is oblique. DICOM's axes run to the patient's left, back and head. */
export function side(direction: Vector): string {
  const length = Math.hypot(...direction);
  if (!(length > 0)) return "";
  const names: [string, string][] = [
    ["L", "R"],
    ["P", "A"],
    ["H", "F"],
  ];
  return direction
    .map((value, i) => ({ share: Math.abs(value) / length, name: names[i][value > 0 ? 0 : 1] }))
    .filter(({ share }) => share > 0.4)
    .sort((one, other) => other.share - one.share)
    .slice(0, 2)
    .map(({ name }) => name)
    .join("");
}

/** What lies at the edges of the screen, after every turn and flip; null where the image has no orientation. */
export function letters(image: ImageInfo, [a, b, c, d]: Affine): Letters | null {
  if (a * d - b * c === 0) return null;
  if (!image.orientation) return ofFilm(image.patient_orientation, [a, b, c, d]);
  const [x, y] = [image.orientation.slice(0, 3) as Vector, image.orientation.slice(3) as Vector];
  const det = a * d - b * c;
  const [rowSpacing, columnSpacing] = image.spacing ?? [1, 1];
  // Screen right and down in columns and rows of the image, then in the patient.
  const patient = (sx: number, sy: number): Vector => {
    const [i, j] = [((d * sx - c * sy) / det) * columnSpacing, ((-b * sx + a * sy) / det) * rowSpacing];
    return [x[0] * i + y[0] * j, x[1] * i + y[1] * j, x[2] * i + y[2] * j];
  };
  return {
    right: side(patient(1, 0)),
    left: side(patient(-1, 0)),
    bottom: side(patient(0, 1)),
    top: side(patient(0, -1)),
  };
}

const OPPOSITE: Record<string, string> = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

/** The letters of a film, whose header says only where its rows and columns point. */
function ofFilm(
  points: ImageInfo["patient_orientation"],
  [a, b, c, d]: [number, number, number, number],
): Letters | null {
  if (!points?.[0] || !points[1]) return null;
  const [rows, columns] = points;
  const det = a * d - b * c;
  const turnedRound = (text: string) => [...text].map((sign) => OPPOSITE[sign] ?? sign).join("");
  const at = (sx: number, sy: number): string => {
    const [i, j] = [(d * sx - c * sy) / det, (-b * sx + a * sy) / det];
    if (Math.abs(i) >= Math.abs(j)) return i > 0 ? rows : turnedRound(rows);
    return j > 0 ? columns : turnedRound(columns);
  };
  return { right: at(1, 0), left: at(-1, 0), bottom: at(0, 1), top: at(0, -1) };
}
