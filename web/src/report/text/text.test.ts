// @vitest-environment node
import { describe, expect, it } from "vitest";
import { common, diff, replacements } from "./diff";
import { link } from "./links";
import { allMacros, calledMacro } from "./macros";
import { contested, merge, resolved } from "./merge";
import { fields, nextField } from "./placeholders";
import { differing, emptySections, sameSections } from "./sections";
import { sentences } from "./sentences";
import { acceptedOf, judged, unsaid } from "./verdicts";
import { place, standing } from "./warnings";

const made = (findings: string, impression = "") => ({ ...emptySections(), findings, impression });

describe("sections", () => {
  it("do not differ by spaces that the server takes away", () => {
    expect(sameSections(made("One. \nTwo."), made(" One.\nTwo.\n"))).toBe(true);
    expect(differing(made("One."), made("One.", "Two."))).toEqual(["impression"]);
  });
});

describe("sentences", () => {
  it("are cut at full stops and lines, and not within numbers", () => {
    const text = "A nodule of 1.5 cm. No effusion!\n\nLines end\nhere";
    expect(sentences(text).map((each) => each.text)).toEqual([
      "A nodule of 1.5 cm.",
      "No effusion!",
      "Lines end",
      "here",
    ]);
    for (const each of sentences(text)) expect(text.slice(each.from, each.to)).toBe(each.text);
  });
  it("are none in a text of spaces", () => expect(sentences(" \n ")).toEqual([]));
});

describe("diff", () => {
  it("finds the longest common words", () => {
    expect(common([..."abcde"], [..."xbcye"])).toEqual([
      [1, 1],
      [2, 2],
      [4, 4],
    ]);
  });
  it("says what was taken out and put in", () => {
    expect(diff("The heart is large.", "The heart is very large.")).toEqual([
      { kind: "same", text: "The heart is " },
      { kind: "new", text: "very " },
      { kind: "same", text: "large." },
    ]);
  });
  it("gives replacements that make the new text", () => {
    for (const [before, after] of [
      ["a b c", "a x c d"],
      ["", "new text"],
      ["all of it", ""],
      ["Ödem links.\nKein Erguss.", "Kein Ödem.\nErguss rechts 1,5 cm."],
    ]) {
      let text = before;
      for (const each of replacements(before, after).reverse())
        text = text.slice(0, each.from) + each.insert + text.slice(each.to);
      expect(text).toBe(after);
    }
  });
});

describe("merge", () => {
  const base = "The heart is normal. The lungs are clear. No effusion.";
  it("keeps both readers' changes of different words", () => {
    const got = merge(base, base.replace("normal", "large"), base.replace("No effusion", "Small effusion"));
    expect(got).toEqual({ text: "The heart is large. The lungs are clear. Small effusion.", clean: true });
  });
  it("says where both changed the same words, and keeps mine there", () => {
    const got = merge(base, base.replace("normal", "large"), base.replace("normal", "small"));
    expect(got).toEqual({ text: base.replace("normal", "large"), clean: false });
  });
  it("takes whichever was changed", () => {
    expect(merge(base, base, "New.").text).toBe("New.");
    expect(merge(base, "Mine.", base).text).toBe("Mine.");
  });
  it("suggests a choice for each contested section", () => {
    const [one, two] = contested(
      made("One. Two.", "Same."),
      made("One, mine. Two.", "Same."),
      made("One. Two.", "Theirs."),
    );
    expect([one.section, one.suggested, two.section, two.suggested]).toEqual([
      "findings",
      "mine",
      "impression",
      "theirs",
    ]);
    const got = resolved(made("One, mine. Two.", "Same."), [one, two], { findings: "theirs" });
    expect(got).toEqual(made("One. Two.", "Theirs."));
  });
});

describe("links of a draft's sentences", () => {
  const draft = made("The heart is large. There is a small effusion on the left. No pneumothorax.", "Heart failure.");
  it("hold where nothing changed", () => {
    expect(link(draft, draft).map((each) => each.sentence)).toHaveLength(4);
  });
  it("find reworded sentences, and let go of those taken out", () => {
    const text = made("New sentence here. There is a moderate effusion on the left. No pneumothorax.", "");
    const found = link(draft, text);
    expect(found.map((each) => [each.id, text.findings.slice(each.from, each.to)])).toEqual([
      [1, "There is a moderate effusion on the left."],
      [2, "No pneumothorax."],
    ]);
  });
});

