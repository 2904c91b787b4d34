import type { SectionName, Sections } from "../../api/types";

/** The sections of a report, in its order. */
export const SECTIONS: readonly SectionName[] = [
  "examination",
  "indication",
  "technique",
  "comparison",
  "findings",
  "impression",
];

/** Sections that a model writes; the others come from headers and the order. */
export const WRITTEN: readonly SectionName[] = ["findings", "impression"];

export const TITLES: Record<SectionName, string> = {
  examination: "Examination",
  indication: "Indication",
  technique: "Technique",
  comparison: "Comparison",
  findings: "Findings",
  impression: "Impression",
};

/** Sections without any text. */
export function emptySections(): Sections {
  return { examination: "", indication: "", technique: "", comparison: "", findings: "", impression: "" };
}

/** Compare as the server keeps them: spaces at the end of lines and around a section do not count. */
export function sameText(one: string, other: string): boolean {
  return tidy(one) === tidy(other);
}

export function sameSections(one: Sections, other: Sections): boolean {
  return SECTIONS.every((name) => sameText(one[name], other[name]));
}

/** The sections in which two texts differ. */
export function differing(one: Sections, other: Sections): SectionName[] {
  return SECTIONS.filter((name) => !sameText(one[name], other[name]));
}

export function isBlank(sections: Sections): boolean {
  return SECTIONS.every((name) => sections[name].trim() === "");
}

/** A report as plain text, for the clipboard and the reader of a preview. */
export function asText(sections: Sections): string {
  return SECTIONS.filter((name) => sections[name].trim() !== "")
    .map((name) => `${TITLES[name].toUpperCase()}\n${sections[name].trim()}`)
    .join("\n\n");
}

/** Text as it is sent: no spaces at the ends of lines, none around it, line ends alike. */
export function tidy(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/[ \t]+$/gm, "")
    .trim();
}
