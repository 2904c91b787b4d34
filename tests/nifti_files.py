"""NIfTI files of known geometry."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from aris.imaging.synthetic.series import Geometry

CODES = {"i2": 4, "u1": 2, "f4": 16, "i4": 8, "f8": 64, "u2": 512}


def nifti(values: np.ndarray, affine: np.ndarray, *, version: int = 1, order: str = "<", **changes: Any) -> bytes:
    """A file of an (x, y, z) array with an sform, or what is changed."""
    dims = [3, *values.shape, 1, 1, 1, 1]
    code = CODES[values.dtype.str[1:]]
    slope, intercept = changes.get("scale", (0, 0))
    rows = affine[:3].ravel()
    size, offset = (348, 352) if version == 1 else (540, 544)
    header = bytearray(size)
    kinds = ("8h", "f", "2f", "8f", "2h", "12f", "6f") if version == 1 else ("8q", "q", "2d", "8d", "2i", "12d", "6d")
    places = (40, 108, 112, 76, 252, 280, 256) if version == 1 else (16, 168, 176, 104, 344, 400, 352)
    quatern, pixdim = changes.get("quatern"), changes.get("pixdim", [1] * 8)
    fields = (dims, [offset], [slope, intercept], pixdim, [1, 0] if quatern else [0, changes.get("sform", 1)], rows,
              quatern or [0] * 6)  # fmt: skip
    struct.pack_into(order + "i", header, 0, size)
    for kind, place, value in zip(kinds, places, fields, strict=True):
        struct.pack_into(order + kind, header, place, *value)
    struct.pack_into(order + "h", header, 70 if version == 1 else 12, code)
    units = changes.get("units", 2)  # millimetres
    struct.pack_into(order + ("B" if version == 1 else "i"), header, 123 if version == 1 else 500, units)
    magic = b"n+1\0" if version == 1 else b"n+2\0\r\n\x1a\n"
    place = 344 if version == 1 else 4
    header[place : place + len(magic)] = magic
    stored = values.astype(values.dtype.newbyteorder(order))
    return bytes(header) + bytes(offset - size) + stored.tobytes(order="F")


def body(geometry: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """(x, y, z) Hounsfield units and the RAS affine of an axial geometry."""
    hu = np.stack([geometry.hu(index) for index in range(geometry.slices)]).transpose(2, 1, 0)
    between, down, right = geometry.spacing_mm
    lps = np.eye(4)
    lps[:3, :3] = np.diag([right, down, between])
    lps[:3, 3] = geometry.position(0)
    return hu, np.diag([-1.0, -1, 1, 1]) @ lps
