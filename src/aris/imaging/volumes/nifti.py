"""NIfTI-1 and NIfTI-2 volumes (.nii, .nii.gz), read by hand: the format is one header and one array.

nibabel is not used: a reader of 100 lines with limits of its own is less than a dependency that unpacks whatever it is
given. Field offsets are those of nifti1.h and nifti2.h (nifti.nimh.nih.gov).
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aris.errors import ImageError
from aris.imaging.film import contents, printable
from aris.imaging.geometry import Plane, plane
from aris.imaging.orientation import Letters
from aris.imaging.sources import FileSource
from aris.imaging.volumes.volume import MAX_VOXELS, Volume

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
_MAX_BYTES = 4 << 30
# Units of space in xyzt_units (nifti1.h), in millimetres: unknown, which by custom are millimetres, metres,
# millimetres, micrometres.
_MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_GZIP = b"\x1f\x8b"
_HEADER = 540  # bytes of the longer of the two headers
_MAX_MEMBERS = 100_000  # bgzip makes one of each 64 KiB
_PIECE = 1 << 14  # what follows a member is copied, so that it must not be all of the file


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def read_nifti(path: str | Path | FileSource, modality: Literal["CT", "MR"] | None = None) -> Volume:
    """Read a volume and turn it so that its slices are as a scanner's: axial, feet to head, patient's right at left.

    Where the volume is oblique, the turn is to the nearest axes; nothing is interpolated. Scaled values beyond float32
    count as no numbers, and an orientation of such numbers as unknown.

    Args:
        path: a .nii or .nii.gz file, or a member of an archive.
        modality: the format does not say it. CT values are Hounsfield units by custom.

    Raises:
        ImageError: no NIfTI, damaged, too large, of complex or colour voxels, or of several volumes.
    """
    source = printable(path)
    data = _inflated(contents(path, source), source)
    try:
        header = _Header(data, source)
        values, affine = header.values(data, source), header.affine()
    except (struct.error, ValueError, OverflowError):
        raise ImageError(f"{source}: the NIfTI file is truncated or damaged; export it again") from None
    values, affine = _turned(values, affine)
    between, down, right = (float(np.linalg.norm(affine[:3, axis])) for axis in (2, 1, 0))
    planes = _planes(values.shape[0], affine)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    notes = [] if planes else ["the file does not place its voxels: orientation and side are not known"]
    lying: Letters | None = None if planes is None else ("L", "P")
    if header.unit is None:
        planes = None
        notes.append("its unit of length (xyzt_units) is none that NIfTI defines: nothing can be measured")
    elif planes and not header.names_unit:
        notes.append("the file does not name its unit of length: millimetres were assumed")
    unit = "HU" if modality == "CT" and header.scaled is not None else None
    if header.scaled is None:
        notes.append("its scale (scl_slope, scl_inter) is no number: stored values are used, in no known unit")
    if not finite.size:
        raise ImageError(f"{source}: it has no finite value; export it again")
    if values.dtype.kind == "f" and finite.size < values.size:
        values = np.where(np.isfinite(values), values, np.float32(finite.min()))
        notes.append("voxels that are no numbers were set to the least value")
    sized = min(between, down, right) > 0 and planes is not None
    return Volume(
        voxels=np.ascontiguousarray(values),
        modality=modality,
        unit=unit,
        spacing_mm=(between, down, right) if sized else None,
        planes=planes,
        origins=tuple(("", index + 1) for index in range(values.shape[0])),
        value_range=(float(finite.min()), float(finite.max())),
        warnings=tuple(notes),
        lying=lying,
    )


def _inflated(data: bytes, source: str) -> bytes:
    """A gzip file's content: of all its members, one after another (RFC 1952 2.2), as bgzip and `cat` make them."""
    if not data.startswith(_GZIP):
        return data
    parts: list[bytes] = []
    view, at, made = memoryview(data), 0, 0
    limit: int | None = None
    for _ in range(_MAX_MEMBERS):
        inflating = zlib.decompressobj(16 + zlib.MAX_WBITS)
        while not inflating.eof:
            if at >= len(data):
                raise ImageError(f"{source}: the gzip file is truncated; copy it again")
            try:
                parts.append(inflating.decompress(view[at : at + _PIECE], _MAX_BYTES + 1 - made))
            except (zlib.error, gzip.BadGzipFile, EOFError):
                raise ImageError(f"{source}: the gzip file is damaged; copy it again") from None
            at += _PIECE
            made += len(parts[-1])
            if limit is None and made >= _HEADER:
                parts = [b"".join(parts)]
                limit = _justified(parts[0][:_HEADER], source)
            if limit is not None and made > limit:
                raise ImageError(f"{source}: it unpacks to more than its header says; export it again")
        at = min(at, len(data)) - len(inflating.unused_data)
        # Zeros behind the last member are padding, and what is no member either is not looked at, as gzip itself does.
        while data[at : at + 1] == b"\0":
            at += 1
        if not data.startswith(_GZIP, at):
            return b"".join(parts)
    raise ImageError(f"{source}: the gzip file has too many parts; compress it anew")


