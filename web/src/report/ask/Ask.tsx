import { type FormEvent, useEffect, useRef, useState } from "react";
import { api, at } from "../../api/client";
import type { Answered } from "../../api/types";
import { Button, IconButton } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { Close } from "../../shell/icons";
import { ErrorLine } from "../../shell/states";
import styles from "./Ask.module.css";

export interface AskProps {
  study: string;
  /** On the screen now; null: none, and the model chooses. */
  image: string | null;
  mayInsert: boolean;
  onInsert(text: string): void;
  onClose(): void;
}

/** Ask the model about the image that is on the screen. Answers are drafts too: nothing goes into the report by itself. */
export function Ask({ study, image, mayInsert, onInsert, onClose }: AskProps) {
  const [question, setQuestion] = useState("");
  const [answers, setAnswers] = useState<(Answered & { id: number })[]>([]);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.querySelector<HTMLInputElement>("input")?.focus(), []);
  const ask = async (event: FormEvent) => {
    event.preventDefault();
    if (question.trim() === "" || busy) return;
    setBusy(true);
    setError(null);
    try {
      const body = { question, images: image ? [image] : [] };
      const answer = await api.post<Answered>(at("studies", study, "ask"), body);
      setAnswers((before) => [{ ...answer, id: before.length }, ...before]);
      setQuestion("");
    } catch (thrown) {
      setError(thrown);
    }
    setBusy(false);
  };
  return (
    <section className={styles.ask} aria-label="Ask about the image" ref={place}>
      <form className={styles.form} onSubmit={ask}>
        <Field
          label="Question about the image"
          hideLabel
          placeholder="Ask about the image on the screen"
          value={question}
          onChange={setQuestion}
          isDisabled={busy}
        />
        <Button type="submit" isDisabled={busy || question.trim() === ""}>
          {busy ? "Asking…" : "Ask"}
        </Button>
        <IconButton label="Close the questions" onPress={onClose}>
          <Close />
        </IconButton>
      </form>
      <ErrorLine error={error} />
      <div aria-live="polite">
        {answers.map((each) => (
          <article key={each.id} className={styles.answer}>
            <h3 className={styles.question}>{each.question}</h3>
            <p className={each.answered ? styles.text : styles.refused}>{each.answer}</p>
            {each.warnings.map((warning) => (
              <p key={warning} className={styles.warning}>
                Warning: {warning}
              </p>
            ))}
            <footer className={styles.foot}>
              <span>
                {each.model}: unsigned answer{each.caution && `, ${each.caution}`}
              </span>
              {mayInsert && each.answered && (
                <Button size="small" kind="ghost" onPress={() => onInsert(each.answer)}>
                  Insert at the cursor
                </Button>
              )}
            </footer>
          </article>
        ))}
      </div>
    </section>
  );
}
