import type { Graphic, ImageInfo, OutsideDocument, Problem, SeriesImages, Study } from "../../api/types";

/** What one image is called inside the viewer. */
export const keyOf = (image: Pick<ImageInfo, "uid" | "frame">) => `${image.uid}#${image.frame}`;

export const bytesOf = ({ rows, columns, samples, dtype }: ImageInfo) =>
  rows * columns * samples * { uint8: 1, int16: 2, uint16: 2, float32: 4 }[dtype];

/** A request that the server refused, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const enc = encodeURIComponent;

async function fetched(path: string, signal?: AbortSignal, priority: RequestPriority = "auto"): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { signal, priority, credentials: "same-origin" });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "The server cannot be reached.");
  }
  if (answer.ok) return answer;
  const problem = (await answer.json().catch(() => null)) as Partial<Problem> | null;
  throw new Refused(answer.status, problem?.error?.message || `The server answered ${answer.status}.`);
}

const known = new Map<string, Promise<SeriesImages>>();

/** What a series shows, in the order of display; asked for once while its study is held. */
export function seriesImages(study: string, series: string): Promise<SeriesImages> {
  const key = `${study}/${series}`;
  const before = known.get(key);
  if (before) return before;
  const path = `/api/studies/${enc(study)}/series/${enc(series)}`;
  const asked = fetched(path).then((answer) => answer.json() as Promise<SeriesImages>);
  known.set(key, asked);
  asked.catch(() => known.delete(key));
  return asked;
}

/** Forgets the lists of all studies but these. */
export function forgetSeries(kept: Set<string>): void {
  for (const key of known.keys()) if (!kept.has(key.slice(0, key.indexOf("/")))) known.delete(key);
}

export async function studyOf(study: string): Promise<Study> {
  return (await fetched(`/api/studies/${enc(study)}`)).json();
}

/** What others drew on a study's images; none where the server keeps none. */
export async function graphicsOf(study: string): Promise<Graphic[]> {
  try {
    return await (await fetched(`/api/studies/${enc(study)}/graphics`)).json();
  } catch (error) {
    if (error instanceof Refused && error.status === 404) return [];
    throw error;
  }
}

/** What others wrote, as text. */
export async function documentOf(uid: string): Promise<OutsideDocument> {
  return (await fetched(`/api/images/${enc(uid)}/document`)).json();
}

export const pdfOf = (uid: string) => `/api/images/${enc(uid)}/pdf`;
export const thumbnailOf = (uid: string) => `/api/images/${enc(uid)}/thumbnail`;

/** The bytes of one frame. */
export async function frameOf(image: ImageInfo, signal: AbortSignal, urgent: boolean): Promise<ArrayBuffer> {
  const answer = await fetched(`/api/images/${enc(image.uid)}/frames/${image.frame}`, signal, urgent ? "high" : "low");
  const bytes = await answer.arrayBuffer();
  if (bytes.byteLength !== bytesOf(image))
    throw new Refused(answer.status, `The image came with ${bytes.byteLength} bytes in place of ${bytesOf(image)}.`);
  return bytes;
}
