import type { IntakeBadge } from "../api/types";
import { Badge } from "../shell/Badge";
import { day } from "../shell/format";
import { inWords, levelOf } from "./words";

/** The patient's newest intake beside a study, in a badge; the whole of it in its title. */
export function IntakeMark({ intake, whole = false }: { intake: IntakeBadge; whole?: boolean }) {
  const said = `${intake.certain ? "Intake" : "Possible intake"} of ${day(intake.at)}: ${inWords(intake)}${intake.seen ? "" : " (not seen yet)"}`;
  return (
    <Badge tone={levelOf(intake.level).tone} title={said}>
      {whole ? (
        said
      ) : (
        <>
          Intake{intake.certain ? "" : "?"}: {levelOf(intake.level).word.toLowerCase()}
        </>
      )}
    </Badge>
  );
}
