import type { Action, Context } from "../registry";

const of =
  (context: Context) =>
  (id: string, title: string, key: string, words = "", repeats = false) =>
    ({ id, title, context, keys: key ? [key] : [], words, repeats }) satisfies Action;
const study = of("study");
const editor = of("editor");

/** What can be done at a study: report, findings, priors, signature. */
export const actions: Action[] = [
  study("study.sign", "Sign the report", "Ctrl+Enter", "signature final"),
  study("study.signnext", "Sign and go to the next study", "Ctrl+Shift+Enter", "signature next"),
  study("study.next", "Next study without signing", "Alt+N", "skip"),
  study("study.normal", "Normal: fill in the normal report and sign", "F9", "template negative"),
  study("study.save", "Save the text now", "Ctrl+S"),
  study("study.showdraft", "Show the draft", "F10", "own look first reveal"),
  study("study.addendum", "Add an addendum to the signed report", "", "append"),
  study("study.correct", "Correct the signed report", "", "amend"),
  study("study.critical", "Tell of a critical result", "Alt+C", "urgent call communicate"),
  study("study.ask", "Ask about the images", "Alt+Q", "question model"),
  study("study.insert", "Insert a template or macro", "Alt+I", "text block snippet"),
  study("study.regenerate", "Write a section anew", "Alt+R", "regenerate model proposal"),
  study("study.history", "Show the versions of the text", "Alt+H", "history restore"),
  study("study.compare", "Compare with the other reader's text", "", "merge conflict diff"),
  study("study.prior", "Show or hide the latest prior beside", "Alt+V", "earlier comparison"),
  study("study.out", "Show what leaves: PDF, SR, FHIR", "Alt+X", "report documents preview download"),
  study("study.images", "Show the images in the second window", "Alt+2", "monitor screen"),
  study("study.panel", "Show or hide the report panel", "Alt+B", "full screen images"),
  study("study.focus", "Go to the report, or back to the images", "F7", "focus editor viewer"),
  study("study.findings", "Go to the findings", "F8", "focus bars"),
  study("sentence.next", "Next sentence of the draft, with its evidence", "Alt+ArrowDown", "evidence", true),
  study("sentence.previous", "Previous sentence of the draft, with its evidence", "Alt+ArrowUp", "evidence", true),
  study("sentence.accept", "Accept the sentence", "Alt+Enter", "verdict agree"),
  study("sentence.reject", "Reject the sentence and take it out", "Alt+Backspace", "verdict delete"),
  editor("editor.undo", "Undo in the report", "Ctrl+Z", "", true),
  { ...editor("editor.redo", "Redo in the report", "Ctrl+Shift+Z", "", true), keys: ["Ctrl+Shift+Z", "Ctrl+Y"] },
  editor("editor.section.next", "Next section of the report", "Alt+PageDown"),
  editor("editor.section.previous", "Previous section of the report", "Alt+PageUp"),
  editor("editor.find", "Find in the report", "Ctrl+F", "search replace"),
];
