"""A reply from an endpoint while it is made: chunks to segments, reasoning told from the answer, usage and timings."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from aris.backends.protocol import FinishReason, GenerationOptions, Reply, Timings, TokenLogprob, Usage
from aris.backends.remote.client import RemoteClient
from aris.backends.streaming import ReasoningEdge
from aris.errors import ModelError
from aris.prompting import Message, Segment, ThinkingSplitter
from aris.prompting.messages import images_of

# What endpoints call it: vLLM, SGLang, TGI, Mistral, Gemini, Azure and gateways before others.
_LENGTH = {"length", "max_tokens", "model_length"}
_CUT_OFF = {"content_filter", "safety", "abort", "aborted", "cancelled", "canceled", "error"}


class RemoteStream(Iterator[str]):
    """A reply of a `RemoteBackend` while it is made (see `protocol.ReplyStream`).

    Reasoning is told apart whether the endpoint does so (`reasoning_content`, `reasoning`) or sends them in the text.
    """

    def __init__(
        self,
        client: RemoteClient,
        body: Mapping[str, Any],
        options: GenerationOptions,
        messages: Sequence[Message],
        *,
        reasoning: bool,
        started: float,
    ) -> None:
        self._client = client
        self._body = body
        self._options = options
        self._n_images = len(images_of(messages))
        self._with_reasoning = reasoning
        self._started = started
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._edge = ReasoningEdge()
        self._stop_reason: str | int | None = None
        self._logprobs: list[TokenLogprob] = []
        self._foreign = False
        self._usage: Mapping[str, Any] = {}
        self._first_s = self._last_s = 0.0
        self._pieces = 0
        self._finish: FinishReason | None = None
        self._segments = self._run()

    def __iter__(self) -> RemoteStream:
        return self

    def __next__(self) -> str:
        for segment in self._segments:
            if segment.kind == "answer" or self._with_reasoning:
                return segment.text
        raise StopIteration

    def segments(self) -> Iterator[Segment]:
        """The pieces with their kind, reasoning included."""
        return self._segments

    def close(self) -> None:
        """Stop: the connection is closed, which tells the endpoint to."""
        self._segments.close()

    @property
    def reply(self) -> Reply:
        """The reply so far. Counts of tokens are the endpoint's; until it tells them, pieces are counted."""
        spent = self._last_s - self._first_s
        tokens = _count(self._usage.get("completion_tokens"), self._pieces)
        rate = (tokens - 1) / spent if tokens > 1 and spent > 0 else None
        reasoning = "".join(self._reasoning)
        return Reply(
            text="".join(self._answer),
            thinking=reasoning or None,
            finish_reason=self._finish or "aborted",
            usage=Usage(_count(self._usage.get("prompt_tokens"), 0), tokens, self._n_images),
            timings=Timings(0.0, 0.0, self._first_s, rate, self._last_s),
            logprobs=None if self._options.top_logprobs is None else () if self._foreign else tuple(self._logprobs),
            stop_reason=self._stop_reason,
        )

    def _run(self) -> Generator[Segment, None, None]:
        splitter = ThinkingSplitter()
        finish: FinishReason | None = None
        for event in self._client.events("/chat/completions", self._body):
            if isinstance(event.get("usage"), Mapping):
                self._usage = event["usage"]
            choice = _first_choice(event)
            if choice is None:
                continue
            self._read_logprobs(choice.get("logprobs"))
            delta = choice.get("delta")
            delta = delta if isinstance(delta, Mapping) else {}
            reasoning = delta.get("reasoning_content") or delta.get("reasoning")
            if isinstance(reasoning, str) and reasoning:
                yield from self._record(Segment("reasoning", reasoning))
            content = delta.get("content")
            if isinstance(content, str) and content:
                for segment in splitter.push(content):
                    yield from self._record(segment)
            reason = choice.get("finish_reason")
            if reason:  # some send "" until there is one
                finish = _finish_reason(str(reason), self._client.url)
                stopped_by = choice.get("stop_reason")
                self._stop_reason = stopped_by if isinstance(stopped_by, str | int) else None
        for segment in splitter.flush():
            yield from self._record(segment)
        if finish is None:
            raise ModelError(f"{self._client.url}: the answer ended before it was complete; try again")
        self._last_s = time.perf_counter() - self._started
        self._finish = finish

    def _record(self, segment: Segment) -> Iterator[Segment]:
        """Note a segment; nothing of it may be left of reasoning whose edges are trimmed."""
        self._last_s = time.perf_counter() - self._started
        if not self._pieces:
            self._first_s = self._last_s
        self._pieces += 1
        text = self._edge.push(segment.text) if segment.kind == "reasoning" else segment.text
        if text:
            (self._reasoning if segment.kind == "reasoning" else self._answer).append(text)
            yield Segment(segment.kind, text)

    def _read_logprobs(self, logprobs: Any) -> None:
        """Take them over; in a form that is not OpenAI's they count as not given, which loses nobody the text."""
        content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
        try:
            for token in content or ():
                top = tuple((str(each["token"]), float(each["logprob"])) for each in token.get("top_logprobs") or ())
                self._logprobs.append(TokenLogprob(str(token["token"]), float(token["logprob"]), top))
        except (KeyError, TypeError, ValueError, AttributeError):
            self._foreign = True


def _finish_reason(reason: str, url: str) -> FinishReason:
    """Ours for an endpoint's; unknown ones mean that the model or a stop string ended the answer ("eos", "tool_calls").

    Raises:
        ModelError: the answer was cut off, which is neither: nobody may take it for whole.
    """
    if reason.lower() in _CUT_OFF:
        raise ModelError(f"{url}: the endpoint cut the answer off ({reason}); what came of it is not whole")
    return "length" if reason.lower() in _LENGTH else "stop"


def _first_choice(event: Mapping[str, Any]) -> Mapping[str, Any] | None:
    choices = event.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], Mapping):
        return choices[0]
    return None


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) else otherwise
