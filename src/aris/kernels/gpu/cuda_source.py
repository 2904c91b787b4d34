"""CUDA C++ kernels of this package: compiled on first use by NVRTC, which PyTorch brings along, and launched.

They are optional. Where NVRTC cannot be had, `why_not()` says why and Triton's kernels or PyTorch compute instead. What
was compiled is kept in the user's cache. No compiler, header or Python package beyond PyTorch's own is needed.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import re
import site
import sys
import tempfile
from collections.abc import Callable
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int, c_size_t, c_uint, c_void_p
from pathlib import Path

import torch
from torch import Tensor

Argument = Tensor | int | float | bytes | None

_FOLDER = Path(__file__).parent
_INCLUDE = re.compile(rb'^#include "([\w.]+)"$', re.MULTILINE)
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
_PROGRAMMATIC_STREAM_SERIALIZATION = 6  # CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION


class _Attribute(Structure):
    """CUlaunchAttribute: an id, and a union of 64 bytes of which the first number is used."""

    _fields_ = [("id", c_int), ("pad", c_int), ("value", c_int), ("rest", c_int * 15)]


class _Config(Structure):
    """CUlaunchConfig of the CUDA driver API."""

    _fields_ = [
        ("grid", c_uint * 3), ("block", c_uint * 3), ("shared", c_uint), ("stream", c_void_p),
        ("attributes", POINTER(_Attribute)), ("count", c_uint),
    ]  # fmt: skip


class CudaSourceError(RuntimeError):
    """A kernel could not be compiled, loaded or launched."""


@functools.cache
def why_not() -> str:
    """Return why these kernels cannot be used on this machine, in a few words; empty where they can."""
    if os.environ.get("ARIS_NO_NVRTC"):
        return "ARIS_NO_NVRTC is set"
    if not torch.cuda.is_available() or torch.version.hip:
        return "there is no CUDA device"
    try:
        _driver()
        _nvrtc()
    except OSError as error:
        return str(error)
    return ""


@functools.cache
def _driver() -> ctypes.CDLL:
    return ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    # Without CUDA in PyTorch nothing is launched, but a kernel may still be compiled, to see whether it can be.
    major = str(torch.version.cuda or "13").split(".")[0]
    name = f"libnvrtc.so.{major}"
    folders = [Path(root) / "nvidia" for root in (*site.getsitepackages(), site.getusersitepackages())]
    folders.append(Path(torch.__file__).parent.parent / "nvidia")
    found = [str(path) for folder in folders for path in sorted(folder.glob(f"*/lib/{name}*"))]
    for path in (name, *found):
        try:
            return ctypes.CDLL(path)
        except OSError:
            continue
    raise OSError(f"{name} was not found")


def machine_code(source: str, capability: tuple[int, int], definitions: tuple[tuple[str, int], ...]) -> bytes:
    """A source file of this folder compiled for processors of a compute capability, such as (9, 0).

    Raises:
        CudaSourceError: it does not compile.
        OSError: NVRTC was not found.
    """
    own = "a" if capability == (9, 0) else ""  # with the instructions that only this processor has
    architecture = f"--gpu-architecture=sm_{capability[0]}{capability[1]}{own}"
    return _compile(_FOLDER / source, (architecture, "--std=c++17", *(f"-D{key}={n}" for key, n in definitions)))


def _compile(source: Path, options: tuple[str, ...]) -> bytes:
    """The machine code of a source file, from the cache if it is there."""
    text = _INCLUDE.sub(lambda match: (source.parent / match[1].decode()).read_bytes(), source.read_bytes())
    version = (c_int(), c_int())
    _nvrtc().nvrtcVersion(byref(version[0]), byref(version[1]))
    digest = hashlib.sha256(repr((options, version[0].value, version[1].value)).encode() + text).hexdigest()[:24]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aris"
    kept = base / f"{source.stem}-{digest}.cubin"
    try:
        return kept.read_bytes()
    except OSError:
        pass
    nvrtc, program = _nvrtc(), c_void_p()
    if nvrtc.nvrtcCreateProgram(byref(program), c_char_p(text), source.name.encode(), 0, None, None):
        raise CudaSourceError(f"NVRTC refused {source.name}")
    try:
        flags = (c_char_p * len(options))(*(option.encode() for option in options))
        failed = nvrtc.nvrtcCompileProgram(program, len(options), flags)
        size = c_size_t()
        if failed:
            nvrtc.nvrtcGetProgramLogSize(program, byref(size))
            log = ctypes.create_string_buffer(size.value)
            nvrtc.nvrtcGetProgramLog(program, log)
            raise CudaSourceError(f"{source.name} does not compile: {log.value.decode(errors='replace'):.2000}")
        nvrtc.nvrtcGetCUBINSize(program, byref(size))
        code = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(program, code)
    finally:
        nvrtc.nvrtcDestroyProgram(byref(program))
    try:
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile(dir=base, delete=False) as file:
            file.write(code.raw)
        Path(file.name).replace(kept)  # whole or not at all, also where several processes compile it
    except OSError:  # nowhere to keep it: compiled again next time
        pass
    return code.raw


class Kernel:
    """Kernel of a source file, compiled for the current device with some definitions.

    Args:
        source: the file's name in this folder.
        name: the kernel's, which is extern "C".
        definitions: what the preprocessor is told.

    Raises:
        CudaSourceError: it does not compile or load.
    """

    def __init__(self, source: str, name: str, definitions: tuple[tuple[str, int], ...]) -> None:
        self._code = machine_code(source, torch.cuda.get_device_capability(), definitions)  # the module refers to it
        module, self._function = c_void_p(), c_void_p()
        torch.cuda.current_stream()  # the device has a context from here on
        _check(_driver().cuModuleLoadData(byref(module), self._code), f"{source} could not be loaded")
        _check(_driver().cuModuleGetFunction(byref(self._function), module, name.encode()), f"{source} has no {name}")
        self._shared = 48 << 10

    def launch(
        self,
        grid: tuple[int, int, int],
        threads: int,
        shared: int,
        arguments: tuple[Argument, ...],
        *,
        pdl: bool,
    ) -> None:
        """Launch on the current stream.

        Tensors are passed as pointers, None as a null one, numbers as int and float, bytes as a structure.

        Args:
            shared: bytes of dynamic shared memory.
            pdl: by programmatic dependent launch: the kernel may start before the one ahead of it has ended.
        """
        if shared > self._shared:
            _check(_driver().cuFuncSetAttribute(self._function, _MAX_DYNAMIC_SHARED, shared), "too much shared memory")
            self._shared = shared
        values = [_argument(value) for value in arguments]
        pointers = (c_void_p * len(values))(*(ctypes.cast(ctypes.pointer(value), c_void_p) for value in values))
        attribute = _Attribute(_PROGRAMMATIC_STREAM_SERIALIZATION, 0, 1)
        config = _Config(
            (c_uint * 3)(*grid), (c_uint * 3)(threads, 1, 1), shared, torch.cuda.current_stream().cuda_stream,
            ctypes.pointer(attribute), 1 if pdl else 0,
        )  # fmt: skip
        _check(_driver().cuLaunchKernelEx(byref(config), self._function, pointers, None), "a kernel was not launched")


def _argument(value: Argument) -> c_void_p | c_int | c_float | ctypes.Array[ctypes.c_char]:
    if isinstance(value, bytes):
        return ctypes.create_string_buffer(value, len(value))
    if isinstance(value, Tensor):
        return c_void_p(value.data_ptr())
    if value is None:
        return c_void_p(0)
    return c_float(value) if isinstance(value, float) else c_int(value)


def driver_has(function: str) -> bool:
    """Return whether the CUDA driver is new enough for a function of its API."""
    return hasattr(_driver(), function)


def call_driver(function: str, what: str, *arguments: object) -> None:
    """Call a function of the CUDA driver API.

    Raises:
        CudaSourceError: it did not succeed; the message begins with `what`.
    """
    _check(getattr(_driver(), function)(*arguments), what)


def _check(result: int, what: str) -> None:
    if result:
        text = c_char_p()
        _driver().cuGetErrorString(result, byref(text))
        raise CudaSourceError(f"{what}: {(text.value or b'').decode() or result}")


@functools.cache
def kernel(source: str, name: str, device: int, **definitions: int) -> Kernel:
    """The kernel for a device, which is the current one; compiled when first asked for."""
    return Kernel(source, name, tuple(definitions.items()))


def compiles(make: Callable[[], Kernel], otherwise: str) -> bool:
    """Return whether `make` gives its kernel; if not, a warning says what is used `otherwise`, and why."""
    try:
        make()
    except CudaSourceError as error:
        logging.getLogger(__name__).warning("%s: %s", otherwise, error)
        return False
    return True
