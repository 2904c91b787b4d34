import type { Entry, RowsNews, WorklistPage } from "../../api/types";

export const PAGE = 100;
const LEAST_BETWEEN = 6;

export interface Rows {
  /** Null until the first answer. */
  total: number | null;
  at: (index: number) => Entry | undefined;
  indexOf: (study: string) => number;
  counts: WorklistPage["counts"] | null;
  modalities: string[];
  /** Milliseconds that the server's clock is ahead of this one. */
  ahead: number;
  error: unknown;
  /** Studies that would stand in the list if it were made anew. */
  fresh: number;
  /** The order or the number of rows has changed behind what is shown. */
  changed: boolean;
  /** Studies that have left the list since it was made. */
  gone: ReadonlySet<string>;
}

/** The rules of one search: which studies stand in its list, and what their place follows from. */
export interface ListRules {
  fits: (entry: Entry) => boolean;
  place: (entry: Entry) => string;
  /** Whether an act that moves nothing, as an opening, may bring a study into the list: it is one of some states. */
  narrow?: boolean;
}
const ANY: ListRules = { fits: () => true, place: () => "" };

/**
 * The rows of one search, asked for in pages as they come into view. Live news changes rows where they stand; their order
 * changes only by `refresh`, so that no row moves under the reader's cursor.
 */
export class RowStore {
  private pages = new Map<number, Entry[]>();
  private asked = new Set<number>();
  private seen: [number, number] = [0, 0];
  private touched = new Set<string>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private listeners = new Set<() => void>();
  private made = 0;
  private rows: Rows;
  private readonly load: (offset: number, limit: number) => Promise<WorklistPage>;
  private readonly delay: number;

  private readonly rules: ListRules;
  /** When the list was last asked for because of news: not again for several times the delay. */
  private looked = 0;

  constructor(load: (offset: number, limit: number) => Promise<WorklistPage>, delay = 800, rules: ListRules = ANY) {
    this.load = load;
    this.delay = delay;
    this.rules = rules;
    this.rows = this.view({ total: null, counts: null, modalities: [], ahead: 0, error: null });
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };
  snapshot = (): Rows => this.rows;

  /** Ask for what is not there of the rows from `first` to `last`. */
  ensure(first: number, last: number): void {
    this.seen = [Math.floor(first / PAGE), Math.floor(Math.max(first, last) / PAGE)];
    for (let page = this.seen[0]; page <= this.seen[1]; page += 1)
      if (!this.pages.has(page) && !this.asked.has(page)) void this.fetch(page);
  }

  private async fetch(page: number): Promise<void> {
    const made = this.made;
    this.asked.add(page);
    try {
      const answer = await this.load(page * PAGE, PAGE);
      if (made !== this.made) return;
      this.pages.set(page, answer.entries);
      // The number of rows stays as it was first said, so that the scroll bar does not jump; the rest is news.
      const total = this.rows.total ?? answer.total;
      this.publish({ ...this.said(answer), total, error: null, changed: this.rows.changed || total !== answer.total });
    } catch (error) {
      if (made === this.made) this.publish({ error });
    } finally {
      if (made === this.made) this.asked.delete(page);
    }
  }

  /** Say that something happened to a study. What is in view is asked for again, soon and once. */
  touch(study: string): void {
    this.touched.add(study);
    // By chance a little later: fifty pages hear the same news in the same moment.
    const rest = this.looked + LEAST_BETWEEN * this.delay - Date.now();
    this.timer ??= setTimeout(
      () => {
        this.timer = undefined;
        this.looked = Date.now();
        void this.look();
      },
      Math.max(this.delay, rest) * (1 + Math.random()),
    );
  }

  /** Take over rows that the server tells. Only of a study that may now stand somewhere among the rows it is asked where. */
  apply(news: RowsNews): void {
    if (this.rows.total === null) return;
    if (news.many) this.touch("");
    const moved = new Set(news.moved);
    const changes = new Map<number, Entry>();
    const gone = new Set(this.rows.gone);
    let changed = this.rows.changed;
    for (const entry of news.entries) {
      const index = this.rows.indexOf(entry.study);
      const fits = this.rules.fits(entry);
      const before = this.rows.at(index);
      if (!before) {
        if (fits && (moved.has(entry.study) || this.rules.narrow)) this.touch(entry.study);
        continue;
      }
      changes.set(index, entry);
      if (fits) gone.delete(entry.study);
      else gone.add(entry.study);
      if (!fits || this.rules.place(before) !== this.rules.place(entry)) changed = true;
    }
    for (const [index, entry] of changes) {
      const page = Math.floor(index / PAGE);
      const entries = [...(this.pages.get(page) ?? [])];
      entries[index % PAGE] = entry;
      this.pages.set(page, entries);
    }
    this.publish({ counts: news.counts, changed, gone });
  }

