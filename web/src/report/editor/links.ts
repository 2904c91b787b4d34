import {
  type EditorState,
  type Extension,
  type Range,
  RangeSet,
  RangeValue,
  StateEffect,
  StateField,
} from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView } from "@codemirror/view";
import type { Sections } from "../../api/types";
import { type Link, link } from "../text/links";
import { bodies, sectionsOf } from "./document";

/** A draft's sentence in the document. Its range is mapped through every edit. */
class Linked extends RangeValue {
  // Words that a reader writes at the ends of a sentence are not the draft's.
  startSide = 1;
  endSide = -1;
  constructor(
    readonly id: number,
    readonly sentence: string,
  ) {
    super();
  }
  eq(other: RangeValue): boolean {
    return other instanceof Linked && other.id === this.id;
  }
}

/** How a sentence is shown beside its link. */
export interface SentenceLook {
  judged: "accepted" | "rejected" | null;
  unsure: boolean;
}

const setDraft = StateEffect.define<Sections | null>();
const setActive = StateEffect.define<number | null>();
const setLooks = StateEffect.define<ReadonlyMap<string, SentenceLook>>();

interface Links {
  draft: Sections | null;
  ranges: RangeSet<Linked>;
  active: number | null;
  looks: ReadonlyMap<string, SentenceLook>;
  marks: DecorationSet;
}

function marksOf(links: Omit<Links, "marks">): DecorationSet {
  const made = [];
  for (const cursor = links.ranges.iter(); cursor.value !== null; cursor.next()) {
    if (cursor.to <= cursor.from) continue;
    const look = links.looks.get(cursor.value.sentence);
    const names = ["aris-link"];
    if (cursor.value.id === links.active) names.push("aris-link-active");
    if (look?.unsure) names.push("aris-link-unsure");
    if (look?.judged) names.push(`aris-link-${look.judged}`);
    const attributes: Record<string, string> = { "data-link": String(cursor.value.id) };
    if (look?.unsure) attributes.title = "The model was unsure of its words here";
    made.push(Decoration.mark({ class: names.join(" "), attributes }).range(cursor.from, cursor.to));
  }
  return Decoration.set(made, true);
}

const REPLACED = ["input.template", "input.merge", "input.restore", "input.proposal"];

const linksField = StateField.define<Links>({
  create: () => ({ draft: null, ranges: RangeSet.empty, active: null, looks: new Map(), marks: Decoration.none }),
  update(links, transaction) {
    let { draft, ranges, active, looks } = links;
    if (transaction.docChanged) ranges = ranges.map(transaction.changes);
    // A sentence that was taken out and comes back has its link again.
    const returned = transaction.isUserEvent("undo") || transaction.isUserEvent("redo");
    if (returned && draft !== null) ranges = completed(transaction.state, draft, ranges);
    // A template or another text was put in the place: words that both have are no sentence of the draft.
    const replaced = REPLACED.some((each) => transaction.isUserEvent(each));
    if (replaced && draft !== null) ranges = completed(transaction.state, draft, RangeSet.empty);
    for (const effect of transaction.effects) {
      if (effect.is(setDraft)) {
        draft = effect.value;
        ranges = draft === null ? RangeSet.empty : completed(transaction.state, draft, RangeSet.empty);
      }
      if (effect.is(setActive)) active = effect.value;
      if (effect.is(setLooks)) looks = effect.value;
    }
    if (ranges === links.ranges && active === links.active && looks === links.looks) return links;
    const next = { draft, ranges, active, looks };
    return { ...next, marks: marksOf(next) };
  },
  provide: (field) => EditorView.decorations.from(field, (links) => links.marks),
});

/** Links of sentences to their evidence. `point` is told of the sentence under the mouse, `choose` of one clicked; null: none is there. */
export function evidenceLinks(tell: {
  point: (found: { id: number; sentence: string } | null) => void;
  choose: (found: { id: number; sentence: string } | null) => void;
}): Extension {
  const under = (event: Event, view: EditorView) => {
    const mark = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-link]") : null;
    return mark?.dataset.link === undefined ? null : linkById(view.state, Number(mark.dataset.link));
  };
  let last: number | null = null;
  const point = (found: Link | null) => {
    if ((found?.id ?? null) === last) return;
    last = found?.id ?? null;
    tell.point(found);
  };
  return [
    linksField,
    EditorView.domEventHandlers({
      mouseover: (event, view) => point(under(event, view)),
      mouseleave: () => point(null),
      click: (event, view) => {
        tell.choose(under(event, view));
        return false;
      },
    }),
  ];
}

/** Link a draft's sentences to the document as it stands; null for none. */
export function linkDraft(draft: Sections | null) {
  return setDraft.of(draft);
}

/** Links that are there, and those of sentences that have none where nothing is linked yet. */
function completed(state: EditorState, draft: Sections, there: RangeSet<Linked>): RangeSet<Linked> {
  const made: Range<Linked>[] = [];
  for (const cursor = there.iter(); cursor.value !== null; cursor.next()) {
    if (cursor.to > cursor.from) made.push(cursor.value.range(cursor.from, cursor.to));
  }
  const known = made.map((each) => each.value.id);
  const free = (from: number, to: number) => made.every((each) => each.to <= from || each.from >= to);
  const starts = new Map(bodies(state).map((each) => [each.name, each.from]));
  for (const each of link(draft, sectionsOf(state))) {
    const start = starts.get(each.section) ?? 0;
    const [from, to] = [start + each.from, start + each.to];
    if (!known.includes(each.id) && free(from, to)) made.push(new Linked(each.id, each.sentence).range(from, to));
  }
  return RangeSet.of(made, true);
}

/** Show the sentence whose evidence stands on the image. */
export function activate(id: number | null) {
  return setActive.of(id);
}

/** Show verdicts and doubts at their sentences; by the draft's sentence. */
export function show(looks: ReadonlyMap<string, SentenceLook>) {
  return setLooks.of(looks);
}

/** Links as they stand, with positions within their sections. */
export function links(state: EditorState): Link[] {
  return placed(state).map(({ section, start, ...each }) => ({
    ...each,
    section,
    from: each.from - start,
    to: each.to - start,
  }));
}

function placed(state: EditorState): (Link & { start: number })[] {
  const all = bodies(state);
  const made: (Link & { start: number })[] = [];
  for (const cursor = state.field(linksField).ranges.iter(); cursor.value !== null; cursor.next()) {
    const { from, to, value } = cursor;
    const home = all.findLast((each) => each.from <= from) ?? all[0];
    made.push({ id: value.id, section: home.name, sentence: value.sentence, from, to, start: home.from });
  }
  return made;
}

/** A link by its number, with positions in the document. */
export function linkById(state: EditorState, id: number): Link | null {
  return placed(state).find((each) => each.id === id) ?? null;
}

/** The link at a position of the document, or the nearest one on its line. */
export function linkAt(state: EditorState, position: number): Link | null {
  const all = placed(state).filter((each) => each.to > each.from);
  const line = state.doc.lineAt(position);
  return (
    all.find((each) => each.from <= position && each.to >= position) ??
    all.findLast((each) => each.from < position && each.from >= line.from) ??
    null
  );
}

/** The next sentence of the draft after a position, or the one before it. */
export function neighbour(state: EditorState, position: number, backwards: boolean): Link | null {
  const all = placed(state).filter((each) => each.to > each.from);
  return (
    (backwards ? all.findLast((each) => each.to < position) : all.find((each) => each.from > position)) ??
    (backwards ? all.at(-1) : all[0]) ??
    null
  );
}
