import type { NewVerdict, Sections, Verdict } from "../../api/types";
import type { Link } from "./links";
import { WRITTEN } from "./sections";
import { sameSense, sentences } from "./sentences";

/** Derive what a reader thought of each of a draft's sentences from the text that he signs.
 *
 * Args:
 *   draft: what the model wrote.
 *   text: what is signed.
 *   links: where the draft's sentences stand in it (positions within their sections).
 * Only the sections that a model writes are judged: the others come from headers and the order.
 */
export function judged(draft: Sections, text: Sections, links: readonly Link[]): NewVerdict[] {
  const made: NewVerdict[] = [];
  for (const section of WRITTEN) {
    const written = sentences(text[section]);
    const own = links.filter((each) => each.section === section);
    const covered = new Set<number>();
    const told = new Set<string>();
    for (const sentence of sentences(draft[section])) {
      // Verdicts are kept by a sentence's words: one that is there twice is judged once.
      if (told.has(sentence.text)) continue;
      told.add(sentence.text);
      const placed = own.filter((each) => each.sentence === sentence.text && each.to > each.from);
      const stands = written
        .map((each, index) => ({ ...each, index }))
        .filter((each) => placed.some((link) => link.from < each.to && link.to > each.from));
      for (const each of stands) covered.add(each.index);
      const said = stands.map((each) => each.text).join(" ");
      if (said === "") made.push({ kind: "sentence", about: sentence.text, verdict: "rejected", said: "" });
      else if (stands.some((each) => sameSense(each.text) === sameSense(sentence.text)))
        made.push({ kind: "sentence", about: sentence.text, verdict: "accepted", said: "" });
      else made.push({ kind: "sentence", about: sentence.text, verdict: "edited", said });
    }
    for (const [index, each] of written.entries()) {
      if (covered.has(index) || told.has(each.text)) continue;
      told.add(each.text);
      made.push({ kind: "sentence", about: each.text, verdict: "added", said: each.text });
    }
  }
  return made;
}

/** Those that the server does not have yet: a reader's own later verdict goes before one that was derived. */
export function unsaid(derived: NewVerdict[], kept: readonly Verdict[], draft: number): NewVerdict[] {
  const last = new Map(
    kept.filter((each) => each.draft === draft).map((each) => [`${each.kind}\n${each.about}`, each]),
  );
  return derived.filter((each) => {
    const before = last.get(`${each.kind}\n${each.about}`);
    return before === undefined || before.verdict !== each.verdict || before.said !== each.said;
  });
}
