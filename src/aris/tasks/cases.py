"""Cases: an examination's images in order, their kind, and the facts that the files state.

A path may be a film, an image, a slide, a folder or an archive. Kinds come from the header's Modality and body part;
a PNG or JPEG says nothing, so it counts as a chest film unless the caller says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from aris.checkpoints.registry import MedGemmaVersion, ModelSpec
from aris.errors import ImageError
from aris.imaging import (
    FileSource,
    Film,
    Header,
    HeldFile,
    Instance,
    PromptImage,
    Series,
    Skipped,
    Studies,
    Volume,
    find_studies,
    open_slide,
    patches,
    read_film,
    read_header,
    read_nifti,
    read_recording,
    read_stills,
    read_volumes,
    slide_images,
    volume_images,
)  # fmt: skip
from aris.imaging.dicom.concatenations import groups
from aris.imaging.film import named, printable
from aris.imaging.radiograph import modality_word
from aris.imaging.sources import named_in_zip
from aris.prompting import Image, Part
from aris.regular import read_regular
from aris.tasks.scope import KIND_NAMES, Kind, is_chest

# Of which kind a still of a DICOM modality is: ophthalmic and dermoscopic photographs, photographs.
_STILLS: dict[str, Kind] = {"OP": "fundus", "DM": "skin", "XC": "skin", "GM": "pathology"}
_FILMS = ("CR", "DX", "DR", "RG")
_VOLUMES: dict[str, Kind] = {"CT": "ct", "MR": "mr"}
_IMAGE_FILES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_NIFTI = (".nii", ".nii.gz")
_CONTESTED = "files of another patient have the same Study Instance UID: they are read apart; find out whose these are"
_ZIP = b"PK\x03\x04"
_SLIDES = (".svs", ".ndpi", ".mrxs", ".scn", ".vms", ".bif", ".svslide")


@dataclass(frozen=True, eq=False)
class Case:
    """Case: one examination.

    Attributes:
        kind: of its images.
        source: the path, for messages and results.
        images: in order; `label` stands after each where there are several.
        film: where it is a film.
        modality, body_part: as the file says.
        header: what it says of the examination.
        instances: SOP Instance UIDs of the slices, where they are not the whole series; else empty.
        spacing: "PixelSpacing" where lengths can be measured, "" where not; of a film its `spacing_attribute`.
        warnings: one line each.
    """

    kind: Kind
    source: str
    images: tuple[PromptImage, ...]
    film: Film | None = None
    modality: str | None = None
    body_part: str | None = None
    header: Header = field(default_factory=Header)
    spacing: str = ""
    warnings: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()

    def parts(self) -> list[Part]:
        """The images as a prompt has them: one alone, several each with its label behind it."""
        if self.film is not None:
            return [Image(self.film.pixels)]
        if len(self.images) == 1:
            return [Image(self.images[0].pixels)]
        return [part for each in self.images for part in (Image(each.pixels), each.label)]


def says_other_kind(modality: str | None) -> bool:
    """Return whether a DICOM modality rules out histopathology; those of captures, as SC, tell nothing."""
    return modality in (*_FILMS, *_VOLUMES) or _STILLS.get(modality or "", "pathology") != "pathology"


def as_case(what: Case | Film | str | Path, kind: Kind | None = None, spec: ModelSpec | None = None) -> Case:
    """Make a case of an examination, in whatever form it was given.

    Args:
        kind: in place of what the file says.
        spec: of the model that is to see it; its version of MedGemma decides the CT windows, 1.5 where none is known.

    Raises:
        ImageError: it cannot be read, or holds several examinations.
    """
    if isinstance(what, Case):
        return what if kind is None else replace(what, kind=kind)
    if isinstance(what, Film):
        return film_case(what, kind)
    found = list(read_cases(what, kind, spec))
    cases = [each for each in found if isinstance(each, Case)]
    if not cases:
        # The name of a file inside a folder or an archive may be a patient's.
        why = "; ".join(each.reason.removeprefix(f"{each.source}: ") for each in found[:1] if isinstance(each, Skipped))
        name = printable(what)
        # A single file's own message names it already.
        raise ImageError(why if why.startswith(name) else f"{name}: {why or 'no image in it'}")
    if len(cases) > 1:
        raise ImageError(f"{printable(what)}: {len(cases)} examinations; give one of them")
    return cases[0]


def read_cases(
    path: str | Path | Sequence[FileSource], kind: Kind | None = None, spec: ModelSpec | None = None
) -> Iterator[Case | Skipped]:
    """Read every examination of a file, folder or archive, one after another; unreadable ones do not stop the rest.

    Args:
        path: of it; or DICOM files, however they are kept.
        kind: in place of what the files say.
        spec: as of `as_case`.
    """
    version: MedGemmaVersion = (spec and spec.medgemma_version) or "1.5"
    if not isinstance(path, str | Path):
        try:
            yield from _of_studies(find_studies(path), kind, version)
        except ImageError as error:
            yield Skipped("files", str(error))
        return
    where = Path(path).expanduser()
    if where.is_dir():
        yield from _of_folder(where, kind, version)
        return
    with HeldFile(where, str(path)) as file:
        yield from _of_file(file, kind, version)


def _of_file(file: HeldFile, kind: Kind | None, version: MedGemmaVersion) -> Iterator[Case | Skipped]:
    """Every examination of one file, which is opened once, or of an archive."""
    where = file.path
    try:
        if kind == "pathology" and file.head and not _is_archive(file) and not _dicom(file):
            yield _slide_or_still(file)
            return
        if _is_archive(file):
            yield from _of_folder(where, kind, version)
            return
        if where.name.lower().endswith(_NIFTI):
            yield _nifti_case(file, kind, version)
            return
        if where.suffix.lower() in _SLIDES:
            yield _slide_case(where, file.given)
            return
        if not _dicom(file):
            yield _still(file, kind)
            return
    except ImageError as error:
        yield Skipped(file.given, str(error))
        return
    try:
        series = find_studies(file).series if file.head else ()
    except ImageError:
        series = ()
    # A file that is no DICOM image has its reader's own words for it; a film goes straight there.
    if not series or series[0].kind == "film":
        yield from _guarded(file.given, lambda: [_film_file(file, kind)])
        return
    for one in series:
        yield from _of_series(one, kind, version)


def film_case(film: Film, kind: Kind | None = None, header: Header | None = None) -> Case:
    """A film as an examination."""
    if kind is None:
        kind = "film" if film.body_part and not is_chest(film.body_part) else "chest film"
    if header is None and film.format == "dicom":
        header = Header(laterality=film.laterality, image_laterality=film.image_laterality)
    pixels = _rgb(film.pixels)
    attribute = film.spacing_attribute or ""
    return Case(
        kind, film.source, (PromptImage(pixels, "IMAGE 1", 0, film.turn, film.shown_orientation),), film,
        film.modality, film.body_part, header or Header(), attribute, film.warnings,
    )  # fmt: skip


def _film_file(path: FileSource, kind: Kind | None) -> Case:
    if path.member is None and not isinstance(path, HeldFile):
        with HeldFile(path) as held:
            return _film_file(held, kind)
    film = read_film(path)
    return film_case(film, kind, read_header(path) if film.format == "dicom" else None)


def _still(path: str | FileSource, kind: Kind | None) -> Case:
    """A PNG, JPEG, WebP or TIFF."""
    if kind in (None, "chest film", "film"):
        return film_case(read_film(path), kind)
    return _still_case(path, kind)


def _still_case(what: str | FileSource | list[Instance], kind: Kind | None) -> Case:
    """An image or a loop; of a loop in several files, all of it."""
    parts = what if isinstance(what, list) else []
    path = parts[0].source if isinstance(what, list) else what
    if len(parts) < 2 and not isinstance(path, HeldFile) and (isinstance(path, str) or path.member is None):
        location = Path(path).expanduser() if isinstance(path, str) else path
        with HeldFile(location, path if isinstance(path, str) else None) as held:
            return _still_case(held, kind)
    stills = read_recording(parts) if len(parts) > 1 else read_stills(path)
    known = kind or _STILLS.get(stills.modality or "")
    if known is None:
        raise ImageError(
            f"{printable(stills.source)}: nothing says what this image shows; say its kind ({', '.join(KIND_NAMES)})"
        )
    images = tuple(
        PromptImage(_rgb(frame), f"FRAME {number}", index, stills.turn, stills.orientation)
        for number, (frame, index) in enumerate(zip(stills.frames, stills.indices, strict=True), 1)
    )
    warnings = list(stills.warnings)
    if stills.burned_in_annotation:
        warnings.append("the image has burned-in text, which a model may read as if it were told so")
    return Case(
        known, stills.source, images, None, stills.modality, stills.body_part, read_header(path), "", tuple(warnings)
    )


def _rgb(pixels: np.ndarray) -> np.ndarray:
    """Grey in three channels, without a copy."""
    return pixels if pixels.ndim == 3 else np.broadcast_to(pixels[..., None], (*pixels.shape, 3))


def _slide_or_still(file: HeldFile) -> Case:
    if file.path.suffix.lower() in _IMAGE_FILES:
        return _still_case(file, "pathology")
    return _slide_case(file.path, str(file.path))


def _slide_case(what: Path | Series, source: str) -> Case:
    slide = open_slide(what)
    images = slide_images(slide, patches(slide))
    header = read_header(what.instances[0].source) if isinstance(what, Series) else Header()
    spacing = "PixelSpacing" if slide.mpp else ""
    return Case("pathology", source, images, None, "SM", None, header, spacing, slide.warnings)


def _of_folder(where: Path, kind: Kind | None, version: MedGemmaVersion) -> Iterator[Case | Skipped]:
    """Every series of a folder or archive, study by study; then its images and NIfTI volumes."""
    found_images: list[FileSource] = []
    wanted = (*_IMAGE_FILES, *_NIFTI)
    if where.is_dir():
        found = sorted(each for each in where.rglob("*") if each.name.lower().endswith(wanted) and each.is_file())
        root = where.resolve()
        found_images = [FileSource(each) for each in found if each.resolve().is_relative_to(root)]
    try:
        if not where.is_dir() and _head(where)[:4] == _ZIP:
            found_images = named_in_zip(where, wanted)
        studies = find_studies(where, empty=bool(found_images))
    except ImageError as error:
        yield Skipped(str(where), str(error))
        if not found_images:
            return
    else:
        yield from _of_studies(replace(studies, skipped=()), kind, version)
        names = {each.name for each in found_images}
        left_out = [each for each in studies.skipped if each.source not in names]
        if not studies.studies:  # what lies beside images as a note is no examination that was lost
            left_out = [each for each in left_out if "a text file" not in each.reason]
        yield from left_out
    for each in found_images:
        volume = each.name.lower().endswith(_NIFTI)
        read = (lambda p: _nifti_case(p, kind, version)) if volume else (lambda p: _still(p, kind))
        location = each if each.member is not None else str(each.path)
        yield from _guarded(named(each), lambda read=read, location=location: [read(location)])


def _of_studies(studies: Studies, kind: Kind | None, version: MedGemmaVersion) -> Iterator[Case | Skipped]:
    """Every series, study by study; then the files that are in none."""
    for series in studies.series:
        yield from _of_series(series, kind, version)
    yield from studies.skipped


def _of_series(series: Series, kind: Kind | None, version: MedGemmaVersion) -> Iterator[Case | Skipped]:
    for each in _read_series(series, kind, version):
        if series.contested and isinstance(each, Case):
            each = replace(each, warnings=(*each.warnings, _CONTESTED))
        yield each


def _read_series(series: Series, kind: Kind | None, version: MedGemmaVersion) -> Iterator[Case | Skipped]:
    name = series.instances[0].source.name
    if series.kind == "film":
        for instance in series.instances:
            yield from _guarded(instance.source.name, lambda i=instance: [_film_file(i.source, kind)])
    elif series.kind == "volume":
        yield from _guarded(name, lambda: _volume_cases(series, version))
    elif series.kind == "slide":
        yield from _guarded(name, lambda: [_slide_case(series, name)])
    elif series.kind == "stills":
        for parts in groups(series.instances):
            yield from _guarded(parts[0].source.name, lambda p=parts: [_still_case(p, kind)])
    elif series.kind == "mammogram":
        yield Skipped(name, "a mammogram; MedGemma was not trained on mammograms")
    else:
        yield Skipped(name, f"modality {modality_word(series.modality)} is not read")


def _volume_cases(series: Series, version: MedGemmaVersion) -> Sequence[Case]:
    if series.modality not in _VOLUMES:
        raise ImageError(f"modality {series.modality} has no form in MedGemma's prompts")
    first = series.instances[0]
    if first.source.member is None and not isinstance(first.source, HeldFile):
        # Its header is read too, from the same bytes.
        with HeldFile(first.source) as held:
            kept = replace(first, source=held)
            return _volume_cases(replace(series, instances=(kept, *series.instances[1:])), version)
    header = read_header(first.source)
    made = []
    for volume in read_volumes(series):
        uids = {uid for uid, _ in volume.origins}
        inside = [each for each in series.instances if each.sop_instance_uid in uids] or list(series.instances)
        case = _volume_case(volume, series.modality, inside[0].source.name, header, version)
        part = len(inside) < len(series.instances)
        made.append(replace(case, instances=tuple(each.sop_instance_uid for each in inside)) if part else case)
    return made


def _nifti_case(path: str | FileSource, kind: Kind | None, version: MedGemmaVersion) -> Case:
    """A NIfTI volume, whose file does not say what it is of."""
    modality = {each: name for name, each in _VOLUMES.items()}.get(kind or "film")
    if modality is None:
        raise ImageError(f"{printable(path)}: a NIfTI volume does not say what it is of; say its kind (ct, mr)")
    location = path if isinstance(path, FileSource) else Path(path).expanduser()
    volume = read_nifti(location, "CT" if modality == "CT" else "MR")
    return _volume_case(volume, modality, named(path), Header(), version)


def _volume_case(volume: Volume, modality: str, source: str, header: Header, version: MedGemmaVersion) -> Case:
    images = volume_images(volume, version)
    notes = [*volume.warnings, *(f"a file of the series is left out: {each.reason}" for each in volume.skipped)]
    if len(images) < len(volume.voxels):
        notes.append(f"the model sees {len(images)} of {len(volume.voxels)} slices, evenly spaced")
    spacing = "PixelSpacing" if volume.spacing_mm and None not in volume.spacing_mm else ""
    return Case(
        _VOLUMES[modality], source, images, None, modality, volume.body_part, header, spacing, tuple(notes)
    )


def _guarded(name: str, read: object) -> Iterator[Case | Skipped]:
    try:
        yield from read()  # type: ignore[operator]
    except ImageError as error:
        yield Skipped(name, str(error))


def _is_archive(file: HeldFile) -> bool:
    return file.head[:4] == _ZIP or file.path.name.upper() == "DICOMDIR"


def _dicom(file: HeldFile) -> bool:
    head = file.head[:132]
    found_images = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*")
    # A DICOM file's preamble may be the head of a TIFF, so that both kinds of program read it (PS3.10 7.1).
    return head[128:] == b"DICM" or not head.startswith(found_images)


def _head(path: Path) -> bytes:
    try:
        return read_regular(path, 132)
    except (OSError, ValueError):
        return b""
