import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useDeferredValue, useState } from "react";
import { api, at } from "../../../api/client";
import type { PatientRecord, RecordKind, TimelineEntry, TimelinePage } from "../../../api/types";
import { Badge } from "../../../shell/Badge";
import { Button } from "../../../shell/Button";
import { Field } from "../../../shell/Field";
import { moment } from "../../../shell/format";
import { ErrorState, Loading } from "../../../shell/states";
import { useSource } from "../source/source";
import { Axis } from "./Axis";
import type { Span } from "./axis";
import styles from "./Timeline.module.css";

const ORDER: RecordKind[] = [
  "encounter",
  "condition",
  "medication",
  "allergy",
  "procedure",
  "measurement",
  "report",
  "note",
  "order",
  "plan",
  "immunization",
  "family history",
  "other",
];
const PAGE = 100;

/** Everything that the record states, along time: zoomed, filtered by kind and words, each entry with its source. */
export function TimelineTab({ record }: { record: PatientRecord }) {
  const [chosen, setChosen] = useState<readonly RecordKind[]>([]);
  const [text, setText] = useState("");
  const words = useDeferredValue(text.trim());
  const [span, setSpan] = useState<Span | null>(null);
  const [shown, setShown] = useState(PAGE);
  const query = {
    kind: chosen,
    text: words,
    start: span ? new Date(span.from).toISOString() : "",
    end: span ? new Date(span.to).toISOString() : "",
    limit: Math.min(shown, 500),
  };
  const { data, error, refetch } = useQuery({
    queryKey: [at("patients"), record.id, "timeline", query],
    queryFn: ({ signal }) => api.get<TimelinePage>(at("patients", record.id, "timeline"), query, signal),
    placeholderData: keepPreviousData,
    staleTime: 30_000,
  });
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  const time = (iso: string | null) => (iso ? new Date(iso).getTime() : 0);
  const whole = { from: time(data.first), to: time(data.last) };
  const kinds = ORDER.filter((kind) => data.kinds[kind]);
  const toggle = (kind: RecordKind) => {
    setChosen(chosen.includes(kind) ? chosen.filter((one) => one !== kind) : [...chosen, kind]);
    setShown(PAGE);
  };
  return (
    <div className={styles.tab}>
      <div className={styles.filters}>
        <Field
          label="Words"
          hideLabel
          placeholder="Filter by words"
          value={text}
          onChange={(next) => {
            setText(next);
            setShown(PAGE);
          }}
          maxLength={200}
        />
        {kinds.map((kind) => (
          <button
            key={kind}
            type="button"
            className={styles.kind}
            aria-pressed={chosen.includes(kind)}
            onClick={() => toggle(kind)}
          >
            {kind} <span className={styles.count}>{data.kinds[kind]}</span>
          </button>
        ))}
        {(chosen.length > 0 || text) && (
          <Button
            size="small"
            kind="ghost"
            onPress={() => {
              setChosen([]);
              setText("");
            }}
          >
            Clear
          </Button>
        )}
      </div>
      {data.first && data.last && (
        <Axis
          page={data}
          span={span ?? whole}
          whole={whole}
          kinds={chosen.length > 0 ? kinds.filter((kind) => chosen.includes(kind)) : kinds}
          onSpan={(next) => {
            setSpan(next.from <= whole.from && next.to >= whole.to ? null : next);
            setShown(PAGE);
          }}
        />
      )}
      <p className={styles.sum} role="status">
        {data.total === 0
          ? "No entry fits."
          : `${data.total} ${data.total === 1 ? "entry" : "entries"}, the newest first`}
        {data.undated > 0 && `; ${data.undated} at an unknown time, at the end`}
      </p>
      <ol className={styles.list}>
        {data.entries.map((entry, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one observation share its id
          <Row key={`${entry.id} ${index}`} entry={entry} />
        ))}
      </ol>
      {data.total > data.entries.length && (
        <p className={styles.sum}>
          {shown < 500 ? (
            <Button size="small" onPress={() => setShown(shown + 200)}>
              Show older entries
            </Button>
          ) : (
            "Zoom or filter to see the older entries."
          )}
        </p>
      )}
    </div>
  );
}

function Row({ entry }: { entry: TimelineEntry }) {
  const source = useSource();
  const exact = entry.precision === "minute" || entry.precision === "second";
  const when = exact ? moment(entry.start) : entry.time || "no date";
  return (
    <li className={`${styles.entry} ${source.pinned && source.ids.includes(entry.id) ? styles.chosen : ""}`}>
      <time className={styles.when} title={entry.known ? `${entry.time}; known since ${entry.known}` : entry.time}>
        {when}
      </time>
      <span className={styles.what}>{entry.kind}</span>
      <button
        type="button"
        className={styles.open}
        onClick={() => source.pin([entry.id])}
        onFocus={() => source.peek([entry.id])}
      >
        <strong className={entry.negated ? styles.negated : ""}>{entry.title}</strong>{" "}
        <span className={styles.detail}>{entry.detail}</span>
      </button>
      {entry.abnormal && <Badge tone="urgent">abnormal</Badge>}
      {entry.negated && <Badge>not so</Badge>}
    </li>
  );
}
