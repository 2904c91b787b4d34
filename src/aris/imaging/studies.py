"""A folder, a zip archive, a DICOMDIR or one file, sorted into studies and series. One bad file stops nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from aris.errors import ImageError
from aris.imaging import sniff
from aris.imaging.dicom import concatenations
from aris.imaging.dicom.concatenations import Concatenation
from aris.imaging.dicom.parsing import parse, parse_header
from aris.imaging.dicom.patients import Patient
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.dicom.values import one_number
from aris.imaging.radiograph import code, sop_class
from aris.imaging.sources import FileSource, HeldFile, Skipped, in_folder, in_zip
from aris.regular import read_regular

SeriesKind = Literal["film", "mammogram", "volume", "slide", "stills", "other"]
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "BodyPartExamined",
    "SeriesNumber", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "ImageType", "StudyDate", "StudyTime",
    "DirectoryRecordSequence", "BitsAllocated", "SpecimenLabelInImage", "SpecificCharacterSet", "PatientID",
    "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex", *concatenations.TAGS,
]  # fmt: skip
_KINDS: dict[str, SeriesKind] = {
    **dict.fromkeys(("CR", "DX", "DR", "RG"), "film"), "MG": "mammogram",
    **dict.fromkeys(("CT", "MR", "PT"), "volume"), "SM": "slide",
    **dict.fromkeys(("US", "SC", "OT", "XC", "OP", "ES", "GM", "RF", "XA", "IV", "DM"), "stills"),
}  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """Instance: a DICOM file with pixels.

    Attributes:
        source: where it lies.
        sop_class_uid, sop_instance_uid: what it is and which.
        number: Instance Number; None where it has none. Not an order: see `Volume`.
        frames, rows, columns: its size.
        image_type: Image Type (0008,0008), as ("ORIGINAL", "PRIMARY", "AXIAL").
        concatenation: of a file that holds some of an object's frames, which ones; else None.
        shows_label: whether a slide's label is in the image (Specimen Label in Image).
    """

    source: FileSource
    sop_class_uid: str
    sop_instance_uid: str
    number: int | None
    frames: int
    rows: int
    columns: int
    image_type: tuple[str, ...]
    concatenation: Concatenation | None = None
    shows_label: bool = False


@dataclass(frozen=True)
class Series:
    """Instances of one Series Instance UID, in the order of Instance Number.

    Attributes:
        study_uid, series_uid: identifiers; they lead to a patient and go into no log.
        modality: Modality (0008,0060), None where it is absent.
        body_part: Body Part Examined (0018,0015).
        number: Series Number.
        instances: at least one.
        contested: whether files that name another patient have the same Study Instance UID. Each patient's are a study
            of their own.
    """

    study_uid: str
    series_uid: str
    modality: str | None
    body_part: str | None
    number: int | None
    instances: tuple[Instance, ...]
    contested: bool = False

    @property
    def kind(self) -> SeriesKind:
        """Return the kind of its reader: film, volume (`read_volume`), slide (`open_slide`), stills (`read_stills`)."""
        return _KINDS.get(self.modality or "", "other")


@dataclass(frozen=True)
class Study:
    """Series of one Study Instance UID and one patient, in the order of Series Number."""

    study_uid: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Studies:
    """Studies that were found, and the files that were not read.

    Attributes:
        studies: in the order in which the files name them first.
        skipped: files that are in no series, each with its reason.
    """

    studies: tuple[Study, ...]
    skipped: tuple[Skipped, ...]

    @property
    def series(self) -> tuple[Series, ...]:
        """Every study's series, in order."""
        return tuple(series for study in self.studies for series in study.series)


