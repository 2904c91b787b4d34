import { useState } from "react";
import { Link } from "react-router";
import { perform } from "../../actions/registry";
import { api, at } from "../../api/client";
import type { Alarm, AlarmActName, Explained } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { ActionButton, Button } from "../../shell/Button";
import { moment } from "../../shell/format";
import { toastError } from "../../shell/toast";
import { SeverityBadge } from "../patient/severity";
import { SourcePane } from "../patient/source/SourcePane";
import { Stated } from "../patient/source/Stated";
import { SourceContext } from "../patient/source/source";
import styles from "./Alarms.module.css";

const DONE: Record<AlarmActName, string> = {
  acknowledge: "acknowledged",
  snooze: "snoozed",
  close: "closed",
  reopen: "reopened",
};

/** All of an alarm: what the rule found on which resources, its source, what was told and what people did. */
export function Detail({ alarm, reads, onAct }: { alarm: Alarm; reads: boolean; onAct(act: AlarmActName): void }) {
  const [ids, setIds] = useState<readonly string[]>([]);
  const [explained, setExplained] = useState<Explained | null>(null);
  const [asking, setAsking] = useState(false);
  const explain = async () => {
    setAsking(true);
    try {
      setExplained(await api.get<Explained>(at("alarms", alarm.id, "explanation")));
    } catch (error) {
      toastError(error);
    } finally {
      setAsking(false);
    }
  };
  const source = { ids, pinned: ids.length > 0, peek: () => undefined, pin: setIds, close: () => setIds([]) };
  return (
    <SourceContext.Provider value={source}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard */}
      <section className={styles.detail} aria-label="Alarm" tabIndex={0}>
        <h2 className={styles.head}>
          <SeverityBadge severity={alarm.severity} />
          {alarm.title}
          <span className={styles.quiet}>
            {alarm.name || "No name"}, {alarm.birth_date}
          </span>
        </h2>
        <p className={styles.found}>{alarm.text}</p>
        <p className={styles.quiet}>
          since {moment(alarm.since)}; raised {moment(alarm.raised)}
          {alarm.worst !== alarm.severity && `; was ${alarm.worst}`}
          {alarm.ended && `; ended ${moment(alarm.ended)} (${alarm.ended_reason})`}
        </p>
        {alarm.worse_since_act && (
          <p className={styles.worse}>It got worse after it was handled, so it is open again.</p>
        )}
        {alarm.missing.length > 0 && (
          <p className={styles.worse}>Not documented, so it may be worse: {alarm.missing.join(", ")}</p>
        )}
        {reads && alarm.state !== "ended" && (
          <div className={styles.acts}>
            {alarm.state === "open" ? (
              <>
                <ActionButton action="alarms.acknowledge" kind="primary" size="small">
                  Acknowledge
                </ActionButton>
                <ActionButton action="alarms.snooze" size="small">
                  Snooze
                </ActionButton>
              </>
            ) : (
              <Button size="small" onPress={() => onAct("reopen")}>
                Reopen
              </Button>
            )}
            {alarm.state !== "closed" && (
              <ActionButton action="alarms.close" size="small">
                Close
              </ActionButton>
            )}
          </div>
        )}
        <h3 className={styles.sub}>Rests on</h3>
        <ul className={styles.plain}>
          {alarm.evidence.map((each) => (
            <li key={`${each.id} ${each.name} ${each.shown}`}>
              <Stated text={`${each.name}: ${each.shown}${each.at ? ` (${moment(each.at)})` : ""}`} cites={[each.id]} />
            </li>
          ))}
        </ul>
        <p>
          <Link to={`/patient/${alarm.patient}?tab=flags`}>Open the patient</Link>{" "}
          <Button size="small" kind="ghost" onPress={() => perform("alarms.next")}>
            Next alarm
          </Button>
        </p>
        {[...alarm.notes, alarm.advice].filter(Boolean).map((each) => (
          <p key={each} className={styles.quiet}>
            {each}
          </p>
        ))}
        <h3 className={styles.sub}>Rule</h3>
        <p className={styles.quiet}>
          {alarm.rule}, version {alarm.version}. {alarm.source}{" "}
          {/^https?:\/\//.test(alarm.url) && (
            <a href={alarm.url} target="_blank" rel="noreferrer noopener">
              {new URL(alarm.url).hostname}
            </a>
          )}
        </p>
        {reads && (
          <p>
            {explained ? (
              explained.text ? (
                <>
                  <Badge tone="accent">{explained.model}</Badge> {explained.text}
                </>
              ) : (
                <span className={styles.quiet}>{explained.note}</span>
              )
            ) : (
              <Button size="small" kind="ghost" isDisabled={asking} onPress={() => void explain()}>
                {asking ? "The model words it" : "In a model's words"}
              </Button>
            )}
          </p>
        )}
        <h3 className={styles.sub}>History</h3>
        <ol className={styles.history}>
          {history(alarm).map((each) => (
            <li key={each.key}>
              <time>{moment(each.at, true)}</time> {each.words}
              {each.why && <span className={styles.quiet}>: {each.why}</span>}
            </li>
          ))}
        </ol>
        {ids.length > 0 && <SourcePane record={alarm.patient} />}
      </section>
    </SourceContext.Provider>
  );
}

/** Return what was told and done, oldest first. */
export function history(alarm: Alarm): { key: string; at: string; words: string; why: string }[] {
  const told = alarm.tellings.map((each) => ({
    key: `told ${each.id}`,
    at: each.told,
    words:
      each.event === "ended"
        ? `ended (${each.reason})`
        : `${each.event === "worse" ? "worse" : "raised"}, ${each.severity}`,
    why: each.text,
  }));
  const acts = alarm.acts.map((each, index) => ({
    key: `act ${index}`,
    at: each.at,
    words: `${DONE[each.act]} by ${each.login}${each.until ? ` until ${moment(each.until)}` : ""}`,
    why: each.why,
  }));
  return [...told, ...acts].sort((a, b) => a.at.localeCompare(b.at));
}
