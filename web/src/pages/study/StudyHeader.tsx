import { useQueryClient } from "@tanstack/react-query";
import { Link } from "react-router";
import { perform } from "../../actions/registry";
import { api, at } from "../../api/client";
import { keys, useGet, useSession } from "../../api/queries";
import type { Prior, Study, StudyRecord } from "../../api/types";
import { Badge, PriorityBadge, reasonBeside, StateBadge } from "../../shell/Badge";
import { ActionButton, Button, IconButton } from "../../shell/Button";
import { age, clock, day, personName } from "../../shell/format";
import { Alert, Back, Panel } from "../../shell/icons";
import { toastError } from "../../shell/toast";
import { Priors } from "./Priors";
import styles from "./Study.module.css";

export interface StudyHeaderProps {
  study: Study;
  /** The draft is hidden: so is what it says of the priority. */
  hidden: boolean;
  beside: Prior | null;
  loading: boolean;
  onPrior(prior: Prior | null): void;
}

/** Who it is, what was asked, where it stands, and what else there is of this patient. */
export function StudyHeader({ study, hidden, beside, loading, onPrior }: StudyHeaderProps) {
  const { patient, about, order } = study;
  const user = useSession().data?.user;
  const login = user?.login;
  const reads = user?.role.includes("reader") ?? false;
  const open = study.critical.filter((each) => each.open).length;
  const person = [
    { M: "male", F: "female", O: "other" }[patient.sex] ?? patient.sex,
    age(patient.age),
    patient.birth_date && `born ${day(patient.birth_date)}`,
  ].filter(Boolean);
  const why = hidden || !study.reason ? "" : reasonBeside(study);
  const asked = order?.reason || order?.procedure || "";
  return (
    <header className={styles.header} aria-busy={loading}>
      <Link to="/worklist" className={styles.back} aria-label="Back to the worklist">
        <Back />
      </Link>
      <div className={styles.who}>
        <h1 className={styles.name} title={personName(patient.name)}>
          <bdi>{personName(patient.name) || "No name"}</bdi>
        </h1>
        <span className={styles.fact}>{person.join(", ")}</span>
        <span className={styles.fact} title={patient.issuer ? `issued by ${patient.issuer}` : undefined}>
          {patient.identifier || "no patient ID"}
        </span>
      </div>
      <div className={styles.what}>
        <span className={styles.study} title={about.description}>
          <bdi>{about.description || "Study"}</bdi>
        </span>
        <span className={styles.fact}>{[day(about.date), clock(about.time)].filter(Boolean).join(" ")}</span>
        {about.accession && <span className={styles.fact}>Acc. {about.accession}</span>}
      </div>
      <div className={styles.badges}>
        {!hidden && <PriorityBadge entry={study} />}
        <StateBadge state={study.state} />
        {study.opened_by && study.opened_by !== login && (
          <Badge tone="urgent" title="Both may write; neither loses text">
            also open by {study.opened_by}
          </Badge>
        )}
        {study.critical.length > 0 && (
          <Button size="small" kind={open > 0 ? "danger" : "ghost"} onPress={() => perform("study.critical")}>
            <Alert /> {open > 0 ? `${open} critical, still open` : "Critical: done"}
          </Button>
        )}
        <span className={styles.reason} title={[why, asked && `Asked: ${asked}`].filter(Boolean).join("\n")}>
          {asked && <bdi>Asked: {asked}</bdi>}
          {asked && why && " · "}
          {why && <bdi>{why}</bdi>}
        </span>
      </div>
      <div className={styles.tools}>
        <Records study={study.study} />
        <Priors study={study} beside={beside} reads={reads} onPrior={onPrior} />
        <ActionButton action="study.out" size="small" kind="ghost">
          What leaves
        </ActionButton>
        <IconButton label="Show or hide the report" size="small" onPress={() => perform("study.panel")}>
          <Panel />
        </IconButton>
      </div>
      {study.notice && <Notice study={study} />}
    </header>
  );
}

/** Records of this patient; one that is only possibly his is said to be. */
function Records({ study }: { study: string }) {
  const { data } = useGet<StudyRecord[]>(at("studies", study, "records"), {}, { staleTime: 60_000 });
  const first = data?.[0];
  if (!first) return null;
  return (
    <Link to={`/patient/${first.id}`} className={styles.fact} title={first.why || `Source: ${first.source}`}>
      {first.certain ? "Record" : "Possible record"}
    </Link>
  );
}

function Notice({ study }: { study: Study }) {
  const queries = useQueryClient();
  const signed = study.reports.length > 0 && study.may.edit;
  const seen = async () => {
    try {
      queries.setQueryData(
        keys.study(study.study),
        await api.post<Study>(at("studies", study.study, "notice", "seen")),
      );
    } catch (error) {
      toastError(error);
    }
  };
  return (
    <div className={styles.notice} role="status">
      <Alert />
      <span>{study.notice}</span>
      {signed && (
        <Button size="small" onPress={() => void seen()}>
          Seen
        </Button>
      )}
    </div>
  );
}
