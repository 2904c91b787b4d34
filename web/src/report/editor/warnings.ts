import { type EditorState, type Extension, StateEffect, StateField } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, WidgetType } from "@codemirror/view";
import type { DraftWarning } from "../../api/types";
import { place } from "../text/warnings";
import { bodies, sectionsOf } from "./document";

/** A warning below its sentence: text, so that it is read with the line. */
class WarningLine extends WidgetType {
  constructor(readonly texts: readonly string[]) {
    super();
  }
  eq(other: WarningLine): boolean {
    return other.texts.join("\n") === this.texts.join("\n");
  }
  toDOM(): HTMLElement {
    const box = document.createElement("div");
    box.className = "aris-warning";
    box.setAttribute("role", "note");
    for (const text of this.texts) {
      const line = document.createElement("div");
      line.textContent = `Warning: ${text}`;
      box.append(line);
    }
    return box;
  }
  get estimatedHeight(): number {
    return 24 * this.texts.length;
  }
  ignoreEvent(): boolean {
    return false;
  }
}

const setWarnings = StateEffect.define<readonly DraftWarning[]>();

interface Warned {
  warnings: readonly DraftWarning[];
  shown: DecorationSet;
}

function shownIn(state: EditorState, warnings: readonly DraftWarning[]): DecorationSet {
  const starts = new Map(bodies(state).map((each) => [each.name, each.from]));
  const byPlace = new Map<number, { from: number; to: number; texts: string[] }>();
  for (const each of place(warnings, sectionsOf(state))) {
    if (each.section === null) continue;
    const start = starts.get(each.section) ?? 0;
    const found = byPlace.get(start + each.to) ?? { from: start + each.from, to: start + each.to, texts: [] };
    found.texts.push(each.warning.text);
    byPlace.set(start + each.to, found);
  }
  const made = [];
  for (const { from, to, texts } of byPlace.values()) {
    made.push(Decoration.mark({ class: "aris-warned" }).range(from, to));
    const end = state.doc.lineAt(to).to;
    made.push(Decoration.widget({ widget: new WarningLine(texts), block: true, side: 1 }).range(end));
  }
  return Decoration.set(made, true);
}

const warningsField = StateField.define<Warned>({
  create: () => ({ warnings: [], shown: Decoration.none }),
  update(value, transaction) {
    let { warnings } = value;
    for (const effect of transaction.effects) if (effect.is(setWarnings)) warnings = effect.value;
    if (warnings === value.warnings && !transaction.docChanged) return value;
    if (warnings.length === 0) return { warnings, shown: Decoration.none };
    return { warnings, shown: shownIn(transaction.state, warnings) };
  },
  provide: (field) => EditorView.decorations.from(field, (value) => value.shown),
});

/** Warnings beside the sentences that they name; they go when the sentence is changed. */
export function sentenceWarnings(): Extension {
  return warningsField;
}

export function warn(warnings: readonly DraftWarning[]) {
  return setWarnings.of(warnings);
}
