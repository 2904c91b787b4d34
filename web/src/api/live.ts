import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useSyncExternalStore } from "react";
import { at } from "./client";
import { follow } from "./events";
import { keys } from "./queries";
import type { AlarmEvent, Drafting, IntakeEvent, RowsNews, Session, Study, StudyEvent } from "./types";

export type LiveEvent =
  | ({ event: "study" } & StudyEvent)
  | ({ event: "rows" } & RowsNews)
  | ({ event: "intake" } & IntakeEvent)
  | ({ event: "alarm" } & AlarmEvent)
  | ({ event: "drafting" } & Drafting)
  // The connection was cut and is there again: what has no id was not told meanwhile.
  | { event: "again" };

// Of one's own text the page knows already; it is asked for again when the hand rests.
const OWN_TEXT_MS = 3000;
// Several acts on a study are told at once, and asked for once.
const SOON_MS = 100;

/** Whether a study is listed among another one's earlier ones. */
export const isPriorOf = (study: Study | undefined, prior: string): boolean =>
  study?.priors?.some((each) => each.study === prior) ?? false;

// One connection for the whole tab: browsers allow six a host.
const listeners = new Set<(event: LiveEvent) => void>();
const watchers = new Set<() => void>();
let state: "open" | "waiting" | "closed" = "closed";

/** Keep the live events open while the calling component is shown (the frame does), and tell TanStack Query what is stale. */
export function useLiveConnection(): void {
  const queries = useQueryClient();
  useEffect(() => {
    const later = new Later((study) => void queries.invalidateQueries({ queryKey: keys.study(study) }));
    const stop = follow("/api/events", {
      onEvent: ({ event, data }) => {
        if (!["study", "rows", "intake", "alarm", "drafting"].includes(event)) return;
        const said = { event, ...(data as object) } as LiveEvent;
        // What is shown of a record may be old: its alarms, or that it is there at all.
        if (event === "alarm") void queries.invalidateQueries({ queryKey: [at("patients")] });
        // A study's page is asked for again when somebody acts on it; its text is merged there, never overwritten from here.
        if (said.event === "study") {
          const own = said.user === queries.getQueryData<Session>(keys.session)?.user?.login;
          // Whoever opens a study has it in the answer.
          if (!own || said.action !== "open")
            later.call(said.study, own && said.action === "edit" ? OWN_TEXT_MS : SOON_MS);
        }
        // What comes from an archive is waited for by the studies that it is a prior of.
        if (said.event === "study" && said.action === "fetched")
          void queries.invalidateQueries({
            queryKey: [at("studies")],
            predicate: ({ state: { data } }) => isPriorOf(data as Study | undefined, said.study),
          });
        for (const listener of listeners) listener(said);
      },
      onState: (next) => {
        const again = next === "open" && state === "waiting";
        state = next;
        for (const watcher of watchers) watcher();
        // Events without an id are not sent again: after a cut all that is shown may be old.
        if (again) {
          for (const shown of ["studies", "patients", "alarms", "intakes"])
            void queries.invalidateQueries({ queryKey: [at(shown)] });
          for (const listener of listeners) listener({ event: "again" });
        }
      },
    });
    return () => {
      stop();
      later.stop();
      state = "closed";
    };
  }, [queries]);
}

/** Calls once for each key that was named meanwhile, at the earliest of the moments that were wanted. */
export class Later {
  private readonly due = new Map<string, { at: number; timer: ReturnType<typeof setTimeout> }>();
  constructor(private readonly act: (key: string) => void) {}

  call(key: string, milliseconds: number): void {
    const at = Date.now() + milliseconds;
    const known = this.due.get(key);
    if (known && known.at <= at) return;
    if (known) clearTimeout(known.timer);
    const timer = setTimeout(() => {
      this.due.delete(key);
      this.act(key);
    }, milliseconds);
    this.due.set(key, { at, timer });
  }

  stop(): void {
    for (const { timer } of this.due.values()) clearTimeout(timer);
    this.due.clear();
  }
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
