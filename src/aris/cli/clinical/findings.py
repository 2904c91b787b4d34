"""`aris findings`: probabilities of named findings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.clinical.evidence_maps import Maps
from aris.cli.groups import FilmOptions, ModelOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.burned_in import BurnedInText, TextOption
from aris.cli.outcome import FAILED, interruptible, report
from aris.cli.session import Session
from aris.cli.terminal import counting, note, one_line, probability, write, write_json
from aris.errors import ImageError

if TYPE_CHECKING:
    from aris.tasks import FilmFindings
    from aris.tasks.film_facts import Facts


@with_groups
def findings(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Films: DICOM, PNG, JPEG or TIFF.")],
    model: ModelOptions,
    film: FilmOptions,
    finding: Annotated[
        list[str] | None,
        typer.Option("--finding", "-f", help="Score this one; may be repeated. Default: all the model declares."),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="FILE", help="A site's own, made by aris calibrate.")
    ] = None,
    evidence: o.EvidenceOption = None,
    look_for_text: TextOption = False,
    json: Annotated[bool, typer.Option("--json", help="JSON Lines on stdout, one a file, in order.")] = False,
    force: o.ForceOption = False,
) -> None:
    """Probabilities of findings on each film, inside the model's declared scope; "not assessed" outside it.

    A file that cannot be read gets an error, the others go on, and the exit code is 1. "Not assessed" is a result:
    a film outside the scope leaves the exit code 0, and is counted in a line on stderr.

    Examples:

        aris findings chest.dcm

        aris findings *.png --json > findings.jsonl

        aris findings chest.dcm --finding pneumonia --evidence maps
    """
    session = model.session()
    maps = Maps(evidence, session)
    burned_in = BurnedInText(look_for_text)
    failed = refused = done = 0
    with counting("findings", len(files)) as step:
        for file in files:
            with interruptible(f"{done} of {len(files)} files are done", text=False):
                found = _one(
                    session, file, finding, calibration, maps, burned_in, film.facts(), json=json, force=force
                )
            failed += found is None
            refused += found is False
            done += 1
            step()
    if len(files) > 1 and refused:
        note(f"{len(files) - failed - refused} assessed, {refused} not assessed, {failed} not read")
    if failed < len(files) and not json:
        note(session.caution)
    if failed:
        raise typer.Exit(FAILED)


def _one(
    session: Session,
    file: str,
    names: list[str] | None,
    calibration: Path | None,
    maps: Maps,
    burned_in: BurnedInText,
    facts: Facts,
    *,
    json: bool,
    force: bool,
) -> bool | None:
    """Score one film and print it; whether anything was assessed, None if it could not be read."""
    from aris.imaging import read_film
    from aris.tasks.film_facts import with_facts

    try:
        film = with_facts(burned_in.on_film(read_film(file)), facts)
    except ImageError as error:
        if json:
            write_json({"file": file, "error": str(error)})
        report(error)
        return None
    backend = session.backend
    from aris.tasks import findings as score

    result = score(
        backend, film, names, force=force, calibration=session.calibration(calibration), evidence=maps.wanted
    )
    result = result.model_copy(update={"evidence": maps.save(result.evidence, film)})
    if json:
        write_json(result.model_dump(mode="json"))
    else:
        _print(result)
        maps.tell(result.evidence)
    return any(each.assessed for each in result.findings)


def _print(result: FilmFindings) -> None:
    write(f"{one_line(result.file)}\n", raw=True)
    width = max((len(each.name) for each in result.findings), default=0)
    for each in result.findings:
        name = one_line(each.name).ljust(width)
        if each.probability is None:
            write(f"  {name}  {one_line(each.note)}\n", raw=True)
            continue
        limits = f"  ({one_line(each.note)})" if each.note else ""
        write(f"  {name}  {probability(each.probability)}  {each.word}{limits}\n", raw=True)
    for warning in result.warnings:
        write(f"  ! {one_line(warning)}\n", raw=True)
