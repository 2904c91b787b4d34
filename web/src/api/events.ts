import { createParser } from "eventsource-parser";
import { ApiError, endsSession, respond } from "./client";

export interface ServerEvent {
  event: string;
  /** "" for an event that is not durable. */
  id: string;
  data: unknown;
}
export interface StreamOptions {
  onEvent: (event: ServerEvent) => void;
  /** "open" once the server answers, "waiting" while it cannot be reached, "closed" at the end. */
  onState?: (state: "open" | "waiting" | "closed", error?: ApiError) => void;
  /** Connect again after the server ended the stream itself; false for a stream that has an end, as a draft's. */
  endless?: boolean;
  lastEventId?: string;
  /** Milliseconds before the first new try; doubled up to `longest`. */
  wait?: number;
  longest?: number;
}

/** Milliseconds before try number `tries` (from 0): doubling, with up to a quarter by chance, so that clients do not come at once. */
export function backoff(tries: number, wait = 500, longest = 15000, chance = Math.random()): number {
  return Math.min(longest, wait * 2 ** Math.min(tries, 20)) * (1 + chance / 4);
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}

/** Follow the server-sent events at `path` until the returned function is called. After a cut it connects again and says the id
 *  of the last durable event (`Last-Event-ID`), so that none is lost. A 4xx answer ends it; the reason is in `onState`. */
export function follow(path: string, options: StreamOptions): () => void {
  const stop = new AbortController();
  void run(path, options, stop.signal);
  return () => stop.abort();
}

async function run(path: string, options: StreamOptions, signal: AbortSignal): Promise<void> {
  const { onEvent, onState, endless = true, longest = 15000 } = options;
  let last = options.lastEventId ?? "";
  let wait = options.wait ?? 500;
  let tries = 0;
  while (!signal.aborted) {
    try {
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (last) headers["Last-Event-ID"] = last;
      const response = await respond("GET", path, { headers, signal });
      onState?.("open");
      const parser = createParser({
        onEvent: (message) => {
          tries = 0;
          if (message.id !== undefined) last = message.id;
          onEvent({ event: message.event ?? "message", id: message.id ?? "", data: parsed(message.data) });
        },
        onRetry: (milliseconds) => {
          wait = milliseconds;
        },
      });
      await read(response, (text) => parser.feed(text), signal);
      if (!endless) break;
    } catch (error) {
      if (signal.aborted) break;
      const known = error instanceof ApiError ? error : new ApiError(0, "cut", "The connection was cut.");
      if (endsSession(known) || (known.status >= 400 && known.status < 500 && known.status !== 429)) {
        onState?.("closed", known);
        return;
      }
      onState?.("waiting", known);
    }
    await pause(backoff(tries, wait, longest), signal);
    tries += 1;
  }
  onState?.("closed");
}

async function read(response: Response, feed: (text: string) => void, signal: AbortSignal): Promise<void> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  const cancel = () => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cancel, { once: true });
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      feed(decoder.decode(value, { stream: true }));
    }
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return data;
  }
}
