import { createColumnHelper, rowSortingFeature, tableFeatures } from "@tanstack/react-table";
import type { Entry } from "../../api/types";
import { IntakeMark } from "../../intake/IntakeMark";
import { PriorityBadge, reasonBeside, StateBadge } from "../../shell/Badge";
import { age, clock, day, personName, since } from "../../shell/format";
import { Alert } from "../../shell/icons";
import styles from "./Grid.module.css";
import type { Sort } from "./search";

export const features = tableFeatures({ rowSortingFeature });

/** What a reader must know besides: results that were not read back go first. */
export function noticeOf(entry: Pick<Entry, "notice" | "critical">): string {
  const open = entry.critical ? `${entry.critical} critical open` : "";
  return [open, entry.notice].filter(Boolean).join("; ");
}

/** A row of the table: an entry, or a place whose entry is still asked for. */
export interface Row {
  index: number;
  entry: Entry | undefined;
  now: number;
  gone: boolean;
}
export interface ColumnMeta {
  sort?: Sort;
}
const column = createColumnHelper<typeof features, Row>();

function text(id: string, header: string, say: (entry: Entry, row: Row) => string, sort?: Sort) {
  return column.display({
    id,
    header,
    meta: { sort } satisfies ColumnMeta,
    cell: ({ row }) => {
      const said = row.original.entry ? say(row.original.entry, row.original) : "";
      return (
        <span className={styles.text} title={said}>
          {said}
        </span>
      );
    },
  });
}

/** The columns, in order; their widths are in Grid.module.css. */
export const columns = [
  column.display({
    id: "priority",
    header: "Priority",
    meta: { sort: "priority" } satisfies ColumnMeta,
    cell: ({ row }) => {
      const { entry } = row.original;
      if (!entry) return <span className={styles.blank} />;
      return (
        <span className={styles.priority}>
          <PriorityBadge entry={entry} />
          <span className={styles.reason} title={entry.reason}>
            {reasonBeside(entry)}
          </span>
        </span>
      );
    },
  }),
  column.display({
    id: "patient",
    header: "Patient",
    meta: { sort: "patient" } satisfies ColumnMeta,
    cell: ({ row }) => {
      const { entry } = row.original;
      if (!entry) return null;
      const name = personName(entry.patient_name) || "No name";
      return (
        <span className={styles.priority} title={name}>
          {entry.intake && <IntakeMark intake={entry.intake} />}
          <span className={styles.text}>{name}</span>
        </span>
      );
    },
  }),
  text("id", "ID", (entry) => entry.patient_id),
  text("age", "Age, sex", (entry) => [age(entry.age), entry.sex].filter(Boolean).join(" ")),
  text("modality", "Modality", (entry) => entry.modalities.join(", "), "modality"),
  text("description", "Description", (entry) => entry.description),
  text("date", "Study date", (entry) => `${day(entry.date)} ${clock(entry.time)}`.trim(), "date"),
  text("arrived", "Waits", (entry, row) => since(entry.arrived_at, row.now), "arrived"),
  column.display({
    id: "state",
    header: "State",
    meta: { sort: "state" } satisfies ColumnMeta,
    cell: ({ row }) => {
      const { entry, gone } = row.original;
      if (!entry) return null;
      return gone ? <span className={styles.text}>left this list</span> : <StateBadge state={entry.state} />;
    },
  }),
  text("reader", "Open by", (entry) => entry.opened_by),
  text("images", "Images", (entry) => String(entry.images)),
  column.display({
    id: "notice",
    header: "Notice",
    cell: ({ row }) => {
      const { entry } = row.original;
      const notice = entry && noticeOf(entry);
      if (!notice) return null;
      return (
        <span className={styles.notice} title={notice}>
          <Alert />
          <span className={styles.text}>{notice}</span>
        </span>
      );
    },
  }),
];
