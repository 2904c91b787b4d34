"""Steps that both endpoints share: find the model, make the streams, follow them, free them when the caller leaves."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from functools import cached_property
from typing import Any, TypeVar

from fastapi import Request

from aris import __version__
from aris.backends import GenerationOptions, NativeBackend, ReplyStream
from aris.backends import Usage as BackendUsage
from aris.engine import ContextLengthError, EngineBusy
from aris.errors import ArisError
from aris.service.errors import RETRY_AFTER_S, ApiError, bad_request, busy, refused
from aris.service.http.body import Bodies, ClientLeftError
from aris.service.metrics import Metrics
from aris.service.openai.generation import Dispatcher, Generation
from aris.service.schemas import ModelCard, Usage
from aris.service.settings import Settings
from aris.tasks.scope import not_for_patients

FINGERPRINT = f"aris-{__version__}"
T = TypeVar("T")
Stream = TypeVar("Stream", bound=ReplyStream)


class Api:
    """A served model.

    Attributes:
        backend, settings, metrics, dispatcher, bodies: its parts.
        name: by which callers name it. Its adapters have names of their own, as models beside it.

    Raises:
        ArisError: an adapter has the name of the model.
    """

    def __init__(self, backend: NativeBackend, settings: Settings) -> None:
        self.backend = backend
        self.settings = settings
        self.limits = settings.limits
        self.name = settings.model_name or served_name(backend)
        if self.name in backend.adapters:
            raise ArisError(f"serve: an adapter has the model's name, {self.name!r:.100}; give it another")
        self.metrics = Metrics(self.engine_facts)
        self.dispatcher = Dispatcher(self.limits.sequences, self.limits.image_bytes, self.metrics)
        self.bodies = Bodies(self.limits)
        self._created = int(time.time())

    def close(self) -> None:
        """Cancel everything."""
        self.dispatcher.close()
        self.bodies.close()

    @property
    def can_think(self) -> bool:
        """Return whether the model was trained to think first."""
        return self.backend.spec is not None and self.backend.spec.thinking

    @property
    def context(self) -> int:
        """Tokens of one sequence, prompt and answer, at most: what the model and this machine's memory allow."""
        return self.backend.engine.max_tokens

    @cached_property
    def markup(self) -> frozenset[str]:
        """Tokens that are no text, as the vocabulary spells them."""
        names = map(self.backend.tokenizer.id_to_token, self.backend.tokenizer.special_ids)
        return frozenset(name for name in names if name is not None)

    def card(self, adapter: str | None = None) -> ModelCard:
        """The model, or it with an adapter, for /v1/models."""
        backend = self.backend.with_adapter(adapter)
        own: dict[str, Any] = {
            "spec": None if backend.spec is None else backend.spec.name,
            "reads_images": backend.reads_images,
            "calibration": dict(backend.calibration),
            "changes": backend.changes,
            "caution": not_for_patients(backend.spec),
        }
        parent = None if adapter is None else self.name
        return ModelCard(
            id=adapter or self.name, created=self._created, max_model_len=self.context, parent=parent, aris=own
        )

    def cards(self) -> list[ModelCard]:
        """All that can be named, the model first."""
        return [self.card(), *(self.card(adapter) for adapter in self.backend.adapters)]

    def adapter(self, name: str | None) -> str | None:
        """The adapter that a caller means by a model's name; None for the model itself.

        Raises:
            ApiError: 404, there is no such model.
        """
        if name is None or name == self.name:
            return None
        if name in self.backend.adapters:
            return name
        known = ", ".join(map(repr, (self.name, *self.backend.adapters)))
        raise ApiError(
            404, f"the model {name[:100]!r} does not exist; this server has {known:.1000}", param="model",
            code="model_not_found",
        )  # fmt: skip

    def require_choices(self, choices: int) -> None:
        """Raise `ApiError` if a request asks for too many answers at once, ever or now."""
        if choices > self.limits.choices:
            raise bad_request(f"{choices} answers in one request; {self.limits.choices} at most", "n")
        self.dispatcher.require_room(choices)

    def checked(self, work: Callable[[], T]) -> T:
        """Call the backend; turn its refusal into an `ApiError`."""
        try:
            return work()
        except EngineBusy:
            raise busy(RETRY_AFTER_S) from None
        except ContextLengthError as error:
            raise bad_request(str(error), "messages", "context_length_exceeded") from None
        except ArisError as error:
            raise refused(error) from None

    def opened(
        self, make: Callable[[GenerationOptions, int], Sequence[Stream]], options: GenerationOptions, choices: int
    ) -> Sequence[Stream]:
        """The streams of so many answers to one prompt, which is made once; it and the options were found good."""
        streams = self.checked(lambda: make(options, choices))
        prompt = streams[0].reply.usage.prompt_tokens
        if prompt >= self.context:
            raise bad_request(
                f"the prompt has {prompt:,} tokens, this model reads {self.context - 1:,} at most; send less text or "
                "fewer images", "messages", "context_length_exceeded",
            )  # fmt: skip
        return streams

    def start(self, streams: Sequence[ReplyStream], image_bytes: int = 0) -> Generation:
        """Begin to read the streams (see `Dispatcher.start`)."""
        return self.dispatcher.start(streams, image_bytes)

    def engine_facts(self) -> dict[str, float]:
        """The engine's figures for the metrics."""
        return self.backend.engine.stats()


def served_name(backend: NativeBackend) -> str:
    """The registry's name of the model, or the last part of its path: never where it lies on this machine."""
    if backend.spec is not None:
        return backend.spec.name
    return backend.name.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or backend.name


def usage_of(usages: Sequence[BackendUsage], prompts: int = 1) -> Usage:
    """The usage of a request's choices; choices of the same prompt read it once.

    Args:
        usages: of the choices, those of one prompt side by side.
        prompts: how many prompts there were.
    """
    each = len(usages) // prompts
    read = sum(usage.prompt_tokens for usage in usages[::each])
    written = sum(usage.completion_tokens for usage in usages)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def new_id(prefix: str) -> str:
    """An id for a response, as in "chatcmpl-0123..."."""
    return f"{prefix}-{uuid.uuid4().hex}"


async def while_connected(request: Request, work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled if the caller leaves.

    Raises:
        ClientLeftError: the caller has left.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeftError
        return task.result()
    finally:
        for each in (task, watch):
            each.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
