import type { Agreement } from "../../api/types";

/** Verdicts of one model in one month, over all kinds that are chosen. */
export interface Point {
  month: string;
  accepted: number;
  edited: number;
  rejected: number;
  added: number;
  /** Signed as they were drafted, and not judged. */
  unchanged: number;
  judged: number;
  /** Accepted of what the model wrote and a reader judged; null where nothing was. */
  agreed: number | null;
}
export interface Line {
  model: string;
  points: Point[];
}

/** Return a line a model, its months in order; kind "" joins all kinds. */
export function lines(rows: Agreement[], kind = ""): Line[] {
  const models = new Map<string, Map<string, Point>>();
  for (const row of rows) {
    if (kind && row.kind !== kind) continue;
    const model = row.revision ? `${row.model} (${row.revision})` : row.model;
    const months = models.get(model) ?? new Map<string, Point>();
    const point = months.get(row.month) ?? {
      month: row.month,
      accepted: 0,
      edited: 0,
      rejected: 0,
      added: 0,
      unchanged: 0,
      judged: 0,
      agreed: null,
    };
    point.accepted += row.accepted;
    point.edited += row.edited;
    point.rejected += row.rejected;
    point.added += row.added;
    point.unchanged += row.unchanged;
    point.judged += row.judged;
    point.agreed = point.judged > 0 ? point.accepted / point.judged : null;
    months.set(row.month, point);
    models.set(model, months);
  }
  return [...models]
    .map(([model, months]) => ({ model, points: [...months.values()].sort((a, b) => a.month.localeCompare(b.month)) }))
    .sort((a, b) => a.model.localeCompare(b.model));
}

/** Return all months from the first to the last, also those without verdicts. */
export function months(all: Line[]): string[] {
  const known = all.flatMap((line) => line.points.map((point) => point.month)).sort();
  const first = known[0];
  const last = known.at(-1);
  if (!first || !last) return [];
  const result: string[] = [];
  let [year = 0, month = 1] = first.split("-").map(Number);
  for (let guard = 0; guard < 600; guard += 1) {
    const name = `${year}-${String(month).padStart(2, "0")}`;
    result.push(name);
    if (name >= last) break;
    month += 1;
    if (month > 12) {
      month = 1;
      year += 1;
    }
  }
  return result;
}

export function percent(share: number | null): string {
  return share === null ? "none judged" : `${Math.round(share * 100)} %`;
}
