"""The formats that a report is written in, and those that are read again."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from aris import __version__
from aris.errors import ArisError, ExchangeError, ImageError
from aris.exchange.documents.fhir import bundle
from aris.exchange.documents.fhir_reading import read_bundle
from aris.exchange.documents.headers import subject
from aris.exchange.documents.overlays import presentation_state, secondary_capture
from aris.exchange.documents.pdf import pdf
from aris.exchange.documents.plain import plain_text
from aris.exchange.documents.report import ModelIdentity, Report, checked, local_now, report_of
from aris.exchange.documents.sr import structured_report
from aris.exchange.documents.sr_reading import read_structured_report
from aris.exchange.files import read_header
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.sources import FileSource
from aris.private import write_private
from aris.regular import read_regular
from aris.store.objects import number, text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from aris.imaging.orientation import Turn

Format = Literal["sr", "fhir", "pdf", "text", "json", "gsps", "sc"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[Format, str] = {
    "sr": "sr.dcm", "fhir": "fhir.json", "pdf": "pdf", "text": "txt", "json": "report.json", "gsps": "gsps.dcm",
    "sc": "sc.dcm",
}  # fmt: skip
SOFTWARE = f"Aris {__version__}"
ImageFile = str | Path | FileSource
# Drafts of these are about a whole series, of which they name one file.
_OF_SERIES = ("ct", "mr", "pathology")
_MAX_BYTES = 64 << 20
OTHER_IMAGES = "the images named here are not the file that the draft was made from"


@quiet_pydicom()  # its warnings quote values
def document(report: Report, form: Format, images: Sequence[ImageFile] = ()) -> dict[str, bytes]:
    """The report in a format: file name endings, without a leading dot, and contents.

    Args:
        images: the DICOM files that the report is about; overlays are drawn on them.

    Raises:
        ExchangeError: the format needs what the report, or this installation, does not have.
        ImageError: an image cannot be drawn on.
    """
    suffix = _SUFFIXES[form]
    if form == "sr":
        return {suffix: _dicom(structured_report(report))}
    if form == "fhir":
        return {suffix: _json(bundle(report))}
    if form == "json":
        return {suffix: report_json(report)}
    if form == "pdf":
        return {suffix: pdf(report)}
    if form == "text":
        return {suffix: plain_text(report).encode()}
    headers = [(each, read_header(each)) for each in images]
    if form == "gsps":
        return {suffix: _dicom(presentation_state(report, [header for _, header in headers]))}
    return _captures(report, headers)


def report_json(report: Report) -> bytes:
    """The report as JSON; its first keys tell its state, and that it is never for patient care where it is not."""
    return _json({"mark": report.mark, "caution": report.caution, **report.model_dump(mode="json")})


@quiet_pydicom()
def read_report(path: str | Path) -> Report:
    """A report from JSON, a FHIR bundle or a DICOM SR that Aris wrote; the contents decide, not the name.

    Raises:
        ExchangeError: it cannot be read, or is none of these.
        StoreError: a damaged DICOM file.
    """
    data = _contents(path)
    if data[128:132] == b"DICM":
        return read_structured_report(read_header(path))
    values = read_json(data, str(path))
    if values.get("resourceType") == "Bundle":
        return read_bundle(values)
    return report_from_json(values, str(path))


def report_from_json(values: dict[str, Any], source: str) -> Report:
    """The report of `report_json`'s object.

    Raises:
        ExchangeError: it is not one.
    """
    values = {name: value for name, value in values.items() if name != "mark"}
    if not isinstance(values.get("model"), dict):
        raise ExchangeError(f"{source}: neither a report nor a draft of ours; give what `aris draft --json` printed")
    return checked(**values)


def read_json(data: bytes, source: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        ExchangeError: it is none.
    """
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise ExchangeError(f"{source}: not JSON; give what `aris draft --json` printed, one draft a file") from None
    if not isinstance(values, dict):
        raise ExchangeError(f"{source}: not a JSON object; give what `aris draft --json` printed, one draft a file")
    return values


@quiet_pydicom()
def report_from_task(values: dict[str, Any], source: str, images: Sequence[ImageFile], **more: Any) -> Report:
    """The report of a task's JSON (`aris draft --json`, `aris findings --json`).

    Args:
        images: the DICOM files that were read; none where the film was another image.
        more: `regions`, `measurements`, `revision`, `prompt_version`, `created`.

    Raises:
        ExchangeError: not such JSON, or the images do not fit.
    """
    from pydantic import ValidationError

    from aris.tasks.results import Draft, FilmFindings, ScoredFinding, Sections

    try:
        if "sections" in values:
            draft = Draft.model_validate(values)
            # Whether the text was cut is told in a warning only.
            cut = any(each.endswith("is not complete") for each in draft.warnings)
            draft = draft.model_copy(update={"complete": not cut})
        else:
            found = FilmFindings.model_validate(values)
            scored = tuple(ScoredFinding(name=each.name, probability=each.probability) for each in found.findings)
            draft = Draft(
                model=found.model, file=found.file, sections=Sections(), findings=scored, warnings=found.warnings,
                forced=found.forced, caution=found.caution, assessment=found, evidence=found.evidence,
            )  # fmt: skip
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ExchangeError(f"{source}: not a draft or findings of ours ({where}: {first['msg']})") from None
    identity = model_identity(draft.model, more.pop("revision", None), more.pop("prompt_version", None))
    created = more.pop("created", None) or local_now()
    if images:
        headers = [read_header(each) for each in images]
        patient, study, references = subject(headers)
        more |= {"patient": patient, "study": study, "images": references}
        if not _made_from(draft.file, headers):
            draft = draft.model_copy(update={"warnings": (OTHER_IMAGES, *draft.warnings)})
    made = report_of(draft, model=identity, created=created, **more)
    if images:
        _check_boxes(made, headers)
    return made


