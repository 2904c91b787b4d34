// @vitest-environment node
import { describe, expect, it } from "vitest";
import type { DraftVersion } from "../../api/types";
import { emptySections } from "../text/sections";
import { readiness, type ToSign } from "./readiness";

const draft = {
  warnings: [
    { text: "the findings say no effusion", sentence: "There is an effusion." },
    { text: "one view only", sentence: "" },
  ],
  caution: "never for patient care.",
} as DraftVersion;
const ready: ToSign = {
  text: { ...emptySections(), findings: "Clear.", impression: "Normal." },
  draft: null,
  accepted: new Set(),
  seen: { images: 2, of: 2 },
  critical: [],
  notice: "",
  streaming: false,
  conflict: false,
};
const kinds = (what: Partial<ToSign>) => readiness({ ...ready, ...what }).map((each) => `${each.kind} ${each.id}`);

describe("readiness", () => {
  it("has nothing to say of a report that is whole", () => expect(kinds({})).toEqual([]));
  it("stops what cannot be signed", () => {
    expect(kinds({ text: emptySections(), streaming: true, conflict: true })).toEqual([
      "stop streaming",
      "stop conflict",
      "stop empty",
    ]);
  });
  it("asks for a sentence that a warning names and nobody touched, until it is changed or accepted", () => {
    const text = { ...ready.text, findings: "There is an effusion." };
    const asked = (what: Partial<ToSign>) => kinds({ draft, ...what }).filter((each) => each.includes("There is"));
    expect(asked({ text })).toEqual(["confirm warning There is an effusion. the findings say no effusion"]);
    expect(asked({ text, accepted: new Set(["There is an effusion."]) })[0]).toMatch(/^note /);
    expect(asked({ text: { ...text, findings: "There is no effusion." } })).toEqual([]);
  });
  it("tells of open fields, critical results, images not seen, notices, the model's caution", () => {
    const critical = [
      { id: 3, finding: "pneumothorax", raised_by: "(rules)", at: "", open: true, attempts: [] },
      { id: 4, finding: "told", raised_by: "ana", at: "", open: false, attempts: [] },
    ];
    const text = { ...ready.text, findings: "Nodule of [size].", impression: "" };
    expect(kinds({ text, draft, critical, seen: { images: 1, of: 3 }, notice: "Late images." })).toEqual([
      "confirm fields findings",
      "confirm critical 3",
      "confirm unseen",
      "confirm notice",
      "note impression",
      "note warning one view only",
      "note caution",
    ]);
  });
});
