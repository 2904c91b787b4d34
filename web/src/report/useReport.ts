import type { EditorView } from "@codemirror/view";
import { useQueryClient } from "@tanstack/react-query";
import { type RefObject, useCallback, useEffect, useRef, useState } from "react";
import { ApiError, api, at } from "../api/client";
import { keys } from "../api/queries";
import type { DraftVersion, DraftWarning, Macro, Saved, ScoredFinding, Sections, Study, Text } from "../api/types";
import { allow, createEditor } from "./editor/createEditor";
import { change, sectionsOf, tidySections } from "./editor/document";
import { linkDraft, type SentenceLook, show } from "./editor/links";
import { beginStream, endStream, isStreaming, streamAnew, streamPiece } from "./editor/streaming";
import { warn } from "./editor/warnings";
import { Autosave, SaveFailure, type SaveStatus } from "./saving/autosave";
import { followDraft } from "./stream/draft";
import { emptySections, isBlank, sameSections } from "./text/sections";

/** The author of a draft's text. */
export const MODEL = "(model)";

export interface Streaming {
  state: "none" | "running" | "failed";
  problem: string;
  findings: ScoredFinding[];
  warnings: DraftWarning[];
}

export interface ReportOptions {
  study: Study;
  /** The draft that the text is of. */
  draft: DraftVersion | null;
  /** The draft is hidden until the reader has looked himself. */
  hidden: boolean;
  /** Whether a draft is to be asked for, as there is none. */
  wanted: boolean;
  macros: readonly Macro[];
  pointed(found: { id: number; sentence: string } | null): void;
  chosen(found: { id: number; sentence: string } | null): void;
  blurred(): void;
  left(): void;
}

/** The report of one study while it is open: its editor, its saving and the draft that streams in. */
export interface ReportHandle {
  host: RefObject<HTMLDivElement | null>;
  view: EditorView | null;
  sections: Sections;
  status: SaveStatus;
  stream: Streaming;
  /** Save now; true when nothing is unsaved. */
  save(): Promise<boolean>;
  /** Whether the reader has written what the server does not have. */
  unsaved(): boolean;
  /** Save now; the number of the text that the server has then, null where it does not have this one. */
  saved(): Promise<number | null>;
  /** Put in a text that was put together with another reader's. */
  settle(text: Sections, with_: Text): void;
  /** Put another text of the server in the place of this one, as it is kept under a number. */
  load(text: Sections, number: number): void;
  /** Put the draft into an empty report after the reader's own look; false where he has written his own. */
  reveal(): boolean;
  /** The text that this one was made from. */
  origin(): Sections;
  tryDraftAgain(): void;
  /** Take the message that there is no draft away: the reader writes it himself. */
  dismissFailure(): void;
}

const NONE: Streaming = { state: "none", problem: "", findings: [], warnings: [] };

/** A draft's text without the model's words. */
export function withoutModel(sections: Sections): Sections {
  return { ...sections, findings: "", impression: "" };
}

