// @vitest-environment node
import { history, redo, undo } from "@codemirror/commands";
import { EditorState, type TransactionSpec } from "@codemirror/state";
import { describe, expect, it } from "vitest";
import type { Sections } from "../../api/types";
import { emptySections } from "../text/sections";
import { expandMacro, insertAtCursor, sentenceAt, toField, without } from "./commands";
import { bodies, body, change, load, sectionAt, sectionsDocument, sectionsOf, written } from "./document";
import { evidenceLinks, linkAt, linkDraft, links, neighbour } from "./links";
import { beginStream, endStream, isStreaming, streamAnew, streaming, streamPiece } from "./streaming";
import { sentenceWarnings } from "./warnings";

const made = (findings: string, impression = ""): Sections => ({ ...emptySections(), findings, impression });

/** An editor's state without its view. */
class Report {
  state: EditorState;
  constructor(sections: Sections) {
    const { doc, bodies: made } = written(sections);
    this.state = EditorState.create({
      doc,
      extensions: [
        sectionsDocument(made),
        history({ newGroupDelay: 0 }),
        streaming(),
        evidenceLinks({ point: () => {}, choose: () => {} }),
        sentenceWarnings(),
      ],
    });
  }
  do(...specs: TransactionSpec[]) {
    for (const spec of specs) this.state = this.state.update(spec).state;
    return this;
  }
  run(command: typeof undo) {
    return command({ state: this.state, dispatch: (transaction) => (this.state = transaction.state) });
  }
  type(text: string, at: number, to = at) {
    return this.do({
      changes: { from: at, to, insert: text },
      selection: { anchor: at + text.length },
      userEvent: "input",
    });
  }
  get sections() {
    return sectionsOf(this.state);
  }
  end(name: "findings" | "impression") {
    return body(this.state, name).to;
  }
}

describe("a report's document", () => {
  it("has its sections, as they were put in", () => {
    const sections = { ...made("One.\nTwo.", "Three."), indication: "Cough" };
    expect(new Report(sections).sections).toEqual(sections);
  });
  it("takes text at both ends of every section, also of an empty one", () => {
    for (const name of ["examination", "comparison", "impression"] as const) {
      const report = new Report(made("", "I"));
      report.type("a", body(report.state, name).from).type("z", body(report.state, name).to);
      expect(report.sections[name]).toBe(name === "impression" ? "aIz" : "az");
      expect(bodies(report.state)).toHaveLength(6);
    }
  });
  it("keeps its headings whatever is deleted, and undo brings all back", () => {
    const report = new Report(made("One.", "Two."));
    report.do({ changes: { from: 0, to: report.state.doc.length } });
    expect(report.sections).toEqual(emptySections());
    expect(report.state.doc.toString()).toBe(written(emptySections()).doc);
    report.run(undo);
    expect(report.sections).toEqual(made("One.", "Two."));
  });
  it("keeps text that is put in the place of two sections' text", () => {
    const report = new Report(made("One.", "Two."));
    report.do({ changes: { from: body(report.state, "findings").from, to: report.end("impression"), insert: "All." } });
    expect(report.sections.findings + report.sections.impression).toBe("All.");
  });
  it("is not deceived by a heading's word in a text", () => {
    const report = new Report(made("Findings\nImpression", "x"));
    report.type(" more", report.end("findings"));
    expect(report.sections).toEqual(made("Findings\nImpression more", "x"));
    report.do(load(made("Impression", "y"))(report.state));
    expect(report.sections).toEqual(made("Impression", "y"));
  });
  it("is changed by small changes, and the cursor stays at its word", () => {
    const report = new Report(made("The heart is large. No effusion."));
    const at = body(report.state, "findings").from + "The heart is large. No".length;
    report.do({ selection: { anchor: at } });
    report.do(change(report.state, { findings: "The heart is very large. No effusion." }, { undoable: true }));
    expect(report.state.selection.main.head).toBe(at + "very ".length);
    report.run(undo);
    expect(report.sections.findings).toBe("The heart is large. No effusion.");
  });
  it("knows the section of a position, headings too", () => {
    const report = new Report(made("One.", "Two."));
    expect(sectionAt(report.state, 0).name).toBe("examination");
    expect(sectionAt(report.state, body(report.state, "impression").heading).name).toBe("impression");
    expect(sectionAt(report.state, report.state.doc.length).name).toBe("impression");
  });
});

