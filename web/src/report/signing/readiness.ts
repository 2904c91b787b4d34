import type { CriticalResult, DraftVersion, DraftWarning, Sections } from "../../api/types";
import { fields } from "../text/placeholders";
import { SECTIONS, TITLES } from "../text/sections";
import { standing } from "../text/warnings";

/** What a reader should know or must confirm before he signs.
 *
 * stop: cannot be signed so. confirm: has a box that he must tick. note: is said.
 */
export interface Point {
  kind: "stop" | "confirm" | "note";
  id: string;
  text: string;
}

export interface ToSign {
  text: Sections;
  draft: DraftVersion | null;
  /** Sentences of the draft whose warning the reader has looked at and accepted by a verdict. */
  accepted: ReadonlySet<string>;
  seen: { images: number; of: number } | null;
  critical: readonly CriticalResult[];
  notice: string;
  streaming: boolean;
  conflict: boolean;
}

/** Look at all that stands against a signature, the gravest first. */
export function readiness(what: ToSign): Point[] {
  const points: Point[] = [];
  const add = (kind: Point["kind"], id: string, text: string) => points.push({ kind, id, text });
  if (what.streaming) add("stop", "streaming", "The draft is still being written.");
  if (what.conflict) add("stop", "conflict", "Another reader has saved a newer text. Put the two together first.");
  if (what.text.findings.trim() === "" && what.text.impression.trim() === "")
    add("stop", "empty", "There is no text: write findings or an impression.");
  for (const name of SECTIONS) {
    const open = fields(what.text[name]);
    if (open.length > 0) {
      const shown = open.map((each) => what.text[name].slice(each.from, each.to)).join(", ");
      add("confirm", `fields ${name}`, `${TITLES[name]} has open fields: ${shown}`);
    }
  }
  for (const each of what.critical.filter((result) => result.open))
    add("confirm", `critical ${each.id}`, `Critical result not read back yet: ${each.finding}`);
  const warnings = what.draft ? standing(what.draft.warnings, what.text) : [];
  for (const each of warnings.filter((warning) => warning.sentence.trim() !== "")) {
    const kind = what.accepted.has(each.sentence) ? "note" : "confirm";
    add(kind, `warning ${each.sentence} ${each.text}`, `Unchanged: “${each.sentence}”: ${each.text}`);
  }
  const unseen = what.seen ? what.seen.of - what.seen.images : 0;
  if (what.seen && unseen > 0)
    add(
      "confirm",
      "unseen",
      what.seen.of === 1
        ? "The image was not seen in this sitting."
        : `${unseen} of ${what.seen.of} images were not seen in this sitting.`,
    );
  if (what.notice) add("confirm", "notice", what.notice);
  if (what.text.impression.trim() === "" && what.text.findings.trim() !== "")
    add("note", "impression", "The impression is empty.");
  for (const each of general(warnings)) add("note", `warning ${each.text}`, each.text);
  if (what.draft?.caution) add("note", "caution", what.draft.caution);
  const order = { stop: 0, confirm: 1, note: 2 };
  return points.sort((a, b) => order[a.kind] - order[b.kind]);
}

function general(warnings: DraftWarning[]): DraftWarning[] {
  return warnings.filter((each) => each.sentence.trim() === "");
}
