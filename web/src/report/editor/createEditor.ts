import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, keymap } from "@codemirror/view";
import type { Macro, Sections } from "../../api/types";
import { expandMacro, toField } from "./commands";
import { byProgram, sectionsDocument, written } from "./document";
import { evidenceLinks } from "./links";
import { streaming } from "./streaming";
import { reportTheme } from "./theme";
import { sentenceWarnings } from "./warnings";

/** What the editor tells of. */
export interface EditorListener {
  /** The text has changed; by the reader, or by the program (a streamed piece, a text that was loaded). */
  changed(by: "reader" | "program"): void;
  pointed(found: { id: number; sentence: string } | null): void;
  chosen(found: { id: number; sentence: string } | null): void;
  blurred(): void;
  /** Escape: back to the images. */
  left(): void;
  macros(): readonly Macro[];
}

const writable = new Compartment();

function rights(may: boolean) {
  // Read-only, but still in the order of Tab, and its text can be selected and searched.
  return may
    ? []
    : [
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorView.contentAttributes.of({ tabindex: "0" }),
      ];
}

/** Make the editor of a report in an element of the page. */
export function createEditor(
  parent: HTMLElement,
  sections: Sections,
  may: boolean,
  listener: EditorListener,
): EditorView {
  const { doc, bodies } = written(sections);
  const nonce = document.querySelector<HTMLMetaElement>("meta[name=csp-nonce]")?.content ?? "";
  const view = new EditorView({
    parent,
    state: EditorState.create({
      doc,
      selection: { anchor: (bodies.find((each) => each.name === "findings") ?? bodies[0]).from },
      extensions: [
        nonce ? EditorView.cspNonce.of(nonce) : [],
        sectionsDocument(bodies),
        history(),
        streaming(),
        evidenceLinks({ point: (found) => listener.pointed(found), choose: (found) => listener.chosen(found) }),
        sentenceWarnings(),
        drawSelection(),
        search({ top: true }),
        EditorView.lineWrapping,
        writable.of(rights(may)),
        EditorView.contentAttributes.of({
          "aria-label": "Report",
          "aria-multiline": "true",
          spellcheck: "true",
          autocorrect: "off",
          autocapitalize: "sentences",
          lang: "en",
        }),
        Prec.high(
          keymap.of([
            { key: "Tab", run: (target) => expandMacro(() => listener.macros())(target) || toField(false)(target) },
            { key: "Shift-Tab", run: toField(true) },
          ]),
        ),
        keymap.of([
          ...searchKeymap,
          ...historyKeymap,
          // Whole lines are moved in code; here these keys go from sentence to sentence.
          ...defaultKeymap.filter((each) => !/^Alt-Arrow|^Mod-Enter$|^Mod-\//.test(each.key ?? "")),
          {
            key: "Escape",
            run: () => {
              listener.left();
              return true;
            },
          },
        ]),
        reportTheme(),
        EditorView.updateListener.of((update) => {
          if (update.docChanged) {
            const program = update.transactions.every((each) => !each.docChanged || each.annotation(byProgram));
            listener.changed(program ? "program" : "reader");
          }
          if (update.focusChanged && !update.view.hasFocus) listener.blurred();
        }),
      ],
    }),
  });
  return view;
}

/** Let the reader write, or only read. */
export function allow(view: EditorView, may: boolean): void {
  view.dispatch({ effects: writable.reconfigure(rights(may)) });
}