def find_studies(path: str | Path | HeldFile | Sequence[FileSource], *, empty: bool = False) -> Studies:
    """Sort what a folder, a zip archive, a DICOMDIR or a DICOM file holds.

    A folder is searched with the folders below it. Links that leave it, names that leave an archive or a DICOMDIR's
    folder, archives in archives and files that are no DICOM images are left out and reported. Only headers are parsed.
    A file that is held is not opened again, and is the source of its instance. Of files with one SOP Instance UID the
    largest is used, as a copy that was cut off is smaller than the whole.

    Args:
        path: the folder or file; or files, however they are kept.
        empty: give no studies, and what was left out, rather than raise where there is no DICOM image.

    Raises:
        ImageError: the path cannot be read, an archive is damaged or swells beyond reason, or there is no DICOM image.
    """
    contents: Iterator[tuple[FileSource, bytes | None] | Skipped]
    if isinstance(path, HeldFile):
        name, contents = FileSource(path.path).name, _contents_of_held(path)
    elif isinstance(path, str | Path):
        path = Path(path).expanduser()
        name, contents = FileSource(path).name, _contents(path)
    else:
        name, contents = "files", ((each, None) for each in path)
    skipped: list[Skipped] = []
    found: list[tuple[Instance, dict[str, Any]]] = []
    sizes: list[int] = []
    with quiet_pydicom():
        for item in contents:
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            source, data = item
            try:
                if (one := _header(source, data)) is not None:
                    found.append(one)
                    sizes.append(_size(source, data))
            except ImageError as error:
                skipped.append(Skipped(source.name, str(error).removeprefix(f"{source.name}: ")))
    if not found and not empty:
        why = f" (first of {len(skipped)}: {skipped[0].reason})" if skipped else ""
        raise ImageError(f"{name}: no DICOM image found{why}; give a folder or file with images")
    return Studies(_sorted(found, sizes, skipped), tuple(skipped))


def _contents(path: Path) -> Iterator[tuple[FileSource, bytes | None] | Skipped]:
    name = FileSource(path).name
    try:
        if path.is_dir():
            for one in in_folder(path):
                yield one if isinstance(one, Skipped) else (one, None)
            return
        head = read_regular(path, 4)
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file or folder; check the path") from None
    except (OSError, ValueError):
        raise ImageError(f"{name}: cannot be read; check its permissions") from None
    if head == b"PK\x03\x04":
        yield from in_zip(path)
    elif (listed := _listed(path)) is not None:
        yield from listed
    else:
        yield FileSource(path), None


def _contents_of_held(held: HeldFile) -> Iterator[tuple[FileSource, bytes | None] | Skipped]:
    """The file itself; of an archive or a DICOMDIR what it holds."""
    try:
        lists = held.head.startswith(b"PK\x03\x04") or "DirectoryRecordSequence" in _read(held, None, _TAGS)
    except ImageError:  # it is met again, and reported, when its header is looked at
        lists = False
    if lists:
        yield from _contents(held.path)
    else:
        yield held, None


def _listed(path: Path) -> list[tuple[FileSource, bytes | None] | Skipped] | None:
    """The files that a DICOMDIR lists (PS3.3 F.5, Referenced File ID); None if it is none."""
    try:
        dataset = _read(FileSource(path), None, [*_TAGS, "ReferencedFileID", "DirectoryRecordType"])
    except ImageError:
        return None
    if "DirectoryRecordSequence" not in dataset:
        return None
    root = path.parent.resolve()
    listed: list[tuple[FileSource, bytes | None] | Skipped] = []
    try:  # pydicom converts on access and raises many kinds on damaged files
        named = [record.get("ReferencedFileID") for record in dataset.DirectoryRecordSequence]
    except Exception:
        raise ImageError(f"{path.name}: the DICOMDIR is damaged; send or export it again") from None
    for parts in named:
        if not parts:
            continue
        parts = [parts] if isinstance(parts, str) else [str(part) for part in parts]
        target = path.parent.joinpath(*parts)
        source = FileSource(target)
        try:
            inside = target.resolve().is_relative_to(root) and not any(Path(part).is_absolute() for part in parts)
            if not inside:
                listed.append(Skipped(source.name, "listed outside the DICOMDIR's folder"))
            elif not target.is_file():
                listed.append(Skipped(source.name, "listed in the DICOMDIR, but not there"))
            else:
                listed.append((source, None))
        except (OSError, ValueError, RuntimeError):
            listed.append(Skipped(path.name, "a file identifier that is no path"))
    return listed


def _read(source: FileSource, data: bytes | None, tags: list[str]) -> Any:
    """The header; of a file that is held all of it."""
    try:
        if isinstance(source, HeldFile):
            if source.kind != "dicom":
                raise ImageError(sniff.complaint(source.head))
            return source.dataset()
        if data is None:
            return parse_header(source, source.name, list(tags), sniff.only_dicom)
        sniff.only_dicom(data[:4096])
        return parse(data, source.name, tags=list(tags), pixels=False)
    except OSError:
        raise ImageError("cannot be read") from None