def _made_from(name: str, headers: Sequence[Any]) -> bool:
    """Return whether a draft's file, where it still is, is one of these images, or of the series of one."""
    source = _source(name)
    try:
        own = None if source is None else read_header(source)
    except (ArisError, OSError):  # gone or damaged by now
        own = None
    if own is None:
        return True
    kinds = ("SOPInstanceUID", "SeriesInstanceUID") if len(headers) > 1 else ("SOPInstanceUID",)
    return any(text(own, kind) == text(each, kind) for kind in kinds for each in headers)


def _check_boxes(report: Report, headers: Sequence[Any]) -> None:
    sizes = {text(each, "SOPInstanceUID"): (number(each, "Columns"), number(each, "Rows")) for each in headers}
    for region in report.regions:
        columns, rows = sizes.get(region.image, (None, None))
        if columns and rows and (region.box[2] > columns + 0.5 or region.box[3] > rows + 0.5):
            raise ExchangeError(
                f"a box lies outside its image of {columns} x {rows} pixels; give left, top, right, bottom in pixels "
                "of the image that was read"
            )


def images_of_task(values: dict[str, Any]) -> list[FileSource]:
    """The DICOM files that a task's JSON is about, where they still are: a film, or all of a slice's or slide's series.

    A member of an archive is found in it. A series is looked for in its file's own folder and below; of one that
    several drafts are about, each has its own `instances`.

    Raises:
        ExchangeError: the folder or the archive cannot be searched.
    """
    from aris.imaging import find_studies

    source = _source(str(values.get("file") or ""))
    if source is None:
        return []
    if values.get("kind") not in _OF_SERIES:
        return [source]
    try:
        found = find_studies(source.path.parent if source.member is None else source.path)
    except ImageError:  # its words name a place that nobody typed
        raise ExchangeError("the draft's series cannot be found where it was; give its files with --image") from None
    for series in found.series:
        if any(_same(each.source, source) for each in series.instances):
            wanted = values.get("instances")
            part = set(map(str, wanted)) if isinstance(wanted, list) else set()
            return [each.source for each in series.instances if not part or each.sop_instance_uid in part]
    return [source]


def _source(name: str) -> FileSource | None:
    """The DICOM file of this name, or the member of an archive; None if it is neither."""
    ends = [len(name), *(index for index, letter in enumerate(name) if letter == ":")]
    for end in ends:
        source = FileSource(Path(name[:end]).expanduser(), name[end + 1 :] or None)
        try:
            if not source.path.is_file():
                continue
            head = read_regular(source.path, 132) if source.member is None else source.read()[:132]
        except (OSError, ValueError, RuntimeError, ImageError):
            continue
        return source if head[128:] == b"DICM" else None
    return None


def _same(one: FileSource, other: FileSource) -> bool:
    return one.member == other.member and one.path.resolve() == other.path.resolve()


def model_identity(name: str, revision: str | None = None, prompt_version: str | None = None) -> ModelIdentity:
    """Identify a model by its name, as this installation knows it.

    Args:
        revision: in place of the registry's.
        prompt_version: in place of that of this version's own prompts.

    Raises:
        ExchangeError: the name is empty.
    """
    from aris.checkpoints.registry import find
    from aris.tasks.text import prompts

    if not name.strip():
        raise ExchangeError("the draft does not name its model")
    spec = find(name)
    if revision is None and spec is not None:
        # The embedded model is part of this package: its revision is the package's.
        revision = spec.revision or ("" if spec.repo else __version__)
    wording = prompts.digest() if prompt_version is None else prompt_version
    return ModelIdentity(name=name, revision=revision or "", prompt_version=wording, software=SOFTWARE)


def write(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whole or not at all, for its owner alone: it may name a patient.

    Raises:
        ExchangeError: it is there already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise ExchangeError(f"{path}: exists already; choose another folder, or --overwrite")
    try:
        write_private(path, data)
    except OSError as error:
        raise ExchangeError(f"{path}: cannot be written ({error.strerror or 'the path is not valid'})") from None


def _captures(report: Report, headers: list[tuple[ImageFile, Any]]) -> dict[str, bytes]:
    """A capture of each image with regions; of each image, where none has any."""
    wanted = {region.image for region in report.regions}
    known = {each.uid for each in report.images}
    made: dict[str, bytes] = {}
    for path, header in headers:
        uid = text(header, "SOPInstanceUID")
        if uid in known and (not wanted or uid in wanted):
            number = f"{len(made) + 1}." if made else ""
            made[f"{number}sc.dcm"] = _dicom(secondary_capture(report, header, *_image_file(path)))
    if not made or len(made) < len(wanted):
        raise ExchangeError("a secondary capture needs the DICOM files that the report is about; give --image")
    return made


def _image_file(path: ImageFile) -> tuple[npt.NDArray[np.uint8], Turn]:
    """An image as it is displayed: a film, or a photograph of one frame; and the turn that leads there."""
    from aris.imaging import read_film, read_stills

    try:
        film = read_film(path)
        return film.pixels, film.turn
    except ImageError as error:
        try:
            stills = read_stills(path)
        except ImageError:
            raise error from None
    if stills.total > 1:
        raise ExchangeError("a secondary capture is of a single image, and one of the report's has several frames")
    return stills.frames[0], stills.turn


def _dicom(dataset: Any) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _json(value: Any) -> bytes:
    return (json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()


def _contents(path: str | Path) -> bytes:
    try:
        if Path(path).stat().st_size > _MAX_BYTES:
            raise ExchangeError(f"{path}: too large for a report")
        return read_regular(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise ExchangeError(f"{path}: cannot be read ({reason})") from None
