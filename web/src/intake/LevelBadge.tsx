import type { IntakeLevel } from "../api/types";
import { Badge } from "../shell/Badge";
import { Alert } from "../shell/icons";
import { levelOf } from "./words";

export function LevelBadge({ level }: { level: IntakeLevel }) {
  const { word, tone } = levelOf(level);
  return (
    <Badge tone={tone} title="Level by Aris's own rules; no diagnosis">
      {(tone === "critical" || tone === "urgent") && <Alert />}
      {word}
    </Badge>
  );
}
