import { EditorSelection, type EditorState, type StateCommand, type TransactionSpec } from "@codemirror/state";
import type { Macro, SectionName } from "../../api/types";
import { calledMacro } from "../text/macros";
import { fields, nextField } from "../text/placeholders";
import { sentences } from "../text/sentences";
import { bodies, body, sectionAt } from "./document";

/** Select the next open field; false where there is none, so that Tab leaves the editor. */
export function toField(backwards: boolean): StateCommand {
  return ({ state, dispatch }) => {
    const { from, to } = state.selection.main;
    const field = nextField(state.doc.toString(), from, to, backwards);
    if (field === null) return false;
    dispatch(state.update({ selection: { anchor: field.from, head: field.to }, scrollIntoView: true }));
    return true;
  };
}

/** Put a macro's text in the place of its ".name" before the cursor. */
export function expandMacro(macros: () => readonly Macro[]): StateCommand {
  return ({ state, dispatch }) => {
    const { head, empty } = state.selection.main;
    if (!empty) return false;
    const line = state.doc.lineAt(head);
    const call = calledMacro(line.text, head - line.from, macros());
    if (call === null) return false;
    dispatch(state.update(inserted(call.macro.text, line.from + call.from, head), { userEvent: "input.complete" }));
    return true;
  };
}

/** Put a text in a place; its first open field is selected, else the cursor stands behind it. */
export function inserted(text: string, from: number, to: number): TransactionSpec {
  const plain = text.replace(/\r\n?/g, "\n");
  const [field] = fields(plain);
  return {
    changes: { from, to, insert: plain },
    selection: field
      ? EditorSelection.range(from + field.from, from + field.to)
      : EditorSelection.cursor(from + plain.length),
    scrollIntoView: true,
  };
}

/** Put a text at the cursor; where that is in a heading, at the start of its section. */
export function insertAtCursor(state: EditorState, text: string): TransactionSpec {
  const { from, to } = state.selection.main;
  const home = sectionAt(state, from);
  const start = Math.max(from, home.from);
  const before = start > home.from ? state.sliceDoc(start - 1, start) : "\n";
  const glue = /\s/.test(before) ? "" : " ";
  return inserted(glue + text, start, Math.max(start, to));
}

/** Move to the end of a section's text, or of the next or previous section. */
export function toSection(state: EditorState, name: SectionName): TransactionSpec {
  return { selection: { anchor: body(state, name).to }, scrollIntoView: true };
}

export function stepSection(by: 1 | -1): StateCommand {
  return ({ state, dispatch }) => {
    const all = bodies(state);
    const here = all.indexOf(sectionAt(state, state.selection.main.head));
    const next = all[(here + by + all.length) % all.length];
    dispatch(state.update({ selection: { anchor: next.to }, scrollIntoView: true }));
    return true;
  };
}

/** Take a range out with the space that would be left over. */
export function without(state: EditorState, from: number, to: number): TransactionSpec {
  const home = sectionAt(state, from);
  const [before, after] = [state.sliceDoc(home.from, from), state.sliceDoc(to, home.to)];
  const trailing = /^[ \t]+/.exec(after)?.[0].length ?? 0;
  const leading = trailing === 0 ? (/[ \t]+$/.exec(before)?.[0].length ?? 0) : 0;
  // A line of which nothing is left goes too.
  const alone = (before === "" || before.endsWith("\n")) && after.slice(trailing).startsWith("\n");
  return { changes: { from: from - leading, to: to + trailing + (alone ? 1 : 0) }, userEvent: "delete.sentence" };
}

/** The sentence of the text at a position; null between sentences. */
export function sentenceAt(state: EditorState, position: number): { from: number; to: number; text: string } | null {
  const home = sectionAt(state, position);
  const found = sentences(state.sliceDoc(home.from, home.to)).find(
    (each) => home.from + each.from <= position && home.from + each.to >= position,
  );
  return found ? { from: home.from + found.from, to: home.from + found.to, text: found.text } : null;
}
