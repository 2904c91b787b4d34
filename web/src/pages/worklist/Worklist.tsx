import { useCallback, useEffect, useMemo, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useActions } from "../../actions/registry";
import { useSession } from "../../api/queries";
import { EmptyState, ErrorState } from "../../shell/states";
import { toast, toastError } from "../../shell/toast";
import { useTitle } from "../../shell/useTitle";
import { showInSecondWindow } from "../../shell/windows";
import { Empty } from "./Empty";
import { Grid } from "./Grid";
import { memory } from "./memory";
import { nextStudy } from "./next";
import { Preview } from "./Preview";
import { narrowed, parse, type Sort, type WorklistSearch, write } from "./search";
import { Toolbar } from "./Toolbar";
import { Uploads } from "./upload/Uploads";
import { useRows } from "./useRows";
import { useStudyAhead } from "./useStudyAhead";
import styles from "./Worklist.module.css";

/** Let times of waiting grow while the list is open. */
function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export default function Worklist() {
  const role = useSession().data?.user?.role;
  if (role === "admin")
    return (
      <EmptyState title="Administrators see no patients">Sign in as a reader or a viewer to see studies.</EmptyState>
    );
  return <Studies />;
}

function Studies() {
  useTitle("Worklist");
  useStudyAhead();
  const [params, setParams] = useSearchParams();
  const navigate = useNavigate();
  const address = params.toString();
  const search = useMemo(() => parse(new URLSearchParams(address)), [address]);
  const { rows, stale, store } = useRows(search);
  const now = useNow();
  const { data: session } = useSession();
  const reads = session?.user?.role.includes("reader") ?? false;
  const [study, setStudy] = useState(memory.study);
  const [preview, setPreview] = useState(true);
  const [choosing, setChoosing] = useState(0);
  const [saving, setSaving] = useState(false);

  useEffect(() => {
    memory.search = address;
  }, [address]);
  useEffect(() => {
    memory.study = study;
  }, [study]);
  useEffect(() => {
    // The list takes the keys at once.
    document.querySelector<HTMLElement>("[data-grid]")?.focus({ preventScroll: true });
  }, []);

  const active = study ? rows.indexOf(study) : -1;
  const chosen = active >= 0 ? rows.at(active) : undefined;
  const open = useCallback((uid: string) => void navigate(`/study/${encodeURIComponent(uid)}`), [navigate]);
  const change = useCallback(
    (some: Partial<WorklistSearch>) => {
      memory.scroll = 0;
      document.querySelector("[data-grid]")?.scrollTo({ top: 0 });
      setParams(write({ ...search, ...some }), { replace: true });
    },
    [search, setParams],
  );
  const view = useCallback((first: number, last: number) => store.ensure(first, last), [store]);
  const refresh = useCallback(() => void store.refresh(), [store]);
  const mark = useCallback((index: number) => setStudy(rows.at(index)?.study ?? ""), [rows]);
  const openRow = useCallback(
    (index: number) => {
      const entry = rows.at(index);
      if (entry) open(entry.study);
    },
    [rows, open],
  );
  const sortBy = useCallback((sort: Sort, reverse: boolean) => change({ sort, reverse }), [change]);
  const goTo = useCallback((to: string) => setParams(new URLSearchParams(to)), [setParams]);
  const turnPreview = useCallback(() => setPreview((shown) => !shown), []);

  useActions({
    "worklist.next": async () => {
      try {
        const next = await nextStudy(session?.user?.login ?? "");
        if (next) open(next.study);
        else toast("No study waits for a reader.");
      } catch (error) {
        toastError(error);
      }
    },
    "worklist.search": () => document.querySelector<HTMLInputElement>("[data-search] input")?.focus(),
    "worklist.refresh": refresh,
    "worklist.preview": turnPreview,
    "worklist.upload": reads && (() => setChoosing(choosing + 1)),
    "worklist.beside": chosen && (() => showInSecondWindow(`/study/${encodeURIComponent(chosen.study)}?window=images`)),
    "worklist.clear":
      (narrowed(search) || search.sort !== "priority" || search.reverse) &&
      (() => change({ states: [], text: "", modality: "", sort: "priority", reverse: false })),
    "worklist.save": () => setSaving(true),
  });

  // The first look of a list that nobody scrolls may change at once: no row moves under a cursor.
  const { changed, fresh } = rows;
  useEffect(() => {
    if (!changed && fresh === 0) return;
    const grid = document.querySelector("[data-grid]");
    const quiet = !grid || (grid.scrollTop === 0 && !grid.matches(":hover") && active < 0);
    if (!quiet) return;
    // Not with each act of somebody, and not on all screens at once.
    const timer = setTimeout(() => void store.refresh(), 1000 + 3000 * Math.random());
    return () => clearTimeout(timer);
  }, [changed, fresh, active, store]);

  const failed = rows.error !== null && rows.total === null;
  return (
    <div className={styles.worklist}>
      <h1 className={styles.hidden}>Worklist</h1>
      <Toolbar
        search={search}
        rows={rows}
        onChange={change}
        onAddress={goTo}
        onRefresh={refresh}
        saving={saving}
        onSaving={setSaving}
        preview={preview}
        onPreview={turnPreview}
      />
      <div className={styles.split}>
        <div className={styles.list}>
          {failed ? (
            <ErrorState error={rows.error} retry={refresh} />
          ) : rows.total === 0 ? (
            <Empty
              search={search}
              rows={rows}
              onClear={() => change({ states: [], text: "", modality: "" })}
              onLoaded={refresh}
            />
          ) : (
            <Grid
              rows={rows}
              stale={stale}
              now={now + rows.ahead}
              active={active}
              onActive={mark}
              onOpen={openRow}
              onView={view}
              sort={search.sort}
              reverse={search.reverse}
              onSort={sortBy}
            />
          )}
        </div>
        {preview && <Preview entry={chosen} now={now + rows.ahead} onOpen={open} />}
      </div>
      <Uploads choosing={choosing} allowed={reads} onDone={refresh} onOpen={open} />
    </div>
  );
}
