"""Libraries of papers of a house: each a folder of its own in the store, and the command line's own besides."""

from __future__ import annotations

import os
import re
from pathlib import Path

from aris.errors import ConflictError, LiteratureError, NotFoundError
from aris.flow.house import House
from aris.literature.library import NAME as DATABASE
from aris.literature.library import Library

FOLDER = "libraries"
# The name under which the command line's own library is shown.
OWN = "command-line"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,62}[A-Za-z0-9_-])?\Z")


def own_folder() -> Path:
    """The folder of the library that `aris literature` uses where none is named."""
    from platformdirs import user_data_dir

    return Path(os.environ.get("ARIS_HOME") or user_data_dir("aris")) / "literature"


def names(house: House) -> list[str]:
    """The names of the libraries, in order; the command line's own last, where it is there."""
    folder = house.store.folder / FOLDER
    found = sorted(each.name for each in folder.iterdir() if (each / DATABASE).is_file()) if folder.is_dir() else []
    found = [each for each in found if _NAME.match(each) and each != OWN]
    return [*found, OWN] if (own_folder() / DATABASE).is_file() else found


def folder_of(house: House, name: str) -> Path:
    """The folder of a library that is there.

    Raises:
        NotFoundError: there is none of this name.
    """
    folder = own_folder() if name == OWN else house.store.folder / FOLDER / name
    if not _NAME.match(name) or folder.is_symlink() or not (folder / DATABASE).is_file():
        raise NotFoundError("there is no such library")
    return folder


def make(house: House, name: str) -> Path:
    """Make an empty library.

    Raises:
        ConflictError: there is one of this name, whatever its case.
        LiteratureError: the name is none, or the folder cannot be made.
    """
    if not _NAME.match(name) or name.casefold() == OWN:
        raise LiteratureError(f"library: {name!r:.80} is no name; use letters, digits, spaces and . _ -, 64 at most")
    if name.casefold() in {each.casefold() for each in names(house)}:
        raise ConflictError("library: there is one of this name")
    folder = house.store.folder / FOLDER / name
    Library(folder, lexical=True).close()
    return folder
