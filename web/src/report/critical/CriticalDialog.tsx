import { useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { api, at } from "../../api/client";
import { keys } from "../../api/queries";
import type { CriticalResult, NewAttempt, Study } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Field, Select } from "../../shell/Field";
import { moment } from "../../shell/format";
import { ErrorLine } from "../../shell/states";
import styles from "./Critical.module.css";

type Outcome = NewAttempt["outcome"];
const OUTCOMES: { id: Outcome; label: string }[] = [
  { id: "read back", label: "Told, and read back" },
  { id: "reached", label: "Told, not read back" },
  { id: "message left", label: "A message left" },
  { id: "not reached", label: "Not reached" },
  { id: "withdrawn", label: "Withdrawn: it does not hold" },
];
const WAYS = ["telephone", "in person", "secure message", "pager"].map((each) => ({ id: each, label: each }));

/** Critical results: raise one, note each attempt to tell somebody; open until somebody has read it back. */
export function CriticalDialog(props: { study: Study; mayAct: boolean; onClose(): void }) {
  const { study, mayAct, onClose } = props;
  const queries = useQueryClient();
  const [finding, setFinding] = useState("");
  const [error, setError] = useState<unknown>(null);
  const refresh = () => queries.invalidateQueries({ queryKey: keys.study(study.study) });
  const raise = async (event: FormEvent) => {
    event.preventDefault();
    if (finding.trim() === "") return;
    setError(null);
    try {
      await api.post(at("studies", study.study, "critical"), { finding });
      setFinding("");
      await refresh();
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <Dialog title="Critical results" isOpen onClose={onClose} size="large">
      <div className={styles.all}>
        {study.critical.length === 0 && <p className={styles.quiet}>None was raised for this study.</p>}
        {study.critical.map((each) => (
          <Result key={each.id} study={study.study} result={each} mayAct={mayAct} refresh={refresh} />
        ))}
        {mayAct && (
          <form className={styles.raise} onSubmit={raise}>
            <Field
              label={study.critical.length === 0 ? "Critical result" : "Another critical result"}
              placeholder="The finding, as it will be told"
              value={finding}
              onChange={setFinding}
              autoFocus={study.critical.length === 0}
            />
            <Button type="submit" kind="danger" isDisabled={finding.trim() === ""}>
              Raise
            </Button>
          </form>
        )}
        <ErrorLine error={error} />
      </div>
    </Dialog>
  );
}

function Result(props: { study: string; result: CriticalResult; mayAct: boolean; refresh(): Promise<unknown> }) {
  const { study, result, mayAct, refresh } = props;
  return (
    <section className={styles.result} aria-label={result.finding}>
      <header className={styles.head}>
        <strong>{result.finding}</strong>
        <Badge tone={result.open ? "critical" : "good"}>{standing(result)}</Badge>
        <span className={styles.quiet}>
          raised {moment(result.at)} by {result.raised_by === "(rules)" ? "the rules" : result.raised_by}
        </span>
      </header>
      {result.attempts.length > 0 && (
        <ol className={styles.attempts}>
          {result.attempts.map((each) => (
            <li key={`${each.at} ${each.whom} ${each.outcome}`}>
              <span className={styles.when}>{moment(each.at)}</span>
              <span>
                <strong>{said(each.outcome)}</strong>
                {each.whom && `: ${each.whom}`}
                {each.how && `, ${each.how}`}
                {each.note && ` (${each.note})`} <span className={styles.quiet}>noted by {each.login}</span>
              </span>
            </li>
          ))}
        </ol>
      )}
      {mayAct && result.open && <Attempt study={study} id={result.id} refresh={refresh} />}
    </section>
  );
}

const SAID: Record<string, string> = {
  "read back": "Told, read back",
  told: "Told, not read back",
  "message left": "Message left",
  "not reached": "Not reached",
  withdrawn: "Withdrawn",
};
const said = (outcome: string) => SAID[outcome] ?? outcome;

function standing(result: CriticalResult): string {
  if (result.open) return "open";
  return result.attempts.some((each) => each.outcome === "read back") ? "done" : "withdrawn";
}

function Attempt({ study, id, refresh }: { study: string; id: number; refresh(): Promise<unknown> }) {
  const [whom, setWhom] = useState("");
  const [how, setHow] = useState("telephone");
  const [outcome, setOutcome] = useState<Outcome>("read back");
  const [note, setNote] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLInputElement>("input")?.focus(), []);
  // Whoever withdraws a result says why, and has told nobody.
  const withdrawn = outcome === "withdrawn";
  const incomplete = withdrawn ? note.trim() === "" : whom.trim() === "";
  const tell = async (event: FormEvent) => {
    event.preventDefault();
    if (incomplete || busy) return;
    setBusy(true);
    setError(null);
    try {
      await api.post(at("studies", study, "critical", id, "attempts"), {
        whom: withdrawn ? "" : whom,
        how: withdrawn ? "" : how,
        outcome,
        note,
      } satisfies NewAttempt);
      await refresh();
      setWhom("");
      setNote("");
      form.current?.querySelector<HTMLInputElement>("input")?.focus();
    } catch (thrown) {
      setError(thrown);
    }
    setBusy(false);
  };
  return (
    <form className={styles.attempt} onSubmit={tell} ref={form}>
      <Field
        label="Whom"
        value={withdrawn ? "" : whom}
        onChange={setWhom}
        placeholder={withdrawn ? "Nobody" : "Name and function"}
        isDisabled={withdrawn}
      />
      <Select label="How" options={WAYS} value={how} onChange={setHow} isDisabled={withdrawn} />
      <Select label="Outcome" options={OUTCOMES} value={outcome} onChange={setOutcome} />
      <Field
        label={withdrawn ? "Why it does not hold" : "Note"}
        value={note}
        onChange={setNote}
        placeholder={withdrawn ? "" : "Optional"}
      />
      <Button type="submit" kind="primary" isDisabled={busy || incomplete}>
        Note the attempt
      </Button>
      <ErrorLine error={error} />
    </form>
  );
}
