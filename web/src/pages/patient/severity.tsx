import type { AlarmCounts, Severity } from "../../api/types";
import { Badge, type Tone } from "../../shell/Badge";
import { Alert } from "../../shell/icons";

export const TONES: Record<Severity, Tone> = { critical: "critical", warning: "urgent", info: "accent" };
const WORDS: Record<Severity, string> = { critical: "Critical", warning: "Warning", info: "Note" };

export function SeverityBadge({ severity, title }: { severity: Severity; title?: string }) {
  return (
    <Badge tone={TONES[severity]} title={title}>
      {severity !== "info" && <Alert />}
      {WORDS[severity]}
    </Badge>
  );
}

/** Return how many alarms are open, in words: "2 critical, 1 warning"; "" for none. */
export function countWords(counts: AlarmCounts): string {
  return [
    counts.critical > 0 && `${counts.critical} critical`,
    counts.warning > 0 && `${counts.warning} ${counts.warning === 1 ? "warning" : "warnings"}`,
    counts.info > 0 && `${counts.info} ${counts.info === 1 ? "note" : "notes"}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** The tone of the worst alarm that is open. */
export function worstTone(counts: AlarmCounts): Tone {
  if (counts.critical > 0) return "critical";
  if (counts.warning > 0) return "urgent";
  return counts.info > 0 ? "accent" : "quiet";
}
