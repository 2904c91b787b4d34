import { createParser } from "eventsource-parser";
import { respond } from "../../api/client";

/** An event of a server-sent stream, with its data as JSON. */
export interface StreamEvent {
  event: string;
  data: unknown;
}

/** Read a server-sent stream until it ends. Data that is not JSON is passed over.
 *
 * Raises:
 *   ApiError: with the server's words, where it did not answer with a stream.
 */
export async function readEvents(path: string, signal: AbortSignal, tell: (event: StreamEvent) => void): Promise<void> {
  const response = await respond("GET", path, { headers: { Accept: "text/event-stream" }, signal });
  if (response.body === null) return;
  const parser = createParser({
    onEvent: ({ event, data }) => {
      try {
        tell({ event: event ?? "message", data: JSON.parse(data) });
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
      }
    },
  });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}
