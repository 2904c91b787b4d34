"""The compiled library: built once from the package's sources, kept in the user's cache, called by its C interface.

There is a variant for each instruction set (`VARIANTS`); all give the same bits. It is optional: without a compiler, or
on a processor without AVX2, `library()` is None, `why_not()` says why, and the plain modules compute instead.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from ctypes import POINTER, Structure, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path

_FOLDER = Path(__file__).parent
_MAIN = "decoder.cpp"
_FLAGS = ("-std=c++17", "-O3", "-mtune=native", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", "-w")


@dataclass(frozen=True)
class Variant:
    """An instruction set that the kernels are written for.

    Attributes:
        name: as `ARIS_CPU_KERNELS` may ask for it.
        needed: flags of the processor, as /proc/cpuinfo names them.
        flags: of the compiler.
    """

    name: str
    needed: tuple[str, ...]
    flags: tuple[str, ...]


_AVX2 = ("avx2", "fma", "f16c")
_AVX512 = ("avx512f", "avx512bw", "avx512vl", "avx512dq")
# Fastest first.
VARIANTS = (
    Variant(
        "avx512",
        (*_AVX2, *_AVX512, "avx512_vnni"),
        ("-mavx2", "-mfma", "-mf16c", *(f"-m{each}" for each in _AVX512), "-mavx512vnni"),
    ),
    Variant("avxvnni", (*_AVX2, "avx_vnni"), ("-mavx2", "-mfma", "-mf16c", "-mavxvnni")),
    Variant("avx2", _AVX2, ("-mavx2", "-mfma", "-mf16c")),
)
_COMPILERS = ("c++", "g++", "clang++")
_BUILD_SECONDS = 300


class Matrix(Structure):
    """See `Matrix` in products.h."""

    _fields_ = [("codes", c_void_p), ("scales", c_void_p), ("outputs", c_int64), ("columns", c_int64)]


class Head(Structure):
    """See `Head` in head.h."""

    _fields_ = [
        ("upper", c_void_p), ("lower", c_void_p), ("scales", c_void_p), ("bounds", c_void_p),
        ("parts", c_void_p), ("units", c_void_p),
        ("words", c_int64), ("padded", c_int64), ("columns", c_int64),
    ]  # fmt: skip


class Dense(Structure):
    """See `Dense` in dense.h."""

    _fields_ = [("weights", c_void_p), ("outputs", c_int64), ("columns", c_int64), ("half", c_int32)]


class DenseLayer(Structure):
    """See `ArisDenseLayer` in model.h."""

    _fields_ = [(name, Dense) for name in ("q", "k", "v", "o", "gate", "up", "down")]


class Layer(Structure):
    """See `ArisLayer` in model.h."""

    _fields_ = [
        ("qkv", Matrix), ("o", Matrix), ("gate_up", Matrix), ("down", Matrix),
        ("input_norm", c_void_p), ("q_norm", c_void_p), ("k_norm", c_void_p), ("post_attention_norm", c_void_p),
        ("pre_feedforward_norm", c_void_p), ("post_feedforward_norm", c_void_p),
        ("keys", c_void_p), ("values", c_void_p), ("local", c_int32), ("dense", POINTER(DenseLayer)),
    ]  # fmt: skip


class LowRank(Structure):
    """See `LowRank` in lora.h."""

    _fields_ = [("low", c_void_p), ("high", c_void_p), ("rank", c_int64)]


class Model(Structure):
    """See `ArisModel` in model.h."""

    _fields_ = [
        ("width", c_int64), ("heads", c_int64), ("kv_heads", c_int64), ("head_dim", c_int64), ("feed_forward", c_int64),
        ("layers", c_int64), ("ring", c_int64), ("window", c_int64), ("page", c_int64),
        ("eps", c_float), ("scale", c_float), ("embedding_scale", c_float), ("half", c_int32),
        ("layer", POINTER(Layer)), ("final_norm", c_void_p), ("far_frequencies", c_void_p),
        ("local_frequencies", c_void_p), ("head", Head), ("adapters", POINTER(LowRank)),
    ]  # fmt: skip


class RowsOf(Structure):
    """See `ArisRows` in model.h."""

    _fields_ = [
        ("rows", c_int64), ("positions", c_void_p), ("slots", c_void_p), ("tables", c_void_p),
        ("table_starts", c_void_p), ("last", c_void_p), ("adapters", c_void_p),
    ]  # fmt: skip


def library(variant: str = "") -> ctypes.CDLL | None:
    """The library of a variant, by default of the fastest, built if it was not yet; None where it cannot be had."""
    return _opened(variant)[0]


def why_not() -> str:
    """Return why `library()` is None, in a few words; empty where it is there."""
    return _opened()[1]


def variants() -> tuple[str, ...]:
    """Names of the variants that this processor can run, fastest first."""
    flags = _processor_flags()
    return tuple(each.name for each in VARIANTS if flags.issuperset(each.needed))


@functools.cache
def _opened(variant: str = "") -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get("ARIS_PLAIN_CPU"):
        return None, "ARIS_PLAIN_CPU is set"
    wanted = variant or os.environ.get("ARIS_CPU_KERNELS", "")
    chosen = [each for each in VARIANTS if wanted in ("", each.name)]
    if not chosen:
        return None, f"ARIS_CPU_KERNELS names none of {', '.join(each.name for each in VARIANTS)}"
    flags = _processor_flags()
    problem = ""
    for each in chosen:
        lacking = [flag for flag in each.needed if flag not in flags]
        if lacking:
            problem = f"the processor lacks {lacking[0]}"
            continue
        try:
            return _declared(ctypes.CDLL(str(_built(each)))), ""
        except (OSError, subprocess.SubprocessError) as error:  # an old compiler may know the flags of the next variant
            problem = f"the C++ kernels could not be built: {str(error).splitlines()[0]:.200}"
    return None, problem


def _processor_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return frozenset()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return frozenset(line.split())


def _built(variant: Variant) -> Path:
    """The library's file, named after its sources, flags and processor.

    Raises:
        OSError, SubprocessError: there is no compiler, it fails, or nowhere to write.
    """
    flags = (*_FLAGS, *variant.flags)
    digest = hashlib.sha256(repr((flags, sorted(_processor_flags()))).encode())
    for source in [*sorted(_FOLDER.glob("*.h")), _FOLDER / _MAIN]:
        digest.update(source.read_bytes())
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aris"
    target = base / f"cpu-{variant.name}-{digest.hexdigest()[:24]}.so"
    if target.exists():
        return target
    compiler = os.environ.get("CXX") or next((name for name in _COMPILERS if shutil.which(name)), None)
    if compiler is None:
        raise OSError("no C++ compiler (install g++)")
    base.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=base) as folder:
        made = Path(folder) / "made.so"
        command = [compiler, *flags, str(_FOLDER / _MAIN), "-o", str(made)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=False)
        if done.returncode:
            raise OSError((done.stderr.strip() or "the compiler failed").splitlines()[0])
        made.replace(target)  # whole or not at all, also where several processes build it
    return target


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    found.aris_open.restype = c_void_p
    found.aris_open.argtypes = [c_int32]
    found.aris_close.restype = None
    found.aris_close.argtypes = [c_void_p]
    found.aris_embed.restype = None
    found.aris_embed.argtypes = [POINTER(Model), c_void_p, c_int64, c_void_p]
    found.aris_run.restype = None
    found.aris_run.argtypes = [c_void_p, POINTER(Model), POINTER(RowsOf), c_void_p]
    found.aris_scores.restype = None
    found.aris_scores.argtypes = [c_void_p, POINTER(Model), c_void_p, c_int64, c_void_p]
    found.aris_greedy.restype = c_int64
    found.aris_greedy.argtypes = [c_void_p, POINTER(Model), c_void_p, c_int64, c_void_p, c_int64, c_void_p]
    found.aris_dense.restype = None
    found.aris_dense.argtypes = [c_void_p, POINTER(Dense), c_void_p, c_int64, c_void_p]
    found.aris_product.restype = None
    found.aris_product.argtypes = [c_void_p, POINTER(Matrix), c_void_p, c_int64, c_void_p]
    return found
