"""The address of a user's resident server, and the terms on which a command and a server work together.

The socket lies in a folder that only the user can enter, each end asks the kernel who the other is, and a server is
used only if it is the same build of Aris with the same model, settings and instruction sets: then its answers are those
that the command would have computed itself. Imports no PyTorch.
"""

from __future__ import annotations

import functools
import hashlib
import os
import socket
import stat
import struct
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aris.checkpoints import cache
from aris.checkpoints.registry import find
from aris.checkpoints.sources import files_beside, source_files
from aris.errors import ArisError

ENVIRONMENT = "ARIS_SERVER"
# What changes numbers: it must be the same at both ends.
_COUNTS = (
    "ARIS_PLAIN_CPU", "ARIS_NO_NVRTC", "ATEN_CPU_CAPABILITY", "CUDA_VISIBLE_DEVICES", "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA",
)  # fmt: skip
_SUFFIXES = (".py", ".h", ".cpp", ".cu", ".json", ".safetensors")


@dataclass(frozen=True)
class Wanted:
    """A model with its settings, as a command or a server was asked for it."""

    name: str
    dtype: str = "auto"
    device: str = "auto"
    adapter: str | None = None
    quantize: str | None = None
    mmproj: str | None = None

    def terms(self) -> dict[str, Any] | None:
        """Return the terms that must be equal at both ends; None if the model is not on this machine."""
        try:
            files = [*source_files(self.name, mmproj=self.mmproj), *files_beside(self.name)]
            if self.adapter is not None:
                files += sorted(path for path in Path(self.adapter).expanduser().iterdir() if path.is_file())
            states = hashlib.sha256("\n".join(map(cache.state_of, files)).encode()).hexdigest()
        except (ArisError, OSError):
            return None
        spec = find(self.name)  # the same files under another name have another scope, or none
        own = asdict(self) | {"name": states, "adapter": self.adapter is not None, "mmproj": self.mmproj is not None}
        own["spec"] = None if spec is None else spec.name
        return own | {"build": build(), "environment": [os.environ.get(name) for name in _COUNTS]}


@functools.cache
def build() -> str:
    """Names this installation of Aris and its Python, as it is on the disk now."""
    package = Path(__file__).parents[2]
    states = [f"{sys.prefix} {sys.version}"]
    for folder, _, names in os.walk(package):
        for name in sorted(names):
            if name.endswith(_SUFFIXES):
                state = (Path(folder) / name).stat()
                states.append(f"{folder}/{name} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(states)).encode()).hexdigest()


def folder(*, make: bool = False) -> Path | None:
    """The folder of sockets, which nobody else can enter; None where there is none."""
    if not hasattr(os, "getuid") or not hasattr(socket, "AF_UNIX"):
        return None
    base = os.environ.get("XDG_RUNTIME_DIR")
    own = Path(tempfile.gettempdir()) / f"aris-{os.getuid()}"
    location = Path(base) / "aris" if base and Path(base).is_dir() else own
    try:
        if make:
            with suppress(FileExistsError):
                location.mkdir(mode=0o700)
        state = location.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid() and not state.st_mode & 0o077
    return location if private else None


def sockets() -> list[Path]:
    """Sockets that servers may listen at: the one that `ARIS_SERVER` names, or all in the folder, the newest first."""
    named = os.environ.get(ENVIRONMENT, "").strip()
    if named:
        return [] if is_off(named) or is_url(named) else [Path(named).expanduser()]
    location = folder()
    found = []
    for path in location.glob("*.sock") if location is not None else ():
        with suppress(OSError):
            found.append((path.lstat().st_mtime_ns, path))
    return [path for _, path in sorted(found, reverse=True)]


def is_off(value: str) -> bool:
    """Return whether a value of `ARIS_SERVER` says to use none."""
    return value.strip().lower() in ("off", "0", "no", "none")


def is_url(value: str) -> bool:
    """Return whether a value of `ARIS_SERVER` is a URL."""
    return value.strip().lower().startswith(("http://", "https://"))


def connect(path: Path, timeout_s: float) -> socket.socket | None:
    """A connection to the user's own server; None if nothing listens, or another user does."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        state = path.lstat()
        if not stat.S_ISSOCK(state.st_mode) or state.st_uid != os.getuid():
            raise OSError
        connection.settimeout(timeout_s)
        connection.connect(str(path))
        if not is_own(connection):
            raise OSError
    except ConnectionRefusedError:  # its process has ended; a server is renamed to this only once it listens
        connection.close()
        if path.suffix == ".sock" and path.parent == folder():
            with suppress(OSError):
                path.unlink()
        return None
    except (OSError, ValueError):
        connection.close()
        return None
    return connection


def is_own(connection: socket.socket) -> bool:
    """Return whether the process at the other end is of this user, as the kernel says."""
    if not hasattr(socket, "SO_PEERCRED"):  # not Linux: the folder and the socket are the user's own, see `connect`
        return True
    form = struct.Struct("3i")
    _, user, _ = form.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return bool(user == os.getuid())