def _header(source: FileSource, data: bytes | None) -> tuple[Instance, dict[str, Any]] | None:
    """None for the list of files that lies on every disc beside them: the files themselves are looked at."""
    dataset = _read(source, data, _TAGS)
    try:
        if "DirectoryRecordSequence" in dataset:
            if PurePosixPath((source.member or source.path.name).replace("\\", "/")).name.upper() == "DICOMDIR":
                return None
            raise ImageError("a DICOMDIR, a list of files")
        rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
        if rows < 1 or columns < 1 or "BitsAllocated" not in dataset:
            raise ImageError(f"no image ({sop_class(dataset) or 'unknown kind of object'})")
        instance = Instance(
            source,
            str(dataset.get("SOPClassUID") or ""),
            str(dataset.get("SOPInstanceUID") or ""),
            _integer(dataset, "InstanceNumber"),
            max(1, _integer(dataset, "NumberOfFrames") or 1),
            rows,
            columns,
            _image_type(dataset),
            concatenations.concatenation(dataset),
            code(dataset, "SpecimenLabelInImage") == "YES",
        )
        facts = {
            "study_uid": str(dataset.get("StudyInstanceUID") or ""),
            "series_uid": str(dataset.get("SeriesInstanceUID") or ""),
            "modality": code(dataset, "Modality"),
            "body_part": code(dataset, "BodyPartExamined"),
            "number": _integer(dataset, "SeriesNumber"),
            "patient": Patient.of(dataset),
        }
    except ImageError:
        raise
    except Exception:  # elements of impossible types, met while they are used
        raise ImageError("damaged or unreadable") from None
    return instance, facts


def _integer(dataset: Any, keyword: str) -> int | None:
    value = one_number(dataset, keyword)
    return int(value) if value is not None and value.is_integer() else None


def _image_type(dataset: Any) -> tuple[str, ...]:
    value = dataset.get("ImageType") or ()
    return tuple(str(part).upper() for part in ([value] if isinstance(value, str) else value))


def _size(source: FileSource, data: bytes | None) -> int:
    """Bytes of a file; 0 if it is gone."""
    if data is not None:
        return len(data)
    try:
        return source.size()
    except OSError:
        return 0


def _sorted(
    found: list[tuple[Instance, dict[str, Any]]], sizes: list[int], skipped: list[Skipped]
) -> tuple[Study, ...]:
    grouped: dict[tuple[str, int], dict[tuple[str, str | None], list[tuple[Instance, dict[str, Any]]]]] = {}
    patients: dict[str, list[Patient]] = {}
    keys: list[tuple[str, int, str]] = []
    used: dict[tuple[str, int, str], int] = {}
    for index, (instance, facts) in enumerate(found):
        whose = _whose(patients.setdefault(facts["study_uid"], []), facts.pop("patient"))
        keys.append((facts["series_uid"], whose, instance.sop_instance_uid))
        if sizes[index] > sizes[used.setdefault(keys[-1], index)]:
            used[keys[-1]] = index
    for index, (instance, facts) in enumerate(found):
        if instance.sop_instance_uid and used[keys[index]] != index:
            skipped.append(Skipped(instance.source.name, "the same SOP Instance UID as another file, which was used"))
            continue
        series = grouped.setdefault((facts["study_uid"], keys[index][1]), {})
        series.setdefault((facts["series_uid"], facts["modality"]), []).append((instance, facts))
    return tuple(
        Study(study_uid, tuple(sorted(
            (_series(one, contested=len(patients[study_uid]) > 1) for one in series.values()),
            key=lambda each: _last(each.number),
        )))
        for (study_uid, _), series in grouped.items()
    )  # fmt: skip


def _whose(known: list[Patient], patient: Patient) -> int:
    """Return the study's patient of a file: the first whom its header does not contradict, else a further one."""
    for location, each in enumerate(known):
        if not each.conflicts(patient):
            known[location] = each.completed(patient)
            return location
    known.append(patient)
    return len(known) - 1


def _series(members: list[tuple[Instance, dict[str, Any]]], *, contested: bool) -> Series:
    instances = sorted((instance for instance, _ in members), key=lambda one: _last(one.number))
    return Series(**members[0][1], instances=tuple(instances), contested=contested)


def _last(number: int | None) -> tuple[bool, int]:
    return number is None, number or 0
