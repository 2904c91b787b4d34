"""Files that survive a kill: the training state, the best weights, the curve. Each is written whole or not at all."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch
from torch import Tensor

from aris.checkpoints.writing import write_whole
from aris.errors import DataError
from aris.tuning.distributed import shard_like

LOCK = ".lock"
LOCK_WAIT_S = 10.0  # a run that was killed gives its memory back first, and then its lock


@contextmanager
def sole_run(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder; the lock ends with the process, however that ends.

    Raises:
        DataError: another run is at work there: both would write the same state.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("wb") as file:
        until = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise DataError(
                        f"{out}: another run is at work there; wait for its end, or give another --out"
                    ) from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield


class _Witness:
    """A file as `torch.save` writes to one; it keeps the system's error, which PyTorch replaces by its own."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        try:
            self._file.flush()
        except OSError as error:
            self.error = error
            raise


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write a dict of tensors and plain values whole.

    Raises:
        OSError: the system's own, such as that of a full disk.
    """

    def write(file: BinaryIO) -> None:
        witness = _Witness(file)
        try:
            torch.save(dict(state), cast(IO[bytes], witness))
        except (RuntimeError, OSError):
            if witness.error is not None:
                raise witness.error from None
            raise

    write_whole(path, write)


def load_state(path: Path, fingerprint: str, device: torch.device, inputs: str = "") -> dict[str, Any] | None:
    """Load a state that `save_state` wrote; None if there is none.

    Args:
        inputs: of the base and the images; "" if they are not known, as in states of older versions.

    Raises:
        DataError: the file is damaged, or of a run whose recipe, rows, base or images differ: to go on from it would
            give a curve that neither has.
    """
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        return None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        raise DataError(f"{path}: the training state is damaged; delete the folder and start again") from None
    if not isinstance(state, dict) or state.get("fingerprint") != fingerprint:
        raise DataError(
            f"{path}: this state is of a run with another recipe or other rows; give another --out, or delete it"
        )
    if inputs and state.get("inputs", "") not in ("", inputs):
        raise DataError(
            f"{path}: this state is of a run on another base model or other images; give another --out, or delete it"
        )
    return state


def copy_into(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor], path: Path) -> None:
    """Put saved values into parameters of the same names and shapes.

    Raises:
        DataError: names or shapes differ.
    """
    if parameters.keys() != values.keys() or any(values[n].shape != p.shape for n, p in parameters.items()):
        raise DataError(f"{path}: its weights are not those of this model; give another --out, or delete it")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(shard_like(values[name], parameter))


class Curve:
    """The JSON Lines log of a run: one object with its `step` a line.

    Args:
        path: of the file, made anew or gone on with.
        step: where the run starts; lines of later steps come from a run that was killed after its last save, and are
            dropped, as those steps are taken again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        kept = [line for line in self.read(path) if line["step"] <= step] if step else []
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_whole(path, lambda file: file.write(text.encode()))

    def add(self, entry: dict[str, Any]) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """Read the whole lines of a log; a line cut by a kill is left out."""
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        entries = []
        for line in lines:
            try:
                entries.append(json.loads(line))
            except json.JSONDecodeError:
                continue
        return entries
