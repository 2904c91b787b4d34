import { useEffect, useState } from "react";
import type { OtherObject, OutsideDocument, SeriesInfo } from "../../api/types";
import { Button } from "../../shell/Button";
import { Dialog } from "../../shell/Dialog";
import { Loading } from "../../shell/states";
import { documentOf, pdfOf, seriesImages } from "../pixels/images";
import styles from "./Documents.module.css";

/** A series without images that is to be read. */
export interface Read {
  study: string;
  series: SeriesInfo;
}

/** The documents of a series: reports and presentation states as text, a PDF in a tab of its own. */
export function Documents({ read: { study, series }, onClose }: { read: Read; onClose(): void }) {
  const [objects, setObjects] = useState<OtherObject[] | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let gone = false;
    seriesImages(study, series.uid).then(
      ({ other }) => !gone && setObjects(other),
      (error: unknown) => !gone && setProblem(error instanceof Error ? error.message : "The series cannot be read."),
    );
    return () => {
      gone = true;
    };
  }, [study, series.uid]);
  return (
    <Dialog title={series.description || "Documents"} isOpen onClose={onClose} size="medium" scrolls>
      {problem && <p role="alert">{problem}</p>}
      {!problem && !objects && <Loading>Looking for documents</Loading>}
      {objects?.length === 0 && <p>This series holds nothing that can be read here.</p>}
      <ul className={styles.list}>
        {objects?.map((each) => (
          <li key={each.uid} className={styles.item}>
            <h3 className={styles.title}>{each.label}</h3>
            {each.kind === "document" ? (
              <Button size="small" onPress={() => window.open(pdfOf(each.uid), "_blank", "noopener")}>
                Open the PDF in a new tab
              </Button>
            ) : each.kind === "other" ? (
              <p className={styles.quiet}>It is of a kind that is not shown here; it stays in the store.</p>
            ) : (
              <Outside uid={each.uid} />
            )}
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function Outside({ uid }: { uid: string }) {
  const [read, setRead] = useState<OutsideDocument | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let gone = false;
    documentOf(uid).then(
      (found) => !gone && setRead(found),
      (error: unknown) => !gone && setProblem(error instanceof Error ? error.message : "The document cannot be read."),
    );
    return () => {
      gone = true;
    };
  }, [uid]);
  if (problem) return <p role="alert">{problem}</p>;
  if (!read) return <Loading>Reading</Loading>;
  return (
    <>
      <p className={styles.quiet}>
        {[read.maker && `by ${read.maker}`, read.verified ? "verified there" : "not verified", "read-only"]
          .filter(Boolean)
          .join(", ")}
      </p>
      <ul className={styles.lines}>
        {read.lines.map((line, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the lines of a document stay as they are
          <li key={at} style={{ paddingLeft: `${Math.min(line.depth, 8) * 14}px` }}>
            {line.name && <b>{line.name}</b>}
            {line.name && line.text && ": "}
            {line.text}
          </li>
        ))}
      </ul>
      {read.lines.length === 0 && (
        <p className={styles.quiet}>
          {read.graphics.length === 0
            ? "It holds no text."
            : `${read.graphics.length} ${read.graphics.length === 1 ? "mark" : "marks"} on the images, shown there.`}
        </p>
      )}
    </>
  );
}
