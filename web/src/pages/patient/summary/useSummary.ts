import { useCallback, useEffect, useRef, useState } from "react";
import { at, withQuery, words } from "../../../api/client";
import { follow } from "../../../api/events";
import { useGet } from "../../../api/queries";
import type { RecordSummary, SummaryForm, SummarySection } from "../../../api/types";

export interface Writing {
  state: "no" | "writing" | "done" | "failed";
  model: string;
  /** By place in the form: what was worded so far. */
  sections: ReadonlyMap<number, SummarySection>;
  problem: string;
}
const NONE: Writing = { state: "no", model: "", sections: new Map(), problem: "" };

/** The summary of a form: by rule at once, and section by section in the model's words once that is asked for. */
export function useSummary(record: number, form: SummaryForm, question: string) {
  const { data, error, refetch } = useGet<RecordSummary>(
    at("patients", record, "summary"),
    { form, question },
    { staleTime: 30_000 },
  );
  const [writing, setWriting] = useState<Writing>(NONE);
  const [whole, setWhole] = useState<RecordSummary | null>(null);
  const stop = useRef<() => void>(undefined);
  const end = useCallback(() => {
    stop.current?.();
    stop.current = undefined;
    setWriting(NONE);
    setWhole(null);
  }, []);
  // Another form or question is another summary.
  // biome-ignore lint/correctness/useExhaustiveDependencies: it is their change that ends it
  useEffect(() => end, [record, form, question, end]);
  const write = () => {
    end();
    setWriting({ ...NONE, state: "writing" });
    stop.current = follow(withQuery(at("patients", record, "summary", "draft"), { form, question }), {
      endless: false,
      onEvent: ({ event, data: said }) => {
        if (event === "begun") setWriting((old) => ({ ...old, model: (said as { model: string }).model }));
        if (event === "section") {
          const { index, section } = said as { index: number; section: SummarySection };
          setWriting((old) => ({ ...old, sections: new Map(old.sections).set(index, section) }));
        }
        if (event === "done") {
          setWhole(said as RecordSummary);
          setWriting((old) => ({ ...old, state: "done" }));
        }
        if (event === "failed")
          setWriting((old) => ({ ...old, state: "failed", problem: (said as { message: string }).message }));
      },
      onState: (state, problem) => {
        if (state === "closed")
          setWriting((old) =>
            old.state === "writing"
              ? { ...old, state: "failed", problem: words(problem ?? "The writing ended.") }
              : old,
          );
        // A cut must not begin the writing anew behind the reader's back.
        if (state === "waiting") stop.current?.();
      },
    });
  };
  const summary = whole ?? data;
  const sections = (summary?.sections ?? []).map((section, index) => writing.sections.get(index) ?? section);
  return { summary, sections, error, refetch, writing, write, end };
}
