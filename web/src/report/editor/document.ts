import {
  Annotation,
  ChangeSet,
  EditorState,
  type Extension,
  StateEffect,
  StateField,
  Transaction,
  type TransactionSpec,
} from "@codemirror/state";
import type { SectionName, Sections } from "../../api/types";
import { replacements } from "../text/diff";
import { emptySections, SECTIONS, TITLES, tidy } from "../text/sections";

/** One document with six fixed headings: one undo history and one search for the whole report, and headings are text,
 * so that whoever has the lines read to him hears them. Nobody edits a heading: `headings` keeps changes out of them.
 */

/** Where a section's own text begins and ends, in order of the sections. */
export interface Body {
  name: SectionName;
  /** Of the heading's line. */
  heading: number;
  from: number;
  to: number;
}

/** Marks a transaction that the program made, not the reader: streamed text, a text that was loaded. */
export const byProgram = Annotation.define<boolean>();

const setBodies = StateEffect.define<readonly Body[]>();

/** The document of a report, and where its sections stand in it. */
export function written(sections: Sections): { doc: string; bodies: Body[] } {
  let doc = "";
  const bodies: Body[] = [];
  for (const name of SECTIONS) {
    if (doc !== "") doc += "\n";
    const heading = doc.length;
    doc += `${TITLES[name]}\n`;
    const from = doc.length;
    doc += sections[name].replace(/\r\n?/g, "\n");
    bodies.push({ name, heading, from, to: doc.length });
  }
  return { doc, bodies };
}

const bodiesField = StateField.define<readonly Body[]>({
  create: () => written(emptySections()).bodies,
  update(bodies, transaction) {
    for (const effect of transaction.effects) if (effect.is(setBodies)) return effect.value;
    if (!transaction.docChanged) return bodies;
    // What is written at either end of a body belongs to it.
    return bodies.map((each, index) => ({
      name: each.name,
      heading: index === 0 ? 0 : transaction.changes.mapPos(each.heading - 1, 1) + 1,
      from: transaction.changes.mapPos(each.from, -1),
      to: transaction.changes.mapPos(each.to, 1),
    }));
  },
});

/** Keeps every change out of the headings; a deletion across one takes only the text around it. */
const headings = EditorState.changeFilter.of((transaction) => {
  const kept: number[] = [];
  for (const each of transaction.startState.field(bodiesField)) kept.push(Math.max(0, each.heading - 1), each.from);
  return kept;
});

/** The sections' extension, of a document that `written` made: put it before all others of the report. */
export function sectionsDocument(made: readonly Body[]): Extension {
  return [bodiesField.init(() => made), headings];
}

/** Where each section's text stands. */
export function bodies(state: EditorState): readonly Body[] {
  return state.field(bodiesField);
}

export function body(state: EditorState, name: SectionName): Body {
  const found = bodies(state).find((each) => each.name === name);
  if (found === undefined) throw new Error(`no section ${name}`);
  return found;
}

/** The section that a position is in; that of its heading, if it is in one. */
export function sectionAt(state: EditorState, position: number): Body {
  const all = bodies(state);
  return all.findLast((each) => each.heading <= position) ?? all[0];
}

export function sectionText(state: EditorState, name: SectionName): string {
  const { from, to } = body(state, name);
  return state.sliceDoc(from, to);
}

/** The report's text as it stands, untrimmed: positions of links count in it. */
export function sectionsOf(state: EditorState): Sections {
  return Object.fromEntries(SECTIONS.map((name) => [name, sectionText(state, name)])) as Sections;
}

/** As it is sent to the server. */
export function tidySections(state: EditorState): Sections {
  return Object.fromEntries(SECTIONS.map((name) => [name, tidy(sectionText(state, name))])) as Sections;
}

/** Load another text: the whole document anew, outside the undo history. */
export function load(sections: Sections): (state: EditorState) => TransactionSpec {
  return (state) => {
    const { doc, bodies: made } = written(sections);
    return {
      changes: { from: 0, to: state.doc.length, insert: doc },
      effects: setBodies.of(made),
      annotations: [Transaction.addToHistory.of(false), byProgram.of(true)],
      filter: false,
    };
  };
}

/** Change sections to other texts by the smallest changes, so that cursor, links and undo stay right. */
export function change(
  state: EditorState,
  sections: Partial<Sections>,
  options: { undoable: boolean; event?: string },
): TransactionSpec {
  const changes: { from: number; to: number; insert: string }[] = [];
  for (const each of bodies(state)) {
    const text = sections[each.name];
    if (text === undefined) continue;
    for (const part of replacements(state.sliceDoc(each.from, each.to), text.replace(/\r\n?/g, "\n"))) {
      changes.push({ from: each.from + part.from, to: each.from + part.to, insert: part.insert });
    }
  }
  return {
    changes: ChangeSet.of(changes, state.doc.length),
    annotations: options.undoable ? [] : [Transaction.addToHistory.of(false), byProgram.of(true)],
    userEvent: options.event,
  };
}
