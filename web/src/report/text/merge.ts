import type { SectionName, Sections } from "../../api/types";
import { common, tokens } from "./diff";
import { SECTIONS, sameText } from "./sections";

/** The outcome of a merge: `clean` is false where both changed the same words; then `text` has mine there. */
export interface Merged {
  text: string;
  clean: boolean;
}

/** Merge two texts that were made of one: changes of both where they touch different words (diff3). */
export function merge(base: string, mine: string, theirs: string): Merged {
  if (sameText(mine, theirs)) return { text: mine, clean: true };
  if (sameText(base, mine)) return { text: theirs, clean: true };
  if (sameText(base, theirs)) return { text: mine, clean: true };
  const [origin, left, right] = [tokens(base), tokens(mine), tokens(theirs)];
  const toLeft = new Map(common(origin, left));
  const toRight = new Map(common(origin, right));
  const made: string[] = [];
  let clean = true;
  const at = { base: 0, mine: 0, theirs: 0 };
  const settle = (end: { base: number; mine: number; theirs: number }) => {
    const [o, l, r] = [
      origin.slice(at.base, end.base).join(""),
      left.slice(at.mine, end.mine).join(""),
      right.slice(at.theirs, end.theirs).join(""),
    ];
    if (l === r || r === o) made.push(l);
    else if (l === o) made.push(r);
    else {
      clean = false;
      made.push(l);
    }
  };
  for (let index = 0; index < origin.length; index += 1) {
    const l = toLeft.get(index);
    const r = toRight.get(index);
    // A word that stands in all three, and not only a space: spaces alone would tear changes apart.
    if (l === undefined || r === undefined || origin[index].trim() === "") continue;
    settle({ base: index, mine: l, theirs: r });
    made.push(origin[index]);
    at.base = index + 1;
    at.mine = l + 1;
    at.theirs = r + 1;
  }
  settle({ base: origin.length, mine: left.length, theirs: right.length });
  return { text: made.join(""), clean };
}

export type Choice = "mine" | "theirs" | "merged";

/** Two texts of one section, and how they go together. */
export interface Contested {
  section: SectionName;
  base: string;
  mine: string;
  theirs: string;
  merged: Merged;
  suggested: Choice;
}

/** The sections in which two readers' texts differ, each with a suggestion. */
export function contested(base: Sections, mine: Sections, theirs: Sections): Contested[] {
  return SECTIONS.filter((name) => !sameText(mine[name], theirs[name])).map((section) => {
    const merged = merge(base[section], mine[section], theirs[section]);
    const suggested: Choice = sameText(base[section], mine[section])
      ? "theirs"
      : sameText(base[section], theirs[section]) || !merged.clean
        ? "mine"
        : "merged";
    return { section, base: base[section], mine: mine[section], theirs: theirs[section], merged, suggested };
  });
}

/** My text with what was chosen for each contested section. */
export function resolved(
  mine: Sections,
  contest: Contested[],
  choices: Partial<Record<SectionName, Choice>>,
): Sections {
  const made = { ...mine };
  for (const each of contest) {
    const choice = choices[each.section] ?? each.suggested;
    made[each.section] = choice === "mine" ? each.mine : choice === "theirs" ? each.theirs : each.merged.text;
  }
  return made;
}
