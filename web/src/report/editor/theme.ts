import type { Extension } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView } from "@codemirror/view";
import { bodies } from "./document";

/** How the report looks: as a page to read, not as code. Colours are those of the theme. */
const look = EditorView.theme({
  "&": { height: "100%", backgroundColor: "var(--panel)", color: "var(--text)", fontSize: "15px" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--font)", lineHeight: "1.55", overflow: "auto" },
  ".cm-content": { padding: "4px 0 96px", caretColor: "var(--text)" },
  ".cm-line": { padding: "0 16px" },
  ".cm-cursor": { borderLeftColor: "var(--accent)", borderLeftWidth: "2px" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": {
    background: "color-mix(in srgb, var(--accent) 32%, transparent) !important",
  },
  ".aris-heading": {
    paddingTop: "12px",
    color: "var(--quiet)",
    fontSize: "12px",
    fontWeight: "600",
    letterSpacing: "0.02em",
    cursor: "default",
  },
  ".aris-heading.aris-here": { color: "var(--accent)" },
  ".aris-empty": { color: "var(--quiet)" },
  ".aris-empty::before": { content: "'—'", opacity: "0.55", pointerEvents: "none" },
  ".aris-link": { borderRadius: "3px", cursor: "text" },
  ".aris-link:hover": { background: "color-mix(in srgb, var(--accent) 14%, transparent)" },
  ".aris-link-active": {
    background: "color-mix(in srgb, var(--accent) 22%, transparent)",
    boxShadow: "inset 3px 0 0 var(--accent)",
  },
  ".aris-link-unsure": {
    textDecoration: "underline dotted var(--urgent) 2px",
    textUnderlineOffset: "3px",
  },
  ".aris-link-accepted": { boxShadow: "inset 0 -2px 0 color-mix(in srgb, var(--good) 70%, transparent)" },
  ".aris-warned": {
    textDecoration: "underline wavy var(--urgent) 1px",
    textUnderlineOffset: "3px",
  },
  ".aris-warning": {
    margin: "2px 16px 6px",
    padding: "3px 10px",
    borderLeft: "3px solid var(--urgent)",
    borderRadius: "0 4px 4px 0",
    background: "color-mix(in srgb, var(--urgent) 12%, var(--panel))",
    color: "var(--text)",
    fontSize: "13px",
    lineHeight: "1.45",
  },
  ".aris-field": {
    borderRadius: "3px",
    background: "color-mix(in srgb, var(--urgent) 22%, transparent)",
  },
  ".aris-stream": { borderRight: "2px solid var(--accent)", marginLeft: "1px" },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panel.cm-search": { padding: "6px 10px", fontFamily: "var(--font)" },
  ".cm-panel.cm-search input, .cm-panel.cm-search button": { fontFamily: "var(--font)", fontSize: "13px" },
  ".cm-textfield": { backgroundColor: "var(--panel)", color: "var(--text)", border: "1px solid var(--line)" },
  ".cm-button": {
    backgroundImage: "none",
    backgroundColor: "var(--panel)",
    color: "var(--text)",
    border: "1px solid var(--line)",
    borderRadius: "4px",
  },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--urgent) 35%, transparent)" },
  ".cm-searchMatch-selected": { backgroundColor: "color-mix(in srgb, var(--accent) 45%, transparent)" },
});

const ATTRIBUTES = { "aria-roledescription": "heading of a section" };

/** Headings, empty sections and open fields as they are shown. */
const lines = EditorView.decorations.compute(["doc", "selection"], (state): DecorationSet => {
  const made = [];
  const head = state.selection.main.head;
  for (const each of bodies(state)) {
    const here = head >= each.heading && head <= each.to;
    const name = here ? "aris-heading aris-here" : "aris-heading";
    made.push(Decoration.line({ class: name, attributes: ATTRIBUTES }).range(each.heading));
    if (each.from === each.to && !here) made.push(Decoration.line({ class: "aris-empty" }).range(each.from));
  }
  const text = state.doc.toString();
  for (const match of text.matchAll(/\[[^[\]\n]{0,80}\]/g)) {
    made.push(Decoration.mark({ class: "aris-field" }).range(match.index, match.index + match[0].length));
  }
  return Decoration.set(made, true);
});

/** The cursor passes over headings: they are no place to write. */
const atomic = EditorView.atomicRanges.of((view) => {
  const made = [];
  for (const each of bodies(view.state))
    made.push(Decoration.mark({}).range(each.heading, Math.max(each.from - 1, each.heading + 1)));
  return Decoration.set(made, true);
});

export function reportTheme(): Extension {
  // The line of the evidence stands over the foot of the text.
  return [look, lines, atomic, EditorView.scrollMargins.of(() => ({ bottom: 72 }))];
}
