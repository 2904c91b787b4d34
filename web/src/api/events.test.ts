// @vitest-environment node
import { afterEach, expect, test, vi } from "vitest";
import { backoff, follow, type ServerEvent } from "./events";

const text = new TextEncoder();

/** A stream that gives its pieces and then ends, or breaks. */
function stream(pieces: string[], breaks = false): Response {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const piece = pieces.shift();
      if (piece !== undefined) controller.enqueue(text.encode(piece));
      else if (breaks) controller.error(new TypeError("network"));
      else controller.close();
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

function serve(...answers: (() => Response)[]) {
  const asked: Headers[] = [];
  vi.stubGlobal("fetch", async (_path: string, init: RequestInit) => {
    asked.push(new Headers(init.headers));
    const next = answers.shift();
    if (!next) return new Promise<Response>(() => undefined);
    return next();
  });
  return asked;
}

afterEach(() => vi.unstubAllGlobals());

test("after a cut the last durable id is sent and what comes then is heard once", async () => {
  const asked = serve(
    () =>
      stream(
        ["event: study\nid: 7\nda", 'ta: {"study":"1"}\n\n', 'event: drafting\ndata: {"state":"running"}\n\n'],
        true,
      ),
    () => stream(['event: study\nid: 8\ndata: {"study":"2"}\n\n'], true),
  );
  const heard: ServerEvent[] = [];
  const states: string[] = [];
  const stop = follow("/api/events", {
    onEvent: (event) => heard.push(event),
    onState: (state) => states.push(state),
    wait: 1,
    longest: 2,
  });
  await vi.waitFor(() => expect(asked).toHaveLength(3));
  stop();
  expect(heard).toEqual([
    { event: "study", id: "7", data: { study: "1" } },
    { event: "drafting", id: "", data: { state: "running" } },
    { event: "study", id: "8", data: { study: "2" } },
  ]);
  expect(asked.map((headers) => headers.get("Last-Event-ID"))).toEqual([null, "7", "8"]);
  expect(states.slice(0, 3)).toEqual(["open", "waiting", "open"]);
});

test("a sign that is cut in two between pieces of the stream is put together", async () => {
  const whole = text.encode('data: {"text":"Größe"}\n\n');
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // In the middle of the two bytes of "ö".
      const at = whole.indexOf(0xc3) + 1;
      controller.enqueue(whole.slice(0, at));
      controller.enqueue(whole.slice(at));
      controller.close();
    },
  });
  serve(() => new Response(body));
  const heard: unknown[] = [];
  await new Promise<void>((resolve) => {
    follow("/api/x", {
      endless: false,
      onEvent: ({ data }) => heard.push(data),
      onState: (state) => state === "closed" && resolve(),
    });
  });
  expect(heard).toEqual([{ text: "Größe" }]);
});

test("a stream with an end is not asked for again, and a refusal ends it with its reason", async () => {
  const asked = serve(
    () => stream(["event: done\ndata: 1\n\n"]),
    () => new Response(JSON.stringify({ error: { code: "not_found", message: "gone" } }), { status: 404 }),
  );
  await new Promise<void>((resolve) => {
    follow("/api/x", { endless: false, onEvent: () => undefined, onState: (state) => state === "closed" && resolve() });
  });
  expect(asked).toHaveLength(1);
  const code = await new Promise<string | undefined>((resolve) => {
    follow("/api/x", {
      onEvent: () => undefined,
      onState: (state, error) => state === "closed" && resolve(error?.code),
    });
  });
  expect(code).toBe("not_found");
  expect(asked).toHaveLength(2);
});

test("a stop while waiting asks no more", async () => {
  const asked = serve(() => stream([], true));
  const states: string[] = [];
  const stop = follow("/api/x", { onEvent: () => undefined, onState: (state) => states.push(state), wait: 60_000 });
  await vi.waitFor(() => expect(states).toContain("waiting"));
  stop();
  await vi.waitFor(() => expect(states.at(-1)).toBe("closed"));
  expect(asked).toHaveLength(1);
});

test("waiting grows up to its bound", () => {
  expect([0, 1, 2, 9, 99].map((tries) => backoff(tries, 500, 15_000, 0))).toEqual([500, 1000, 2000, 15_000, 15_000]);
  expect(backoff(0, 500, 15_000, 1)).toBe(625);
});
