import { useId, useRef, useState } from "react";
import type { ScoredFinding, Verdict } from "../../api/types";
import { IconButton } from "../../shell/Button";
import { probability } from "../../shell/format";
import { Check, Chevron, Close } from "../../shell/icons";
import type { About } from "../evidence/useEvidence";
import styles from "./Findings.module.css";
import { parted, spoken, standingOf, titleOf } from "./words";

export interface FindingsProps {
  findings: readonly ScoredFinding[];
  verdicts: ReadonlyMap<string, Verdict["verdict"]>;
  shown: About | null;
  pinned: About | null;
  mayJudge: boolean;
  running: boolean;
  point(about: About | null): void;
  pin(about: About | null): void;
  judge(name: string, verdict: "accepted" | "rejected"): void;
}

/** The scored findings as bars with their operating points. Keys on a row: arrows, Enter shows its evidence, A accepts, X rejects. */
export function Findings(props: FindingsProps) {
  const { findings, running } = props;
  const { first, rest } = parted(findings);
  const [all, setAll] = useState(false);
  const [here, setHere] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const title = useId();
  const assessed = findings.some((each) => each.probability !== null);
  // A few rows are no burden: then nothing is folded away.
  const few = first.length === 0 && rest.length <= 4;
  const rows = all || few || !assessed ? [...first, ...rest] : first;
  const focus = (index: number) => {
    const next = Math.max(0, Math.min(rows.length - 1, index));
    setHere(next);
    list.current?.querySelectorAll<HTMLElement>("[data-finding]")[next]?.focus();
  };
  const onKey = (event: React.KeyboardEvent, index: number, name: string) => {
    const plain = !event.ctrlKey && !event.altKey && !event.metaKey;
    if (event.target !== event.currentTarget || !plain) return;
    if (event.key === "ArrowDown") focus(index + 1);
    else if (event.key === "ArrowUp") focus(index - 1);
    else if (event.key === "Home") focus(0);
    else if (event.key === "End") focus(rows.length - 1);
    else if (event.key === "Enter" || event.key === " ") props.pin({ kind: "finding", about: name });
    else if (event.key.toLowerCase() === "a" && props.mayJudge) props.judge(name, "accepted");
    else if ((event.key.toLowerCase() === "x" || event.key === "Delete") && props.mayJudge)
      props.judge(name, "rejected");
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  if (findings.length === 0 && !running) return null;
  const notAssessed = rest.filter((each) => standingOf(each) === "not assessed").length;
  const words = [
    rest.length > notAssessed ? `${rest.length - notAssessed} not seen` : "",
    notAssessed ? `${notAssessed} not assessed` : "",
  ];
  return (
    <section className={styles.findings} aria-labelledby={title}>
      <header className={styles.head}>
        <h2 id={title} className={styles.title}>
          Findings
        </h2>
        {running && findings.length === 0 && <span className={styles.quiet}>being scored…</span>}
        {rest.length > 0 && assessed && !few && (
          <button type="button" className={styles.more} aria-expanded={all} onClick={() => setAll(!all)}>
            {words.filter(Boolean).join(", ")}
            <span className={all ? styles.open : styles.closed}>
              <Chevron />
            </span>
          </button>
        )}
      </header>
      {rows.length > 0 && (
        <ul className={styles.list} ref={list} aria-labelledby={title} data-findings="">
          {rows.map((each, index) => (
            <Row
              key={each.name}
              {...props}
              finding={each}
              tabIndex={index === Math.min(here, rows.length - 1) ? 0 : -1}
              onFocus={() => setHere(index)}
              onKey={(event) => onKey(event, index, each.name)}
            />
          ))}
        </ul>
      )}
      {rows.length === 0 && findings.length > 0 && <p className={styles.none}>Nothing over its operating point.</p>}
    </section>
  );
}

interface RowProps extends FindingsProps {
  finding: ScoredFinding;
  tabIndex: number;
  onFocus(): void;
  onKey(event: React.KeyboardEvent): void;
}

function Row({ finding, verdicts, shown, pinned, mayJudge, point, pin, judge, tabIndex, onFocus, onKey }: RowProps) {
  const about: About = { kind: "finding", about: finding.name };
  const standing = standingOf(finding);
  const verdict = verdicts.get(finding.name);
  const isShown = shown?.kind === "finding" && shown.about === finding.name;
  const isPinned = pinned?.kind === "finding" && pinned.about === finding.name;
  const classes = [styles.row, styles[standing.replace(" ", "-")], isShown ? styles.shown : ""];
  if (verdict === "rejected") classes.push(styles.rejected);
  return (
    <li className={classes.join(" ")} onMouseEnter={() => point(about)} onMouseLeave={() => point(null)}>
      <button
        type="button"
        data-finding={finding.name}
        className={styles.face}
        tabIndex={tabIndex}
        aria-pressed={isPinned}
        aria-label={`${spoken(finding)}${verdict ? `; ${verdict}` : ""}`}
        title={finding.note || undefined}
        onFocus={onFocus}
        onClick={() => pin(about)}
        onKeyDown={onKey}
      >
        <span className={styles.name}>{titleOf(finding.name)}</span>
        <Bar finding={finding} />
        <span className={styles.number}>{finding.probability === null ? "" : probability(finding.probability)}</span>
        <span className={styles.word}>{verdict === "rejected" ? "rejected" : standing}</span>
      </button>
      {mayJudge && standing !== "not assessed" && (
        <span className={styles.judge}>
          <IconButton
            label={`Accept ${titleOf(finding.name)} (A)`}
            size="small"
            excludeFromTabOrder
            onPress={() => judge(finding.name, "accepted")}
          >
            <span className={verdict === "accepted" ? styles.yes : styles.idle}>
              <Check />
            </span>
          </IconButton>
          <IconButton
            label={`Reject ${titleOf(finding.name)} (X): it does not leave with the report`}
            size="small"
            excludeFromTabOrder
            onPress={() => judge(finding.name, "rejected")}
          >
            <span className={verdict === "rejected" ? styles.no : styles.idle}>
              <Close />
            </span>
          </IconButton>
        </span>
      )}
      {standing === "not assessed" && finding.note && <span className={styles.note}>{finding.note}</span>}
    </li>
  );
}

/** 0 to 1 from left to right; the notch is the operating point. */
function Bar({ finding }: { finding: ScoredFinding }) {
  if (finding.probability === null) return <span className={styles.nobar} aria-hidden="true" />;
  return (
    <svg className={styles.bar} viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect className={styles.track} x="0" y="3" width="100" height="4" rx="1" />
      <rect className={styles.value} x="0" y="3" width={finding.probability * 100} height="4" rx="1" />
      {finding.operating_point !== null && (
        <rect className={styles.point} x={finding.operating_point * 100 - 0.6} y="0" width="1.2" height="10" />
      )}
    </svg>
  );
}
