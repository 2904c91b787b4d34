import type { Saved, Sections } from "../../api/types";
import { sameSections } from "../text/sections";

/** Where a text stands between this window and the server.
 *
 * clean: nothing to save. dirty: changed, saved soon. held: changed, saved when the draft has ended. saving: on its way.
 * waiting: the server could not be reached, tried again by itself. refused: the server said no; `problem` says why.
 */
export type SaveState = "clean" | "dirty" | "held" | "saving" | "waiting" | "refused";

export interface SaveStatus {
  state: SaveState;
  /** Of the text that this window's text is made from. */
  base: number;
  /** Another reader's text came first; mine is kept beside it. */
  conflict: { newest: number; author: string } | null;
  problem: string;
  savedAt: number | null;
}

/** Why a save failed: `later` may work when it is tried again, as without a network. */
export class SaveFailure extends Error {
  constructor(
    message: string,
    readonly later: boolean,
  ) {
    super(message);
  }
}

export interface AutosaveOptions {
  put: (sections: Sections, base: number, leaving: boolean) => Promise<Saved>;
  read: () => Sections;
  tell: (status: SaveStatus) => void;
  /** Milliseconds from the last change to a save; in a conflict ten times as long. */
  delay?: number;
  /** Milliseconds after which it is saved though the reader writes on. */
  most?: number;
  now?: () => number;
}

const FIRST_RETRY = 2000;
const LAST_RETRY = 30000;

/** Saves a text by itself. One request at a time; what is written meanwhile goes with the next; nothing is dropped. */
export class Autosave {
  private status: SaveStatus;
  private kept: Sections;
  /** The text of number `base`: whatever is here was made from it. */
  origin: Sections;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private running: Promise<void> | null = null;
  private retry = FIRST_RETRY;
  private holding = false;
  private ended = false;
  /** Since when there is text that was not saved. */
  private since: number | null = null;
  private readonly delay: number;
  private readonly most: number;
  private readonly now: () => number;

  constructor(
    private readonly options: AutosaveOptions,
    kept: Sections,
    base: number,
  ) {
    this.kept = kept;
    this.origin = kept;
    this.delay = options.delay ?? 800;
    this.most = options.most ?? 5000;
    this.now = options.now ?? Date.now;
    this.status = { state: "clean", base, conflict: null, problem: "", savedAt: null };
  }

  get current(): SaveStatus {
    return this.status;
  }

  /** Whether there is text that the server does not have. */
  get unsaved(): boolean {
    return !sameSections(this.options.read(), this.kept);
  }

  /** The text has changed. */
  changed(): void {
    if (this.ended) return;
    if (!this.unsaved) {
      if (this.status.state === "dirty" || this.status.state === "held") {
        this.stop();
        this.set({ state: "clean" });
      }
      return;
    }
    if (this.holding) this.set({ state: "held" });
    else if (this.status.state === "saving") return;
    else {
      if (this.status.state !== "waiting") this.set({ state: "dirty", problem: "" });
      else return;
      const times = this.status.conflict ? 10 : 1;
      this.since ??= this.now();
      const left = this.since + this.most * times - this.now();
      this.schedule(Math.max(0, Math.min(this.delay * times, left)));
    }
  }

  /** While a draft streams in nothing is saved: half a draft is no text. */
  hold(): void {
    this.holding = true;
    this.stop();
  }

  /** The draft has ended. Where the server kept it as a text, that is what this one is made from. */
  release(kept: { sections: Sections; base: number } | null): void {
    this.holding = false;
    if (kept !== null) {
      this.kept = kept.sections;
      this.origin = kept.sections;
      this.set({ state: "clean", base: kept.base });
    }
    this.changed();
  }

  /** Save now what is not saved yet; resolves when nothing is left, or it failed. */
  async flush(leaving = false): Promise<boolean> {
    if (this.holding) return !this.unsaved;
    this.stop();
    if (this.running) await this.running;
    if (this.unsaved && !this.ended) {
      this.running = this.save(leaving);
      await this.running;
    }
    return !this.unsaved;
  }

  /** The reader has put another text together with his: his is made from `base` now. */
  settle(base: number, kept: Sections): void {
    this.kept = kept;
    this.origin = kept;
    this.set({ base, conflict: null, problem: "", state: "clean" });
    this.changed();
  }

  /** Another reader's text is known to be newer, though nothing of mine met it yet. */
  overtaken(newest: number, author: string): void {
    if (newest > this.status.base) this.set({ conflict: { newest, author } });
  }

  /** The network is back, or the reader signed in again. */
  again(): void {
    if (this.status.state === "waiting" || this.status.state === "refused") void this.flush();
  }

  /** Stop for good. */
  end(): void {
    this.ended = true;
    this.stop();
  }

  private async save(leaving: boolean): Promise<void> {
    const sections = this.options.read();
    this.since = null;
    this.set({ state: "saving" });
    try {
      const saved = await this.options.put(sections, this.status.base, leaving);
      this.kept = sections;
      if (saved.number !== null) this.origin = sections;
      this.retry = FIRST_RETRY;
      this.running = null;
      const conflict = saved.number === null ? { newest: saved.newest, author: saved.author } : null;
      this.set({
        state: "clean",
        base: saved.number ?? this.status.base,
        conflict,
        problem: "",
        savedAt: this.now(),
      });
      this.changed();
    } catch (error) {
      this.running = null;
      const failure = error instanceof SaveFailure ? error : new SaveFailure("the server could not be reached", true);
      this.set({ state: failure.later ? "waiting" : "refused", problem: failure.message });
      if (failure.later) {
        this.schedule(this.retry);
        this.retry = Math.min(LAST_RETRY, this.retry * 2);
      }
    }
  }

  private schedule(delay: number): void {
    this.stop();
    if (this.ended) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      void this.flush();
    }, delay);
  }

  private stop(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.timer = null;
  }

  private set(next: Partial<SaveStatus>): void {
    this.status = { ...this.status, ...next };
    this.options.tell(this.status);
  }
}
