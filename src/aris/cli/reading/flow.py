"""`aris flow`: the worker that takes in, drafts and delivers."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.outcome import FAILED, INTERRUPTED, Group
from aris.cli.reading import house as place
from aris.cli.session import Session
from aris.cli.terminal import note, one_line, write, write_json

if TYPE_CHECKING:
    from aris.flow.drafting import Drafter
    from aris.flow.house import House

app = typer.Typer(
    name="flow",
    cls=Group,
    help="The flow from a study's arrival to its signed report at other systems.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
@with_groups
def run(
    model: ModelOptions,
    where: place.HouseOptions,
    once: Annotated[bool, typer.Option("--once", help="Do what is due now, and end.")] = False,
    no_model: Annotated[bool, typer.Option("--no-model", help="Draft nothing here.")] = False,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="A site's own, made by aris calibrate.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout at the end.")] = False,
) -> None:
    """Work until Ctrl-C or SIGTERM: take in what arrives, draft what is whole, deliver what is signed.

    Studies arrive by `aris node serve`, `aris flow add` or the site's watched folders. Several workers may share a
    store; whichever is killed, nothing is drafted twice and no delivery is lost.

    Examples:

        aris flow run

        aris flow run --once --json
    """
    session = model.session()
    with where.house() as found:
        from aris.flow.worker import Worker

        drafter = None if no_model else _drafter(found, session, calibration)
        worker = Worker(found, drafter)
        if once:
            done = worker.once()
            if json:
                write_json(dict(sorted(done.items())))
            else:
                write(f"{', '.join(f'{count} {what}' for what, count in sorted(done.items())) or 'nothing was due'}\n")
            if done["failed"] or done["not delivered"]:
                raise typer.Exit(FAILED)
            return
        from aris.service.http.logs import configure_logs

        configure_logs()
        by: list[int] = []

        def stop(number: int, _frame: object) -> None:
            by.append(number)
            worker.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        note(f"works on {found.store.folder}; {'drafts nothing' if drafter is None else f'drafts with {drafter.name}'}")
        note("Ctrl-C stops it")
        worker.run()
        if by and by[0] == signal.SIGINT:
            raise typer.Exit(INTERRUPTED)


def _drafter(found: House, session: Session, calibration: Path | None) -> Drafter:
    from aris.flow.drafter import ModelDrafter

    # Loaded before anything is taken: a wrong name is said at once.
    return ModelDrafter(session.backend, session.calibration(calibration))


@app.command()
@with_groups
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them.")],
    where: place.StoreOptions,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout a file, one a line.")] = False,
) -> None:
    """Put DICOM files into the store, as a node does that receives them.

    Example:

        aris flow add study/
    """
    failed = 0
    with where.open() as found:
        from aris.flow.intake import upload

        for each in upload(found, paths):
            failed += each.added is None
            if json:
                outcome = None if each.added is None else each.added.outcome
                write_json({"file": str(each.path), "outcome": outcome, "error": each.error or None})
            elif each.added is not None:
                write(f"{each.added.outcome}  {one_line(str(each.path))}\n")
            if each.error:
                note(f"error: {each.error}")
    if failed:
        raise typer.Exit(FAILED)


@app.command()
@with_groups
def status(
    where: place.HouseOptions,
    json: place.JsonOption = False,
) -> None:
    """Say how much there is to do, and what is wrong."""
    with where.house() as found:
        from aris.flow.worker import status as told

        state = told(found)
    if json:
        write_json(state)
        return
    for name in ("studies", "jobs", "deliveries"):
        counts = state[name]
        assert isinstance(counts, dict)
        write(f"{name}: {', '.join(f'{count} {what}' for what, count in sorted(counts.items())) or 'none'}\n")
    write(f"critical results open: {state['critical_open']}\n")
    failing = state["failing"]
    assert isinstance(failing, list)
    for each in failing:
        write(f"! {one_line(each['destination'])}: {each['attempts']} attempts: {one_line(each['error'])}\n")


@app.command()
@with_groups
def retry(
    where: place.StoreOptions,
    json: place.JsonOption = False,
) -> None:
    """Try at once all deliveries that wait for their next attempt, as after a destination was mended."""
    with where.open() as found:
        from aris.store.reading.deliveries import hasten

        count = found.sessions.write(lambda session: hasten(session, datetime.now(UTC)))
    if json:
        write_json({"due": count})
    else:
        write(f"{count} deliveries are due now\n")