def _justified(head: bytes, source: str) -> int:
    """Bytes that a file may unpack to: its voxels, and what may stand before and behind them."""
    header = _Header(head, source, whole=False)
    return min(_MAX_BYTES, header.offset + header.count * np.dtype(_TYPES[header.datatype]).itemsize + (16 << 20))


class _Header:
    """Header fields of both versions."""

    def __init__(self, data: bytes, source: str, *, whole: bool = True) -> None:
        first = data[:4]
        self.order = "<" if first in (b"\x5c\1\0\0", b"\x1c\2\0\0") else ">"
        self.version = 1 if first in (b"\x5c\1\0\0", b"\0\0\1\x5c") else 2
        magic = data[344:348] if self.version == 1 else data[4:8]
        if magic[:3] in (b"ni1", b"ni2"):
            raise ImageError(f"{source}: a NIfTI header without its voxels; give one .nii or .nii.gz file")
        if magic[:3] not in (b"n+1", b"n+2") or first not in (
            b"\x5c\1\0\0", b"\0\0\1\x5c", b"\x1c\2\0\0", b"\0\0\2\x1c"
        ):  # fmt: skip
            raise ImageError(f"{source}: not a NIfTI file; give a .nii or .nii.gz file")
        one = self.version == 1

        def field(kind: str, at1: int, at2: int, kind2: str | None = None) -> tuple[Any, ...]:
            return struct.unpack_from(self.order + (kind if one else kind2 or kind), data, at1 if one else at2)

        self.dim = field("8h", 40, 16, "8q")
        (self.datatype,) = field("h", 70, 12)
        self.pixdim = field("8f", 76, 104, "8d")
        # Some writers leave the offset out; voxels that lie within the header are none.
        self.offset = int(field("f", 108, 168, "q")[0]) or (352 if one else 544)
        self.slope, self.intercept = field("2f", 112, 176, "2d")
        self.qform, self.sform = field("2h", 252, 344, "2i")
        self.quatern = field("6f", 256, 352, "6d")
        self.srow = field("12f", 280, 400, "12d")
        (units,) = field("B", 123, 500, "i")
        self.names_unit, self.unit = bool(units & 7), _MILLIMETRES.get(units & 7)
        self._check(data, source, whole=whole)

    def _check(self, data: bytes, source: str, *, whole: bool) -> None:
        dim = self.dim
        if not 2 <= dim[0] <= 7 or any(n < 1 for n in dim[1 : dim[0] + 1]):
            raise ImageError(f"{source}: the NIfTI header's dimensions are damaged; export it again")
        if any(n > 1 for n in dim[4 : dim[0] + 1]):
            raise ImageError(f"{source}: several volumes in one file; give one (the first time point, say)")
        if self.datatype not in _TYPES:
            raise ImageError(f"{source}: voxels of NIfTI type {self.datatype} are not read; save int16 or float32")
        if self.count > MAX_VOXELS:
            raise ImageError(f"{source}: {self.count / 1e9:.1f} billion voxels are too many; give a smaller volume")
        end = self.offset + self.count * np.dtype(_TYPES[self.datatype]).itemsize
        if self.offset < (348 if self.version == 1 else 540):
            raise ImageError(f"{source}: the NIfTI header's offset of its voxels is damaged; export it again")
        if whole and len(data) < end:
            raise ImageError(f"{source}: the NIfTI file is truncated; copy it again")

    @property
    def shape(self) -> tuple[int, int, int]:
        x, y, z = (*self.dim[1 : min(self.dim[0], 3) + 1], 1)[:3]
        return x, y, z

    @property
    def count(self) -> int:
        x, y, z = self.shape
        return x * y * z

    def values(self, data: bytes, source: str) -> npt.NDArray[Any]:
        """(x, y, z): int16, int32 or float32, after scl_slope and scl_inter (0 says none)."""
        dtype = np.dtype(self.order + _TYPES[self.datatype])
        stored = np.frombuffer(data, dtype, self.count, self.offset).reshape(self.shape, order="F")
        slope, intercept = self.scaled or (1.0, 0.0)
        if (slope, intercept) != (1.0, 0.0):
            if not (slope.is_integer() and intercept.is_integer()) or dtype.kind == "f":
                return (stored.astype(np.float64) * slope + intercept).astype(np.float32)
            stored = stored.astype(np.int64) * int(slope) + int(intercept)
        return self._signed(stored)

    @property
    def scaled(self) -> tuple[float, float] | None:
        """Slope and intercept: 1 and 0 where the slope is 0 or no number, which both say none.

        None where a scale is there and is not finite.
        """
        slope, intercept = float(self.slope), float(self.intercept)
        if slope == 0 or np.isnan(slope):
            return 1.0, 0.0
        return (slope, intercept) if np.isfinite((slope, intercept)).all() else None

    @staticmethod
    def _signed(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if stored.dtype.kind == "f":
            return stored.astype(np.float32)
        low, high = int(stored.min()), int(stored.max())
        if low >= -32768 and high <= 32767:
            return stored.astype(np.int16)
        return stored.astype(np.int32 if low >= -(1 << 31) and high < 1 << 31 else np.float32)

    def affine(self) -> npt.NDArray[np.float64]:
        """Voxel to RAS millimetres (4, 4): sform, else qform, else zeros, as the file does not say."""
        affine = np.zeros((4, 4))
        affine[3, 3] = 1
        if self.sform > 0:
            affine[:3] = np.reshape(self.srow, (3, 4))
        elif self.qform > 0:
            b, c, d, *offset = (float(value) for value in self.quatern)
            a = np.sqrt(max(0.0, 1 - b * b - c * c - d * d))
            turn = np.array([
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ])  # fmt: skip
            # A size has no sign: sides are the quaternion's and qfac's.
            sizes = np.abs(self.pixdim[1:4]) * [1, 1, -1 if self.pixdim[0] < 0 else 1]
            affine[:3, :3] = turn * sizes
            affine[:3, 3] = offset
        affine[:3] *= self.unit or 1.0
        return affine


def _turned(
    values: npt.NDArray[Any], affine: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float64]]:
    """(x, y, z) in any orientation to (slices, rows, columns), and the affine of (column, row, slice) to LPS."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    lengths = np.linalg.norm(lps[:3, :3], axis=0)
    # The axes span a volume, whatever their unit: a voxel of a micrometre has 1e-9 of a cubic millimetre.
    if not np.isfinite(lps).all() or not lengths.all() or abs(np.linalg.det(lps[:3, :3] / lengths)) < 1e-6:
        return values.transpose(2, 1, 0), np.zeros((4, 4))
    # Each patient axis gets the voxel axis that runs most along it, the clearest choice first.
    along = np.abs(lps[:3, :3] / lengths)
    axes = [-1, -1, -1]
    for _ in range(3):
        patient, voxel = np.unravel_index(int(along.argmax()), along.shape)
        axes[int(patient)] = int(voxel)
        along[patient, :] = along[:, voxel] = -1
    values, lps = values.transpose(axes), lps[:, [*axes, 3]]
    for axis in range(3):
        if lps[axis, axis] < 0:
            lps[:3, 3] += lps[:3, axis] * (values.shape[axis] - 1)
            lps[:3, axis] *= -1
            values = np.flip(values, axis)
    return values.transpose(2, 1, 0), lps


def _planes(count: int, lps: npt.NDArray[np.float64]) -> tuple[Plane, ...] | None:
    if not lps[:3, :3].any():
        return None
    row, column = (lps[:3, axis] / np.linalg.norm(lps[:3, axis]) for axis in (0, 1))
    made = [plane((lps[:3, 3] + index * lps[:3, 2]).tolist(), [*row, *column]) for index in range(count)]
    found = tuple(one for one in made if one is not None)
    return found if len(found) == count else None
