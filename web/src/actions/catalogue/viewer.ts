import { viewerActions } from "../../viewer/actions";
import type { Action } from "../registry";

// Keys that are held down to go on.
const REPEATS = /^viewer\.(next|previous|page\.|series\.|zoom\.|rotate)/;

/** What the viewer can do; the study page runs it. */
export const actions: Action[] = viewerActions.map(({ id, name, group, key }) => ({
  id,
  title: name,
  context: "viewer",
  keys: key ? [key] : [],
  words: group,
  repeats: REPEATS.test(id),
}));
