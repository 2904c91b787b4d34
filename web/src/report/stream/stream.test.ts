// @vitest-environment node
import { afterEach, describe, expect, it, vi } from "vitest";
import { type DraftListener, followDraft } from "./draft";

const answer = (chunks: string[], status = 200) => {
  const encoder = new TextEncoder();
  const body = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(encoder.encode(chunk));
      controller.close();
    },
  });
  vi.stubGlobal("fetch", async () => new Response(body, { status }));
};

const listen = () => {
  const heard: unknown[][] = [];
  const listener: DraftListener = {
    findings: (...all) => heard.push(["findings", ...all]),
    piece: (...all) => heard.push(["piece", ...all]),
    done: (...all) => heard.push(["done", ...all]),
    section: (...all) => heard.push(["section", ...all]),
    failed: (...all) => heard.push(["failed", ...all]),
  };
  return { heard, listener };
};

const flaky = (answers: (string | null)[]) => {
  const encoder = new TextEncoder();
  vi.stubGlobal("fetch", async () => {
    const next = answers.shift();
    if (next == null) throw new TypeError("network");
    return new Response(encoder.encode(next));
  });
};

describe("a draft's stream", () => {
  it("is asked for again where it was cut, and a section that begins again takes the place of what was there", async () => {
    const { heard, listener } = listen();
    const begun =
      'event: section\ndata: {"section": "findings"}\n\nevent: piece\ndata: {"section": "findings", "text": "No"}\n\n';
    flaky([begun, null, `${begun}event: done\ndata: {"draft": 1, "text": 1}\n\n`]);
    await followDraft("1", new AbortController().signal, listener, false, [0, 0]);
    const wrote = [
      ["section", "findings"],
      ["piece", "findings", "No"],
    ];
    expect(heard).toEqual([...wrote, ...wrote, ["done", { draft: 1, text: 1 }]]);
  });
  afterEach(() => vi.unstubAllGlobals());
  it("is heard in order, wherever the network cuts it", async () => {
    const { heard, listener } = listen();
    answer([
      'event: findings\ndata: {"findings": [], "warn',
      'ings": ["w"]}\n\nevent: piece\ndata: {"section": "findings", "text": "Öd',
      'em."}\n\nevent: piece\ndata: {"section": "nonsense", "text": "x"}\n\n: keep-alive\n\nevent: piece\ndata: not json\n\n',
      'event: done\ndata: {"draft": 1, "text": 2}\n\n',
    ]);
    await followDraft("1.2.3", new AbortController().signal, listener);
    expect(heard).toEqual([
      ["findings", [], [{ text: "w", sentence: "" }]],
      ["piece", "findings", "Ödem."],
      ["done", { draft: 1, text: 2 }],
    ]);
  });
  it("says that it was cut off, or why there is none", async () => {
    const cut = listen();
    answer(['event: piece\ndata: {"section": "findings", "text": "x"}\n\n']);
    await followDraft("1", new AbortController().signal, cut.listener, false, []);
    expect(cut.heard.at(-1)).toEqual(["failed", "the connection ended before the draft did"]);
    const none = listen();
    answer(['event: done\ndata: {"draft": null, "text": null}\n\n']);
    await followDraft("1", new AbortController().signal, none.listener);
    expect(none.heard).toEqual([["failed", "the model has made no draft of it"]]);
    const refused = listen();
    answer(['{"error": {"code": "no_model", "message": "no model is loaded"}}'], 503);
    await followDraft("1", new AbortController().signal, refused.listener);
    expect(refused.heard).toEqual([["failed", "no model is loaded"]]);
  });
});
