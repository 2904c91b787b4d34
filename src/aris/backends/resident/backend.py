"""The backend in the user's resident server: nothing is loaded here, and the answers are those of a model loaded here.

Where the server is missing, of another build or model, busy, or ends in the middle, the model is loaded here after all,
and what was asked is asked again: whoever reads notices the wait and nothing else. Imports no PyTorch before that.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import aris.errors
from aris.backends.protocol import (
    Backend,
    GenerationOptions,
    Relevance,
    Reply,
    ReplyStream,
    Timings,
    TokenLogprob,
    Usage,
    WhiteBox,
)
from aris.backends.resident import address, wire
from aris.backends.resident.address import Wanted
from aris.checkpoints.registry import ModelSpec, find
from aris.errors import ModelError
from aris.prompting import Message, Segment

_CONNECT_S = 10.0  # for a server to accept and compare, which it does beside its other work
_SILENCE_S = 900.0
T = TypeVar("T")


def find_server(wanted: Wanted, load: Callable[[], Backend]) -> ServedBackend | None:
    """The user's resident server that has a model; None if there is none.

    Args:
        wanted: the model with its settings.
        load: loads the same here, for when the server ends.
    """
    paths = address.sockets()
    terms = wanted.terms() if paths else None
    if terms is None:
        return None
    for path in paths:
        try:
            with _asked(path, terms, "facts") as connection:
                facts = wire.receive(connection)
                if isinstance(facts, dict):
                    return ServedBackend(path, terms, wanted.name, facts, load)
        except wire.Gone:
            continue
    return None


class ServedBackend:
    """Runs prompts in a resident server. Made by `find_server`; see `protocol.Backend` and `protocol.WhiteBox`."""

    def __init__(
        self, path: Path, terms: dict[str, Any], name: str, facts: Mapping[str, Any], load: Callable[[], Backend]
    ) -> None:
        spec = facts["spec"]
        self.spec: ModelSpec | None = None if spec is None else find(spec)
        self.calibration: Mapping[str, Any] = facts["calibration"]
        self.changes: str = facts["changes"]
        self.reads_images: bool = facts["reads_images"]
        # A path is written as this command was given it.
        self.name: str = facts["name"] if self.spec is not None and self.spec.name == facts["name"] else _as_named(name)
        self._path, self._terms, self._load = path, terms, load
        self._here: Backend | None = None

    def __repr__(self) -> str:
        return f"ServedBackend({self.name!r})"

    def stream(
        self, messages: Sequence[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> ReplyStream:
        """See `protocol.Backend.stream`."""
        options = options or GenerationOptions()
        if options.temperature > 0 and options.seed is None:  # so that the same can be drawn again here
            options = replace(options, seed=secrets.randbits(31))
        arguments = {"messages": list(messages), "options": options}
        if self._here is None:
            try:
                connection = _asked(self._path, self._terms, "stream", arguments)
                _started(connection)
                return _ServedStream(connection, lambda: self._load_here().stream(messages, options, reasoning=True),
                                     reasoning=reasoning)  # fmt: skip
            except wire.Gone:
                pass
        return self._load_here().stream(messages, options, reasoning=reasoning)

    def generate(self, messages: Sequence[Message], options: GenerationOptions | None = None) -> Reply:
        """See `protocol.Backend.generate`."""
        stream = self.stream(messages, options)
        for _ in stream:
            pass
        return stream.reply

    def score(self, messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        """See `protocol.Backend.score`."""
        arguments = {"messages": list(messages), "choices": list(choices)}
        return self._call("score", arguments, lambda here: here.score(messages, choices))

    def score_many(
        self, messages: Sequence[Message], questions: Sequence[tuple[str, Sequence[str]]]
    ) -> list[list[float]]:
        """See `protocol.Backend.score_many`."""
        asked = [(question, list(choices)) for question, choices in questions]
        arguments = {"messages": list(messages), "questions": asked}
        return self._call("score_many", arguments, lambda here: here.score_many(messages, questions))

    def token_logprobs(self, messages: Sequence[Message], answer: str) -> tuple[TokenLogprob, ...]:
        """See `protocol.WhiteBox.token_logprobs`."""
        arguments = {"messages": list(messages), "answer": answer}
        return self._call("token_logprobs", arguments, lambda here: _box(here).token_logprobs(messages, answer))

    def relevance(
        self, messages: Sequence[Message], wanted: str, *, before: str = "", against: str | None = None
    ) -> Relevance:
        """See `protocol.WhiteBox.relevance`."""
        words = {"wanted": wanted, "before": before, "against": against}
        return self._call(
            "relevance",
            {"messages": list(messages)} | words,
            lambda here: _box(here).relevance(messages, wanted, before=before, against=against),
        )

    def _call(self, what: str, arguments: dict[str, Any], otherwise: Callable[[Backend], T]) -> T:
        if self._here is None:
            try:
                with _asked(self._path, self._terms, what, arguments) as connection:
                    found: T = _result(wire.receive(connection))
                    return found
            except wire.Gone:
                pass
        return otherwise(self._load_here())

    def _load_here(self) -> Backend:
        if self._here is None:
            self._here = self._load()
        return self._here


class _ServedStream(Iterator[str]):
    """A reply that the server makes (see `protocol.ReplyStream`)."""

    def __init__(self, connection: socket.socket, again: Callable[[], ReplyStream], *, reasoning: bool) -> None:
        self._connection = connection
        self._again = again
        self._reasoning = reasoning
        self._given = {"reasoning": "", "answer": ""}
        self._reply: Reply | None = None
        self._local: ReplyStream | None = None
        self._pieces = self._read()

    def __iter__(self) -> _ServedStream:
        return self

    def __next__(self) -> str:
        for segment in self._pieces:
            if segment.kind == "answer" or self._reasoning:
                return segment.text
        raise StopIteration

    def segments(self) -> Iterator[Segment]:
        """The pieces with their kind."""
        return self._pieces

    def close(self) -> None:
        """Stop generating: the server finds nobody at the other end."""
        self._connection.close()
        if self._local is not None:
            self._local.close()

    @property
    def reply(self) -> Reply:
        """The reply so far."""
        if self._local is not None:
            return self._local.reply
        if self._reply is not None:
            return self._reply
        reasoning = self._given["reasoning"].strip()
        return Reply(self._given["answer"], reasoning or None, "aborted", Usage(0, 0, 0), Timings())

    def _read(self) -> Iterator[Segment]:
        try:
            while True:
                found = _result(wire.receive(self._connection))
                if isinstance(found, Reply):
                    self._reply = found
                    self._connection.close()
                    return
                if not isinstance(found, Segment):
                    raise wire.Gone
                self._given[found.kind] += found.text
                yield found
        except wire.Gone:
            self._connection.close()
        yield from self._made_again()

    def _made_again(self) -> Iterator[Segment]:
        """The rest, made here: what was given already is made again and left out."""
        self._local = self._again()
        left = dict(self._given)
        for segment in self._local.segments():
            due, text = left[segment.kind], segment.text
            common = min(len(due), len(text))
            if due[:common] != text[:common]:
                raise ModelError(
                    "the server ended in the middle, and what it wrote goes on in other words here; run it again"
                )
            left[segment.kind] = due[common:]
            if text[common:]:
                yield Segment(segment.kind, text[common:])


def _asked(path: Path, terms: dict[str, Any], what: str, arguments: dict[str, Any] | None = None) -> socket.socket:
    """A connection to a server that has agreed to the terms and was told what to do.

    The arguments, which may hold a patient's images, are sent only after it has agreed.

    Raises:
        Gone: there is no such server, or it does not agree.
    """
    connection = address.connect(path, _CONNECT_S)
    if connection is None:
        raise wire.Gone
    try:
        wire.send(connection, {"terms": terms, "what": what})
        if wire.receive(connection) != "agreed":
            raise wire.Gone
        connection.settimeout(_SILENCE_S)
        if arguments is not None:
            wire.send(connection, arguments)
    except wire.Gone:
        connection.close()
        raise
    return connection


def _started(connection: socket.socket) -> None:
    """Wait until a stream is queued: what is wrong with the request is raised by the call, as without a server."""
    try:
        if _result(wire.receive(connection)) != "started":
            raise wire.Gone
    except BaseException:
        connection.close()
        raise


def _result(found: Any) -> Any:
    """Return a server's answer, or raise its error.

    Raises:
        ArisError: of the kind that it met.
        Gone: it could not answer for a reason of its own.
    """
    if isinstance(found, dict) and "error" in found:
        kind = getattr(aris.errors, str(found["error"]), None)
        if isinstance(kind, type) and issubclass(kind, aris.errors.ArisError):
            raise kind(str(found["message"]))
        raise wire.Gone
    return found["result"] if isinstance(found, dict) and "result" in found else found


def _as_named(name: str) -> str:
    return str(Path(name).expanduser()) if name.endswith(".gguf") else name


def _box(backend: Backend) -> WhiteBox:
    assert isinstance(backend, WhiteBox)  # a model loaded here is one
    return backend
