import { at, withQuery } from "../../api/client";
import type { DraftWarning, ScoredFinding, SectionName } from "../../api/types";
import { SECTIONS } from "../text/sections";
import { readEvents } from "./events";

/** What becomes of a draft that is written now. */
export interface DraftListener {
  findings(findings: ScoredFinding[], warnings: DraftWarning[]): void;
  piece(section: SectionName, text: string): void;
  done(numbers: { draft: number; text: number | null }): void;
  failed(message: string): void;
}

/** Follow a draft as it is written; the server begins it if nobody has. Resolves when it has ended or was aborted. */
export async function followDraft(
  study: string,
  signal: AbortSignal,
  listener: DraftListener,
  again = false,
): Promise<void> {
  let ended = false;
  try {
    const path = withQuery(at("studies", study, "draft"), again ? { again: 1 } : {});
    await readEvents(path, signal, ({ event, data }) => {
      if (ended || signal.aborted || typeof data !== "object" || data === null) return;
      const values = data as Record<string, unknown>;
      if (event === "findings") {
        listener.findings((values.findings as ScoredFinding[]) ?? [], warningsOf(values.warnings));
      } else if (event === "piece" && isSection(values.section) && typeof values.text === "string") {
        listener.piece(values.section, values.text);
      } else if (event === "done") {
        ended = true;
        if (typeof values.draft !== "number") listener.failed("the model has made no draft of it");
        else listener.done({ draft: values.draft, text: typeof values.text === "number" ? values.text : null });
      } else if (event === "failed") {
        ended = true;
        listener.failed(typeof values.message === "string" ? values.message : "the draft failed");
      }
    });
    if (!ended && !signal.aborted) listener.failed("the connection ended before the draft did");
  } catch (error) {
    if (signal.aborted || ended) return;
    listener.failed(error instanceof Error ? error.message : "the draft could not be read");
  }
}

function isSection(name: unknown): name is SectionName {
  return typeof name === "string" && (SECTIONS as readonly string[]).includes(name);
}

/** Warnings as bare texts (in the stream) or with their sentences (in a draft). */
export function warningsOf(values: unknown): DraftWarning[] {
  if (!Array.isArray(values)) return [];
  return values.map((each) => (typeof each === "string" ? { text: each, sentence: "" } : (each as DraftWarning)));
}