describe("verdicts", () => {
  const draft = made("The heart is large. There is a small effusion on the left. No pneumothorax.", "Heart failure.");
  it("are derived from what is signed", () => {
    const text = made("The heart is large. There is a moderate effusion on the left. A pacemaker.", "Heart failure.");
    const kept = [
      {
        draft: 1,
        kind: "sentence" as const,
        about: "Heart failure.",
        verdict: "accepted" as const,
        said: "",
        login: "",
      },
    ];
    expect(judged(draft, text, link(draft, text), acceptedOf(kept, 1))).toEqual([
      // Signed as it was drafted, and nobody judged it: no agreement.
      { kind: "sentence", about: "The heart is large.", verdict: "unchanged", said: "" },
      {
        kind: "sentence",
        about: "There is a small effusion on the left.",
        verdict: "edited",
        said: "There is a moderate effusion on the left.",
      },
      { kind: "sentence", about: "No pneumothorax.", verdict: "rejected", said: "" },
      { kind: "sentence", about: "A pacemaker.", verdict: "added", said: "A pacemaker." },
      { kind: "sentence", about: "Heart failure.", verdict: "accepted", said: "" },
    ]);
  });
  it("judge a sentence that was split as edited, and none of its halves as added", () => {
    const text = made("The heart is very. Large.");
    const links = [{ id: 0, section: "findings" as const, sentence: "The heart is large.", from: 0, to: 25 }];
    expect(judged(made("The heart is large."), text, links, new Set())).toEqual([
      { kind: "sentence", about: "The heart is large.", verdict: "edited", said: "The heart is very. Large." },
    ]);
  });
  it("are sent only where they are new", () => {
    const derived = judged(draft, draft, link(draft, draft), new Set());
    const kept = derived.slice(0, 3).map((each) => ({ ...each, draft: 2, login: "ana" }));
    expect(unsaid(derived, kept, 2).map((each) => each.about)).toEqual(["Heart failure."]);
    expect(unsaid(derived, kept, 3)).toHaveLength(4);
  });
});

describe("fields", () => {
  const text = "Size [mm], side [left/right]. Done.";
  it("are jumped through, around the end and back", () => {
    expect(fields(text).map((each) => text.slice(each.from, each.to))).toEqual(["[mm]", "[left/right]"]);
    const first = nextField(text, 0, 0);
    expect(first).toEqual({ from: 5, to: 9 });
    expect(nextField(text, 5, 9)).toEqual({ from: 16, to: 28 });
    expect(nextField(text, 16, 28)).toEqual(first);
    expect(nextField(text, 16, 28, true)).toEqual(first);
    expect(nextField("none", 0, 0)).toBeNull();
  });
});

describe("macros", () => {
  const macros = allMacros(
    [{ name: "clear", text: "site" }],
    [
      { name: "Clear", text: "own" },
      { name: "ptx", text: "p" },
    ],
  );
  it("of a user go before the site's", () => expect(macros.map((each) => each.text)).toEqual(["own", "p"]));
  it("are called by their name behind a dot", () => {
    expect(calledMacro("Lungs: .clear", 13, macros)).toMatchObject({ from: 7, macro: { text: "own" } });
    expect(calledMacro("1.clear", 7, macros)).toBeNull();
    expect(calledMacro(".unknown", 8, macros)).toBeNull();
  });
});

describe("warnings", () => {
  const warnings = [
    { text: "the findings say no", sentence: "There is an effusion." },
    { text: "lateral view not seen", sentence: "" },
  ];
  it("stand beside their sentence until it is changed", () => {
    expect(place(warnings, made("Clear. There is an effusion."))[0]).toMatchObject({
      section: "findings",
      from: 7,
      to: 28,
    });
    expect(standing(warnings, made("There is an effusion"))).toHaveLength(2);
    expect(standing(warnings, made("There is no effusion."))).toEqual([warnings[1]]);
  });
});
