import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { useActions } from "../../actions/registry";
import { api, at } from "../../api/client";
import type { PatientRecord } from "../../api/types";
import { bytes } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { Tabs } from "../../shell/Tabs";
import { useTitle } from "../../shell/useTitle";
import { AskTab } from "./AskTab";
import { Flags } from "./Flags";
import { Overview } from "./Overview";
import styles from "./Patient.module.css";
import { PatientHeader } from "./PatientHeader";
import { SourcePane } from "./source/SourcePane";
import { SourceContext } from "./source/source";
import { SummaryTab } from "./summary/SummaryTab";
import { TimelineTab } from "./timeline/TimelineTab";
import { TrendsTab } from "./trends/TrendsTab";

const TABS = ["summary", "timeline", "trends", "flags", "ask"];

/** A patient's record on one page; every statement leads to the resource that it rests on. */
export default function Patient() {
  const { id = "" } = useParams();
  const known = /^\d{1,9}$/.test(id);
  useTitle("Patient");
  const { data, error, refetch } = useQuery<PatientRecord>({
    queryKey: [at("patients"), Number(id)],
    queryFn: ({ signal }) => api.get<PatientRecord>(at("patients", id), undefined, signal),
    enabled: known,
    // While it is read the page asks how far it is.
    refetchInterval: ({ state }) => (state.data?.state === "reading" ? 1000 : false),
  });
  if (!known) return <EmptyState title="There is no such record" />;
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  return <Shown key={data.id} record={data} retry={() => void refetch()} />;
}

function Shown({ record, retry }: { record: PatientRecord; retry: () => void }) {
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const tab = TABS.includes(params.get("tab") ?? "") ? (params.get("tab") ?? "summary") : "summary";
  const [ids, setIds] = useState<readonly string[]>([]);
  const [pinned, setPinned] = useState(false);
  const source = useMemo(
    () => ({
      ids,
      pinned,
      peek: (next: readonly string[]) => !pinned && setIds(next),
      pin: (next: readonly string[]) => {
        setIds(next);
        setPinned(true);
      },
      close: () => {
        setIds([]);
        setPinned(false);
      },
    }),
    [ids, pinned],
  );
  const go = (next: string) => {
    const changed = new URLSearchParams(params);
    changed.set("tab", next);
    setParams(changed, { replace: true });
  };
  const ready = record.state === "ready";
  useActions({
    "patient.summary": ready && (() => go("summary")),
    "patient.timeline": ready && (() => go("timeline")),
    "patient.trends": ready && (() => go("trends")),
    "patient.flags": ready && (() => go("flags")),
    "patient.ask": ready && (() => go("ask")),
    "patient.print": ready && (() => void navigate(`/patient/${record.id}/print?form=ipass`)),
    "patient.close": ids.length > 0 && source.close,
  });
  return (
    <SourceContext.Provider value={source}>
      <div className={styles.page}>
        <PatientHeader record={record} />
        {record.stale && ready && (
          <p className={styles.note} role="status">
            This record learned nothing for a month{record.as_of ? ` (up to ${record.as_of.slice(0, 10)})` : ""}. Flags
            and "lately" count back from then.
          </p>
        )}
        {record.state === "reading" ? (
          <div className={styles.state}>
            <Loading>
              Reading the record
              {record.reading &&
                `, ${bytes(record.reading.bytes)}: ${record.reading.stage} for ${Math.round(record.reading.seconds)} s`}
            </Loading>
          </div>
        ) : record.state === "failed" ? (
          <div className={styles.state}>
            <ErrorState error={record.problem} title="This record cannot be read" retry={retry} />
          </div>
        ) : (
          <div className={styles.columns}>
            {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard */}
            <section className={styles.left} aria-label="What stands" tabIndex={0}>
              <Overview record={record} />
            </section>
            <div className={styles.center}>
              <Tabs
                label="Record"
                selected={tab}
                onSelect={go}
                tabs={[
                  { id: "summary", label: "Summary", content: <SummaryTab record={record} /> },
                  { id: "timeline", label: "Timeline", content: <TimelineTab record={record} /> },
                  { id: "trends", label: "Trends", content: <TrendsTab record={record} /> },
                  { id: "flags", label: "Flags", content: <Flags record={record} /> },
                  { id: "ask", label: "Ask", content: <AskTab record={record} /> },
                ]}
              />
            </div>
            <SourcePane record={record.id} />
          </div>
        )}
      </div>
    </SourceContext.Provider>
  );
}
