import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { api, at } from "../../../api/client";
import { useGet } from "../../../api/queries";
import type { PatientRecord, TrendChoice, TrendSeries, Trends } from "../../../api/types";
import { Checkbox, Field, Select } from "../../../shell/Field";
import { moment } from "../../../shell/format";
import { EmptyState, ErrorState, Loading } from "../../../shell/states";
import { Stated } from "../source/Stated";
import type { Span } from "../timeline/axis";
import { Plot, pointWords } from "./Plot";
import styles from "./Trends.module.css";

type Length = (typeof SPANS)[number]["id"];
const MOST = 12;
const HOUR = 3_600_000;
const SPANS = [
  { id: "all", label: "All", hours: 0 },
  { id: "5y", label: "5 years", hours: 5 * 8766 },
  { id: "1y", label: "1 year", hours: 8766 },
  { id: "90d", label: "90 days", hours: 90 * 24 },
  { id: "30d", label: "30 days", hours: 30 * 24 },
  { id: "7d", label: "7 days", hours: 7 * 24 },
  { id: "48h", label: "48 hours", hours: 48 },
] as const;

/** Return the quantities that are shown at first: those with a flag, then those that are abnormal, four at least. */
export function firstShown(choices: readonly TrendChoice[]): string[] {
  const plotted = choices.filter((each) => each.plotted > 0);
  const loud = plotted.filter((each) => each.flagged === "critical" || each.flagged === "warning" || each.abnormal);
  return [...loud, ...plotted.filter((each) => !loud.includes(each))]
    .slice(0, Math.max(4, Math.min(loud.length, 6)))
    .map((each) => each.key);
}

/** Results along time, in one unit each; what has no place on an axis is listed with the reason. */
export function TrendsTab({ record }: { record: PatientRecord }) {
  const path = at("patients", record.id, "trends");
  const { data, error, refetch } = useGet<Trends>(path);
  const [own, setOwn] = useState<readonly string[] | null>(null);
  const [words, setWords] = useState("");
  const [picked, setLength] = useState<Length | null>(null);
  const [table, setTable] = useState(false);
  const chosen = own ?? firstShown(data?.choices ?? []);
  const { data: shown } = useQuery({
    queryKey: [path, "series", chosen],
    queryFn: ({ signal }) => api.get<Trends>(path, { key: chosen }, signal),
    enabled: chosen.length > 0,
    placeholderData: keepPreviousData,
    staleTime: 10_000,
  });
  if (!data) return error ? <ErrorState error={error} retry={() => void refetch()} /> : <Loading />;
  if (data.choices.length === 0)
    return <EmptyState title="No results">The record has no measurement with a number.</EmptyState>;
  const series = chosen
    .map((key) => shown?.series.find((each) => each.key === key))
    .filter((each): each is TrendSeries => each !== undefined);
  const length = picked ?? firstLength(series);
  const fits = data.choices.filter((each) => each.name.toLowerCase().includes(words.trim().toLowerCase()));
  return (
    <div className={styles.tab}>
      <section className={styles.choices} aria-label="Quantities">
        <Field label="Find" hideLabel placeholder="Find a quantity" value={words} onChange={setWords} maxLength={80} />
        <ul className={styles.list}>
          {fits.slice(0, 80).map((each) => (
            <li key={each.key} className={styles.choice}>
              <Checkbox
                value={chosen.includes(each.key)}
                isDisabled={!chosen.includes(each.key) && chosen.length >= MOST}
                onChange={(on) => setOwn(on ? [...chosen, each.key] : chosen.filter((key) => key !== each.key))}
              >
                {each.name}
              </Checkbox>
              <span
                className={each.flagged || each.abnormal ? styles.loud : styles.quiet}
                title={`${each.newest} ${each.at}`}
              >
                {each.newest}
              </span>
            </li>
          ))}
        </ul>
        {fits.length > 80 && <p className={styles.none}>And {fits.length - 80} more: find them by name.</p>}
      </section>
      <div className={styles.plots}>
        <div className={styles.tools}>
          <Select label="Span" hideLabel options={SPANS} value={length} onChange={setLength} />
          <Checkbox value={table} onChange={setTable}>
            As tables
          </Checkbox>
          <span className={styles.quiet}>
            Band: the newest result's reference range. ▲▼ outside their own range; ringed: a flag rests on it.
          </span>
        </div>
        {series.map((each) => (
          <Series key={each.key} series={each} span={spanOf(series, length)} table={table} />
        ))}
      </div>
    </div>
  );
}

/** Return the span that is shown at first: the shortest that holds half of the results, of a stay its days. */
export function firstLength(series: readonly TrendSeries[]): Length {
  const times = series.flatMap((each) => each.points.map((point) => new Date(point.at).getTime()));
  const last = Math.max(...times, 0);
  const dense = [...SPANS]
    .reverse()
    .find(
      ({ hours }) =>
        hours > 0 && times.filter((time) => last - time <= hours * HOUR).length >= Math.max(6, times.length / 2),
    );
  return dense && dense.hours <= 90 * 24 ? dense.id : "all";
}

function spanOf(series: readonly TrendSeries[], length: Length): Span {
  const times = series.flatMap((each) => each.points.map((point) => new Date(point.at).getTime()));
  const last = Math.max(...times, 0);
  const first = Math.min(...times, last);
  const hours = SPANS.find((each) => each.id === length)?.hours ?? 0;
  const from = hours > 0 ? last - hours * HOUR : first;
  const room = Math.max((last - from) * 0.02, HOUR / 2);
  return { from: from - room, to: last + room };
}

function Series({ series, span, table }: { series: TrendSeries; span: Span; table: boolean }) {
  return (
    <section className={styles.series}>
      <h3 className={styles.name}>
        {series.name} <span className={styles.unit}>{series.unit}</span>
        <span className={styles.quiet}>
          {[series.band_text, series.slope, series.unit_note, series.more > 0 && `${series.more} older ones not shown`]
            .filter(Boolean)
            .join(" · ")}
        </span>
      </h3>
      {table ? <Rows series={series} /> : series.points.length > 0 && <Plot series={series} span={span} />}
      {series.unplotted.length > 0 && (
        <details className={styles.unplotted}>
          <summary>{series.unplotted.length} not on the axis</summary>
          <ul>
            {series.unplotted.map((each, index) => (
              // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one observation share its id
              <li key={index}>
                <Stated text={`${each.at || "no date"}: ${each.shown} (${each.why})`} cites={[each.id]} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}

function Rows({ series }: { series: TrendSeries }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
    <section className={styles.rows} aria-label={`Results of ${series.name}`} tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">{series.unit ? `Value in ${series.unit}` : "Value"}</th>
            <th scope="col">As written</th>
            <th scope="col">Remarks</th>
          </tr>
        </thead>
        <tbody>
          {[...series.points].reverse().map((each, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one observation share its id
            <tr key={index}>
              <td>{moment(each.at)}</td>
              <td>
                {each.comparator}
                {Number(each.value.toPrecision(5))}
              </td>
              <td>
                <Stated text={each.shown} cites={[each.id]} />
              </td>
              <td>{pointWords(each).split(", ").slice(1).join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
