"""`aris locate`: where something is on an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.kinds import KindOption, kind
from aris.cli.outcome import interruptible
from aris.cli.terminal import note, one_line, working, write, write_json

if TYPE_CHECKING:
    from aris.tasks import Location


@with_groups
def locate(
    file: Annotated[str, typer.Argument(metavar="FILE", help="One image.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help='What to find, as "right clavicle".')],
    model: ModelOptions,
    image_kind: KindOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    force: o.ForceOption = False,
) -> None:
    """Boxes around what was asked for, in the image's own pixels, and in millimetres where the file says their size.

    Boxes that cannot be used are reported, each with its reason. Left and right are the patient's.

    Examples:

        aris locate chest.dcm "right clavicle" --model medgemma-1.5-4b-it

        aris locate chest.dcm heart --model medgemma-1.5-4b-it --json \\
            | jq .regions
    """
    session = model.session()
    with interruptible("no box was given", text=False):
        with working(f"reading {file}"):
            from aris.tasks.cases import as_case

            case = as_case(file, kind(image_kind), session.spec)
        backend = session.backend
        with working(f"looking at {file}"):
            from aris.tasks import locate as task

            result = task(backend, case, target, force=force)
    if json:
        write_json(result.model_dump(mode="json"))
    else:
        _print(result)
    note(session.caution)


def _print(result: Location) -> None:
    for region, side in zip(result.regions, result.sides, strict=True):
        left, top, right, bottom = region.box
        parts = [f"{one_line(region.label)}: x {left:.0f} to {right:.0f}, y {top:.0f} to {bottom:.0f} pixels"]
        if side:
            parts.append(f"patient's {side}" if side != "midline" else side)
        if region.measurements:
            size = " x ".join(f"{each.value:.1f}" for each in region.measurements)
            limit = region.measurements[0].note
            parts.append(f"{size} mm" + (f" ({limit})" if limit else ""))
        write(", ".join(parts) + "\n")
    for each in result.dropped:
        write(f"dropped: {one_line(each.written)} ({one_line(each.reason)})\n", raw=True)
    for warning in result.warnings:
        write(f"! {one_line(warning)}\n", raw=True)
