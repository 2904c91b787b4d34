"""Answers in progress: backends' streams, each read by a thread of its own, as one asynchronous sequence of events.

A generation ends in one of three ways, and each frees its sequences: its events are read to the end, one of them
fails, or `cancel` is called because the caller has left or the server stops.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from aris.backends import Reply, ReplyStream, TokenLogprob
from aris.service.errors import RETRY_AFTER_S, ApiError, busy
from aris.service.metrics import Metrics

_PREPARING = 4
_SCORING = 16
T = TypeVar("T")


class WorkLeftError(Exception):
    """Nobody waits for this work any more."""


class Work:
    """Preparation or scoring in a thread, for a caller who may leave meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = False
        self._stops: list[Callable[[], None]] = []

    def going(self) -> None:
        """Raise `WorkLeftError` if nobody waits for it any more. To be called between its parts."""
        if self._left:
            raise WorkLeftError

    def on_leave(self, stop: Callable[[], None]) -> None:
        """Have something stopped when the caller leaves; at once if it has."""
        with self._lock:
            if not self._left:
                self._stops.append(stop)
                return
        stop()

    def leave(self) -> None:
        """The caller has left."""
        with self._lock:
            self._left = True
            stops, self._stops = self._stops, []
        for stop in stops:
            stop()


@dataclass(frozen=True)
class Piece:
    """Text that was made, with the log-probabilities of all tokens since the last piece (if they were asked for)."""

    choice: int
    kind: Literal["answer", "reasoning"]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class Ended:
    """A choice has ended; `logprobs` are those of tokens that came after its last piece."""

    choice: int
    reply: Reply
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True)
class _Failed:
    error: BaseException


Event = Piece | Ended


class Generation:
    """The choices of one request while they are made. Made by `Dispatcher.start`; iterate over `events` once."""

    def __init__(self, streams: Sequence[ReplyStream], dispatcher: Dispatcher, metrics: Metrics) -> None:
        self._streams = streams
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event | _Failed] = asyncio.Queue()
        self._cancelled = threading.Event()
        self._started = time.perf_counter()
        self._begun = [False] * len(streams)

    async def events(self) -> AsyncIterator[Event]:
        """Yield the events of all choices as they come; the last event of each is `Ended`.

        Raises:
            Exception: whatever a choice failed with; the others are cancelled.
        """
        left = len(self._streams)
        try:
            while left:
                event = await self._queue.get()
                if isinstance(event, _Failed):
                    raise event.error
                left -= isinstance(event, Ended)
                yield event
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Stop whatever is still being made. Any thread may call this, and more than once."""
        if not self._cancelled.is_set():
            self._cancelled.set()
            for stream in self._streams:
                self._dispatcher.abort(stream)

    def read(self, choice: int) -> None:
        """Read one stream to its end, in a thread of the dispatcher's."""
        stream = self._streams[choice]
        ended = False
        try:
            told = 0
            for segment in stream.segments():
                self._note_begin(choice)
                if self._cancelled.is_set():
                    return
                fresh = _fresh(stream, told)
                told += len(fresh)
                self._tell(Piece(choice, segment.kind, segment.text, fresh))
            if not self._cancelled.is_set():
                reply = stream.reply
                ended = True
                self._metrics.answered(reply)
                self._tell(Ended(choice, reply, (reply.logprobs or ())[told:]))
        except Exception as error:
            self._tell(_Failed(error))
        finally:
            stream.close()
            # Whoever got the last answer may have closed everything by now: this one was not cut off.
            if self._cancelled.is_set() and not ended:
                self._metrics.aborted(stream.reply)

    def _note_begin(self, choice: int) -> None:
        if not self._begun[choice]:
            self._begun[choice] = True
            self._metrics.first_token_s.observe(time.perf_counter() - self._started)

    def _tell(self, event: Event | _Failed) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, event)
        except RuntimeError:  # the loop has closed: nobody listens any more
            self._cancelled.set()


