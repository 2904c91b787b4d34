"""The store that a command of the reading room works on, its key and its site's settings."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.errors import ArisError, ExchangeError, StoreError, why_not_imported

if TYPE_CHECKING:
    from aris.flow.house import House
    from aris.store.encryption.keyring import WrappingKey
    from aris.store.store import Store

_PANEL = "Store"

StoreOption = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="ARIS_STORE",
        help="Folder of the store; by default the user's data folder. It holds patient data.",
        rich_help_panel=_PANEL,
    ),
]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        envvar="ARIS_DATABASE",
        help="Database of the store, as postgresql://aris@db.example/aris; by default SQLite in the store's folder. "
        "Better in the environment: other users can see a command's options.",
        rich_help_panel=_PANEL,
    ),
]
KeyOption = Annotated[
    Path | None,
    typer.Option(
        "--audit-key",
        envvar="ARIS_AUDIT_KEY",
        help="Key of the audit trail, kept outside the store; by default keys/audit.key in the user's data folder.",
        rich_help_panel=_PANEL,
    ),
]
SiteOption = Annotated[
    Path | None,
    typer.Option(
        "--site",
        envvar="ARIS_SITE",
        help="The site's settings (YAML): destinations, signatures, times; by default site.yaml in the store's folder.",
        rich_help_panel=_PANEL,
    ),
]
StoreKeyOption = Annotated[
    Path | None,
    typer.Option(
        "--store-key",
        metavar="FILE",
        envvar="ARIS_STORE_KEY_FILE",
        help="Key of encrypted files, kept outside the store; by default keys/store.key in the user's data folder. A "
        "passphrase instead is in ARIS_STORE_PASSPHRASE, or asked for on a terminal.",
        rich_help_panel=_PANEL,
    ),
]
UserOption = Annotated[
    str, typer.Option("--user", "-u", envvar="ARIS_USER", help="Login of who does it; see `aris users`.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID, or accession number.")]
LookArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="Study Instance UID, accession number, or next: the first of the list.")
]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, not from the terminal.")
]


def store_folder(folder: Path | None) -> Path:
    """The store's folder, or the user's own."""
    if folder is not None:
        return folder.expanduser()
    from platformdirs import user_data_dir

    return Path(os.environ.get("ARIS_HOME") or user_data_dir("aris")) / "store"


def wrapping_key(folder: Path, file: Path | None = None) -> WrappingKey:
    """The key of a store's or a backup's encrypted files, as the command or the environment names it, or a person."""
    from aris.store.encryption.keyring import WrappingKey, is_by_passphrase, usual_key
    from aris.store.store import OBJECTS

    found = usual_key()
    if file is not None:
        found = WrappingKey(file.expanduser(), found.passphrase)
    if found.passphrase is None and is_by_passphrase(folder / OBJECTS) and sys.stdin.isatty():
        import getpass

        return WrappingKey(found.file, getpass.getpass("Passphrase of the store: "))
    return found


def open_store(folder: Path | None, database: str | None, store_key: Path | None = None) -> Store:
    """The store.

    Args:
        store_key: file of the key of encrypted files.

    Raises:
        ExchangeError: SQLAlchemy or alembic is not installed.
        StoreError: it cannot be opened.
    """
    with installed():
        from aris.store.store import Store
    location = store_folder(folder)
    return Store(location, url=database, wrapping=wrapping_key(location, store_key))


@contextlib.contextmanager
def house(
    folder: Path | None, database: str | None, key: Path | None, site: Path | None, store_key: Path | None = None
) -> Iterator[House]:
    """The store with its audit trail and settings, as long as the block runs.

    Raises:
        ArisError: it cannot be opened, or the key or the settings are missing or wrong.
    """
    with open_store(folder, database, store_key) as store:
        from aris.flow.house import open_house

        yield open_house(store, key=key, settings=site)


@dataclass(frozen=True)
class StoreOptions:
    """Options of the store alone."""

    store: StoreOption = None
    database: DatabaseOption = None
    store_key: StoreKeyOption = None

    def open(self) -> Store:
        """Open the store; see `open_store`."""
        return open_store(self.store, self.database, self.store_key)


@dataclass(frozen=True)
class TrailOptions(StoreOptions):
    """Options of the store and its audit trail."""

    audit_key: KeyOption = None

    def house(self) -> AbstractContextManager[House]:
        """Open the store with its audit trail and the settings beside it; see `house`."""
        return house(self.store, self.database, self.audit_key, None, self.store_key)


@dataclass(frozen=True)
class HouseOptions(TrailOptions):
    """Options of the store, its audit trail and the site's settings."""

    site: SiteOption = None

    def house(self) -> AbstractContextManager[House]:
        """Open the store with its audit trail and settings; see `house`."""
        return house(self.store, self.database, self.audit_key, self.site, self.store_key)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Within this what the store needs is imported.

    Raises:
        ExchangeError: it is not installed.
    """
    try:
        import alembic  # noqa: F401

        yield
    except ImportError as error:
        why = why_not_imported(error, "sqlalchemy", "alembic")
        raise ExchangeError(
            f"the store needs SQLAlchemy and alembic ({why}); pip install 'aris-medgemma[dicom]'"
        ) from None


def study_of(found: House, name: str, *, look: bool = False) -> str:
    """The Study Instance UID that somebody means.

    Args:
        look: "next" is taken too: nothing is written, as by then another study may be the first.

    Raises:
        StoreError: there is none, or there are several.
    """
    from sqlalchemy import select

    from aris.flow.reading.worklist import worklist
    from aris.store.reading.listing import ListQuery
    from aris.store.schema import StudyRow

    if name == "next" and not look:
        raise StoreError("next may be another study by now; give the Study Instance UID, or the accession number")
    if name == "next":
        entries = worklist(found, ListQuery(limit=1)).entries
        if not entries:
            raise StoreError("the worklist is empty")
        return entries[0].study
    with found.store.sessions.reading() as session:
        if session.scalar(select(StudyRow.id).where(StudyRow.uid == name)) is not None:
            return name
        uids = list(session.scalars(select(StudyRow.uid).where(StudyRow.accession == name)))
    if len(uids) > 1:
        raise StoreError(f"{len(uids)} studies have this accession number; give the Study Instance UID")
    if not uids:
        raise StoreError("no such study; see `aris worklist`")
    return uids[0]


def password(*, stdin: bool, twice: bool = False, what: str = "Password") -> str:
    """A password, or what else is secret, from the terminal without an echo, or from stdin.

    Raises:
        ArisError: there is no terminal, or the two differ.
    """
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise ArisError(
            f"the {what.lower()} is asked for on a terminal; elsewhere give it on stdin, with --{what.lower()}-stdin"
        )
    import getpass

    first = getpass.getpass(f"{what}: ")
    if twice and getpass.getpass("Once more: ") != first:
        raise ArisError("the two are not the same; nothing was changed")
    return first
