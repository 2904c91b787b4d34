"""`aris tune`: training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aris.cli import options as o
from aris.cli.outcome import Group
from aris.cli.terminal import write

app = typer.Typer(cls=Group, no_args_is_help=True, help="Train models.")


@app.callback()
def tune() -> None:
    """Train models."""


@app.command()
def nano(
    data: Annotated[
        Path,
        typer.Option(help="Folder of chest_pediatric, chest_nih64, vqa_rad, medquad and pubmedqa (see the card)."),
    ],
    out: Annotated[
        Path, typer.Option(help="Where everything goes; a stopped run goes on from there.")
    ] = Path("runs/nano"),
    teacher_steps: Annotated[int, typer.Option(min=1, help="Steps of 256 films for each of the four teachers.")] = 450,
    tower_seconds: Annotated[float, typer.Option(min=1, help="Time for distilling the vision tower.")] = 200,
    decoder_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps for projector and adapters, instead of the recipe's.")
    ] = None,
    device: o.DeviceOption = "auto",
) -> None:
    """Make aris-nano again: teachers, vision tower, projector and adapters, calibration.

    Takes about 15 minutes on an H100; a CPU is enough for a trial with small numbers. The teacher's weights are in the
    package's extra "nano".

    Example:

        aris tune nano --data data --out runs/nano
    """
    from aris.backends.loading import resolve_device
    from aris.tuning.nano import make_nano

    made = make_nano(
        data,
        out,
        device=str(resolve_device(device)),
        teacher_steps=teacher_steps,
        tower_seconds=tower_seconds,
        decoder_steps=decoder_steps,
    )
    write(f"{made}\n", raw=True)
