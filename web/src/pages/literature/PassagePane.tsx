import { useEffect, useRef } from "react";
import { at } from "../../api/client";
import { useGet } from "../../api/queries";
import type { PaperText } from "../../api/types";
import { ErrorLine, Loading } from "../../shell/states";
import styles from "./Literature.module.css";

export interface Chosen {
  paper: number;
  passage: number;
  /** The sentence of the answer that stands on it, "" for none. */
  sentence: string;
  retraction: string;
}

/** The exact passage, in its section, with the sentence marked that the answer took from it. */
export function PassagePane({ library, chosen }: { library: string; chosen: Chosen | null }) {
  const { data, error } = useGet<PaperText>(
    at("literature", "libraries", library, "papers", chosen?.paper ?? 0),
    {},
    { enabled: chosen !== null, staleTime: 300_000 },
  );
  const place = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (data && chosen) place.current?.scrollIntoView({ block: "nearest" });
  }, [data, chosen]);
  const passage = data?.passages.find((one) => one.id === chosen?.passage);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
    <aside className={styles.pane} aria-label="Passage" tabIndex={0}>
      {!chosen ? (
        <p className={styles.quiet}>
          Point at a number of the answer, or press it, to see the passage that it stands on.
        </p>
      ) : !data || !passage ? (
        <>
          <ErrorLine error={error} />
          {!error && <Loading />}
        </>
      ) : (
        <>
          <h3 className={styles.heading}>{data.paper.title}</h3>
          {chosen.retraction === "retracted" && <strong className={styles.retracted}>Retracted</strong>}
          <p className={styles.quiet}>{data.paper.reference}</p>
          <p className={styles.place}>
            {[passage.heading || "No heading", passage.page !== null && `page ${passage.page}`]
              .filter(Boolean)
              .join(", ")}
          </p>
          {data.passages
            .filter((one) => one.section === passage.section)
            .map((one) => (
              <p
                key={one.id}
                ref={one.id === passage.id ? place : undefined}
                className={one.id === passage.id ? styles.here : styles.quiet}
              >
                <Marked text={one.text} part={one.id === passage.id ? chosen.sentence : ""} />
              </p>
            ))}
        </>
      )}
    </aside>
  );
}

function Marked({ text, part }: { text: string; part: string }) {
  const at = part ? text.indexOf(part) : -1;
  if (at < 0) return text;
  return (
    <>
      {text.slice(0, at)}
      <mark className={styles.sentence}>{part}</mark>
      {text.slice(at + part.length)}
    </>
  );
}
