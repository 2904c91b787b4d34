"""Backends, which run prompts: the protocol that tasks see, the native backend, and `load`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aris.lazy import lazy

if TYPE_CHECKING:
    from aris.backends.constraints.masks import Grammar
    from aris.backends.images import image
    from aris.backends.loading import DEFAULT_MODEL, load
    from aris.backends.native import NativeBackend
    from aris.backends.protocol import (
        Backend,
        FinishReason,
        GenerationOptions,
        Relevance,
        Reply,
        ReplyStream,
        Timings,
        TokenLogprob,
        Usage,
        WhiteBox,
    )

__all__ = [
    "DEFAULT_MODEL",
    "Backend",
    "FinishReason",
    "GenerationOptions",
    "Grammar",
    "NativeBackend",
    "Relevance",
    "Reply",
    "ReplyStream",
    "Timings",
    "TokenLogprob",
    "Usage",
    "WhiteBox",
    "image",
    "load",
]

__getattr__ = lazy(
    __name__,
    {
        "constraints.masks": ("Grammar",),
        "images": ("image",),
        "loading": ("DEFAULT_MODEL", "load"),
        "native": ("NativeBackend",),
        "protocol": (
            "Backend", "FinishReason", "GenerationOptions", "Relevance", "Reply", "ReplyStream", "Timings",
            "TokenLogprob", "Usage", "WhiteBox",
        ),
    },
)
