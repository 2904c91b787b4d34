"""A run's curve as TensorBoard shows it: one scalar for each number of a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aris.errors import DataError, why_not_imported


class Board:
    """A writer of event files in a folder.

    Args:
        folder: kept between runs; TensorBoard drops the steps that a killed run took after its last save, once they are
            taken again.

    Raises:
        DataError: the package `tensorboard` is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import tensorboard  # noqa: F401
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            why = why_not_imported(error, "tensorboard")
            raise DataError(f"the curve needs TensorBoard ({why}); pip install 'aris-medgemma[tensorboard]'") from None
        self._folder, self._make = folder, SummaryWriter
        self._writer: SummaryWriter | None = None

    def add(self, entry: dict[str, Any]) -> None:
        """Write a line of the curve."""
        step = int(entry["step"])
        if self._writer is None:
            # The first line is where this process starts: later steps of an earlier process are void.
            self._writer = self._make(str(self._folder), purge_step=step)
        for name, value in _scalars(entry):
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()


def _scalars(entry: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in entry.items():
        if isinstance(value, dict):
            yield from _scalars(value, f"{prefix}{name}/")
        elif name != "step" and isinstance(value, int | float):
            yield f"{prefix}{name}", float(value)
