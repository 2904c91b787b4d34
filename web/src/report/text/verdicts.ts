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
 *   accepted: its sentences that he accepted by an act of his own.
 * Only the sections that a model writes are judged: the others come from headers and the order. A sentence that stands
 * as it was drafted and that nobody accepted is "unchanged": signed, and not judged.
 */
export function judged(
  draft: Sections,
  text: Sections,
  links: readonly Link[],
  accepted: ReadonlySet<string>,
): NewVerdict[] {
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
        made.push({
          kind: "sentence",
          about: sentence.text,
          verdict: accepted.has(sentence.text) ? "accepted" : "unchanged",
          said: "",
        });
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

/** The sentences of a draft that a reader accepted by an act of his own. */
export function acceptedOf(kept: readonly Verdict[], draft: number): Set<string> {
  const own = kept.filter((each) => each.draft === draft && each.kind === "sentence");
  return new Set(own.filter((each) => each.verdict === "accepted").map((each) => each.about));
}

/** Those that the server does not have yet. */
export function unsaid(derived: NewVerdict[], kept: readonly Verdict[], draft: number): NewVerdict[] {
  const last = new Map(
    kept.filter((each) => each.draft === draft).map((each) => [`${each.kind}\n${each.about}`, each]),
  );
  return derived.filter((each) => {
    const before = last.get(`${each.kind}\n${each.about}`);
    return before === undefined || before.verdict !== each.verdict || before.said !== each.said;
  });
}
