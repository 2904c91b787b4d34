import { keepPreviousData, useQuery, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { useActions } from "../../actions/registry";
import { api } from "../../api/client";
import { useLive } from "../../api/live";
import { useSession } from "../../api/queries";
import type { Alarm, AlarmActName, AlarmState, AlarmsPage } from "../../api/types";
import { Badge } from "../../shell/Badge";
import { Button } from "../../shell/Button";
import { Field, Select } from "../../shell/Field";
import { moment } from "../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../shell/states";
import { Tabs } from "../../shell/Tabs";
import { useTitle } from "../../shell/useTitle";
import { ActDialog } from "./ActDialog";
import styles from "./Alarms.module.css";
import { Detail } from "./Detail";
import { grouped, inOrder } from "./group";
import { PatientGroup } from "./PatientGroup";
import { Rules } from "./Rules";

const STATES: { id: AlarmState; label: string }[] = [
  { id: "open", label: "Open" },
  { id: "acknowledged", label: "Acknowledged" },
  { id: "snoozed", label: "Snoozed" },
  { id: "closed", label: "Closed" },
  { id: "ended", label: "Ended" },
];

/** What the watch has raised, and the rules by which it did. */
export default function AlarmsPageShown() {
  useTitle("Alarms");
  const [params, setParams] = useSearchParams();
  const tab = params.get("tab") === "rules" ? "rules" : "alarms";
  const looks = useSession().data?.user?.role !== "admin";
  const select = (next: string) => setParams(next === "rules" ? { tab: "rules" } : {}, { replace: true });
  return (
    <div className={styles.page}>
      <h1 className={styles.hidden}>Alarms</h1>
      <Tabs
        label="Alarms and rules"
        selected={looks ? tab : "rules"}
        onSelect={select}
        tabs={[
          ...(looks ? [{ id: "alarms", label: "Alarms", content: <List /> }] : []),
          { id: "rules", label: "Rules", content: <Rules /> },
        ]}
      />
    </div>
  );
}

function List() {
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const queries = useQueryClient();
  const state = (STATES.find((each) => each.id === params.get("state"))?.id ?? "open") as AlarmState;
  const filter = {
    state,
    severity: params.get("severity") ?? "",
    rule: params.get("rule") ?? "",
    patient: params.get("patient") ?? "",
    text: params.get("text") ?? "",
  };
  const [chosen, setChosen] = useState("");
  // The alarm with the act: the list may put another one first while the reader writes why.
  const [acting, setActing] = useState<{ act: AlarmActName; alarm: Alarm } | null>(null);
  const reads = useSession().data?.user?.role.includes("reader") ?? false;
  const { data, error, refetch } = useQuery({
    queryKey: ["/api/alarms", filter],
    queryFn: ({ signal }) => api.get<AlarmsPage>("/api/alarms", { ...filter, limit: 300 }, signal),
    placeholderData: keepPreviousData,
    staleTime: 0,
    refetchInterval: 60_000,
  });
  useLive((event) => event.event === "alarm" && void refetch());
  const groups = useMemo(() => grouped(data?.alarms ?? []), [data]);
  const order = useMemo(() => inOrder(groups), [groups]);
  const current = order.find((each) => each.id === chosen) ?? order[0];
  const open = (act: AlarmActName) => current && setActing({ act, alarm: current });
  const step = (by: number) => {
    const place = current ? order.indexOf(current) : -1;
    const next = order[Math.min(order.length - 1, Math.max(0, place + by))];
    if (!next) return;
    setChosen(next.id);
    requestAnimationFrame(() => document.getElementById(`alarm-${next.id}`)?.scrollIntoView({ block: "nearest" }));
  };
  const may = reads && current !== undefined && current.state !== "ended";
  useActions({
    "alarms.next": order.length > 0 && (() => step(1)),
    "alarms.previous": order.length > 0 && (() => step(-1)),
    "alarms.acknowledge": may && current?.state === "open" && (() => open("acknowledge")),
    "alarms.snooze": may && current?.state === "open" && (() => open("snooze")),
    "alarms.close": may && current?.state !== "closed" && (() => open("close")),
    "alarms.patient": current !== undefined && (() => void navigate(`/patient/${current.patient}?tab=flags`)),
  });
  const narrow = (name: string, value: string) => {
    const next = new URLSearchParams(params);
    if (value) next.set(name, value);
    else next.delete(name);
    setParams(next, { replace: true });
  };
  const done = () => {
    setActing(null);
    void refetch();
    void queries.invalidateQueries({ queryKey: ["/api/alarms/totals"] });
  };
  const filtered = Boolean(filter.severity || filter.rule || filter.patient || filter.text);
  return (
    <div className={styles.alarms}>
      <div className={styles.filters}>
        <div className={styles.states}>
          {STATES.map((each) => (
            <button
              key={each.id}
              type="button"
              aria-pressed={state === each.id}
              className={styles.state}
              onClick={() => narrow("state", each.id === "open" ? "" : each.id)}
            >
              {each.label} <span className={styles.quiet}>{data?.states[each.id] ?? ""}</span>
            </button>
          ))}
        </div>
        <Select
          label="Severity"
          hideLabel
          value={filter.severity || "all"}
          onChange={(value) => narrow("severity", value === "all" ? "" : value)}
          options={[
            { id: "all", label: "Every severity" },
            { id: "critical", label: "Critical" },
            { id: "warning", label: "Warning" },
            { id: "info", label: "Note" },
          ]}
        />
        <Select
          label="Rule"
          hideLabel
          value={filter.rule || "all"}
          onChange={(value) => narrow("rule", value === "all" ? "" : value)}
          options={[
            { id: "all", label: "Every rule" },
            ...Object.entries(data?.rules ?? {}).map(([id, label]) => ({ id, label })),
          ]}
        />
        <Field
          label="Words"
          hideLabel
          placeholder="Patient or words"
          value={filter.text}
          onChange={(value) => narrow("text", value)}
          maxLength={200}
        />
        {filtered && (
          <Button
            size="small"
            kind="ghost"
            onPress={() => setParams(state === "open" ? {} : { state }, { replace: true })}
          >
            Clear the filters
          </Button>
        )}
        {data && <Watch page={data} />}
      </div>
      {!data ? (
        error ? (
          <ErrorState error={error} retry={() => void refetch()} />
        ) : (
          <Loading />
        )
      ) : order.length === 0 || !current ? (
        <EmptyState title={filtered || state !== "open" ? "No alarm fits" : "No open alarm"}>
          {state === "open" &&
            !filtered &&
            (data.following.on
              ? `${data.following.records} records are watched. What the rules cannot judge is said on each patient's page.`
              : "The watch is off in the site's settings.")}
        </EmptyState>
      ) : (
        <div className={styles.columns}>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard */}
          <section className={styles.list} aria-label="Alarms" tabIndex={0}>
            {groups.map((group) => (
              <PatientGroup
                key={group.patient}
                group={group}
                now={new Date(data.now).getTime()}
                chosen={current.id}
                onChoose={setChosen}
              />
            ))}
            {data.total > order.length && (
              <p className={styles.quiet}>
                {order.length} of {data.total} are shown; narrow the list to see the others.
              </p>
            )}
          </section>
          <Detail key={current.id} alarm={current} reads={reads} onAct={open} />
        </div>
      )}
      {acting && <ActDialog alarm={acting.alarm} act={acting.act} onClose={() => setActing(null)} onDone={done} />}
    </div>
  );
}

/** How the watch stands: an alarm that is not there means something only while it works. */
function Watch({ page }: { page: AlarmsPage }) {
  const { following } = page;
  const bad = following.problems.length > 0 || following.late || !following.on;
  return (
    <span className={styles.watch} role="status">
      {bad && (
        <Badge tone="critical" title={following.problems.join("; ")}>
          {!following.on ? "watch is off" : following.late ? "watch is behind" : "watch cannot judge"}
        </Badge>
      )}
      <span className={styles.quiet}>
        {following.records} watched{following.judged_at && `, last judged ${moment(following.judged_at).slice(11)}`}
      </span>
      {following.problems.length > 0 && <Link to="/alarms?tab=rules">why</Link>}
    </span>
  );
}
