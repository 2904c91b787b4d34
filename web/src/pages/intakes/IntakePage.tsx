import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { api, at } from "../../api/client";
import { useGet, useSession } from "../../api/queries";
import type { Intake } from "../../api/types";
import { AcknowledgeDialog } from "../../intake/AcknowledgeDialog";
import { LevelBadge } from "../../intake/LevelBadge";
import { LinkDialog } from "../../intake/LinkDialog";
import { useLiveIntakes } from "../../intake/useIntakes";
import { ended, STATUS } from "../../intake/words";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { day, moment, personName } from "../../shell/format";
import { Facts, Page } from "../../shell/Page";
import { ErrorState, Loading } from "../../shell/states";
import { toast, toastError } from "../../shell/toast";
import { Fhir } from "./Fhir";
import styles from "./Intakes.module.css";
import { SummaryView } from "./SummaryView";

/** One intake as a clinician reads it: red flags first, the patient's own words apart from what was concluded. */
export default function IntakePage() {
  const { name = "" } = useParams();
  const queries = useQueryClient();
  const me = useSession().data?.user;
  useLiveIntakes();
  const { data, error, refetch } = useGet<Intake>(at("intakes", name), {}, { staleTime: 0 });
  const [dialog, setDialog] = useState<"" | "acknowledge" | "link" | "revoke">("");
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  const { line, summary } = data;
  const reader = me?.role.includes("reader") ?? false;
  const acknowledged = line.marks.find((mark) => mark.kind === "acknowledged");
  const seenByMe = line.marks.some((mark) => mark.kind === "seen" && mark.login === me?.login);
  const running = !line.ended_at;
  const act = (what: "seen" | "revoke", said: string) =>
    api
      .post(at("intakes", name, what))
      .then(() =>
        queries.invalidateQueries({ predicate: ({ queryKey }) => String(queryKey[0]).startsWith("/api/intakes") }),
      )
      .then(() => toast(said, { tone: "good" }))
      .catch(toastError);
  return (
    <Page
      title={personName(line.patient.name) || line.patient.identifier || "Intake"}
      lead={
        <>
          <Link to="/intakes" className={styles.back}>
            Intakes
          </Link>
          {" / "}
          {[
            line.patient.identifier,
            day(line.patient.birth_date) && `born ${day(line.patient.birth_date)}`,
            line.patient.sex,
          ]
            .filter(Boolean)
            .join(" · ")}
        </>
      }
      tools={
        reader && (
          <>
            {line.status === "emergency" && !acknowledged && (
              <Button kind="danger" onPress={() => setDialog("acknowledge")}>
                Acknowledge
              </Button>
            )}
            {ended(line.status) && !seenByMe && (
              <Button kind="primary" onPress={() => void act("seen", "Marked as seen.")}>
                Mark as seen
              </Button>
            )}
            {running && <Button onPress={() => setDialog("link")}>New link</Button>}
            {running && (
              <Button kind="danger" onPress={() => setDialog("revoke")}>
                Take back
              </Button>
            )}
          </>
        )
      }
    >
      <p>
        <LevelBadge level={line.level} /> {STATUS[line.status]}
        {line.complaint && `, ${line.complaint.toLowerCase()}`}. {summary?.caution}
      </p>
      <Facts
        facts={[
          ["Link made", `${moment(line.made_at)} by ${line.made_by}`],
          [running ? "Link ends" : "Ended", moment(running ? line.expires_at : line.ended_at)],
          ["Questions", String(line.asked)],
          [
            "Seen by",
            line.marks
              .filter((mark) => mark.kind === "seen")
              .map((mark) => `${mark.login}, ${moment(mark.at)}`)
              .join("; ") || "Nobody yet",
          ],
          ...(acknowledged
            ? ([
                [
                  "Acknowledged",
                  `${acknowledged.login}, ${moment(acknowledged.at)}: ${acknowledged.how}${acknowledged.note ? ` (${acknowledged.note})` : ""}`,
                ],
              ] as [string, string][])
            : []),
          ...(line.note ? ([["Note", line.note]] as [string, string][]) : []),
        ]}
      />
      <div className={styles.columns}>
        {summary ? (
          <SummaryView summary={summary} />
        ) : (
          <p className={styles.quiet}>
            {data.transcript.length
              ? "The questions were of another version of Aris: there is no summary."
              : "Nothing was answered."}
          </p>
        )}
        <section aria-label="In the patient's words">
          <h2 className={styles.heading}>In the patient's words</h2>
          {summary?.chief_complaint && <p className={styles.words}>{summary.chief_complaint}</p>}
          <ol className={styles.transcript}>
            {data.transcript.map((turn, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: a transcript only grows at its end
              <li key={index}>
                <div className={styles.asked}>{turn.asked}</div>
                <div>{turn.said || "(chosen from the list)"}</div>
                {turn.chosen.length > 0 && <div className={styles.quiet}>Read as: {turn.chosen.join("; ")}</div>}
                {!turn.known && <div className={styles.quiet}>Not known, or not understood twice</div>}
              </li>
            ))}
          </ol>
          {data.has_fhir && <Fhir name={name} text={data.text} />}
        </section>
      </div>
      {dialog === "acknowledge" && <AcknowledgeDialog intake={line} onClose={() => setDialog("")} />}
      {dialog === "link" && <LinkDialog again={line} onClose={() => setDialog("")} />}
      <Dialog
        title="Take the intake back?"
        isOpen={dialog === "revoke"}
        onClose={() => setDialog("")}
        size="small"
        role="alertdialog"
        actions={
          <>
            <Button onPress={() => setDialog("")}>Cancel</Button>
            <Button
              kind="danger"
              onPress={() => {
                setDialog("");
                void act("revoke", "The intake is taken back.");
              }}
            >
              Take back
            </Button>
          </>
        }
      >
        The link and the patient's phone open nothing then, and no answer is kept.
      </Dialog>
    </Page>
  );
}
