import { useEffect, useRef, useState } from "react";
import { api, at } from "../../api/client";
import type { CitedPassage, Found } from "../../api/types";
import { Button } from "../../shell/Button";
import { Field, Select } from "../../shell/Field";
import { ErrorLine, Loading } from "../../shell/states";
import { Answer } from "./Answer";
import styles from "./Literature.module.css";
import { type Chosen, PassagePane } from "./PassagePane";
import { askLibrary, type Shown } from "./stream";

/** A question, or words to search for, with filters; the answer at the left, the passage it stands on at the right. */
export function Asking({ library, types, mayAsk }: { library: string; types: string[]; mayAsk: boolean }) {
  const [question, setQuestion] = useState("");
  const [since, setSince] = useState("");
  const [until, setUntil] = useState("");
  const [type, setType] = useState("any");
  const [journal, setJournal] = useState("");
  const [shown, setShown] = useState<Shown | null>(null);
  const [found, setFound] = useState<Found | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  const [chosen, setChosen] = useState<Chosen | null>(null);
  const stop = useRef<AbortController>(null);
  useEffect(() => () => stop.current?.abort(), []);
  const year = (text: string) => (/^\d{4}$/.test(text) ? Number(text) : null);
  const begin = () => {
    stop.current?.abort();
    stop.current = new AbortController();
    setError(null);
    setFound(null);
    setShown(null);
    setChosen(null);
    return stop.current.signal;
  };
  const ask = () => {
    const filters = { since: year(since), until: year(until), types: type === "any" ? [] : [type], journal };
    void askLibrary(library, { question, ...filters, written: true }, setShown, begin());
  };
  const search = async () => {
    const signal = begin();
    setBusy(true);
    try {
      const filters = { since: year(since), until: year(until), type: type === "any" ? [] : [type], journal };
      setFound(
        await api.get<Found>(at("literature", "libraries", library, "search"), { q: question, ...filters }, signal),
      );
    } catch (failed) {
      if (!signal.aborted) setError(failed);
    } finally {
      setBusy(false);
    }
  };
  const show = (passage: CitedPassage, sentence: string) =>
    setChosen({ paper: passage.paper, passage: passage.passage, sentence, retraction: passage.retraction });
  return (
    <div className={styles.asking}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          if (question.trim()) mayAsk ? ask() : void search();
        }}
      >
        <Field label="Question or words" value={question} onChange={setQuestion} maxLength={2000} />
        <div className={styles.filters}>
          <Field label="From year" value={since} onChange={setSince} maxLength={4} inputMode="numeric" />
          <Field label="To year" value={until} onChange={setUntil} maxLength={4} inputMode="numeric" />
          <Select
            label="Study type"
            options={[{ id: "any", label: "Any" }, ...types.map((id) => ({ id, label: id }))]}
            value={type}
            onChange={setType}
          />
          <Field label="Journal" value={journal} onChange={setJournal} maxLength={200} />
        </div>
        <div className={styles.buttons}>
          {mayAsk && (
            <Button kind="primary" type="submit" isDisabled={!question.trim()}>
              Ask
            </Button>
          )}
          <Button onPress={() => void search()} isDisabled={!question.trim() || busy}>
            Search passages
          </Button>
          {shown?.state === "asking" && <Button onPress={() => stop.current?.abort()}>Stop</Button>}
        </div>
      </form>
      <div className={styles.panes}>
        <div>
          <ErrorLine error={error} />
          {busy && <Loading>Searching</Loading>}
          {shown && <Answer shown={shown} library={library} onPassage={show} mayKeep={mayAsk} />}
          {found && <Hits found={found} onPassage={setChosen} />}
        </div>
        <PassagePane library={library} chosen={chosen} />
      </div>
    </div>
  );
}

function Hits({ found, onPassage }: { found: Found; onPassage: (chosen: Chosen) => void }) {
  if (found.hits.length === 0) return <p>Nothing was found.</p>;
  return (
    <ol className={styles.hits}>
      {found.hits.map(({ paper, passage }) => (
        <li key={passage.id}>
          <button
            type="button"
            className={styles.cite}
            onClick={() =>
              onPassage({ paper: paper.id, passage: passage.id, sentence: "", retraction: paper.retraction })
            }
          >
            {paper.title}
          </button>
          {paper.retraction === "retracted" && <strong className={styles.retracted}> Retracted</strong>}
          <div className={styles.quiet}>
            {[paper.study_type, paper.year, paper.journal, passage.heading, passage.page && `page ${passage.page}`]
              .filter(Boolean)
              .join(" · ")}
          </div>
          <p className={styles.passage}>{passage.text}</p>
        </li>
      ))}
    </ol>
  );
}
