"""Open libraries of a process: one door to each, one encoder for all, and vectors made in the background."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

from aris.errors import ArisError
from aris.faults import described
from aris.flow import libraries
from aris.flow.house import House
from aris.literature.encoder import Encoder, default_folder
from aris.literature.library import NAME as DATABASE
from aris.literature.library import Library
from aris.service.workspace.context import Workspace

log = logging.getLogger("aris.workspace")


class OpenLibraries:
    """See the module.

    Args:
        house: in whose store they lie.
    """

    def __init__(self, house: House) -> None:
        self._house = house
        self._lock = threading.Lock()
        self._open: dict[str, Library] = {}
        self._making: dict[str, threading.Thread] = {}
        self._encoder: Encoder | None = None
        self._ended = False

    def get(self, name: str) -> Library:
        """A library by its name, opened when it is first asked for.

        Raises:
            NotFoundError: there is none.
            LiteratureError: it cannot be opened.
        """
        folder = libraries.folder_of(self._house, name)
        with self._lock:
            known = self._open.get(name)
            if known is not None and known.folder == folder:
                return known
            made = self._open[name] = Library(folder, encoder=self._shared(), lexical=False)
            return made

    def make(self, name: str) -> None:
        """Make an empty library; errors as `libraries.make`."""
        with self._lock:
            libraries.make(self._house, name)

    def remove(self, name: str) -> None:
        """Remove a library with all that is in it.

        Raises:
            NotFoundError: there is none.
        """
        folder = libraries.folder_of(self._house, name)
        with self._lock:
            opened = self._open.pop(name, None)
            if opened is not None:
                opened.close()
            shutil.rmtree(folder, ignore_errors=True)

    def make_vectors(self, name: str) -> None:
        """Begin to make the vectors that a library lacks, unless that is being done."""
        library = self.get(name)
        if library.without_vectors:
            return
        with self._lock:
            running = self._making.get(name)
            if self._ended or (running is not None and running.is_alive()):
                return
            thread = threading.Thread(target=self._make, args=(name, library), name="aris-vectors", daemon=True)
            self._making[name] = thread
        thread.start()

    def making(self, name: str) -> bool:
        """Return whether vectors are being made."""
        running = self._making.get(name)
        return running is not None and running.is_alive()

    def close(self) -> None:
        """Close all, as when the server ends; vectors that are missing are made the next time."""
        self._ended = True
        with self._lock:
            for each in self._open.values():
                each.close()
            self._open.clear()

    def _shared(self) -> Encoder | None:
        folder = default_folder()
        if self._encoder is None and folder is not None:
            self._encoder = Encoder(folder)
        return self._encoder

    def _make(self, name: str, library: Library) -> None:
        try:
            for _ in library.add_vectors(batch=16):
                if self._ended:
                    return
        except ArisError as error:
            log.error("vectors of a library cannot be made: %s", type(error).__name__)
        except Exception as error:
            if not self._ended:
                log.error("vectors of a library: a defect (%s)", described(error))


def libraries_of(workspace: Workspace) -> OpenLibraries:
    """The open libraries of a workspace, made when first asked for."""
    with _FIRST:
        if workspace.libraries is None:
            workspace.libraries = OpenLibraries(workspace.house)
        found: OpenLibraries = workspace.libraries
        return found


def size_of(folder: Path) -> int:
    """The bytes of a library on the disk."""
    return sum(each.stat().st_size for each in folder.glob(f"{DATABASE}*") if each.is_file())


_FIRST = threading.Lock()
