import type { DraftWarning, SectionName, Sections } from "../../api/types";
import { SECTIONS, WRITTEN } from "./sections";
import { sameSense, sentences } from "./sentences";

/** A warning and where its sentence stands now; `section` null where it is about the whole, or its sentence is gone. */
export interface PlacedWarning {
  warning: DraftWarning;
  section: SectionName | null;
  from: number;
  to: number;
}

/** Find each warning's sentence in the text as it stands: one that was reworded or taken out no longer has a place. */
export function place(warnings: readonly DraftWarning[], text: Sections): PlacedWarning[] {
  return warnings.map((warning) => {
    const sense = sameSense(warning.sentence);
    if (sense !== "") {
      for (const section of [...WRITTEN, ...SECTIONS.filter((each) => !WRITTEN.includes(each))]) {
        const found = sentences(text[section]).find((each) => sameSense(each.text) === sense);
        if (found !== undefined) return { warning, section, from: found.from, to: found.to };
      }
    }
    return { warning, section: null, from: 0, to: 0 };
  });
}

/** Warnings that still stand: about the whole, or about a sentence that nobody has touched. */
export function standing(warnings: readonly DraftWarning[], text: Sections): DraftWarning[] {
  return place(warnings, text)
    .filter((each) => each.section !== null || sameSense(each.warning.sentence) === "")
    .map((each) => each.warning);
}
