import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { SavedAnswer } from "../../api/types";
import { Button } from "../../shell/Button";
import { moment } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { toastError } from "../../shell/toast";
import { Answer } from "./Answer";
import styles from "./Literature.module.css";
import { type Chosen, PassagePane } from "./PassagePane";

/** The answers that the user kept; nothing else is kept of questions. */
export function Saved() {
  const queries = useQueryClient();
  const { data, error, refetch } = useGet<SavedAnswer[]>("/api/literature/answers", {}, { staleTime: 0 });
  const [open, setOpen] = useState(0);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  if (data.length === 0)
    return <EmptyState title="No answer is saved">Nothing is kept of your questions otherwise.</EmptyState>;
  const one = data.find((saved) => saved.number === open);
  return (
    <div className={styles.panes}>
      <div>
        {data.map((saved) => (
          <div key={saved.number} className={styles.saved}>
            <button
              type="button"
              className={styles.cite}
              onClick={() => setOpen(saved.number === open ? 0 : saved.number)}
            >
              {saved.question}
            </button>{" "}
            <span className={styles.quiet}>
              {saved.library}, {moment(saved.saved_at)}
            </span>{" "}
            <Button
              size="small"
              kind="ghost"
              onPress={() =>
                void api
                  .remove(at("literature", "answers", saved.number))
                  .then(() => queries.invalidateQueries({ queryKey: ["/api/literature/answers"] }), toastError)
              }
            >
              Remove
            </Button>
            {saved === one && (
              <Answer
                shown={{
                  state: "done",
                  question: saved.question,
                  sentences: saved.answer.sentences,
                  passages: saved.answer.passages,
                  answer: saved.answer,
                  error: null,
                }}
                library={saved.library}
                mayKeep={false}
                onPassage={(passage, sentence) =>
                  setChosen({
                    paper: passage.paper,
                    passage: passage.passage,
                    sentence,
                    retraction: passage.retraction,
                  })
                }
              />
            )}
          </div>
        ))}
      </div>
      {one && <PassagePane library={one.library} chosen={chosen} />}
    </div>
  );
}
