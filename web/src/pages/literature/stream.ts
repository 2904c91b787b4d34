import { createParser } from "eventsource-parser";
import { ApiError, at, respond } from "../../api/client";
import type { AnswerSentence, AskLiterature, CitedPassage, LiteratureAnswer } from "../../api/types";

export interface Shown {
  state: "asking" | "done" | "failed";
  question: string;
  sentences: AnswerSentence[];
  passages: CitedPassage[];
  answer: LiteratureAnswer | null;
  error: unknown;
}

/** Return the answer that is shown with one more event of its stream. */
export function told(shown: Shown, event: string, data: unknown): Shown {
  if (event === "sentence") {
    const { sentence, passages } = data as { sentence: AnswerSentence; passages: CitedPassage[] };
    return { ...shown, sentences: [...shown.sentences, sentence], passages: [...shown.passages, ...passages] };
  }
  if (event === "done") {
    const answer = data as LiteratureAnswer;
    return { ...shown, state: "done", answer, sentences: answer.sentences, passages: answer.passages };
  }
  if (event === "failed") {
    const { code, message } = data as { code: string; message: string };
    return { ...shown, state: "failed", error: new ApiError(400, code, message) };
  }
  return shown;
}

/** Ask a library; `say` hears of every sentence as it comes. */
export async function askLibrary(
  library: string,
  body: AskLiterature,
  say: (shown: Shown) => void,
  signal: AbortSignal,
): Promise<void> {
  let shown: Shown = {
    state: "asking",
    question: body.question,
    sentences: [],
    passages: [],
    answer: null,
    error: null,
  };
  say(shown);
  try {
    const response = await respond("POST", at("literature", "libraries", library, "ask"), {
      body,
      signal,
      headers: { Accept: "text/event-stream" },
    });
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    const parser = createParser({
      onEvent: ({ event = "message", data }) => {
        shown = told(shown, event, JSON.parse(data));
        say(shown);
      },
    });
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) break;
      parser.feed(decoder.decode(part.value, { stream: true }));
    }
    if (shown.state === "asking") throw new ApiError(0, "cut", "The answer was cut off. Ask again.");
  } catch (error) {
    if (!signal.aborted) say({ ...shown, state: "failed", error });
  }
}
