"""`aris demo`: sample studies, to try the reading room."""

from __future__ import annotations

from typing import Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.reading import house as place
from aris.cli.terminal import note, write, write_json

_TERMINAL = "(terminal)"


@with_groups
def demo(
    where: place.HouseOptions,
    remove: Annotated[bool, typer.Option("--remove", help="Remove the samples, and nothing else.")] = False,
    json: place.JsonOption = False,
) -> None:
    """Put sample studies into the store: films of children with a prior, and a CT and an MR that are made up.

    Names and descriptions say that they are samples; asked for again, nothing is added twice. `aris serve` shows and
    drafts them. With --remove they leave the store again; what was signed of them stays in the database, unlisted.

    Examples:

        aris demo

        aris demo --remove
    """
    with where.house() as found:
        from aris.flow.demo import add_samples, remove_samples

        if remove:
            gone = remove_samples(found, _TERMINAL)
            if json:
                write_json({"removed": gone})
            else:
                write(f"{len(gone)} sample studies removed\n")
            return
        done = add_samples(found, _TERMINAL)
        if json:
            write_json({"studies": list(done.studies), "added": done.added, "known": done.known})
            return
        write(f"{len(done.studies)} sample studies: {done.added} objects added, {done.known} were there\n")
        note("read them with `aris serve`; `aris demo --remove` removes them")
