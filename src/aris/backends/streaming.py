"""A reply while it is made: ids to text, thoughts told from the answer, stop strings, usage and timings."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING

from aris.backends.memory import memory_errors
from aris.backends.protocol import FinishReason, GenerationOptions, Reply, Timings, TokenLogprob, Usage
from aris.engine import SamplingParams, Step
from aris.prompting import Prompt, Segment, ThinkingSplitter

if TYPE_CHECKING:
    from aris.backends.native import NativeBackend


class StopStrings:
    """Finds the first of some strings in text that arrives in pieces, and holds back what may yet begin one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._pending = ""

    def push(self, text: str) -> tuple[str, bool]:
        """(text that is certain, whether a stop string was found behind it)."""
        self._pending += text
        found = [(at, stop) for stop in self._stops if (at := self._pending.find(stop)) >= 0]
        if found:
            at, _ = min(found)
            out, self._pending = self._pending[:at], ""
            return out, True
        held = max((_overlap(self._pending, stop) for stop in self._stops), default=0)
        cut = len(self._pending) - held
        out, self._pending = self._pending[:cut], self._pending[cut:]
        return out, False

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        out, self._pending = self._pending, ""
        return out


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` and is not all of it."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)


class NativeStream(Iterator[str]):
    """A reply of a `NativeBackend` while it is made (see `protocol.ReplyStream`).

    Memory that runs out, or a prompt that is too long, is raised at the first piece as a `ModelError`.
    """

    def __init__(
        self,
        backend: NativeBackend,
        prompt: Prompt,
        params: SamplingParams,
        options: GenerationOptions,
        *,
        thoughts: bool,
        started: float,
    ) -> None:
        self._backend = backend
        self._prompt = prompt
        self._params = params
        self._options = options
        self._thoughts = thoughts
        self._started = started
        self._answer: list[str] = []
        self._thought: list[str] = []
        self._thought_seen = False
        self._logprobs: list[TokenLogprob] = []
        self._tokens = 0
        self._image_s = self._prefill_s = self._first_token_s = 0.0
        self._last_s = 0.0
        self._finish: FinishReason | None = None
        self._segments = self._run()

    def __iter__(self) -> NativeStream:
        return self

    def __next__(self) -> str:
        for segment in self._segments:
            if segment.kind == "answer" or self._thoughts:
                return segment.text
        raise StopIteration

    def segments(self) -> Iterator[Segment]:
        """The pieces with their kind, thoughts included."""
        return self._segments

    def close(self) -> None:
        """Stop generating; `reply` keeps what was made."""
        self._segments.close()

    @property
    def reply(self) -> Reply:
        """The reply so far; its finish reason is "aborted" until the iteration has ended."""
        spent = self._last_s - self._first_token_s
        rate = (self._tokens - 1) / spent if self._tokens > 1 and spent > 0 else None
        return Reply(
            text="".join(self._answer),
            thinking="".join(self._thought).strip() if self._thought_seen else None,
            finish_reason=self._finish or "aborted",
            usage=Usage(len(self._prompt.token_ids), self._tokens, self._prompt.n_images),
            timings=Timings(self._image_s, self._prefill_s, self._first_token_s, rate, self._last_s),
            logprobs=None if self._options.top_logprobs is None else tuple(self._logprobs),
        )

    def _run(self) -> Generator[Segment, None, None]:
        """Generate segments; what is yielded is what was recorded."""
        decoder = self._backend.tokenizer.stream_decoder()
        splitter = ThinkingSplitter()
        stops = StopStrings(self._options.stop)
        with memory_errors(self._backend.model.device):
            finish: FinishReason = "stop"
            for step in self._steps():
                for segment in splitter.push(decoder.push(step.token_id)):
                    stopped = yield from self._emit(segment, stops)
                    if stopped:
                        self._finish = "stop"
                        return
                finish = step.finish_reason or finish
            for segment in [*splitter.push(decoder.flush()), *splitter.flush()]:
                stopped = yield from self._emit(segment, stops)
                if stopped:
                    self._finish = "stop"
                    return
            rest = stops.flush()
            if rest:
                self._answer.append(rest)
                yield Segment("answer", rest)
            self._finish = finish

    def _steps(self) -> Iterator[Step]:
        """The engine's steps, timed and counted."""
        ready = self._backend.prepare(self._prompt)
        self._image_s, self._prefill_s = ready.image_s, ready.prefill_s
        before = time.perf_counter()
        for step in self._backend.steps(ready, self._params):
            now = time.perf_counter()
            if not self._tokens:
                self._first_token_s = now - self._started
                self._prefill_s += now - before
            self._tokens += 1
            self._last_s = now - self._started
            if self._options.top_logprobs is not None:
                self._logprobs.append(self._logprob(step))
            yield step

    def _logprob(self, step: Step) -> TokenLogprob:
        name = self._backend.tokenizer.id_to_token
        top = tuple((name(token) or "", value) for token, value in step.top_logprobs)
        return TokenLogprob(name(step.token_id) or "", step.logprob, top)

    def _emit(self, segment: Segment, stops: StopStrings) -> Generator[Segment, None, bool]:
        """Record and yield a segment; returns whether a stop string ended the answer."""
        if segment.kind == "thought":
            self._thought_seen = True
            self._thought.append(segment.text)
            yield segment
            return False
        text, stopped = stops.push(segment.text)
        if text:
            self._answer.append(text)
            yield Segment("answer", text)
        return stopped
