import { useEffect, useState } from "react";
import type { SeriesInfo } from "../../api/types";
import { seriesImages, thumbnailOf } from "../pixels/images";
import { useObserved } from "../state/observable";
import type { Session } from "../state/session";
import { priorWords } from "../types";
import { carry } from "./carried";
import { Documents, type Read } from "./Documents";
import styles from "./SeriesStrip.module.css";

/** The study's series, and the earlier study's, to be opened in the active pane. */
export function SeriesStrip({ session }: { session: Session }) {
  useObserved(session);
  const { prior } = session;
  const [read, setRead] = useState<Read | null>(null);
  return (
    <nav className={styles.strip} aria-label="Series">
      {prior && <h3 className={styles.heading}>This study</h3>}
      <Entries session={session} study={session.study} series={session.series} onRead={setRead} />
      {prior && (
        <>
          <h3 className={`${styles.heading} ${styles.prior}`}>{priorWords(prior)}</h3>
          <Entries session={session} study={prior.study} series={prior.series} onRead={setRead} />
        </>
      )}
      {read && <Documents read={read} onClose={() => setRead(null)} />}
    </nav>
  );
}

function counted({ frames, objects }: SeriesInfo): string {
  if (frames === 0) return objects === 1 ? "1 document" : `${objects} documents`;
  return frames === 1 ? "1 image" : `${frames} images`;
}

interface EntriesProps {
  session: Session;
  study: string;
  series: SeriesInfo[];
  onRead(read: Read): void;
}

function Entries({ session, study, series, onRead }: EntriesProps) {
  if (series.length === 0) return <p className={styles.none}>No series.</p>;
  return series.map((each) => {
    const open = session.open.some((pane) => pane.study === study && pane.series === each.uid);
    const active = session.pane.study === study && session.pane.series === each.uid;
    const documents = each.frames === 0;
    return (
      <button
        key={each.uid}
        type="button"
        className={`${styles.entry} ${active ? styles.active : open ? styles.open : ""}`}
        aria-current={active}
        aria-haspopup={documents ? "dialog" : undefined}
        title={
          documents
            ? `Read: ${each.description || counted(each)}`
            : `${each.description}: click for the pane in hand, or drag to another`
        }
        draggable={!documents}
        onDragStart={(event) => carry(event.dataTransfer, { study, series: each.uid })}
        onClick={() =>
          documents ? onRead({ study, series: each }) : session.openSeries(session.pane, study, each.uid)
        }
      >
        <Thumbnail study={study} series={each} />
        <span className={styles.name}>{each.description || each.body_part || `Series ${each.number}`}</span>
        <span className={styles.count}>
          {each.modality} · {counted(each)}
        </span>
      </button>
    );
  });
}

function Thumbnail({ study, series }: { study: string; series: SeriesInfo }) {
  const [source, setSource] = useState("");
  const [broken, setBroken] = useState(false);
  useEffect(() => {
    let gone = false;
    setSource("");
    setBroken(false);
    if (series.frames === 0) return;
    seriesImages(study, series.uid).then(
      ({ images }) => {
        const middle = images[Math.floor(images.length / 2)];
        if (!gone && middle) setSource(thumbnailOf(middle.uid));
      },
      () => !gone && setBroken(true),
    );
    return () => {
      gone = true;
    };
  }, [study, series.uid, series.frames]);
  return (
    <span className={styles.picture}>
      {source && !broken ? (
        <img src={source} alt="" loading="lazy" draggable={false} onError={() => setBroken(true)} />
      ) : (
        <span>{series.modality}</span>
      )}
    </span>
  );
}
