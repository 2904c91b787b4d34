import { useEffect, useRef, useSyncExternalStore } from "react";
import { spell } from "./chord";

/** Where an action belongs: "anywhere", or the page or part of a page that offers it. */
export type Context =
  | "anywhere"
  | "worklist"
  | "study"
  | "viewer"
  | "editor"
  | "report"
  | "patients"
  | "patient"
  | "alarms";

/** What an action is; what it does is bound by `useActions` where it can be done. */
export interface Action {
  /** As "viewer.invert". */
  id: string;
  /** In the imperative, as it stands in the palette: "Invert the image". */
  title: string;
  context: Context;
  /** Default chords, as ["I"] or ["Ctrl+Enter"]; the user may set another one. Empty: palette only. */
  keys: string[];
  /** Further words that the palette finds it by. */
  words?: string;
  /** Holding the key down runs it again and again: scrolling, not signing. */
  repeats?: boolean;
}

const PLACES: Record<Context, readonly string[]> = {
  anywhere: ["worklist", "study", "images", "text", "report", "patients", "patient", "alarms", "other"],
  worklist: ["worklist"],
  // Images and text stand side by side on a study's page: the focus says which of them a chord is for.
  study: ["study", "images", "text"],
  viewer: ["images"],
  editor: ["text"],
  report: ["report"],
  patients: ["patients"],
  patient: ["patient"],
  alarms: ["alarms"],
};

// Each file of catalogue/ exports `actions`: all are known on every page, for the settings and the help.
const found = import.meta.glob<{ actions: Action[] }>("./catalogue/*.ts", { eager: true });

/** Every action of the workspace, by id. */
export const CATALOGUE: ReadonlyMap<string, Action> = new Map(
  Object.values(found)
    .flatMap((file) => file.actions)
    .map((action) => [action.id, { ...action, keys: action.keys.map(spell) }]),
);

/** Return the chords that run `action`: the user's own ("" means none), else the defaults. */
export function chordsOf(action: Action, own: Record<string, string> = {}): string[] {
  const mine = own[action.id];
  if (mine === undefined) return action.keys;
  const chord = spell(mine);
  return chord ? [chord] : [];
}

/** Return whether two actions can be offered at the same time, so that one chord cannot serve both. */
export function meet(one: Context, other: Context): boolean {
  return PLACES[one].some((place) => PLACES[other].includes(place));
}

/** Return the actions that share a chord with another one, by id: the ids of the others. */
export function conflicts(
  own: Record<string, string> = {},
  all: Iterable<Action> = CATALOGUE.values(),
): Map<string, string[]> {
  const list = [...all];
  const result = new Map<string, string[]>();
  for (const action of list) {
    const chords = chordsOf(action, own);
    const others = list.filter(
      (other) =>
        other.id !== action.id &&
        meet(action.context, other.context) &&
        chordsOf(other, own).some((chord) => chords.includes(chord)),
    );
    if (others.length > 0)
      result.set(
        action.id,
        others.map((other) => other.id),
      );
  }
  return result;
}

// ---- what can be done now -------------------------------------------------------------------------------------------
export type Run = () => unknown;

const bound = new Map<string, Run[]>();
const watchers = new Set<() => void>();
let version: readonly string[] = [];

function changed(): void {
  version = [...bound.keys()];
  for (const watcher of watchers) watcher();
}

/** Offer what `run` does as the action `id` until the returned function is called. The last binding counts. */
export function bind(id: string, run: Run): () => void {
  if (!CATALOGUE.has(id)) throw new Error(`no action has the id ${id}: add it to a file of src/actions/catalogue/`);
  bound.set(id, [...(bound.get(id) ?? []), run]);
  changed();
  return () => {
    const left = (bound.get(id) ?? []).filter((one) => one !== run);
    if (left.length > 0) bound.set(id, left);
    else bound.delete(id);
    changed();
  };
}

/** Return whether an action can be done now. */
export function offered(id: string): boolean {
  return bound.has(id);
}

/** Do an action, as a key, a button or the palette asks; false where it is not offered now. */
export function perform(id: string): boolean {
  const run = bound.get(id)?.at(-1);
  if (!run) return false;
  void run();
  return true;
}

/** Bind actions while the component is shown: `useActions({"viewer.invert": () => invert()})`. A value `false` is not offered. The
 *  functions may change with every render. */
export function useActions(runs: Record<string, Run | false | null | undefined>): void {
  const latest = useRef(runs);
  useEffect(() => {
    latest.current = runs;
  });
  const names = Object.keys(runs)
    .filter((id) => runs[id])
    .sort()
    .join(" ");
  useEffect(() => {
    const undo = names
      .split(" ")
      .filter(Boolean)
      .map((id) =>
        bind(id, () => {
          const run = latest.current[id];
          return run ? run() : undefined;
        }),
      );
    return () => {
      for (const one of undo) one();
    };
  }, [names]);
}

/** Return the ids of the actions that can be done now. */
export function useOffered(): readonly string[] {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    () => version,
  );
}
