import type { ReactNode } from "react";
import type { Entry, State } from "../api/types";
import styles from "./Badge.module.css";
import { Alert } from "./icons";

export type Tone = "quiet" | "accent" | "urgent" | "critical" | "good";

/** A short word with a tone; the word always says it without the colour. */
export function Badge({ tone = "quiet", children, title }: { tone?: Tone; children: ReactNode; title?: string }) {
  return (
    <span className={`${styles.badge} ${styles[tone]}`} title={title}>
      {children}
    </span>
  );
}

const STATES: Record<State, { tone: Tone; title: string }> = {
  arrived: { tone: "quiet", title: "Images are still arriving" },
  settled: { tone: "quiet", title: "Complete, waits for a draft or a reader" },
  drafted: { tone: "accent", title: "The model's draft waits for a reader" },
  opened: { tone: "urgent", title: "Somebody has it open or has begun to write" },
  preliminary: { tone: "urgent", title: "Signed once; a second signature is awaited" },
  final: { tone: "good", title: "Signed" },
  amended: { tone: "good", title: "Signed, then corrected" },
  addendum: { tone: "good", title: "Signed, with an addendum" },
};
export const STATE_ORDER = Object.keys(STATES) as State[];

export function stateWord(state: State): string {
  return state.charAt(0).toUpperCase() + state.slice(1);
}

export function StateBadge({ state }: { state: State }) {
  const known = STATES[state];
  return (
    <Badge tone={known?.tone ?? "quiet"} title={known?.title}>
      {stateWord(state)}
    </Badge>
  );
}

const CONCERNS = ["Routine", "Watch", "Urgent", "Critical"] as const;

/** Return the word and the tone of a study's place in the list: the order's urgency and the findings' concern, whichever is more. */
export function priorityOf(entry: Pick<Entry, "urgency" | "concern" | "assessed">): { word: string; tone: Tone } {
  if (entry.concern >= 3) return { word: "Critical", tone: "critical" };
  if (entry.urgency === "stat") return { word: "Stat", tone: "critical" };
  if (entry.concern === 2 || entry.urgency === "urgent") return { word: "Urgent", tone: "urgent" };
  if (!entry.assessed) return { word: "Not assessed", tone: "quiet" };
  return { word: CONCERNS[entry.concern] ?? "Routine", tone: "quiet" };
}

/** Return the reason of a priority as it stands beside its badge: without the word that the badge says already. */
export function reasonBeside(entry: Pick<Entry, "urgency" | "concern" | "assessed" | "reason">): string {
  const { word } = priorityOf(entry);
  const start = `${word.toLowerCase()}: `;
  return entry.reason.toLowerCase().startsWith(start) ? entry.reason.slice(start.length) : entry.reason;
}

/** The priority in words, with a sign besides its colour. */
export function PriorityBadge({ entry }: { entry: Pick<Entry, "urgency" | "concern" | "assessed" | "reason"> }) {
  const { word, tone } = priorityOf(entry);
  return (
    <Badge tone={tone} title={entry.reason}>
      {(tone === "critical" || tone === "urgent") && <Alert />}
      {word}
    </Badge>
  );
}
