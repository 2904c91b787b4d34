import type { ScoredFinding } from "../../api/types";
import { probability } from "../../shell/format";

export type Standing = "present" | "not seen" | "uncertain" | "not assessed" | "uncalibrated";

/** Say a finding in a word, as the server's own documents do. */
export function standingOf(finding: ScoredFinding): Standing {
  if (finding.probability === null) return "not assessed";
  if (finding.present === true) return "present";
  if (finding.present === false) return "not seen";
  return finding.operating_point === null ? "uncalibrated" : "uncertain";
}

const ORDER: Record<Standing, number> = { present: 0, uncertain: 1, uncalibrated: 2, "not seen": 3, "not assessed": 4 };

/** Findings in reading order: present ones first, then by how far over their operating point they are. */
export function ordered(findings: readonly ScoredFinding[]): ScoredFinding[] {
  const over = (each: ScoredFinding) => (each.probability ?? 0) - (each.operating_point ?? 0.5);
  return [...findings].sort((a, b) => ORDER[standingOf(a)] - ORDER[standingOf(b)] || over(b) - over(a));
}

/** Those that a reader should look at, and those that only say "not seen". */
export function parted(findings: readonly ScoredFinding[]): { first: ScoredFinding[]; rest: ScoredFinding[] } {
  const all = ordered(findings);
  const first = all.filter((each) => ["present", "uncertain", "uncalibrated"].includes(standingOf(each)));
  return { first, rest: all.filter((each) => !first.includes(each)) };
}

/** A name as it is read: "pleural_effusion" becomes "Pleural effusion". */
export function titleOf(name: string): string {
  const plain = name.replace(/_/g, " ");
  return plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** The whole of it for whoever does not see the bar. */
export function spoken(finding: ScoredFinding): string {
  const parts = [`${titleOf(finding.name)}: ${standingOf(finding)}`];
  if (finding.probability !== null) parts.push(`probability ${probability(finding.probability)}`);
  if (finding.operating_point !== null) parts.push(`counts as present from ${probability(finding.operating_point)}`);
  if (finding.note) parts.push(finding.note);
  return parts.join(", ");
}
