import type { IntakeLevel, IntakeStatus, IntakeView } from "../api/types";
import type { Tone } from "../shell/Badge";

const LEVELS: Record<IntakeLevel, { word: string; tone: Tone }> = {
  emergency: { word: "Emergency", tone: "critical" },
  urgent: { word: "Urgent", tone: "urgent" },
  soon: { word: "Soon", tone: "accent" },
  routine: { word: "Routine", tone: "quiet" },
};
export const STATUS: Record<IntakeStatus, string> = {
  waiting: "Link not used yet",
  consent: "Asked for consent",
  asking: "Answering",
  finished: "Finished",
  emergency: "Ended: emergency",
  unfinished: "Not finished",
  declined: "Declined",
  expired: "Not used in time",
  revoked: "Taken back",
};
export const VIEWS: Record<IntakeView, string> = {
  "to see": "To see",
  running: "Running",
  seen: "Seen",
  "without answers": "Without answers",
};

/** Return the word and the tone of a level. */
export function levelOf(level: IntakeLevel): { word: string; tone: Tone } {
  return LEVELS[level] ?? LEVELS.routine;
}

/** Return whether the questions have ended with answers to read. */
export function ended(status: IntakeStatus): boolean {
  return status === "finished" || status === "emergency" || status === "unfinished";
}

/** Return an intake in a line, as it stands beside a study: "urgent, chest pain". */
export function inWords(intake: { level: IntakeLevel; complaint: string }): string {
  return [levelOf(intake.level).word.toLowerCase(), intake.complaint.toLowerCase()].filter(Boolean).join(", ");
}
