"""`aris worklist`: the studies to be read, by priority, each with its reason."""

from __future__ import annotations

from typing import Annotated

import typer

from aris.cli.groups import with_groups
from aris.cli.options.choices import one_of
from aris.cli.reading import house as place
from aris.cli.terminal import note, one_line, write, write_json


@with_groups
def worklist(
    where: place.HouseOptions,
    find: Annotated[str, typer.Argument(metavar="[TEXT]", help="Stands in name, Patient ID, accession or description.")]
    = "",
    state: Annotated[
        list[str] | None, typer.Option("--state", help="State of the reading; may be repeated. By default unsigned.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Signed ones too.")] = False,
    modality: Annotated[str, typer.Option(help="As CT.")] = "",
    sort: Annotated[str, typer.Option(help="priority, arrived, patient, date, modality or state.")] = "priority",
    reverse: Annotated[bool, typer.Option("--reverse", help="The other way round.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Studies at most.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="Leave out so many.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout a study, one a line.")] = False,
) -> None:
    """List the studies to be read: the order's urgency first, then the draft's findings, then the longest wait.

    Why a study stands where it does is said at its end. `aris flow run` keeps the list filled.

    Examples:

        aris worklist

        aris worklist müller --all --json
    """
    with place.installed():
        from aris.flow.reading.worklist import worklist as entries_of
        from aris.store.reading.listing import ListQuery
        from aris.store.reading.readings import OPEN, STATES

    chosen = tuple(one_of(each, STATES, param="--state") for each in state) if state else () if every else OPEN
    query = ListQuery(chosen, find, modality, sort, reverse, limit, offset)
    with where.house() as found:
        page = entries_of(found, query)
    for each in page.entries:
        if json:
            write_json(each.as_json())
            continue
        patient = " ".join(one_line(part) for part in (each.patient_name, each.patient_id) if part) or "no name"
        what = one_line("/".join(each.modalities))
        who = f"  open: {one_line(each.opened_by)}" if each.opened_by else ""
        told = f"  ! {one_line(each.notice)}" if each.notice else ""
        date = one_line(each.date) or "--------"
        write(f"{each.state:11}  {what:6}  {date}  {patient}  {one_line(each.description)}\n")
        write(f"    {one_line(each.reason) or 'waits for its draft'}{who}{told}\n    {one_line(each.study)}\n")
    if page.total > len(page.entries) + offset:
        note(f"{len(page.entries)} of {page.total}; --offset {offset + len(page.entries)} shows more")
    elif not page.total:
        note("nothing to be read")
