"""Work of a command's start that needs no PyTorch yet, so that a short command waits less.

Importing PyTorch takes most of the time to a first word. Its largest library is opened by a thread of its own, which
needs no Python, while the command still imports other things and reads its images; and the garbage collector, which
would go over a thousand modules' objects again and again, waits until they are there. Neither changes anything else:
where it cannot be done, PyTorch is imported as ever.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_torch_library() -> None:
    """Begin to open PyTorch's library of CPU operations beside what the caller does; returns at once.

    Only of a build without CUDA on Linux: with CUDA the order in which its libraries are opened is PyTorch's to choose.
    """
    if "torch" in sys.modules or sys.platform != "linux":
        return
    try:
        found = importlib.util.find_spec("torch")  # imports nothing
    except (ImportError, ValueError):
        return
    for package in (found.submodule_search_locations or ()) if found is not None else ():
        folder = Path(package) / "lib"
        library = folder / "libtorch_cpu.so"
        if library.is_file() and not (folder / "libtorch_cuda.so").exists():
            threading.Thread(target=_open, args=(os.fsencode(library),), daemon=True).start()
            return


def _open(library: bytes) -> None:
    # The C function, which is called without the interpreter's lock; ctypes.CDLL would keep it. What cannot be opened
    # here fails where it is imported, with PyTorch's own words.
    ctypes.CDLL(None).dlopen(library, os.RTLD_LAZY)


@contextmanager
def without_collector() -> Iterator[None]:
    """Let PyTorch's import make its objects without the garbage collector, and keep it away from those afterwards.

    Where PyTorch is there already, nothing is done.
    """
    if "torch" in sys.modules:
        yield
        return
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was:
            gc.enable()
