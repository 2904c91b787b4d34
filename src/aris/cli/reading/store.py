"""`aris store`: back it up, restore it, check it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.outcome import FAILED, Group
from aris.cli.reading import house as place
from aris.cli.terminal import counting, note, one_line, write, write_json

app = typer.Typer(
    name="store",
    cls=Group,
    help="The store of studies and reports: backup, restore, check.",
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
    audit trail's key is not in it: keep that elsewhere.

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
    made = make_anew(source, folder, url=where.database)
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
