import type { Macro } from "../../api/types";

/** The macro that a cursor stands behind (".name"), and where its name begins. */
export interface Call {
  from: number;
  macro: Macro;
}

/** Merge the site's macros with a user's own; his go before the site's of the same name. */
export function allMacros(site: readonly Macro[], own: readonly Macro[]): (Macro & { own: boolean })[] {
  const names = new Set(own.map((each) => each.name.toLowerCase()));
  return [
    ...own.map((each) => ({ ...each, own: true })),
    ...site.filter((each) => !names.has(each.name.toLowerCase())).map((each) => ({ ...each, own: false })),
  ].sort((a, b) => a.name.localeCompare(b.name));
}

/** Find the macro that is named before the cursor; a dot within a word or a number calls none. */
export function calledMacro(line: string, cursor: number, macros: readonly Macro[]): Call | null {
  const match = /(?<![\p{L}\p{N}.])\.([\p{L}\p{N}_-]+)$/u.exec(line.slice(0, cursor));
  if (match === null) return null;
  const name = match[1].toLowerCase();
  const macro = macros.find((each) => each.name.toLowerCase().replace(/^\./, "") === name);
  return macro === undefined ? null : { from: match.index, macro };
}
