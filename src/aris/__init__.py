"""Aris: the open MedGemma system.

    import aris

    model = aris.load("aris-nano")
    for piece in model.stream([aris.user("Describe this X-ray", aris.image("chest.dcm"))]):
        print(piece, end="")
    draft = aris.tasks.draft(model, "chest.dcm")

Names are imported when they are first used: `import aris` alone loads neither PyTorch nor anything else.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aris import errors, tasks
    from aris.backends import Backend, GenerationOptions, Grammar, Reply, image, load
    from aris.errors import ArisError
    from aris.imaging import Film, read_film
    from aris.prompting import Image, Message, Text, assistant, system, user

__version__ = "0.1.0"

# OpenMP's threads (PyTorch's) wait awake for milliseconds, on cores that others could use: let them sleep after some
# microseconds. The library reads this when PyTorch is first imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__all__ = [
    "ArisError",
    "Backend",
    "Film",
    "GenerationOptions",
    "Grammar",
    "Image",
    "Message",
    "Reply",
    "Text",
    "__version__",
    "assistant",
    "errors",
    "image",
    "load",
    "read_film",
    "system",
    "tasks",
    "user",
]

_MODULES = ("errors", "tasks")
_HOMES = {
    "ArisError": "aris.errors",
    "Backend": "aris.backends",
    "GenerationOptions": "aris.backends",
    "Grammar": "aris.backends",
    "Reply": "aris.backends",
    "image": "aris.backends",
    "load": "aris.backends",
    "Film": "aris.imaging",
    "read_film": "aris.imaging",
    "Image": "aris.prompting",
    "Message": "aris.prompting",
    "Text": "aris.prompting",
    "assistant": "aris.prompting",
    "system": "aris.prompting",
    "user": "aris.prompting",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"aris.{name}")
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'aris' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
