"""Radiographs: pixels as a reader would see them, and the facts that the file states."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging import radiograph, raster, sniff
from aris.imaging.orientation import STORED, Turn
from aris.imaging.sources import FileSource, HeldFile
from aris.regular import read_regular

Pixels = npt.NDArray[np.uint8]
# Larger files are no radiographs, and reading them whole would fill the memory.
_MAX_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class Film:
    """A radiograph. No field holds what identifies a patient.

    Attributes:
        pixels: uint8 (H, W) grey, 0 black, or (H, W, 3) RGB, at the file's full resolution, in the customary view: of a
            frontal film the patient's right is at the left where the file says how it lies.
        source: the path as it was given.
        format: of the file's contents, whatever its name says.
        modality: DICOM Modality (0008,0060), upper case; None where the file does not say, as for all below.
        body_part: Body Part Examined (0018,0015).
        view_position: View Position (0018,5101).
        laterality, image_laterality: (0020,0060) and (0020,0062), "L" or "R", also "U" and "B".
        patient_orientation: (0020,0020), where the stored rows and columns point, as ("L", "F").
        turn: from the stored pixels to `pixels`.
        patient_age_years: from Patient's Age (0010,1010), or birth date and study date.
        pixel_spacing_mm: between rows and between columns as they are stored, in millimetres.
        spacing_attribute: where the spacing is from, by PS3.3 10.7.1.3: "PixelSpacing" (calibrated or corrected),
            "ImagerPixelSpacing" (at the detector, also where Pixel Spacing only repeats it), "PixelSpacing of unknown
            calibration" (it stands alone, and the file says no more) or "NominalScannedPixelSpacing".
        windows: every stored pair of Window Center and Window Width, in the units of the modality LUT's output; the
            first made the pixels, unless a VOI LUT Sequence did.
        burned_in_annotation: (0028,0301).
        warnings: what a reader of results should know, one line each.
    """

    pixels: Pixels
    source: str
    format: Literal["dicom", "png", "jpeg", "tiff", "webp"]
    modality: str | None = None
    body_part: str | None = None
    view_position: str | None = None
    laterality: str | None = None
    image_laterality: str | None = None
    patient_orientation: tuple[str, str] | None = None
    patient_age_years: float | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    spacing_attribute: str | None = None
    windows: tuple[tuple[float, float], ...] = ()
    burned_in_annotation: bool | None = None
    warnings: tuple[str, ...] = ()
    turn: Turn = STORED

    @property
    def shown_orientation(self) -> tuple[str, str] | None:
        """Return the directions of the rows and columns of `pixels`; None where the file does not say."""
        return None if self.patient_orientation is None else self.turn.letters(self.patient_orientation)


def read_film(path: str | Path | FileSource) -> Film:
    """Read a radiograph from DICOM, PNG, JPEG, WebP or TIFF; the contents decide, not the name.

    Args:
        path: of a file, or a member of an archive.

    Raises:
        ImageError: one line that says what is wrong with the file and what to do.
    """
    source = printable(path)
    data = contents(path, source)
    kind = path.kind if isinstance(path, HeldFile) else sniff.kind_of(data)
    warnings = []
    suffix = Path((path.member or path.path) if isinstance(path, FileSource) else path).suffix.lower()
    facts: dict[str, Any] = {}
    if kind == "dicom":
        dataset = path.dataset() if isinstance(path, HeldFile) else None
        if dataset is None:
            pixels, facts, more = radiograph.read(data, source)
        else:
            pixels, facts, more = radiograph.read_parsed(dataset, source)
    elif kind in ("png", "jpeg", "tiff", "webp"):
        pixels, more = raster.read(data, kind, source)
    else:
        raise ImageError(f"{source}: {sniff.complaint(data)}")
    if suffix in sniff.SUFFIXES and sniff.SUFFIXES[suffix] != kind:
        warnings.append(f"the file is named {suffix} but holds {kind.upper()}; it was read as what it holds")
    return Film(pixels, named(path), kind, warnings=(*warnings, *more), **facts)


def named(path: str | Path | FileSource) -> str:
    """A path as it was given; an archive's member as "archive:member"."""
    if isinstance(path, HeldFile):
        return path.given
    return path.given_name if isinstance(path, FileSource) else str(path)


def printable(path: str | Path | FileSource) -> str:
    """A path for a message. A name may hold any character; an error is one line."""
    path = named(path)
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def contents(name: str | Path | FileSource, source: str) -> bytes:
    """A regular file's bytes, or those of an archive's member."""
    given = name if isinstance(name, FileSource) else None
    if isinstance(name, FileSource):
        if name.member is not None:
            return name.read()
        name = name.path
    if not str(name):
        raise ImageError("no file was named; give an image file")
    try:
        path = Path(name).expanduser()
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ImageError(f"{source}: a folder; give one image file")
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{source}: not a regular file; give an image file")
        if status.st_size == 0:
            raise ImageError(f"{source}: the file is empty (0 bytes); copy it again")
        if status.st_size > _MAX_BYTES:
            raise ImageError(f"{source}: {status.st_size / 1e9:.1f} GB is too large for a radiograph (1 GB at most)")
        return read_regular(path) if given is None else given.read()
    except FileNotFoundError:
        raise ImageError(f"{source}: no such file; check the path") from None
    except PermissionError:
        raise ImageError(f"{source}: no permission to read it") from None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: the home of a user that does not exist
        reason = getattr(error, "strerror", None) or "the path is not valid"
        raise ImageError(f"{source}: cannot be read ({reason})") from None
