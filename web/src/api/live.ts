import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useSyncExternalStore } from "react";
import { at } from "./client";
import { follow } from "./events";
import { keys } from "./queries";
import type { AlarmEvent, Drafting, StudyEvent } from "./types";

export type LiveEvent =
  | ({ event: "study" } & StudyEvent)
  | ({ event: "drafting" } & Drafting)
  | ({ event: "alarm" } & AlarmEvent);

// One connection for the whole tab: browsers allow six a host.
const listeners = new Set<(event: LiveEvent) => void>();
const watchers = new Set<() => void>();
let state: "open" | "waiting" | "closed" = "closed";

/** Keep the live events open while the calling component is shown (the frame does), and tell TanStack Query what is stale. */
export function useLiveConnection(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const stop = follow("/api/events", {
      onEvent: ({ event, data }) => {
        if (event !== "study" && event !== "drafting" && event !== "alarm") return;
        const said = { event, ...(data as object) } as unknown as LiveEvent;
        // A study's page is asked for again when somebody acts on it; its text is w6's to merge, never overwritten from here.
        if (event === "alarm") void queries.invalidateQueries({ queryKey: [at("patients")] });
        if (event === "study") void queries.invalidateQueries({ queryKey: keys.study((said as StudyEvent).study) });
        for (const listener of listeners) listener(said);
      },
      onState: (next) => {
        const again = next === "open" && state === "waiting";
        state = next;
        for (const watcher of watchers) watcher();
        // Events without an id are not sent again: after a cut all that is shown may be old.
        if (again) void queries.invalidateQueries({ queryKey: [at("studies")] });
      },
    });
    return () => {
      stop();
      state = "closed";
    };
  }, [queries]);
}

/** Call `listener` with every live event while the component is shown. */
export function useLive(listener: (event: LiveEvent) => void): void {
  const latest = useRef(listener);
  useEffect(() => {
    latest.current = listener;
  });
  useEffect(() => {
    const call = (event: LiveEvent) => latest.current(event);
    listeners.add(call);
    return () => void listeners.delete(call);
  }, []);
}

/** Return whether live updates arrive now: "waiting" while the server cannot be reached. */
export function useLiveState(): "open" | "waiting" | "closed" {
  return useSyncExternalStore(
    (watcher) => {
      watchers.add(watcher);
      return () => void watchers.delete(watcher);
    },
    () => state,
  );
}
