"""`aris store`: back it up, restore it, check it, encrypt its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import FAILED, Group
from aris.cli.reading import house as place
from aris.cli.terminal import counting, note, one_line, write, write_json

if TYPE_CHECKING:
    from aris.flow.house import House
    from aris.store.converting import Converted
    from aris.store.encryption.keyring import WrappingKey

app = typer.Typer(
    name="store",
    cls=Group,
    help="The store of studies and reports: backup, restore, check, encryption.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_groups
def backup(
    out: Annotated[Path, typer.Argument(metavar="FOLDER", help="Is made, or holds an earlier backup of ours.")],
    where: place.StoreOptions,
    json: place.JsonOption = False,
) -> None:
    """Write the store into a folder, while it is in use: the database in a form for either kind, and the objects.

    Made again into the same folder it copies only new objects. Damaged ones are left out; the exit code is 1 then. The
    audit trail's key is not in it: keep that elsewhere. Of a store whose files are encrypted all of it is, the database
    too; the key that opens it is not in it either.

    Example:

        aris store backup /mnt/backup/aris
    """
    with where.open() as found:
        from aris.store.backup import backup as write_backup

        with counting("copying", found.counts()["copies"]) as step:
            made = write_backup(found, out, lambda total: None if total else step())
    if json:
        write_json({"folder": str(out), "objects": made.objects, "copied": made.copied, "rows": made.rows,
                    "damaged": list(made.damaged)})  # fmt: skip
    else:
        write(f"{made.objects} objects, {made.copied} of them new; {sum(made.rows.values())} rows\n")
    note("keep the audit trail's key too, apart from the backup (keys/audit.key)")
    if made.encrypted:
        note("the backup is encrypted: keep the key of the store's files too (keys/store.key, or its passphrase)")
    if made.damaged:
        note(f"error: {len(made.damaged)} damaged objects are not in the backup; `aris store verify` names them")
        raise typer.Exit(FAILED)


@app.command()
@with_groups
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `aris store backup` wrote.")],
    where: place.StoreOptions,
    json: place.JsonOption = False,
) -> None:
    """Make a store of a backup, in a folder and a database that hold nothing; SQLite or PostgreSQL, whatever it was.

    Example:

        aris store restore /mnt/backup/aris --store /srv/aris
    """
    with place.installed():
        from aris.store.backup import restore as make_anew
    folder = place.store_folder(where.store)
    wrapping = place.wrapping_key(source, where.store_key)
    made = make_anew(source, folder, url=where.database, wrapping=wrapping)
    if json:
        write_json({"store": str(folder), "objects": made.objects, "rows": made.rows})
    else:
        write(f"{made.objects} objects, {sum(made.rows.values())} rows in {one_line(str(folder))}\n")


@app.command()
@with_groups
def verify(
    where: place.StoreOptions,
    json: place.JsonOption = False,
) -> None:
    """Check every object and every signed report against its digest. Exit code 1 where something is wrong.

    `aris audit verify` checks the audit trail.

    Example:

        aris store verify
    """
    with where.open() as found:
        from aris.store.checking import problems

        counts = found.counts()
        with counting("checking", counts["copies"]) as step:
            wrong = problems(found, lambda total: None if total else step())
    if json:
        write_json({"sound": not wrong, "problems": wrong, **counts})
    else:
        for line in wrong:
            write(f"{one_line(line)}\n")
        if not wrong:
            write(f"{counts['copies']} objects and all signed reports are what they were\n")
    if wrong:
        note(f"error: {len(wrong)} problems")
        raise typer.Exit(FAILED)


NewKeyOption = Annotated[
    Path | None,
    typer.Option("--new-key", metavar="FILE", help="Opens the store from now on; it is made if it is not there."),
]
PassphraseOption = Annotated[
    bool, typer.Option("--passphrase", help="Open the store by a passphrase from now on, in place of a key file.")
]
StdinOption = Annotated[bool, typer.Option("--passphrase-stdin", help="As --passphrase, read from stdin.")]


@app.command()
@with_groups
def encrypt(
    where: place.TrailOptions,
    passphrase: PassphraseOption = False,
    passphrase_stdin: StdinOption = False,
    json: place.JsonOption = False,
) -> None:
    """Encrypt the files of the store (AES-256-GCM), and all that come from now on; a server may go on meanwhile.

    A key is made outside the store (--store-key), or a passphrase is taken: keep a copy apart, without it all images
    are lost. Interrupted, run it again: it goes on. The database is not encrypted: keep it on an encrypted disk.

    Example:

        aris store encrypt --store-key /etc/aris/store.key
    """
    from aris.store import converting

    with where.house() as found:
        folder, ring = found.store.folder, found.store.files.keyring
        wrapping = ring.wrapping if ring.ring() else _new_key(where.store_key, passphrase, passphrase_stdin)
        _audit(found, "encrypt store")
        wrapping = wrapping or ring.wrapping
        with counting("encrypting", found.store.counts()["copies"]) as step:
            made = converting.encrypt(folder, wrapping, lambda total: None if total else step())
    _tell(made, "encrypted", json=json)
    kept = "its passphrase" if wrapping.passphrase is not None else one_line(str(wrapping.file))
    note(f"keep a copy of {kept} apart from the store and its backups: without it no image can be read")
    note("! what was in clear before may still be on the disk's free blocks; the database is not encrypted")


@app.command("rotate-key")
@with_groups
def rotate_key(
    where: place.TrailOptions,
    new_key: NewKeyOption = None,
    passphrase: PassphraseOption = False,
    passphrase_stdin: StdinOption = False,
    wrap_only: Annotated[
        bool, typer.Option("--wrap-only", help="Change only the key that opens the store; no file is written anew.")
    ] = False,
    json: place.JsonOption = False,
) -> None:
    """Draw a new data key and write every file anew under it; with --new-key, another key opens the store.

    A server may go on meanwhile, if the key that opens the store stays: with a new one, start it again with that.
    Interrupted, run it again in the same way: it goes on.

    Example:

        aris store rotate-key --new-key /etc/aris/store-2027.key
    """
    from aris.store import converting
    from aris.store.encryption.keyring import KeyringError

    new = _new_key(new_key, passphrase, passphrase_stdin)
    if wrap_only and new is None:
        raise typer.BadParameter("name the new key with --new-key, or --passphrase", param_hint="--wrap-only")
    folder = place.store_folder(where.store)
    wrapping, count = place.wrapping_key(folder, where.store_key), 0
    try:
        with where.house() as found:
            count = found.store.counts()["copies"]
            _audit(found, "rotate store key")
    except KeyringError:
        if new is None:
            raise
        # Killed after the new key had taken the other's place: `rotate` goes on with it.
    with counting("writing anew", count) as step:
        made = converting.rotate(
            folder, wrapping, new, lambda total: None if total else step(), files_too=not wrap_only
        )
    _tell(made, "written anew", json=json)
    if new is not None:
        kept = "the new passphrase" if new.passphrase is not None else one_line(str(new.file))
        note(f"{kept} opens the store from now on; backups from before are opened by the key of before: keep that too")


@app.command()
@with_groups
def decrypt(
    where: place.TrailOptions,
    json: place.JsonOption = False,
) -> None:
    """Write the files of an encrypted store in clear, and all that come from now on. Interrupted, run it again.

    Example:

        aris store decrypt
    """
    from aris.store import converting

    with where.house() as found:
        _audit(found, "decrypt store")
        with counting("decrypting", found.store.counts()["copies"]) as step:
            made = converting.decrypt(
                found.store.folder, found.store.files.keyring.wrapping, lambda total: None if total else step()
            )
    _tell(made, "in clear now", json=json)


def _new_key(file: Path | None, passphrase: bool, stdin: bool) -> WrappingKey | None:
    """The key that a person names for what follows; None where he names none."""
    from aris.store.encryption.keyring import WrappingKey, usual_key

    if passphrase or stdin:
        return WrappingKey(usual_key().file, place.password(stdin=stdin, twice=True, what="Passphrase"))
    return None if file is None else WrappingKey(file.expanduser())


def _audit(found: House, action: str) -> None:
    from datetime import UTC, datetime

    from aris.store.reading.audit import SYSTEM

    found.store.sessions.write(lambda session: found.trail.add(session, SYSTEM, action, now=datetime.now(UTC)))


def _tell(made: Converted, what: str, *, json: bool) -> None:
    if json:
        write_json({"objects": made.objects, "changed": made.changed, "damaged": made.damaged})
    else:
        write(f"{made.objects} objects, {made.changed} of them {what}\n")
    if made.damaged:
        for digest in made.damaged:
            note(f"damaged: {digest}")
        note(f"error: {len(made.damaged)} damaged objects stay as they are; restore them, then run this again")
        raise typer.Exit(FAILED)
