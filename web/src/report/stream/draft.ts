import { ApiError, at, withQuery } from "../../api/client";
import type { DraftWarning, ScoredFinding, SectionName } from "../../api/types";
import { SECTIONS } from "../text/sections";
import { readEvents } from "./events";

/** What becomes of a draft that is written now. */
export interface DraftListener {
  findings(findings: ScoredFinding[], warnings: DraftWarning[]): void;
  /** It is written now, from its beginning: what was written of it before does not hold. */
  section(section: SectionName): void;
  piece(section: SectionName, text: string): void;
  done(numbers: { draft: number; text: number | null }): void;
  failed(message: string): void;
}

const CUT = "the connection ended before the draft did";
const PAUSES = [1000, 3000, 8000];

/** Follow a draft as it is written; the server begins it if nobody has. Resolves when it has ended or was aborted.
 *
 * Where the connection is cut it is asked for again, and told from its beginning.
 */
export async function followDraft(
  study: string,
  signal: AbortSignal,
  listener: DraftListener,
  again = false,
  pauses: readonly number[] = PAUSES,
): Promise<void> {
  for (const pause of [...pauses, null]) {
    const cut = await followOnce(study, signal, listener, again);
    if (cut === null || signal.aborted) return;
    if (pause === null) listener.failed(cut);
    else await new Promise((resume) => setTimeout(resume, pause));
    if (signal.aborted) return;
  }
}

/** Follow it once: null where it has ended or was aborted, else why it was cut. */
async function followOnce(
  study: string,
  signal: AbortSignal,
  listener: DraftListener,
  again: boolean,
): Promise<string | null> {
  let ended = false;
  try {
    const path = withQuery(at("studies", study, "draft"), again ? { again: 1 } : {});
    await readEvents(path, signal, ({ event, data }) => {
      if (ended || signal.aborted || typeof data !== "object" || data === null) return;
      const values = data as Record<string, unknown>;
      if (event === "findings") {
        listener.findings((values.findings as ScoredFinding[]) ?? [], warningsOf(values.warnings));
      } else if (event === "section" && isSection(values.section)) {
        listener.section(values.section);
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
    return ended ? null : CUT;
  } catch (error) {
    if (signal.aborted || ended) return null;
    // The server's own words are no cut: it said why there is none.
    if (error instanceof ApiError && error.status !== 0 && error.status !== 502 && error.status !== 504) {
      listener.failed(error.message);
      return null;
    }
    return error instanceof ApiError ? error.message : CUT;
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
