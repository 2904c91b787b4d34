import {
  type EditorState,
  type Extension,
  StateEffect,
  StateField,
  Transaction,
  type TransactionSpec,
} from "@codemirror/state";
import type { SectionName, Sections } from "../../api/types";
import { merge } from "../text/merge";
import { SECTIONS, sameText } from "../text/sections";
import { body, byProgram, change, sectionText } from "./document";

/** What has been streamed into a section, and where it goes on; the reader's own edits move the place along. */
export interface Stream {
  active: boolean;
  places: Partial<Record<SectionName, { at: number; text: string }>>;
}

const began = StateEffect.define<null>();
const ended = StateEffect.define<null>();
const wrote = StateEffect.define<{ section: SectionName; at: number; text: string }>();
const NONE: Stream = { active: false, places: {} };

const streamField = StateField.define<Stream>({
  create: () => NONE,
  update(stream, transaction) {
    let next = stream;
    if (transaction.docChanged && next !== NONE) {
      const places: Stream["places"] = {};
      for (const name of SECTIONS) {
        const place = next.places[name];
        // The reader writes at the end of what is there: the stream goes on before his words.
        if (place !== undefined) places[name] = { at: transaction.changes.mapPos(place.at, -1), text: place.text };
      }
      next = { ...next, places };
    }
    for (const effect of transaction.effects) {
      if (effect.is(began)) next = { active: true, places: {} };
      if (effect.is(ended)) next = NONE;
      if (effect.is(wrote)) {
        const { section, at, text } = effect.value;
        next = { active: true, places: { ...next.places, [section]: { at, text } } };
      }
    }
    return next;
  },
});

/** Text that a model writes while a reader may write too. */
export function streaming(): Extension {
  return streamField;
}

export function stream(state: EditorState): Stream {
  return state.field(streamField);
}

export function isStreaming(state: EditorState): boolean {
  return stream(state).active;
}

export function beginStream(): TransactionSpec {
  return { effects: began.of(null) };
}

/** Write a piece of a section where the last piece ended, outside the undo history. */
export function streamPiece(state: EditorState, section: SectionName, piece: string): TransactionSpec {
  const place = stream(state).places[section] ?? { at: body(state, section).from, text: "" };
  // The first words of a section come with the model's own spaces before them.
  const insert = place.text === "" ? piece.replace(/^\s+/, "") : piece;
  return {
    changes: { from: place.at, insert },
    effects: wrote.of({ section, at: place.at + insert.length, text: place.text + insert }),
    annotations: [Transaction.addToHistory.of(false), byProgram.of(true)],
  };
}

/** Take out what was streamed into a section: it is written anew. What the reader wrote there stays. */
export function streamAnew(state: EditorState, section: SectionName): TransactionSpec | null {
  const place = stream(state).places[section];
  if (place === undefined || place.text === "") return null;
  const mine = sectionText(state, section);
  const found = mine.indexOf(place.text);
  const { from } = body(state, section);
  return {
    // Where the reader wrote into the midst of it, it is his: `endStream` puts the two together.
    changes: found < 0 ? [] : { from: from + found, to: from + found + place.text.length },
    effects: wrote.of({ section, at: from, text: "" }),
    annotations: [Transaction.addToHistory.of(false), byProgram.of(true)],
  };
}

/** End the stream: the text as the server keeps it takes the place of what was streamed; the reader's edits stay. */
export function endStream(state: EditorState, final: Sections | null): TransactionSpec[] {
  const { places } = stream(state);
  const changed: Partial<Sections> = {};
  if (final !== null) {
    for (const name of SECTIONS) {
      const streamed = places[name]?.text ?? "";
      const mine = sectionText(state, name);
      if (sameText(mine, final[name])) continue;
      changed[name] = sameText(mine, streamed) ? final[name] : merge(streamed, mine, final[name]).text;
    }
  }
  return [change(state, changed, { undoable: false }), { effects: ended.of(null) }];
}