  /** Ask for all anew, as after a cut: pages that are out of view are forgotten, the others asked for soon. */
  again(): void {
    if (this.rows.total === null) {
      this.ensure(this.seen[0] * PAGE, this.seen[1] * PAGE);
      return;
    }
    for (const page of this.pages.keys())
      if (page !== 0 && page !== this.seen[0] && page !== this.seen[1]) this.pages.delete(page);
    this.publish({});
    this.touch("");
  }

  private async look(): Promise<void> {
    const made = this.made;
    const touched = new Set(this.touched);
    this.touched.clear();
    const wanted = new Set([0, this.seen[0], this.seen[1]]);
    try {
      const answers = await Promise.all([...wanted].map((page) => this.load(page * PAGE, PAGE)));
      const last = answers.at(-1);
      if (made !== this.made || !last) return;
      const now = new Map(answers.flatMap((answer) => answer.entries).map((entry) => [entry.study, entry]));
      const gone = new Set(this.rows.gone);
      let fresh = this.rows.fresh;
      let changed = this.rows.changed || last.total !== this.rows.total;
      for (const study of touched) {
        if (this.rows.indexOf(study) < 0) {
          if (now.has(study)) fresh += 1;
          continue;
        }
        if (now.has(study)) gone.delete(study);
        else {
          gone.add(study);
          changed = true;
        }
      }
      for (const [page, entries] of this.pages) {
        this.pages.set(
          page,
          entries.map((entry) => now.get(entry.study) ?? entry),
        );
      }
      [...wanted].forEach((page, index) => {
        const before = this.pages.get(page);
        const after = answers[index]?.entries ?? [];
        if (before && before.map((one) => one.study).join() !== after.map((one) => one.study).join()) changed = true;
      });
      this.publish({ ...this.said(last), total: this.rows.total, fresh, changed, gone });
    } catch {
      // The next event, or the next scroll, asks again.
    }
  }

  /** Make the list anew. The old rows stay until the new ones are there. */
  async refresh(): Promise<void> {
    this.made += 1;
    const made = this.made;
    this.asked.clear();
    this.touched.clear();
    const wanted = [...new Set(this.seen)];
    try {
      const answers = await Promise.all(wanted.map((page) => this.load(page * PAGE, PAGE)));
      if (made !== this.made) return;
      this.pages = new Map(wanted.map((page, index) => [page, answers[index]?.entries ?? []]));
      const last = answers.at(-1);
      if (last) this.publish({ ...this.said(last), error: null, fresh: 0, changed: false, gone: new Set() });
    } catch (error) {
      if (made === this.made) this.publish({ error });
    }
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.made += 1;
  }

  private said(answer: WorklistPage): Pick<Rows, "total" | "counts" | "modalities" | "ahead"> {
    const { total, counts, modalities, now } = answer;
    return { total, counts, modalities, ahead: new Date(now).getTime() - Date.now() };
  }

  private view(some: Pick<Rows, "total" | "counts" | "modalities" | "ahead" | "error"> & Partial<Rows>): Rows {
    const pages = this.pages;
    const places = new Map<string, number>();
    for (const [page, entries] of pages)
      entries.forEach((entry, index) => {
        places.set(entry.study, page * PAGE + index);
      });
    return {
      fresh: 0,
      changed: false,
      gone: new Set(),
      ...some,
      at: (index) => pages.get(Math.floor(index / PAGE))?.[index % PAGE],
      indexOf: (study) => places.get(study) ?? -1,
    };
  }

  private publish(some: Partial<Rows>): void {
    this.pages = new Map(this.pages);
    this.rows = this.view({ ...this.rows, ...some });
    for (const listener of this.listeners) listener();
  }
}
