"""What runs a prompt: the protocol that tasks see, the native backend, and `load`."""

from aris.backends.constraints import Grammar
from aris.backends.images import image
from aris.backends.loading import DEFAULT_MODEL, load
from aris.backends.native import NativeBackend
from aris.backends.protocol import (
    Backend,
    FinishReason,
    GenerationOptions,
    Reply,
    ReplyStream,
    Timings,
    TokenLogprob,
    Usage,
)

__all__ = [
    "DEFAULT_MODEL",
    "Backend",
    "FinishReason",
    "GenerationOptions",
    "Grammar",
    "NativeBackend",
    "Reply",
    "ReplyStream",
    "Timings",
    "TokenLogprob",
    "Usage",
    "image",
    "load",
]
