import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, at } from "../../api/client";
import { useSession } from "../../api/queries";
import type { PatientRecord, RecordAnswered } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field } from "../../shell/Field";
import { ErrorLine } from "../../shell/states";
import styles from "./Flags.module.css";
import { Stated } from "./source/Stated";

/** Questions about the record: answers with their sources, or that the record has nothing on it. */
export function AskTab({ record }: { record: PatientRecord }) {
  const [question, setQuestion] = useState("");
  const [answers, setAnswers] = useState<RecordAnswered[]>([]);
  const reads = useSession().data?.user?.role.includes("reader") ?? false;
  const { mutate, isPending, error } = useMutation({
    mutationFn: (asked: string) => api.post<RecordAnswered>(at("patients", record.id, "ask"), { question: asked }),
    onSuccess: (answer) => {
      setAnswers((old) => [answer, ...old].slice(0, 20));
      setQuestion("");
    },
  });
  const send = (event: FormEvent) => {
    event.preventDefault();
    if (question.trim() && !isPending) mutate(question.trim());
  };
  return (
    <div className={styles.flags}>
      {reads ? (
        <form onSubmit={send} className={styles.ask}>
          <Field
            label="Question about this record"
            hideLabel
            placeholder="What is the latest creatinine? Which drugs were stopped?"
            value={question}
            onChange={setQuestion}
            maxLength={2000}
            autoFocus
          />
          <Button type="submit" kind="primary" isDisabled={!question.trim() || isPending}>
            {isPending ? "Reading" : "Ask"}
          </Button>
        </form>
      ) : (
        <p className={styles.none}>Readers ask questions; you may look.</p>
      )}
      <ErrorLine error={error} />
      <div aria-live="polite">
        {answers.map((answer, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the same question may be asked again
          <section key={answers.length - index} className={styles.flag}>
            <h3 className={styles.title}>{answer.question}</h3>
            {!answer.found && <p className={styles.text}>Not in the record. That is not the same as not present.</p>}
            <ul className={styles.list}>
              {answer.statements.map((each) => (
                <li key={each.text} className={styles.text}>
                  <Stated text={each.text} cites={each.cites} />
                </li>
              ))}
            </ul>
            {answer.facts.length > 0 && (
              <>
                <p className={styles.note}>
                  {answer.found ? "Entries that it is about, by rule:" : "Entries of the same kind:"}
                </p>
                <ul className={styles.list}>
                  {answer.facts.map((each) => (
                    <li key={each.text}>
                      <Stated text={each.text} cites={each.cites} />
                    </li>
                  ))}
                </ul>
              </>
            )}
            {answer.struck.map((each) => (
              <p key={each.text} className={styles.note}>
                <Stated text={each.text} cites={each.cites} struck mark="struck:" /> {each.reason}
              </p>
            ))}
            {[...answer.warnings, answer.caution].filter(Boolean).map((each) => (
              <p key={each} className={styles.note}>
                {each}
              </p>
            ))}
          </section>
        ))}
      </div>
    </div>
  );
}
