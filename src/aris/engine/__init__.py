"""The engine: takes token ids and images, yields token ids. Knows no text and no clinic."""

from aris.engine.cache.images import ImageInput
from aris.engine.engine import Engine, Prefix
from aris.engine.limits import ContextLengthError, EngineBusy, EngineLimits
from aris.engine.sampling import SamplingParams
from aris.engine.sequence import Request, Sequence, Step, TokenMask
from aris.errors import ConstraintError

__all__ = [
    "ConstraintError",
    "ContextLengthError",
    "Engine",
    "EngineBusy",
    "EngineLimits",
    "ImageInput",
    "Prefix",
    "Request",
    "SamplingParams",
    "Sequence",
    "Step",
    "TokenMask",
]