export function useReport(options: ReportOptions): ReportHandle {
  const { study, draft, hidden, wanted } = options;
  const uid = study.study;
  const queries = useQueryClient();
  const host = useRef<HTMLDivElement>(null);
  const latest = useRef(options);
  latest.current = options;
  const saver = useRef<Autosave | null>(null);
  const [view, setView] = useState<EditorView | null>(null);
  const [sections, setSections] = useState<Sections>(() => study.text?.sections ?? emptySections());
  const [status, setStatus] = useState<SaveStatus>({
    state: "clean",
    base: study.text?.number ?? 0,
    conflict: null,
    problem: "",
    savedAt: null,
  });
  const [stream, setStream] = useState<Streaming>(NONE);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const parent = host.current;
    if (parent === null) return;
    const { study: opened, hidden: blind } = latest.current;
    const text = opened.text?.sections ?? emptySections();
    const start = blind ? withoutModel(text) : text;
    let touched = false;
    const made = createEditor(parent, start, opened.may.edit, {
      changed: (by) => {
        if (by === "reader") touched = true;
        setSections(sectionsOf(made.state));
        saver.current?.changed();
      },
      pointed: (found) => latest.current.pointed(found),
      chosen: (found) => latest.current.chosen(found),
      blurred: () => {
        void saver.current?.flush();
        latest.current.blurred();
      },
      left: () => latest.current.left(),
      macros: () => latest.current.macros,
    });
    const put = async (values: Sections, base: number, leaving: boolean) => {
      try {
        return await api.put<Saved>(
          at("studies", uid, "text"),
          { sections: values, base },
          {
            // A browser sends at most 64 KB of a page that is gone; more goes as long as it lives.
            keepalive: leaving && JSON.stringify(values).length < 20_000,
          },
        );
      } catch (error) {
        const later = !(error instanceof ApiError) || [0, 401, 408, 429].includes(error.status) || error.status >= 500;
        throw new SaveFailure(error instanceof Error ? error.message : "not saved", later);
      }
    };
    const autosave = new Autosave(
      { put, read: () => tidySections(made.state), tell: setStatus },
      start,
      opened.text?.number ?? 0,
    );
    saver.current = autosave;
    setSections(start);
    setView(made);
    const warnOfLoss = (event: BeforeUnloadEvent) => {
      if (!touched || !autosave.unsaved) return;
      void autosave.flush(true);
      event.preventDefault();
    };
    const again = () => autosave.again();
    // Another window is in front, the screen is locked, the browser may be ended from here without a word.
    const hiding = () => {
      if (document.visibilityState === "hidden" && (latest.current.study.may.edit || touched))
        void autosave.flush(true);
    };
    document.addEventListener("visibilitychange", hiding);
    window.addEventListener("beforeunload", warnOfLoss);
    // The window is closed: nothing of React runs any more.
    const gone = () => {
      const { edit } = latest.current.study.may;
      if (edit || touched) void autosave.flush(true);
      if (edit) void api.post(at("studies", uid, "close"), undefined, { keepalive: true }).catch(() => undefined);
    };
    window.addEventListener("online", again);
    window.addEventListener("pagehide", gone);
    return () => {
      window.removeEventListener("beforeunload", warnOfLoss);
      window.removeEventListener("online", again);
      window.removeEventListener("pagehide", gone);
      document.removeEventListener("visibilitychange", hiding);
      saver.current = null;
      if (isStreaming(made.state)) {
        for (const each of endStream(made.state, emptySections())) made.dispatch(each);
        autosave.release(null);
      }
      leave(autosave, uid, latest.current.study.may.edit, touched, () =>
        queries.invalidateQueries({ queryKey: keys.study(uid) }),
      );
      made.destroy();
    };
  }, [uid, queries]);

  useEffect(() => {
    if (view) allow(view, study.may.edit);
  }, [view, study.may.edit]);

  // The draft streams in, where there is none yet.
  // biome-ignore lint/correctness/useExhaustiveDependencies: a draft is asked for once, and again when the reader says so
  useEffect(() => {
    const autosave = saver.current;
    if (view === null || autosave === null || !wanted || study.text !== null) return;
    const abort = new AbortController();
    autosave.hold();
    view.dispatch(beginStream());
    setStream({ ...NONE, state: "running" });
    const end = (final: Sections | null, kept: { sections: Sections; base: number } | null) => {
      for (const each of endStream(view.state, final)) view.dispatch(each);
      autosave.release(kept);
    };
    void followDraft(
      uid,
      abort.signal,
      {
        findings: (findings, warnings) => setStream((before) => ({ ...before, findings, warnings })),
        section: (section) => {
          const anew = streamAnew(view.state, section);
          if (anew) view.dispatch(anew);
        },
        piece: (section, text) => {
          if (!latest.current.hidden) view.dispatch(streamPiece(view.state, section, text));
        },
        done: async () => {
          const fresh = await queries
            .fetchQuery({ queryKey: keys.study(uid), queryFn: () => api.get<Study>(at("studies", uid)), staleTime: 0 })
            .catch(() => null);
          if (abort.signal.aborted) return;
          const text = fresh?.text;
          if (text && text.number !== null && text.author === MODEL) {
            const shown = latest.current.hidden ? withoutModel(text.sections) : text.sections;
            end(shown, { sections: shown, base: text.number });
          } else {
            end(null, null);
            if (text?.number) autosave.overtaken(text.number, text.author);
          }
          setStream((before) => ({ ...before, state: "none" }));
        },
        failed: (problem) => {
          // Half a draft is no text: only what the reader wrote stays.
          end(emptySections(), null);
          setStream((before) => ({ ...before, state: "failed", problem }));
        },
      },
      attempt > 0,
    );
    return () => abort.abort();
  }, [view, uid, attempt, wanted]);

  // Another text is newer than what this one was made from.
  useEffect(() => {
    const autosave = saver.current;
    const text = study.text;
    if (view === null || autosave === null || stream.state === "running" || status.state === "saving") return;
    if (text === null || text.number === null || text.number <= autosave.current.base) return;
    const mine = tidySections(view.state);
    const shown = hidden ? withoutModel(text.sections) : text.sections;
    const untouched = !autosave.unsaved && (isBlank(mine) || text.author === MODEL || !study.may.edit);
    if (sameSections(mine, shown)) autosave.settle(text.number, shown);
    else if (untouched) {
      view.dispatch(change(view.state, shown, { undoable: false }));
      autosave.settle(text.number, shown);
    } else autosave.overtaken(text.number, text.author);
  }, [view, study.text, study.may.edit, status.state, stream.state, hidden]);

  // Its sentences, its warnings and what was thought of them.
  useEffect(() => {
    if (view === null || stream.state === "running") return;
    view.dispatch({
      effects: [linkDraft(hidden ? null : (draft?.sections ?? null)), warn(hidden ? [] : (draft?.warnings ?? []))],
    });
  }, [view, draft, hidden, stream.state]);
  useEffect(() => {
    if (view !== null) view.dispatch({ effects: show(looks(study, draft)) });
  }, [view, study, draft]);

  return {
    host,
    view,
    sections,
    status,
    stream,
    save: useCallback(async () => (await saver.current?.flush()) ?? true, []),
    unsaved: useCallback(() => saver.current?.unsaved ?? false, []),
    saved: async () => {
      const autosave = saver.current;
      if (autosave === null || !(await autosave.flush()) || autosave.current.conflict) return null;
      return autosave.current.base || null;
    },
    settle: (text, newer) => {
      if (view === null || newer.number === null) return;
      view.dispatch(change(view.state, text, { undoable: true, event: "input.merge" }));
      saver.current?.settle(newer.number, newer.sections);
    },
    load: (text, number) => {
      if (view === null) return;
      if (!sameSections(text, tidySections(view.state))) view.dispatch(change(view.state, text, { undoable: false }));
      saver.current?.settle(number, text);
    },
    reveal: () => {
      const text = latest.current.study.text;
      const from = text?.author === MODEL ? text.sections : latest.current.draft?.sections;
      if (view === null || from === undefined) return true;
      const mine = sectionsOf(view.state);
      if (mine.findings.trim() !== "" || mine.impression.trim() !== "") return false;
      view.dispatch(change(view.state, { findings: from.findings, impression: from.impression }, { undoable: false }));
      if (text?.number && text.author === MODEL) saver.current?.settle(text.number, text.sections);
      return true;
    },
    origin: () => saver.current?.origin ?? emptySections(),
    tryDraftAgain: () => setAttempt((before) => before + 1),
    dismissFailure: () => setStream(NONE),
  };
}

/** Save what is left and put the study back. */
function leave(autosave: Autosave, uid: string, mayEdit: boolean, touched: boolean, after: () => unknown): void {
  const last = mayEdit || touched ? autosave.flush(true).catch(() => false) : Promise.resolve(true);
  void last.then(() => {
    autosave.end();
    if (mayEdit)
      void api.post(at("studies", uid, "close"), undefined, { keepalive: true }).then(after, () => undefined);
  });
}

function looks(study: Study, draft: DraftVersion | null): Map<string, SentenceLook> {
  const made = new Map<string, SentenceLook>();
  for (const each of draft?.confidence ?? []) if (each.marked) made.set(each.text, { judged: null, unsure: true });
  for (const each of study.verdicts) {
    if (each.kind !== "sentence" || each.draft !== draft?.number) continue;
    const judged = each.verdict === "accepted" || each.verdict === "rejected" ? each.verdict : null;
    made.set(each.about, { judged, unsure: made.get(each.about)?.unsure ?? false });
  }
  return made;
}
