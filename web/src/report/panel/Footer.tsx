import { CATALOGUE, chordsOf, perform, useOffered } from "../../actions/registry";
import { usePreferences } from "../../api/queries";
import type { Study } from "../../api/types";
import { ActionButton, Button } from "../../shell/Button";
import { clock } from "../../shell/format";
import { Dots } from "../../shell/icons";
import { KeysContext } from "../../shell/Keys";
import { Menu, type MenuEntry } from "../../shell/Menu";
import type { SaveStatus } from "../saving/autosave";
import type { Streaming } from "../useReport";
import styles from "./Panel.module.css";

export interface FooterProps {
  study: Study;
  status: SaveStatus;
  stream: Streaming;
  mayWrite: boolean;
  signed: boolean;
  correcting: boolean;
  maySign: boolean;
  onLeaveCorrection(): void;
}

/** Whether it is saved, and what comes next. */
export function Footer(props: FooterProps) {
  const { study, status, stream, mayWrite, maySign, signed, correcting, onLeaveCorrection } = props;
  return (
    <footer className={styles.footer}>
      <div className={styles.state}>
        {mayWrite ? <Saving status={status} stream={stream} /> : <span>{readOnly(study, signed)}</span>}
        <Acts />
      </div>
      <div className={styles.buttons}>
        {signed && !correcting && (
          <>
            {study.may.addend && <ActionButton action="study.addendum">Addendum…</ActionButton>}
            {study.may.correct && <ActionButton action="study.correct">Correct…</ActionButton>}
            <ActionButton action="study.out">What left</ActionButton>
          </>
        )}
        {correcting && <Button onPress={onLeaveCorrection}>Leave the correction</Button>}
        <KeysContext value={true}>
          <ActionButton action="study.next">Next</ActionButton>
          {maySign && <ActionButton action="study.signnext">Sign and next</ActionButton>}
        </KeysContext>
        {maySign && (
          <ActionButton action="study.sign" kind="primary">
            Sign…
          </ActionButton>
        )}
      </div>
    </footer>
  );
}

function readOnly(study: Study, signed: boolean): string {
  if (signed) return "Signed: the text cannot be changed.";
  if (study.state === "preliminary") return "Signed once: the second signature is another reader's.";
  return "You may read, not write.";
}

function Saving({ status, stream }: { status: SaveStatus; stream: Streaming }) {
  const saved = status.savedAt ? new Date(status.savedAt).toTimeString() : "";
  const words: Record<SaveStatus["state"], string> = {
    clean: status.conflict ? "Kept beside the newer text" : saved ? `Saved ${clock(saved)}` : "Saved",
    dirty: "Not saved yet",
    held: "Saved when the draft has ended",
    saving: "Saving…",
    waiting: `Not saved: ${status.problem} It is tried again by itself.`,
    refused: `Not saved: ${status.problem}`,
  };
  const bad = status.state === "waiting" || status.state === "refused";
  if (stream.state === "running") return <span role="status">The draft is being written…</span>;
  return (
    <span role="status" className={bad ? styles.bad : undefined}>
      {words[status.state]}
    </span>
  );
}

const ACTS = [
  "study.insert",
  "study.normal",
  "study.regenerate",
  "study.ask",
  "-",
  "study.history",
  "study.critical",
  "study.out",
  "-",
  "study.addendum",
  "study.correct",
  "editor.find",
] as const;

/** All that can be done here, with its keys. */
function Acts() {
  const offered = useOffered();
  const [preferences] = usePreferences();
  const entries = ACTS.flatMap((id): (MenuEntry | "-")[] => {
    if (id === "-") return ["-"];
    const action = CATALOGUE.get(id);
    if (action === undefined || !offered.includes(id)) return [];
    const [chord] = chordsOf(action, preferences.keys);
    return [{ id, label: action.title, chord, run: () => void perform(id) }];
  });
  return (
    <Menu
      label="Acts"
      trigger={
        <Button size="small" kind="ghost" aria-label="What can be done with the report">
          <Dots />
        </Button>
      }
      entries={entries}
    />
  );
}
