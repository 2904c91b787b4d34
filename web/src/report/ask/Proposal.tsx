import { type FormEvent, useEffect, useRef, useState } from "react";
import { api, at } from "../../api/client";
import type { Regenerated, SectionName } from "../../api/types";
import { Button, IconButton } from "../../shell/Button";
import { Field, Select } from "../../shell/Field";
import { Close } from "../../shell/icons";
import { ErrorLine } from "../../shell/states";
import { DiffText } from "../conflict/DiffText";
import { TITLES, WRITTEN } from "../text/sections";
import styles from "./Ask.module.css";

export interface ProposalProps {
  study: string;
  section: SectionName;
  text(section: SectionName): string;
  onAccept(section: SectionName, text: string): void;
  onClose(): void;
}

/** Let the model write a section anew; what it writes is shown beside the text that stands, and taken only by the reader. */
export function Proposal({ study, section: first, text, onAccept, onClose }: ProposalProps) {
  const [section, setSection] = useState<SectionName>(WRITTEN.includes(first) ? first : "findings");
  const [hint, setHint] = useState("");
  const [made, setMade] = useState<Regenerated | null>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.querySelector<HTMLInputElement>("input")?.focus(), []);
  const write = async (event: FormEvent) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    setMade(null);
    try {
      setMade(await api.post<Regenerated>(at("studies", study, "sections", section, "regenerate"), { hint }));
    } catch (thrown) {
      setError(thrown);
    }
    setBusy(false);
  };
  const options = WRITTEN.map((each) => ({ id: each, label: TITLES[each] }));
  return (
    <section className={styles.ask} aria-label="Write a section anew" ref={place}>
      <form className={styles.anew} onSubmit={write}>
        <Select label="Section" hideLabel options={options} value={section} onChange={setSection} isDisabled={busy} />
        <Field
          label="Hint for the model"
          hideLabel
          placeholder="Hint, as “shorter” (optional)"
          value={hint}
          onChange={setHint}
          isDisabled={busy}
        />
        <Button type="submit" isDisabled={busy}>
          {busy ? "Writing…" : "Write anew"}
        </Button>
        <IconButton label="Close the proposal" onPress={onClose}>
          <Close />
        </IconButton>
      </form>
      <ErrorLine error={error} />
      {made && (
        <article className={styles.answer} aria-live="polite">
          <h3 className={styles.question}>Proposal for {TITLES[made.section].toLowerCase()}</h3>
          <DiffText before={text(made.section)} after={made.text} />
          {made.warnings.map((warning) => (
            <p key={warning} className={styles.warning}>
              Warning: {warning}
            </p>
          ))}
          <footer className={styles.foot}>
            <span>Not in the report yet.</span>
            <span className={styles.pair}>
              <Button size="small" onPress={() => setMade(null)}>
                Discard
              </Button>
              <Button size="small" kind="primary" onPress={() => onAccept(made.section, made.text)}>
                Accept
              </Button>
            </span>
          </footer>
        </article>
      )}
    </section>
  );
}