describe("a draft that streams in", () => {
  const pieces = (report: Report, section: "findings" | "impression", ...texts: string[]) => {
    for (const text of texts) report.do(streamPiece(report.state, section, text));
    return report;
  };
  it("fills its sections, and undo takes back nothing of it", () => {
    const report = new Report(emptySections()).do(beginStream());
    pieces(report, "findings", " The", " heart", " is large.");
    pieces(report, "impression", "\n", "Large heart.");
    expect(report.sections).toEqual(made("The heart is large.", "Large heart."));
    report.run(undo);
    expect(report.sections).toEqual(made("The heart is large.", "Large heart."));
  });
  it("goes on in its place while a reader writes behind it, before it and elsewhere", () => {
    const report = new Report({ ...emptySections(), indication: "Cough" }).do(beginStream());
    pieces(report, "findings", "The heart");
    report.type(" MINE.", report.end("findings"));
    pieces(report, "findings", " is large.");
    expect(report.sections.findings).toBe("The heart is large. MINE.");
    report.type("FIRST. ", body(report.state, "findings").from).type("Dry c", body(report.state, "indication").from);
    pieces(report, "findings", " No effusion.");
    expect(report.sections.findings).toBe("FIRST. The heart is large. No effusion. MINE.");
    // What the reader wrote is undone, and nothing else.
    while (report.run(undo));
    expect(report.sections.findings).toBe("The heart is large. No effusion.");
    while (report.run(redo));
    expect(report.sections.findings).toBe("FIRST. The heart is large. No effusion. MINE.");
  });
  it("goes on where a reader has taken out what it wrote", () => {
    const report = new Report(emptySections()).do(beginStream());
    pieces(report, "findings", "Wrong sentence.");
    report.do({ changes: { from: body(report.state, "findings").from, to: report.end("findings") } });
    pieces(report, "findings", " Right one.");
    expect(report.sections.findings.trim()).toBe("Right one.");
  });
  it("ends as the server keeps it, with the reader's edits", () => {
    const report = new Report(emptySections()).do(beginStream());
    pieces(report, "findings", "The heart is large. No effusion. ");
    const from = body(report.state, "findings").from;
    report.type("small", from + "The heart is ".length, from + "The heart is large".length);
    const final = { ...made("The heart is large. No effusion.", "Large heart."), comparison: "None." };
    for (const step of [0, 1]) report.do(endStream(report.state, final)[step]);
    expect(report.sections).toEqual({ ...final, findings: "The heart is small. No effusion. " });
    expect(isStreaming(report.state)).toBe(false);
  });
});

describe("links of sentences", () => {
  const draft = made("The heart is large. There is a small effusion. No pneumothorax.", "Heart failure.");
  const open = () => {
    const report = new Report(draft);
    return report.do({ effects: linkDraft(draft) });
  };
  const words = (report: Report) =>
    links(report.state).map((each) => report.sections[each.section].slice(each.from, each.to));
  it("follow edits before, within and behind them", () => {
    const report = open();
    const start = body(report.state, "findings").from;
    report
      .type("moderate", start + 31, start + 36)
      .type("New. ", start)
      .type(" End.", report.end("findings"));
    expect(report.sections.findings).toBe(
      "New. The heart is large. There is a moderate effusion. No pneumothorax. End.",
    );
    expect(words(report)).toEqual([
      "The heart is large.",
      "There is a moderate effusion.",
      "No pneumothorax.",
      "Heart failure.",
    ]);
    expect(links(report.state)[1].sentence).toBe("There is a small effusion.");
  });
  it("come back with undo", () => {
    const report = open();
    const start = body(report.state, "findings").from;
    report.do(without(report.state, start, start + 19));
    expect(report.sections.findings).toBe("There is a small effusion. No pneumothorax.");
    expect(words(report)[0]).toBe("There is a small effusion.");
    report.run(undo);
    expect(words(report)[0]).toBe("The heart is large.");
  });
  it("do not cling to a template that took the place of the text, and come back when that is undone", () => {
    const report = open();
    report.do(
      change(
        report.state,
        { findings: "The lungs are clear. No pneumothorax." },
        { undoable: true, event: "input.template" },
      ),
    );
    expect(words(report).filter((each) => each !== "No pneumothorax.")).not.toContain("The lungs are clear.");
    expect(links(report.state).some((each) => each.sentence === "The heart is large." && each.to > each.from)).toBe(
      false,
    );
    report.run(undo);
    expect(words(report)).toContain("The heart is large.");
  });
  it("are found from a position, and stepped through", () => {
    const report = open();
    const start = body(report.state, "findings").from;
    expect(linkAt(report.state, start + 3)?.sentence).toBe("The heart is large.");
    expect(neighbour(report.state, start + 3, false)?.sentence).toBe("There is a small effusion.");
    expect(neighbour(report.state, report.state.doc.length, false)?.sentence).toBe("The heart is large.");
    expect(sentenceAt(report.state, start + 25)?.text).toBe("There is a small effusion.");
  });
});

describe("a section that is streamed anew", () => {
  it("loses what was streamed, and keeps what the reader wrote", () => {
    const report = new Report(made(""));
    report.do(beginStream());
    report.do(streamPiece(report.state, "findings", "The heart is"));
    report.type(" Mine.", report.end("findings"));
    const anew = streamAnew(report.state, "findings");
    if (anew) report.do(anew);
    report.do(streamPiece(report.state, "findings", "No effusion."));
    expect(report.sections.findings).toBe("No effusion. Mine.");
    expect(streamAnew(report.state, "impression")).toBeNull();
  });
});

describe("commands", () => {
  it("expand a macro and go to its fields", () => {
    const report = new Report(made("x .nod"));
    report.do({ selection: { anchor: report.end("findings") } });
    const expand = expandMacro(() => [{ name: "nod", text: "A nodule of [size] mm in the [place]." }]);
    expect(report.run(expand)).toBe(true);
    const selected = () => report.state.sliceDoc(report.state.selection.main.from, report.state.selection.main.to);
    expect(selected()).toBe("[size]");
    expect(report.run(toField(false))).toBe(true);
    expect(selected()).toBe("[place]");
    expect(report.run(expand)).toBe(false);
    report.run(undo);
    expect(report.sections.findings).toBe("x .nod");
  });
  it("put a text into a section from its heading, and part it from the word before", () => {
    const report = new Report(made("One."));
    report.do({ selection: { anchor: body(report.state, "findings").heading + 2 } });
    report.do(insertAtCursor(report.state, "New. "));
    expect(report.sections.findings).toBe("New. One.");
    report.do({ selection: { anchor: report.end("findings") } });
    report.do(insertAtCursor(report.state, "Last."));
    expect(report.sections.findings).toBe("New. One. Last.");
  });
});
