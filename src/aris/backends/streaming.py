"""A reply while it is made: ids to text, reasoning told from the answer, stop strings, usage and timings."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from collections.abc import Sequence as Listed
from contextlib import suppress

import torch

from aris.backends.memory import memory_errors
from aris.backends.protocol import FinishReason, GenerationOptions, Reply, Timings, TokenLogprob, Usage
from aris.engine import Sequence, Step
from aris.prompting import Prompt, Segment, ThinkingSplitter, Tokenizer


class StopStrings:
    """Finds the first of some strings in text that arrives in pieces, and holds back what may yet begin one.

    Attributes:
        found: the one that was found.
    """

    def __init__(self, stops: Listed[str], *, include: bool = False) -> None:
        """Make a finder of stop strings.

        Args:
            stops: the strings.
            include: the one that is found is a part of the text.
        """
        self._stops = tuple(stops)
        self._include = include
        self._pending = ""
        self.found: str | None = None

    def push(self, text: str) -> tuple[str, bool]:
        """(text that is certain, whether a stop string was found behind it)."""
        self._pending += text
        found = [(at, stop) for stop in self._stops if (at := self._pending.find(stop)) >= 0]
        if found:
            at, self.found = min(found)
            out, self._pending = self._pending[: at + len(self.found) * self._include], ""
            return out, True
        held = max((_overlap(self._pending, stop) for stop in self._stops), default=0)
        cut = len(self._pending) - held
        out, self._pending = self._pending[:cut], self._pending[cut:]
        return out, False

    def flush(self) -> str:
        """Return the text held back, at the end of the text."""
        out, self._pending = self._pending, ""
        return out


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` and is not all of it."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if stop.startswith(text[-size:])), 0)


class NativeStream(Iterator[str]):
    """A reply of a `NativeBackend` while it is made (see `protocol.ReplyStream`).

    Memory that runs out is raised by the iteration as a `ModelError`. A stream that nobody holds any longer frees what
    it took, as one that is closed does.

    Attributes:
        prompt: what the model reads.
    """

    def __init__(
        self,
        prompt: Prompt,
        sequence: Sequence,
        options: GenerationOptions,
        *,
        tokenizer: Tokenizer,
        device: torch.device,
        reasoning: bool,
        started: float,
        raw: bool = False,
    ) -> None:
        self.prompt = prompt
        self._options = options
        self._reasoning = reasoning
        self._record = _Record(sequence, options, tokenizer, device, started, raw)
        self._segments = self._record.segments()

    def __iter__(self) -> NativeStream:
        return self

    def __next__(self) -> str:
        for segment in self._segments:
            if segment.kind == "answer" or self._reasoning:
                return segment.text
        raise StopIteration

    def segments(self) -> Iterator[Segment]:
        """The pieces with their kind, reasoning included."""
        return self._segments

    def close(self) -> None:
        """Stop generating and free what that took; `reply` keeps what was made.

        Any thread may call this; one that is reading comes to an end.
        """
        self._record.sequence.cancel()
        with suppress(ValueError):  # another thread is in it, and finds the end by itself
            self._segments.close()

    @property
    def reply(self) -> Reply:
        """The reply so far; its finish reason is "aborted" until the iteration has ended."""
        record = self._record
        spent = record.last_s - record.first_token_s
        rate = (record.tokens - 1) / spent if record.tokens > 1 and spent > 0 else None
        sequence = record.sequence
        return Reply(
            text="".join(record.answer),
            thinking="".join(record.reasoning) if record.reasoning_seen else None,
            finish_reason=record.finish or "aborted",
            usage=Usage(len(self.prompt.token_ids), record.tokens, self.prompt.n_images),
            timings=Timings(sequence.image_s, sequence.prefill_s, record.first_token_s, rate, record.last_s),
            logprobs=None if self._options.top_logprobs is None else tuple(record.logprobs),
            stop_reason=record.stop_reason,
        )


class _Record:
    """Record of a stream so far. Apart from `NativeStream`, so that its generator does not keep that alive."""

    def __init__(
        self,
        sequence: Sequence,
        options: GenerationOptions,
        tokenizer: Tokenizer,
        device: torch.device,
        started: float,
        raw: bool,
    ) -> None:
        self.sequence = sequence
        self.answer: list[str] = []
        self.reasoning: list[str] = []
        self.reasoning_seen = False
        self.logprobs: list[TokenLogprob] = []
        self.tokens = 0
        self.first_token_s = self.last_s = 0.0
        self.finish: FinishReason | None = None
        self.stop_reason: str | int | None = None
        self._raw = raw
        self._edge = ReasoningEdge()
        self._tokenizer = tokenizer
        self._device = device
        self._options = options
        self._started = started

    def __del__(self) -> None:
        self.sequence.cancel()  # of a stream that nobody began to read

    def segments(self) -> Generator[Segment, None, None]:
        """Generate segments; what is yielded is what was recorded."""
        try:
            yield from self._generate()
        finally:
            self.sequence.cancel()

    def _generate(self) -> Generator[Segment, None, None]:
        decoder = self._tokenizer.stream_decoder()
        splitter = None if self._raw else ThinkingSplitter()
        stops = StopStrings(self._options.stop, include=self._options.include_stop)
        with memory_errors(self._device):
            finish: FinishReason = "aborted"
            for step in self._steps():
                finish = step.finish_reason or finish
                if finish == "stop" and step.token_id in self._options.stop_token_ids:
                    self.stop_reason = step.token_id
                    if not self._options.include_stop:
                        continue
                text = decoder.push(step.token_id)
                for segment in _told(text) if splitter is None else splitter.push(text):
                    stopped = yield from self._emit(segment, stops)
                    if stopped:
                        return
            text = decoder.flush()
            for segment in _told(text) if splitter is None else [*splitter.push(text), *splitter.flush()]:
                stopped = yield from self._emit(segment, stops)
                if stopped:
                    return
            rest = stops.flush()
            if rest:
                self.answer.append(rest)
                yield Segment("answer", rest)
            self.finish = finish

    def _steps(self) -> Iterator[Step]:
        """The engine's steps, timed and counted."""
        for step in self.sequence:
            now = time.perf_counter()
            if not self.tokens:
                self.first_token_s = now - self._started
            self.tokens += 1
            self.last_s = now - self._started
            if self._options.top_logprobs is not None:
                self.logprobs.append(self._logprob(step))
            yield step

    def _logprob(self, step: Step) -> TokenLogprob:
        name = self._tokenizer.id_to_token
        top = tuple((name(token) or "", value) for token, value in step.top_logprobs)
        assert step.logprob is not None  # it was asked for
        return TokenLogprob(name(step.token_id) or "", step.logprob, top)

    def _emit(self, segment: Segment, stops: StopStrings) -> Generator[Segment, None, bool]:
        """Record and yield a segment; returns whether a stop string ended the answer."""
        if segment.kind == "reasoning":
            self.reasoning_seen = True
            reasoning = self._edge.push(segment.text)
            if reasoning:
                self.reasoning.append(reasoning)
                yield Segment("reasoning", reasoning)
            return False
        if self.tokens <= self._options.min_tokens:
            text, stopped = segment.text, False  # stop strings do not count yet
        else:
            text, stopped = stops.push(segment.text)
        if stopped:
            self.finish, self.stop_reason = "stop", stops.found
        if text:
            self.answer.append(text)
            yield Segment("answer", text)
        return stopped


class ReasoningEdge:
    """Trimmer of reasoning that arrives in pieces: white space at its ends is no part of it."""

    def __init__(self) -> None:
        self._begun = False
        self._held = ""

    def push(self, text: str) -> str:
        """Take a piece; return the text that is certain with it."""
        text = self._held + text if self._begun else text.lstrip()
        certain = text.rstrip()
        self._held = text[len(certain) :]
        self._begun = self._begun or bool(certain)
        return certain


def _told(text: str) -> list[Segment]:
    """A text as an answer, whatever it is."""
    return [Segment("answer", text)] if text else []
