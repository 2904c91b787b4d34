import { useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import { api } from "../../api/client";
import { useLive } from "../../api/live";
import type { WorklistPage } from "../../api/types";
import { RowStore, type Rows } from "./rows";
import { fits, placeOf, query, type WorklistSearch, write } from "./search";

const MINUTE = 60_000;

/** The rows of a search, live. While a new search is on its way the rows of the last one are shown, as stale. */
export function useRows(search: WorklistSearch): { rows: Rows; stale: boolean; store: RowStore } {
  const address = write(search).toString();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the address says all of the search
  const store = useMemo(
    () =>
      new RowStore((offset, limit) => api.get<WorklistPage>("/api/worklist", query(search, offset, limit)), 800, {
        fits: (entry) => fits(search, entry),
        place: (entry) => placeOf(search.sort, entry),
        narrow: search.states.length > 0,
      }),
    [address],
  );
  useEffect(() => {
    store.ensure(0, 1);
    return () => store.stop();
  }, [store]);
  const now = useSyncExternalStore(store.subscribe, store.snapshot);
  const before = useRef<Rows>(now);
  useEffect(() => {
    if (now.total !== null) before.current = now;
  }, [now]);
  useLive((event) => {
    if (event.event === "rows") store.apply(event);
    // Lines that changed while the connection was cut are not told again.
    else if (event.event === "again") store.again();
  });
  // Time alone moves rows too: a study whose first-come limit has passed goes up.
  useEffect(() => {
    const timer = setInterval(() => document.visibilityState === "visible" && store.touch(""), MINUTE);
    return () => clearInterval(timer);
  }, [store]);
  const stale = now.total === null && now.error === null && before.current.total !== null;
  return { rows: stale ? before.current : now, stale, store };
}
