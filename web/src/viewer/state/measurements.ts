import type { Measured, NewMeasurement } from "../../api/types";
import { Observable } from "./observable";

/** A measurement on its way to the server, or one that did not get there. */
export interface Pending {
  local: number;
  body: NewMeasurement;
  /** "local": on an earlier study's image, which this study's report does not keep. */
  state: "saving" | "saved" | "failed" | "local";
  problem: string;
  /** Its number, once the server has given one. */
  id: number | null;
}

/** One side of a step: a measurement that came or went; its number is known once it is saved. */
interface Side {
  body: NewMeasurement;
  id: Promise<number | null>;
}
interface Step {
  came: Side | null;
  gone: Side | null;
}

interface Keeper {
  onMeasure?(body: NewMeasurement): Promise<Measured | null>;
  onRemoveMeasurement?(id: number): Promise<void>;
}

const bodyOf = ({ image, frame, name, value, unit, calibration, points }: Measured): NewMeasurement => ({
  image,
  frame,
  name,
  value,
  unit,
  calibration,
  points,
});

/** The measurements of the study on the screen: the server's, and those that are on their way. Each is saved at once; what could
 *  not be saved stays on the image, marked, until it is saved or discarded. */
export class Measurements extends Observable {
  private server: Measured[] = [];
  private pending: Pending[] = [];
  private hidden = new Set<number>();
  private done: Step[] = [];
  private undone: Step[] = [];
  private sides = new Map<number, Side>();
  private count = 0;
  private keeper: Keeper = {};
  /** Local number ("p3") or the server's ("12") of the chosen one. */
  chosen: string | null = null;
  trouble = "";

  get writable(): boolean {
    return this.keeper.onMeasure !== undefined;
  }
  get canUndo(): boolean {
    return this.done.length > 0;
  }
  get canRedo(): boolean {
    return this.undone.length > 0;
  }

  /** The server's list, as the page has it now. */
  take(server: Measured[], keeper: Keeper): void {
    this.keeper = keeper;
    if (server === this.server) return;
    this.server = server;
    const ids = new Set(server.map(({ id }) => id));
    for (const { local, id } of this.pending)
      if (id !== null && ids.has(id) && this.chosen === `p${local}`) this.chosen = String(id);
    this.pending = this.pending.filter(({ id }) => id === null || !ids.has(id));
    for (const id of this.hidden) if (!ids.has(id)) this.hidden.delete(id);
    this.flush();
  }

  /** Another study: nothing of the last one stays, but what is on its way arrives. */
  clear(): void {
    Object.assign(this, { server: [], pending: [], done: [], undone: [], chosen: null, trouble: "" });
    this.hidden.clear();
    this.sides.clear();
    this.flush();
  }

  get shown(): { key: string; body: NewMeasurement; pending: Pending | null; login: string }[] {
    const saved = this.server.filter(({ id }) => !this.hidden.has(id));
    return [
      ...saved.map((each) => ({ key: String(each.id), body: bodyOf(each), pending: null, login: each.login })),
      ...this.pending
        .filter(({ id }) => id === null || !this.hidden.has(id))
        .map((each) => ({ key: `p${each.local}`, body: each.body, pending: each, login: "" })),
    ];
  }

  choose(key: string | null): void {
    this.chosen = key;
    this.flush();
  }

  add(body: NewMeasurement): Promise<number | null> {
    const came = this.fresh(body);
    this.remember({ came, gone: null });
    return came.id;
  }

  /** Only on the screen: a measurement on an image of an earlier study. */
  sketch(body: NewMeasurement): void {
    this.pending.push({ local: ++this.count, body, state: "local", problem: "", id: null });
    this.chosen = `p${this.count}`;
    this.flush();
  }

  private fresh(body: NewMeasurement): Side {
    const side: Side = { body, id: Promise.resolve(null) };
    this.bringBack(side);
    return side;
  }

  /** Saves it (again): it gets a new number, by which all steps that speak of it know it from now on. */
  private bringBack(side: Side): void {
    side.id = this.bring(side.body);
    void side.id.then((id) => id !== null && this.sides.set(id, side));
  }

