import { FlexRender, type Row as TableRow, useTable } from "@tanstack/react-table";
import { defaultRangeExtractor, useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, memo, useEffect, useLayoutEffect, useMemo, useRef } from "react";
import { Down, Up } from "../../shell/icons";
import { type ColumnMeta, columns, features, type Row } from "./columns";
import styles from "./Grid.module.css";
import { memory } from "./memory";
import type { Rows } from "./rows";
import type { Sort } from "./search";

const HEIGHT = 34;

interface GridProps {
  rows: Rows;
  stale: boolean;
  now: number;
  active: number;
  onActive: (index: number) => void;
  onOpen: (index: number) => void;
  onView: (first: number, last: number) => void;
  sort: Sort;
  reverse: boolean;
  onSort: (sort: Sort, reverse: boolean) => void;
}

/** The list as a grid of its own: only rows in view are in the page, and the keys move a mark over all of them. */
export function Grid({ rows, stale, now, active, onActive, onOpen, onView, sort, reverse, onSort }: GridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const total = rows.total ?? 0;
  const virtual = useVirtualizer({
    count: total,
    getScrollElement: () => scroller.current,
    estimateSize: () => HEIGHT,
    overscan: 10,
    useFlushSync: false,
    scrollPaddingStart: HEIGHT,
    initialOffset: memory.scroll,
    // The marked row stays in the page, so that a screen reader keeps its place.
    rangeExtractor: (range) => {
      const near = defaultRangeExtractor(range);
      return active >= 0 && active < total && !near.includes(active) ? [...near, active] : near;
    },
  });
  const items = virtual.getVirtualItems();
  const range = virtual.range;
  const first = range?.startIndex ?? 0;
  const last = range?.endIndex ?? 0;
  useEffect(() => onView(Math.max(0, first - 20), last + 20), [first, last, onView]);
  useEffect(
    () => () => {
      memory.scroll = virtual.scrollOffset ?? 0;
    },
    [virtual],
  );

  // The table is made anew when other rows come into view, not when the mark moves.
  const shown = items.map((item) => item.index).join();
  const data = useMemo(
    () =>
      shown
        .split(",")
        .filter(Boolean)
        .map((text): Row => {
          const index = Number(text);
          const entry = rows.at(index);
          return { index, entry, now, gone: entry ? rows.gone.has(entry.study) : false };
        }),
    [shown, rows, now],
  );
  const sorting = useMemo(() => [{ id: sort, desc: reverse }], [sort, reverse]);
  const table = useTable({
    features,
    columns,
    data,
    state: { sorting },
    manualSorting: true,
    getRowId: (row) => String(row.index),
  });

  const go = (index: number) => {
    const next = Math.max(0, Math.min(total - 1, index));
    onActive(next);
    virtual.scrollToIndex(next, { align: "auto" });
  };
  useLayoutEffect(() => {
    if (active >= 0 && document.activeElement === scroller.current) virtual.scrollToIndex(active, { align: "auto" });
  }, [active, virtual]);
  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.shiftKey || total === 0) return;
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 600) / HEIGHT) - 2);
    const moves: Record<string, number> = {
      ArrowDown: active + 1,
      ArrowUp: Math.max(0, active) - 1,
      PageDown: active + page,
      PageUp: active - page,
      Home: 0,
      End: total - 1,
    };
    const to = moves[event.key];
    if (to !== undefined) go(to);
    else if (event.key === "Enter" && active >= 0 && event.target === scroller.current) onOpen(active);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={scroller}
      className={`${styles.grid} ${stale ? styles.stale : ""}`}
      role="grid"
      aria-label="Studies"
      aria-rowcount={total + 1}
      aria-colcount={columns.length}
      aria-busy={stale}
      aria-activedescendant={active >= 0 && items.some((item) => item.index === active) ? `row-${active}` : undefined}
      tabIndex={0}
      onKeyDown={keys}
      data-context="worklist"
      data-grid=""
    >
      <div role="rowgroup" className={styles.head}>
        {table.getHeaderGroups().map((group) => (
          <div key={group.id} role="row" aria-rowindex={1} className={styles.row}>
            {group.headers.map((header, index) => (
              <Heading
                key={header.id}
                column={index + 1}
                title={String(header.column.columnDef.header)}
                sort={(header.column.columnDef.meta as ColumnMeta | undefined)?.sort}
                now={sort}
                reverse={reverse}
                onSort={onSort}
              />
            ))}
          </div>
        ))}
      </div>
      <div role="rowgroup" className={styles.body} style={{ height: virtual.getTotalSize() }}>
        {table.getRowModel().rows.map((row) => (
          <GridRow key={row.id} row={row} active={row.original.index === active} onActive={onActive} onOpen={onOpen} />
        ))}
      </div>
    </div>
  );
}

interface GridRowProps {
  row: TableRow<typeof features, Row>;
  active: boolean;
  onActive: (index: number) => void;
  onOpen: (index: number) => void;
}

/** A row; it is drawn again only if what it shows has changed. */
const GridRow = memo(
  function GridRow({ row, active, onActive, onOpen }: GridRowProps) {
    const { index, gone } = row.original;
    return (
      <div
        id={`row-${index}`}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={active}
        className={`${styles.row} ${styles.item} ${gone ? styles.gone : ""}`}
        style={{ transform: `translateY(${index * HEIGHT}px)` }}
        onClick={() => onActive(index)}
        onDoubleClick={() => onOpen(index)}
      >
        {row.getAllCells().map((cell, at) => (
          <div key={cell.id} role="gridcell" aria-colindex={at + 1} className={styles.cell}>
            <FlexRender cell={cell} />
          </div>
        ))}
      </div>
    );
  },
  (before, after) =>
    before.active === after.active &&
    before.onActive === after.onActive &&
    before.onOpen === after.onOpen &&
    before.row.original.entry === after.row.original.entry &&
    before.row.original.now === after.row.original.now &&
    before.row.original.gone === after.row.original.gone,
);

interface HeadingProps {
  column: number;
  title: string;
  sort: Sort | undefined;
  now: Sort;
  reverse: boolean;
  onSort: (sort: Sort, reverse: boolean) => void;
}

function Heading({ column, title, sort, now, reverse, onSort }: HeadingProps) {
  const mine = sort !== undefined && sort === now;
  // By priority the greatest comes first.
  const falling = reverse !== (sort === "priority");
  return (
    <div
      role="columnheader"
      aria-colindex={column}
      aria-sort={mine ? (falling ? "descending" : "ascending") : undefined}
      className={styles.heading}
    >
      {sort ? (
        <button type="button" className={styles.sort} onClick={() => onSort(sort, mine ? !reverse : false)}>
          {title}
          {mine && (falling ? <Down /> : <Up />)}
        </button>
      ) : (
        title
      )}
    </div>
  );
}
