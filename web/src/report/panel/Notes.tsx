import { useState } from "react";
import type { DraftVersion, SignedReport, Study } from "../../api/types";
import { Button, IconButton } from "../../shell/Button";
import { moment, personName } from "../../shell/format";
import { Alert, Chevron, Close } from "../../shell/icons";
import type { SaveStatus } from "../saving/autosave";
import { sameSections } from "../text/sections";
import type { Streaming } from "../useReport";
import styles from "./Panel.module.css";

export interface NotesProps {
  study: Study;
  draft: DraftVersion | null;
  stream: Streaming;
  hidden: boolean;
  signed: boolean;
  correcting: boolean;
  conflict: SaveStatus["conflict"];
  hasModel: boolean;
  /** Who is signed in. */
  login: string;
  onCompare(): void;
  onTryAgain(): void;
  onDismiss(): void;
}

/** What must be known of the text above it: that it is a draft, whose, and what is wrong with it. */
export function Notes(props: NotesProps) {
  const { study, draft, stream, hidden, signed, correcting, conflict, hasModel } = props;
  const warnings = draft ? draft.warnings.filter((each) => each.sentence.trim() === "") : stream.warnings;
  return (
    <div className={styles.notes}>
      <Mark study={study} draft={draft} signed={signed} correcting={correcting} hidden={hidden} hasModel={hasModel} />
      {conflict && (
        <div className={styles.alert} role="alert">
          <Alert />
          <span>
            {whose(conflict.author, props.login)} saved a newer text
            {conflict.author === props.login && " in another window"}. Both are kept.
          </span>
          <Button size="small" onPress={props.onCompare}>
            Compare
          </Button>
        </div>
      )}
      {stream.state === "failed" && draft === null && !signed && (
        <div className={styles.alert} role="alert">
          <Alert />
          <span>There is no draft: {stream.problem}</span>
          <Button size="small" onPress={props.onTryAgain}>
            Try again
          </Button>
          <IconButton label="Close: I write it myself" size="small" onPress={props.onDismiss}>
            <Close />
          </IconButton>
        </div>
      )}
      {warnings.length > 0 && !hidden && <Warnings texts={warnings.map((each) => each.text)} />}
    </div>
  );
}

/** Who signed a version, and when the last one did. */
function signers(report: SignedReport): string {
  const names = report.signatures.map((each) => personName(each.name)).join(" and ");
  return names ? ` by ${names}, ${moment(report.signatures.at(-1)?.at ?? "")}` : "";
}

function whose(author: string, login: string): string {
  if (author === "(model)") return "The model";
  return author === login ? "You" : author;
}

function Mark(props: {
  study: Study;
  draft: DraftVersion | null;
  signed: boolean;
  correcting: boolean;
  hidden: boolean;
  hasModel: boolean;
}) {
  const { study, draft, signed, correcting, hidden, hasModel } = props;
  const last = study.reports.at(-1);
  if (signed && last && !correcting) {
    const begun = study.text !== null && !sameSections(study.text.sections, last.sections);
    return (
      <p className={styles.signed}>
        Signed{signers(last)}: {last.kind}
        {study.reports.length > 1 ? ` (version ${last.number})` : ""}
        {last.addenda.map((text) => (
          <span key={text} className={styles.addendum}>
            Addendum: {text}
          </span>
        ))}
        {begun && (
          <span className={styles.begun}>
            A correction was begun by {study.text?.author} and is not signed. It is not shown here: “Correct…” goes on
            with it.
          </span>
        )}
      </p>
    );
  }
  if (correcting)
    return <p className={styles.mark}>CORRECTION of the signed report. Nothing leaves before it is signed.</p>;
  const by = draft && !hidden ? `, by ${draft.model}` : "";
  const state =
    study.state === "preliminary" && last
      ? `PRELIMINARY: signed once${signers(last)}. The second signature is another reader's.`
      : `DRAFT: not signed${by}`;
  return (
    <p className={styles.mark}>
      {state}
      {draft?.caution ? <span className={styles.caution}>{draft.caution}</span> : null}
      {!draft && !hidden && !hasModel && <span className={styles.caution}>No model is loaded: write it yourself.</span>}
    </p>
  );
}

function Warnings({ texts }: { texts: string[] }) {
  const [open, setOpen] = useState(texts.length === 1);
  const first = texts.length === 1 ? "1 warning about the draft" : `${texts.length} warnings about the draft`;
  return (
    <div className={styles.warnings}>
      <button type="button" className={styles.fold} aria-expanded={open} onClick={() => setOpen(!open)}>
        <Alert /> {first}
        <span className={open ? styles.up : undefined}>
          <Chevron />
        </span>
      </button>
      {open && (
        <ul>
          {texts.map((each) => (
            <li key={each}>{each}</li>
          ))}
        </ul>
      )}
    </div>
  );
}