  /** The measurement of this number, the same for all steps. */
  private sideOf(id: number, body: NewMeasurement): Side {
    const side = this.sides.get(id) ?? { body, id: Promise.resolve(id) };
    this.sides.set(id, side);
    return side;
  }

  private remember(step: Step): void {
    this.done.push(step);
    this.undone = [];
    this.flush();
  }

  private async bring(body: NewMeasurement): Promise<number | null> {
    if (!this.keeper.onMeasure) return null;
    const entry: Pending = { local: ++this.count, body, state: "saving", problem: "", id: null };
    this.pending.push(entry);
    this.chosen = `p${entry.local}`;
    await this.save(entry);
    return entry.id;
  }

  async again(local: number): Promise<void> {
    const entry = this.pending.find((each) => each.local === local);
    if (entry) await this.save(entry);
  }

  private async save(entry: Pending): Promise<void> {
    entry.state = "saving";
    this.flush();
    try {
      const kept = await this.keeper.onMeasure?.(entry.body);
      entry.state = "saved";
      entry.id = kept?.id ?? null;
      const id = entry.id;
      // The page may have its new list already.
      if (id === null || this.server.some((each) => each.id === id))
        this.pending = this.pending.filter((each) => each !== entry);
      if (this.chosen === `p${entry.local}` && id !== null && !this.pending.includes(entry)) this.chosen = String(id);
    } catch (error) {
      entry.state = "failed";
      entry.problem = error instanceof Error ? error.message : "It was not saved.";
    }
    this.flush();
  }

  async remove(key: string): Promise<void> {
    const found = this.shown.find((each) => each.key === key);
    if (!found || !this.keeper.onRemoveMeasurement) return;
    const id = found.pending ? found.pending.id : Number(key);
    if (id !== null) this.remember({ came: null, gone: this.sideOf(id, found.body) });
    await this.takeAway(key);
  }

  private async takeAway(key: string): Promise<void> {
    const found = this.shown.find((each) => each.key === key);
    if (!found || !this.keeper.onRemoveMeasurement) return;
    const id = found.pending ? found.pending.id : Number(key);
    if (this.chosen === key) this.chosen = null;
    if (id === null) {
      this.pending = this.pending.filter((each) => each !== found.pending);
      this.flush();
      return;
    }
    this.hidden.add(id);
    this.trouble = "";
    this.flush();
    try {
      await this.keeper.onRemoveMeasurement(id);
    } catch (error) {
      this.hidden.delete(id);
      this.trouble = error instanceof Error ? error.message : "It was not removed.";
      this.flush();
    }
  }

  /** A moved point: the server keeps measurements as they are, so the new one comes and the old one goes. */
  async replace(key: string, body: NewMeasurement): Promise<void> {
    const before = this.shown.find((each) => each.key === key);
    if (!before) return;
    if (before.pending && before.pending.id === null) {
      before.pending.body = body;
      if (before.pending.state === "failed") await this.save(before.pending);
      else this.flush();
      return;
    }
    const old = before.pending ? before.pending.id : Number(key);
    if (old === null) return;
    const gone = this.sideOf(old, before.body);
    const came = this.fresh(body);
    this.remember({ came, gone });
    // The old one goes only when the new one is safe.
    if ((await came.id) !== null) await this.takeAway(key);
  }

  undo(): void {
    const step = this.done.pop();
    if (!step) return;
    this.undone.push(step);
    this.turn(step.came, step.gone);
  }
  redo(): void {
    const step = this.undone.pop();
    if (!step) return;
    this.done.push(step);
    this.turn(step.gone, step.came);
  }
  private turn(leaves: Side | null, returns: Side | null): void {
    if (returns) this.bringBack(returns);
    if (leaves)
      void leaves.id.then((id) => {
        const found = this.shown.find(({ key, pending }) => (pending ? pending.id === id : Number(key) === id));
        if (found && id !== null) void this.takeAway(found.key);
      });
    this.flush();
  }
}
