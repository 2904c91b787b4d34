import type { FrameState } from "../pixels/frames";

/** What a row of the track stands for; `seen` implies loaded once. Trouble is never hidden by its neighbours. */
export type Mark = "absent" | "loading" | "loaded" | "seen" | "failed";

/** The marks of a track of `height` rows for a stack: a row that stands for several images is only as good as its worst, and a
 *  stack shorter than the track is stretched. */
export function trackRows(states: { state: FrameState; seen: boolean }[], height: number): Mark[] {
  const count = states.length;
  const rows: Mark[] = [];
  for (let row = 0; row < height; row++) {
    const from = Math.floor((row * count) / height);
    const to = Math.max(from + 1, Math.floor(((row + 1) * count) / height));
    const some = states.slice(from, to);
    if (some.some(({ state }) => state === "failed")) rows.push("failed");
    else if (some.every(({ seen }) => seen)) rows.push("seen");
    else if (some.every(({ state }) => state === "loaded")) rows.push("loaded");
    else if (some.some(({ state }) => state === "loading")) rows.push("loading");
    else rows.push("absent");
  }
  return rows;
}

/** Runs of equal marks, for drawing. */
export function runs(rows: Mark[]): { mark: Mark; from: number; to: number }[] {
  const found: { mark: Mark; from: number; to: number }[] = [];
  rows.forEach((mark, row) => {
    const last = found.at(-1);
    if (last && last.mark === mark) last.to = row + 1;
    else found.push({ mark, from: row, to: row + 1 });
  });
  return found;
}
