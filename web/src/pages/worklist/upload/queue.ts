import { words } from "../../../api/client";
import type { Uploaded } from "../../../api/types";

export interface Outcome {
  total: number;
  done: number;
  /** Of the files on their way: the part that is sent, 0 to 1 over all files. */
  share: number;
  added: number;
  known: number;
  studies: string[];
  refused: { name: string; reason: string }[];
  running: boolean;
}
/** `more`: other files of the same batch follow; with the last one the studies are complete. */
export type Send = (
  file: File,
  more: boolean,
  onProgress: (share: number) => void,
  signal: AbortSignal,
) => Promise<Uploaded>;

export const NOTHING: Outcome = {
  total: 0,
  done: 0,
  share: 0,
  added: 0,
  known: 0,
  studies: [],
  refused: [],
  running: false,
};

/** Send files, some at a time, and say after each how it stands. A file that fails is named, and the others go on. */
export async function sendAll(
  files: File[],
  send: Send,
  say: (outcome: Outcome) => void,
  signal: AbortSignal,
  together = 2,
): Promise<Outcome> {
  const shares = new Map<File, number>();
  const studies = new Set<string>();
  let outcome: Outcome = { ...NOTHING, total: files.length, running: true };
  const tell = (some: Partial<Outcome>) => {
    const sent = [...shares.values()].reduce((sum, share) => sum + share, 0);
    outcome = { ...outcome, ...some, share: files.length ? sent / files.length : 1, studies: [...studies] };
    say(outcome);
  };
  const last = files.at(-1);
  const work = async (waiting: File[]) => {
    for (let file = waiting.shift(); file && !signal.aborted; file = waiting.shift()) {
      const now = file;
      try {
        const answer = await send(
          now,
          now !== last,
          (share) => {
            shares.set(now, share);
            tell({});
          },
          signal,
        );
        for (const study of answer.studies) studies.add(study);
        shares.set(now, 1);
        tell({
          done: outcome.done + 1,
          added: outcome.added + answer.added,
          known: outcome.known + answer.known,
          refused: [...outcome.refused, ...answer.refused],
        });
      } catch (error) {
        if (signal.aborted) return;
        shares.set(now, 1);
        tell({ done: outcome.done + 1, refused: [...outcome.refused, { name: now.name, reason: words(error) }] });
      }
    }
  };
  tell({});
  // The last one goes alone: only then have all the others come.
  const before = files.slice(0, -1);
  await Promise.all(Array.from({ length: together }, () => work(before)));
  await work(files.slice(-1));
  tell({ running: false });
  return outcome;
}
