import type { SectionName, Sections } from "../../api/types";
import { common } from "./diff";
import { SECTIONS } from "./sections";
import { type Span, sameSense, sentences } from "./sentences";

/** A sentence of a draft and where it stands in the text now: positions within its section. */
export interface Link {
  id: number;
  section: SectionName;
  /** As the draft has it: evidence and verdicts are about this. */
  sentence: string;
  from: number;
  to: number;
}

const LEAST = 0.5;

/** Find a draft's sentences in a text: unchanged ones first, then those that were reworded, in order.
 *
 * A sentence that is not found has no link: it was taken out.
 */
export function link(draft: Sections, text: Sections): Link[] {
  const made: Link[] = [];
  let id = 0;
  for (const section of SECTIONS) {
    const drafted = sentences(draft[section]);
    const written = sentences(text[section]);
    const partner = partners(drafted, written);
    for (const [index, sentence] of drafted.entries()) {
      const found = partner.get(index);
      if (found !== undefined) {
        made.push({ id, section, sentence: sentence.text, from: written[found].from, to: written[found].to });
      }
      id += 1;
    }
  }
  return made;
}

function partners(drafted: Span[], written: Span[]): Map<number, number> {
  const one = drafted.map((each) => sameSense(each.text));
  const other = written.map((each) => sameSense(each.text));
  const found = new Map<number, number>(common(one, other));
  const taken = new Set(found.values());
  // Moved, but not changed.
  for (const [index, sense] of one.entries()) {
    if (found.has(index)) continue;
    const at = other.findIndex((each, place) => each === sense && !taken.has(place));
    if (at >= 0) {
      found.set(index, at);
      taken.add(at);
    }
  }
  // Reworded: the best free sentence that shares half of the words.
  for (const [index, sense] of one.entries()) {
    if (found.has(index)) continue;
    let best = -1;
    let most = LEAST;
    for (const [place, each] of other.entries()) {
      const score = taken.has(place) ? 0 : likeness(sense, each);
      if (score >= most && (best < 0 || score > most)) {
        best = place;
        most = score;
      }
    }
    if (best >= 0) {
      found.set(index, best);
      taken.add(best);
    }
  }
  return found;
}

/** The share of words that two sentences have in common (Dice), 0 to 1. */
export function likeness(one: string, other: string): number {
  const [a, b] = [one.split(" ").filter(Boolean), other.split(" ").filter(Boolean)];
  if (a.length === 0 || b.length === 0) return 0;
  const left = new Map<string, number>();
  for (const word of b) left.set(word, (left.get(word) ?? 0) + 1);
  let shared = 0;
  for (const word of a) {
    const count = left.get(word) ?? 0;
    if (count > 0) {
      shared += 1;
      left.set(word, count - 1);
    }
  }
  return (2 * shared) / (a.length + b.length);
}
