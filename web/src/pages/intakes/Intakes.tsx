import { useEffect, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useGet, useSession } from "../../api/queries";
import type { IntakeLine, IntakeList, IntakeView } from "../../api/types";
import { LevelBadge } from "../../intake/LevelBadge";
import { LinkDialog } from "../../intake/LinkDialog";
import { useLiveIntakes } from "../../intake/useIntakes";
import { STATUS, VIEWS } from "../../intake/words";
import { Button } from "../../shell/Button";
import { day, moment, personName, since } from "../../shell/format";
import { Page, Table } from "../../shell/Page";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import styles from "./Intakes.module.css";

const SHOWN = Object.keys(VIEWS) as IntakeView[];

/** Intakes of patients by level, then by waiting. */
export default function Intakes() {
  const [params, setParams] = useSearchParams();
  const view = SHOWN.find((one) => one === params.get("view")) ?? "to see";
  const reader = useSession().data?.user?.role.includes("reader") ?? false;
  useLiveIntakes();
  const { data, error, refetch } = useGet<IntakeList>("/api/intakes", { view: [view] }, { staleTime: 0 });
  const [making, setMaking] = useState(false);
  useEffect(() => {
    // Answers one by one are no event: what runs is asked for again now and then.
    if (view !== "running") return;
    const timer = setInterval(() => void refetch(), 15_000);
    return () => clearInterval(timer);
  }, [view, refetch]);
  const now = data ? new Date(data.now).getTime() : 0;
  return (
    <Page
      title="Intakes"
      lead="Questions that patients answer on their phones before a visit. All of it is provisional until a clinician has read it."
      tools={
        reader && (
          <Button kind="primary" onPress={() => setMaking(true)}>
            New intake link
          </Button>
        )
      }
    >
      {data && !data.page && (
        <p className={styles.note}>
          This server serves no page for patients: links that are made here open nothing on it.
        </p>
      )}
      <nav className={styles.views} aria-label="Views">
        {SHOWN.map((one) => (
          <Button
            key={one}
            size="small"
            kind={one === view ? "primary" : "plain"}
            aria-current={one === view ? "true" : undefined}
            onPress={() => setParams({ view: one }, { replace: true })}
          >
            {VIEWS[one]} ({data?.counts[one] ?? 0})
          </Button>
        ))}
      </nav>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : data.intakes.length === 0 ? (
        <EmptyState title={view === "to see" ? "No intake waits to be seen" : "There is none"}>
          {view === "to see" && reader && "Make a link for a patient; what is answered comes here by itself."}
        </EmptyState>
      ) : (
        <Table label="Intakes" head={["Level", "Patient", "ID", "Born", "About", "Why", "Waits", "State"]}>
          {data.intakes.map((intake) => (
            <Row key={intake.name} intake={intake} now={now} />
          ))}
        </Table>
      )}
      {making && <LinkDialog onClose={() => setMaking(false)} />}
    </Page>
  );
}

function Row({ intake, now }: { intake: IntakeLine; now: number }) {
  const seen = intake.marks.find((mark) => mark.kind === "seen");
  return (
    <tr>
      <td>
        <LevelBadge level={intake.level} />
      </td>
      <td>
        <Link to={`/intakes/${intake.name}`} className={styles.link}>
          {personName(intake.patient.name) || "No name"}
        </Link>
      </td>
      <td>{intake.patient.identifier}</td>
      <td className={styles.fixed}>{day(intake.patient.birth_date)}</td>
      <td>{intake.complaint}</td>
      <td>{intake.reason}</td>
      <td className={styles.fixed} title={moment(intake.ended_at ?? intake.made_at)}>
        {since(intake.ended_at ?? intake.made_at, now)}
      </td>
      <td>
        {STATUS[intake.status]}
        {intake.status === "asking" && `, question ${intake.asked}`}
        {seen && `, seen by ${seen.login}`}
      </td>
    </tr>
  );
}
