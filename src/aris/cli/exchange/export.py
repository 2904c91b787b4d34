"""`aris export`: a draft as documents that other systems take."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.options.choices import one_of
from aris.cli.reading import house
from aris.cli.terminal import note, one_line, write, write_json
from aris.errors import ExchangeError
from aris.regular import read_regular

if TYPE_CHECKING:
    from aris.exchange.documents.formats import ImageFile
    from aris.exchange.documents.report import Report

_FORMATS = "sr, fhir, pdf, text, json, gsps, sc"


def export(
    report: Annotated[
        str | None,
        typer.Argument(
            metavar="[REPORT]",
            help="What `aris draft --json` or `aris findings --json` printed, a report or FHIR bundle of ours as JSON, "
            "or our DICOM SR; - reads JSON from stdin.",
        ),
    ] = None,
    formats: Annotated[
        list[str] | None, typer.Option("--format", "-f", metavar="FORMAT", help=f"{_FORMATS}; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to; is made if it is not there.")] = Path(),
    name: Annotated[
        str | None, typer.Option(help="First part of the files' names; by default that of REPORT.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            "-i",
            help="DICOM file that was read; may be repeated. By default the one that the draft names, of a series all.",
        ),
    ] = None,
    regions: Annotated[
        Path | None,
        typer.Option(help="JSON list of boxes, each with a label and a box: left, top, right, bottom in pixels."),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model, if it is not the known one.")] = None,
    prompt_version: Annotated[
        str | None, typer.Option(help="Version of the prompts, if they are not this version's own.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    uploaded: Annotated[
        bool,
        typer.Option(
            "--uploaded",
            help="With --pairs: take uploaded images too, as a person has looked at each for names in its pixels.",
        ),
    ] = False,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs",
            metavar="FOLDER",
            help="Write the store's drafts and signed versions there, de-identified, for `aris tune corrections`.",
        ),
    ] = None,
    store: house.StoreOption = None,
    database: house.DatabaseOption = None,
    audit_key: house.KeyOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout a file, one a line.")] = False,
) -> None:
    """Write a draft or a report as DICOM SR, FHIR, PDF, text, JSON, presentation state or secondary capture.

    A draft is marked as a draft in each of them, until a person has signed it.

    Examples:

        aris draft chest.dcm --json | aris export - -f sr,fhir,pdf

        aris export chest.sr.dcm -f text --out texts

        aris export --pairs corrections
    """
    if pairs is not None:
        if report is not None or formats:
            raise typer.BadParameter("it stands alone: what it exports is the store's", param_hint="--pairs")
        _export_pairs(pairs, store, database, audit_key, uploaded=uploaded, json=json)
        return
    if report is None or not formats:
        raise typer.BadParameter("give a report and --format, or --pairs", param_hint="REPORT")
    from aris.exchange.documents.formats import FORMATS, document
    from aris.exchange.documents.formats import write as write_file

    chosen = list(dict.fromkeys(part.strip() for each in formats for part in each.split(",")))
    for each in chosen:
        one_of(each, FORMATS, param="--format")
    found, images = _read(report, image, regions, revision, prompt_version)
    if name and Path(name).name != name:
        raise typer.BadParameter("it is a part of a file's name, not a path; choose the folder with --out",
                                 param_hint="--name")  # fmt: skip
    stem = name or ("report" if report == "-" else Path(report).name.split(".")[0]) or "report"
    # All are made before one is written: a format that cannot be had leaves no half of a set behind.
    made = {
        out / f"{stem}.{suffix}": (form, data)
        for form in FORMATS
        if form in chosen
        for suffix, data in document(found, form, images).items()
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExchangeError(f"{out}: cannot be made ({error.strerror})") from None
    for path, (form, data) in made.items():
        write_file(path, data, overwrite=overwrite)
        if json:
            write_json({"file": str(path), "format": form, "status": found.status})
        else:
            write(f"{one_line(str(path))}\n")
    note(found.mark)
    if found.caution:
        note(found.caution)


def _export_pairs(
    out: Path, store: Path | None, database: str | None, audit_key: Path | None, *, uploaded: bool, json: bool
) -> None:
    with house.house(store, database, audit_key, None) as found:
        from aris.flow.reading.pairs import export_pairs

        made = export_pairs(found, out, uploaded=uploaded)
    if json:
        write_json({"folder": str(out), "pairs": made.written, "skipped": dict(sorted(made.skipped.items()))})
    else:
        write(f"{made.written} pairs in {one_line(str(out))}\n")
        for reason, count in sorted(made.skipped.items()):
            write(f"{count} signed studies without a pair: {reason}\n")
    note("look through texts and images before they leave the house: no program finds all that names a person")


def _read(
    report: str, image: list[Path] | None, regions: Path | None, revision: str | None, prompt_version: str | None
) -> tuple[Report, Sequence[ImageFile]]:
    from aris.exchange.documents import formats
    from aris.exchange.documents.fhir_reading import read_bundle

    if report != "-" and not _is_json(Path(report)):
        values: dict[str, Any] = {}
        found = formats.read_report(report)
    else:
        data = sys.stdin.buffer.read() if report == "-" else read_regular(report)
        values = formats.read_json(data, "stdin" if report == "-" else report)
        if isinstance(values.get("model"), str):
            images = image if image is not None else formats.images_of_task(values)
            boxes = _boxes(regions)
            return formats.report_from_task(
                values, report, images, regions=boxes, revision=revision, prompt_version=prompt_version
            ), images
        if values.get("resourceType") == "Bundle":
            found = read_bundle(values)
        else:
            found = formats.report_from_json(values, report)
    if regions is not None or revision is not None or prompt_version is not None:
        raise typer.BadParameter("the report is written already; these are for drafts", param_hint="--regions")
    return found, image or []


def _is_json(path: Path) -> bool:
    try:
        return read_regular(path, 64).lstrip().startswith(b"{")
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be read ({error.strerror})") from None


def _boxes(path: Path | None) -> tuple[Any, ...]:
    from pydantic import TypeAdapter, ValidationError

    from aris.tasks.results import Region

    if path is None:
        return ()
    try:
        return TypeAdapter(tuple[Region, ...]).validate_python(jsonlib.loads(read_regular(path)))
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ExchangeError(f"{path}: not a list of boxes ({where}: {first['msg']})") from None
    except (ValueError, RecursionError):
        raise ExchangeError(f"{path}: not JSON; give a list of boxes") from None