def _fresh(stream: ReplyStream, told: int) -> tuple[TokenLogprob, ...]:
    """Log-probabilities that came since `told` of them were there."""
    logprobs = stream.reply.logprobs
    return () if logprobs is None else logprobs[told:]


class Dispatcher:
    """Starts generations, up to a limit of sequences and of images' bytes at once."""

    def __init__(self, sequences: int, image_bytes: int, metrics: Metrics) -> None:
        self._room = sequences
        self._image_room, self._image_bytes = image_bytes, 0
        self._metrics = metrics
        self._active = 0
        self._lock = threading.Lock()
        self._readers = ThreadPoolExecutor(sequences, thread_name_prefix="aris-answer")
        self._preparing = ThreadPoolExecutor(_PREPARING, thread_name_prefix="aris-prepare")
        # Apart from preparing: scores wait for the engine, and what needs none must not wait for them.
        self._scoring = ThreadPoolExecutor(min(sequences, _SCORING), thread_name_prefix="aris-score")
        self._scores = 0
        self._generations: set[Generation] = set()

    @property
    def active(self) -> int:
        """Sequences in progress or waiting."""
        return self._active

    async def prepare(self, work: Callable[[Work], T]) -> T:
        """Do what takes the processor a while (decoding images, tokenising) outside the event loop.

        If this is cancelled, work that has not begun is not, and other work is told (see `Work`).
        """
        return await _cancellable(self._preparing, work)

    async def score(self, work: Callable[[Work], T]) -> T:
        """Do what waits for the engine to read something; cancelled likewise.

        Raises:
            ApiError: 429, as much is being scored as may be.
        """
        if self._scores >= self._room:
            raise busy(RETRY_AFTER_S)
        self._scores += 1
        try:
            return await _cancellable(self._scoring, work)
        finally:
            self._scores -= 1

    def require_room(self, sequences: int) -> None:
        """Raise `ApiError` 429 if so many more sequences are more than may be in progress."""
        if self._active + sequences > self._room:
            raise busy(RETRY_AFTER_S)

    def start(self, streams: Sequence[ReplyStream], image_bytes: int = 0) -> Generation:
        """Begin to read the streams. Call it in the event loop.

        Args:
            streams: the answers to one request.
            image_bytes: that their images take until they have ended.

        Raises:
            ApiError: 429, as many sequences or images as may be are in progress; the streams are closed.
        """
        try:
            with self._lock:
                self.require_room(len(streams))
                others = self._image_bytes
                if others and image_bytes and others + image_bytes > self._image_room:
                    raise busy(RETRY_AFTER_S)
                self._active += len(streams)
                self._image_bytes += image_bytes
        except ApiError:
            for stream in streams:
                stream.close()
            raise
        generation = Generation(streams, self, self._metrics)
        self._generations.add(generation)
        left = [len(streams)]

        def read(choice: int) -> None:
            try:
                generation.read(choice)
            finally:
                with self._lock:
                    self._active -= 1
                    left[0] -= 1
                    if not left[0]:
                        self._image_bytes -= image_bytes
                        self._generations.discard(generation)

        for choice in range(len(streams)):
            self._readers.submit(read, choice)
        return generation

    def abort(self, stream: ReplyStream) -> None:
        """Free a stream's sequence now, wherever its reader is."""
        stream.close()

    def close(self) -> None:
        """Cancel everything; returns when all threads have ended."""
        with self._lock:
            running = list(self._generations)
        for generation in running:
            generation.cancel()
        self._readers.shutdown()
        self._preparing.shutdown(cancel_futures=True)
        self._scoring.shutdown(cancel_futures=True)


async def _cancellable(pool: ThreadPoolExecutor, work: Callable[[Work], T]) -> T:
    mark = Work()
    try:
        return await asyncio.wrap_future(pool.submit(work, mark))
    except asyncio.CancelledError:
        mark.leave()
        raise
