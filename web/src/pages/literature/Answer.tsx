import { api, at } from "../../api/client";
import type { CitedPassage } from "../../api/types";
import { Button } from "../../shell/Button";
import { Table } from "../../shell/Page";
import { saveBlob } from "../../shell/save";
import { ErrorLine, Loading } from "../../shell/states";
import { toast, toastError } from "../../shell/toast";
import styles from "./Literature.module.css";
import type { Shown } from "./stream";

/** An answer as it comes: each mark shows its passage when it is pointed at or pressed. */
export function Answer({
  shown,
  library,
  onPassage,
  mayKeep,
}: {
  shown: Shown;
  library: string;
  onPassage: (passage: CitedPassage, sentence: string) => void;
  mayKeep: boolean;
}) {
  const { answer, passages } = shown;
  const mark = (number: number, sentence: string) => {
    const passage = passages.find((one) => one.number === number);
    if (!passage) return null;
    const where = [passage.heading, passage.page && `page ${passage.page}`].filter(Boolean).join(", ");
    return (
      <button
        key={number}
        type="button"
        className={styles.mark}
        title={`${passage.title}${where ? ` (${where})` : ""}`}
        aria-label={`Passage ${number}: ${passage.title}`}
        onMouseEnter={() => onPassage(passage, sentence)}
        onFocus={() => onPassage(passage, sentence)}
        onClick={() => onPassage(passage, sentence)}
      >
        {number}
      </button>
    );
  };
  const papers = [...new Set(passages.map((one) => String(one.paper)))];
  const save = (format: string, name: string) =>
    void api
      .blob(at("literature", "libraries", library, "references"), { format, paper: papers })
      .then((blob) => saveBlob(blob, name), toastError);
  return (
    <section aria-label="Answer">
      <div aria-live="polite" className={styles.answer}>
        {shown.sentences.map((sentence, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: sentences only grow at their end
          <span key={index}>
            {sentence.kind === "verbatim" ? (
              <q className={styles.verbatim} title="The paper's own words">
                {sentence.text}
              </q>
            ) : (
              sentence.text
            )}{" "}
            {sentence.references.map((number) => mark(number, sentence.text))}{" "}
          </span>
        ))}
        {shown.state === "asking" && <Loading>Reading the passages</Loading>}
        {answer && !answer.answered && (
          <p>
            <strong>Not enough in this library to answer the question.</strong> Add papers that speak of it, or ask in
            other words.
          </p>
        )}
      </div>
      <ErrorLine error={shown.error} />
      {answer && (
        <>
          {answer.answered && (
            <p className={styles.quiet}>
              {answer.sentences.filter((one) => one.kind === "verbatim").length} of {answer.sentences.length} sentences
              are the papers' own words, in quotation marks
              {answer.model ? `; the rest was written by ${answer.model} and checked against the passages.` : "."}
            </p>
          )}
          {answer.warnings.map((warning) => (
            <p key={warning} className={styles.warning}>
              {warning}
            </p>
          ))}
          {answer.conflicts.length > 0 && (
            <div className={styles.conflicts}>
              <h3 className={styles.heading}>The papers disagree</h3>
              {answer.conflicts.map((conflict) => (
                <p key={conflict.numbers.join()}>
                  <q>{conflict.first}</q> {mark(conflict.numbers[0], conflict.first)} against <q>{conflict.second}</q>{" "}
                  {mark(conflict.numbers[1], conflict.second)}
                </p>
              ))}
            </div>
          )}
          {answer.evidence.length > 0 && (
            <>
              <h3 className={styles.heading}>Evidence</h3>
              <Table label="Evidence" head={["", "Study type", "Year", "Finding"]}>
                {answer.evidence.map((row) => (
                  <tr key={row.number}>
                    <td>{mark(row.number, row.finding)}</td>
                    <td>{row.study_type || "Not known"}</td>
                    <td className={styles.year}>{row.year ?? "Not known"}</td>
                    <td>{row.finding}</td>
                  </tr>
                ))}
              </Table>
            </>
          )}
          {answer.passages.length > 0 && (
            <>
              <h3 className={styles.heading}>References</h3>
              <ol className={styles.references}>
                {answer.passages.map((passage) => (
                  <li key={passage.number} value={passage.number}>
                    {passage.vancouver}
                    {passage.retraction !== "not listed" && (
                      <span className={styles.quiet}> Retraction status: {passage.retraction}.</span>
                    )}
                  </li>
                ))}
              </ol>
              <p className={styles.buttons}>
                <Button size="small" onPress={() => save("ris", "references.ris")}>
                  Save as RIS
                </Button>
                <Button size="small" onPress={() => save("bibtex", "references.bib")}>
                  Save as BibTeX
                </Button>
                {mayKeep && (
                  <Button
                    size="small"
                    onPress={() =>
                      void api
                        .post("/api/literature/answers", { library, answer })
                        .then(() => toast("The answer is saved, for you alone.", { tone: "good" }), toastError)
                    }
                  >
                    Save the answer
                  </Button>
                )}
              </p>
            </>
          )}
          <p className={styles.quiet}>{answer.caution}</p>
        </>
      )}
    </section>
  );
}
