import { useQueries } from "@tanstack/react-query";
import { type ReactNode, useEffect, useState } from "react";
import { api, at } from "../../api/client";
import { useStudy } from "../../api/queries";
import type { Entry, SeriesImages, SeriesInfo, Study } from "../../api/types";
import { PriorityBadge, StateBadge } from "../../shell/Badge";
import { ActionButton, Button } from "../../shell/Button";
import { age, clock, day, personName, since } from "../../shell/format";
import { ErrorLine } from "../../shell/states";
import { noticeOf } from "./columns";
import styles from "./Preview.module.css";

interface PreviewProps {
  entry: Entry | undefined;
  now: number;
  onOpen: (study: string) => void;
}

/** The marked study beside the list: looked at, not opened. */
export function Preview({ entry, now, onOpen }: PreviewProps) {
  // A look is in the audit trail: passing over a row with the arrow keys is none.
  const [looked, setLooked] = useState("");
  const marked = entry?.study ?? "";
  useEffect(() => {
    const timer = setTimeout(() => setLooked(marked), 300);
    return () => clearTimeout(timer);
  }, [marked]);
  const { data, error } = useStudy(looked, { enabled: looked !== "" && looked === marked });
  const study = data?.study === marked ? data : undefined;
  return (
    <aside className={styles.preview} aria-label="Preview">
      {entry ? (
        <>
          <header className={styles.header}>
            <h2 className={styles.name}>{personName(entry.patient_name) || "No name"}</h2>
            <p className={styles.quiet}>
              {[entry.patient_id, age(entry.age), entry.sex, day(entry.birth_date) && `born ${day(entry.birth_date)}`]
                .filter(Boolean)
                .join(" · ")}
            </p>
            <p className={styles.badges}>
              <PriorityBadge entry={entry} /> <StateBadge state={entry.state} />
            </p>
            {entry.reason && <p className={styles.reason}>{entry.reason}</p>}
            <div className={styles.buttons}>
              <Button kind="primary" onPress={() => onOpen(entry.study)}>
                Open
              </Button>
              <ActionButton action="worklist.beside">Second window</ActionButton>
            </div>
          </header>
          <Part title="Study">
            <p className={styles.text}>{entry.description || "No description"}</p>
            <p className={styles.quiet}>
              {[
                entry.modalities.join(", "),
                `${day(entry.date)} ${clock(entry.time)}`.trim(),
                `${entry.images} ${entry.images === 1 ? "image" : "images"}`,
                entry.accession && `accession ${entry.accession}`,
              ]
                .filter(Boolean)
                .join(" · ")}
            </p>
            <p className={styles.quiet}>
              Arrived {since(entry.arrived_at, now) === "just now" ? "just now" : `${since(entry.arrived_at, now)} ago`}
              {entry.opened_by && `, open by ${entry.opened_by}`}
            </p>
            {noticeOf(entry) && <p className={styles.notice}>{noticeOf(entry)}</p>}
          </Part>
          <ErrorLine error={looked === marked ? error : null} />
          {study ? <Details study={study} /> : <div className={styles.thumbnails} aria-hidden="true" />}
        </>
      ) : (
        <p className={styles.none}>Mark a study to see its images, its order and the impression of its draft.</p>
      )}
    </aside>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={styles.part}>
      <h3 className={styles.title}>{title}</h3>
      {children}
    </section>
  );
}

function Details({ study }: { study: Study }) {
  const signed = study.reports.at(-1);
  const impression = signed?.sections.impression || study.text?.sections.impression;
  const { order, about } = study;
  return (
    <>
      <Thumbnails study={study.study} series={study.series} />
      {(order || about.referrer) && (
        <Part title="Order">
          {order && <p className={styles.text}>{[order.procedure, order.reason].filter(Boolean).join(". ")}</p>}
          <p className={styles.quiet}>
            {[
              order && `Urgency ${order.urgency}`,
              personName(order?.referrer || about.referrer) && `from ${personName(order?.referrer || about.referrer)}`,
            ]
              .filter(Boolean)
              .join(", ")}
          </p>
        </Part>
      )}
      <Part
        title={
          signed
            ? "Impression, signed"
            : study.text && study.text.draft === 0
              ? "Impression"
              : "Impression of the draft"
        }
      >
        <p className={styles.text}>{impression || "None yet."}</p>
        {!signed && study.text?.author && study.text.number === null && (
          <p className={styles.quiet}>Not saved as text yet.</p>
        )}
      </Part>
      {study.priors.length > 0 && (
        <Part title="Other studies of the patient">
          <ul className={styles.priors}>
            {study.priors.slice(0, 5).map((prior) => (
              <li key={prior.study}>
                {day(prior.date)} {prior.description}
                {!prior.certain && " (possible)"}
              </li>
            ))}
          </ul>
        </Part>
      )}
    </>
  );
}

/** At most six: each series by its middle image, or all images of a study with few. */
function Thumbnails({ study, series }: { study: string; series: SeriesInfo[] }) {
  const shown = series.filter((one) => one.images > 0).slice(0, 6);
  const answers = useQueries({
    queries: shown.map((one) => ({
      queryKey: [at("studies"), study, "series", one.uid],
      queryFn: ({ signal }: { signal: AbortSignal }) =>
        api.get<SeriesImages>(at("studies", study, "series", one.uid), undefined, signal),
      staleTime: 60_000,
    })),
  });
  const images = answers.flatMap(({ data }) => {
    if (!data) return [];
    const uids = [...new Set(data.images.map((image) => image.uid))];
    return uids.length <= 2 ? uids : [uids[Math.floor(uids.length / 2)] ?? ""];
  });
  return (
    <div className={styles.thumbnails}>
      {images
        .filter(Boolean)
        .slice(0, 6)
        .map((uid, index) => (
          <img
            key={uid}
            src={at("images", uid, "thumbnail")}
            alt={`${index + 1} of the study`}
            className={styles.thumbnail}
          />
        ))}
    </div>
  );
}
