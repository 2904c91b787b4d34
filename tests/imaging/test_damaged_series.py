"""Bytes changed and cut in series, archives, enhanced objects, NIfTI and slides: one line or a result, always."""

from __future__ import annotations

import functools
import gzip
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aris.errors import ImageError
from aris.imaging import find_studies, open_slide, read_film, read_nifti, read_stills, read_volume
from aris.imaging.synthetic.series import Geometry, write_enhanced, write_series
from aris.imaging.synthetic.slide import write_slide

SMALL = Geometry(slices=3, rows=8, columns=8, spacing_mm=(100, 40, 40))
EXAMPLES = int(os.environ.get("ARIS_FUZZ_EXAMPLES", "40"))


def _slice(folder: Path) -> bytes:
    return write_series(folder, SMALL)[0].read_bytes()


def _enhanced(folder: Path) -> bytes:
    return write_enhanced(folder / "enhanced.dcm", SMALL).read_bytes()


def _slide(folder: Path) -> bytes:
    return write_slide(folder, width=40, height=30, tile=16, downsamples=(1,), label=False)[0].read_bytes()


def _archive(folder: Path) -> bytes:
    path = folder / "study.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in write_series(folder / "files", SMALL):
            archive.write(one, one.name)
    return path.read_bytes()


def _nifti(folder: Path) -> bytes:
    header = bytearray(352)
    np.frombuffer(header, "<i4", 1)
    header[:4], header[344:348] = (348).to_bytes(4, "little"), b"n+1\0"
    header[40:56] = np.array([3, 8, 8, 3, 1, 1, 1, 1], "<i2").tobytes()
    header[70:72], header[108:112] = b"\4\0", np.float32(352).tobytes()
    header[254:256] = b"\1\0"
    header[280:328] = np.eye(3, 4, dtype="<f4").tobytes()
    return bytes(header) + bytes(8 * 8 * 3 * 2)


def _region(path: Path) -> None:
    open_slide(path).region(0, 0, 40, 40)


KINDS: dict[str, tuple[Callable[[Path], bytes], str, tuple[Callable[[Path], object], ...]]] = {
    "slice": (_slice, ".dcm", (read_volume, read_stills, read_film)),
    "enhanced": (_enhanced, ".dcm", (read_volume, read_stills)),
    "slide": (_slide, ".dcm", (_region,)),
    "archive": (_archive, ".zip", (find_studies, read_volume)),
    "nifti": (_nifti, ".nii", (read_nifti,)),
    "nifti.gz": (lambda folder: gzip.compress(_nifti(folder)), ".nii.gz", (read_nifti,)),
}


@functools.cache
def whole(kind: str) -> bytes:
    """One file a kind for all examples: new UIDs each time would differ in length."""
    with tempfile.TemporaryDirectory() as folder:
        return KINDS[kind][0](Path(folder))


def damaged(data: bytes, draw: st.DataObject) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 6), "changes")):
        # Headers are where the structure is: half of the changes go there.
        top = draw.draw(st.sampled_from([min(len(changed), 1500), len(changed)]), "region")
        at = draw.draw(st.integers(0, top - 1), "at")
        piece = draw.draw(st.binary(min_size=1, max_size=8) | st.sampled_from([b"\xff" * 4, b"\0" * 8]), "bytes")
        changed[at : at + len(piece)] = piece
    end = draw.draw(st.integers(0, len(changed)) | st.just(len(changed)), "end")
    return bytes(changed[:end])


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_damage_gives_a_result_or_one_line(
    kind: str, draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    _, suffix, readers = KINDS[kind]
    path = folder / f"damaged{suffix}"
    path.write_bytes(damaged(whole(kind), draw))
    before = {one: one.stat().st_mtime_ns for one in folder.rglob("*")}
    started = time.monotonic()
    for reader in readers:
        try:
            reader(path)
        except ImageError as error:
            assert len(str(error).splitlines()) == 1
            assert "Synthetic" not in str(error)
    assert time.monotonic() - started < 60  # a hang, not a speed: each takes milliseconds
    assert {one: one.stat().st_mtime_ns for one in folder.rglob("*")} == before


def test_a_file_without_valid_elements_prints_nothing(tmp_path: Path) -> None:
    """In a process of its own: no traceback, no warning of a library, nothing of the patient."""
    paths = write_series(tmp_path / "files", SMALL)
    paths[0].write_bytes(paths[0].read_bytes().replace(b"DS", b"UI"))
    paths[1].write_bytes(paths[1].read_bytes()[:700])
    code = "import sys; from aris.imaging import read_volume; print(len(read_volume(sys.argv[1]).voxels))"
    command = [sys.executable, "-c", code, str(tmp_path / "files")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip() in ("1", "2") and done.stderr == ""
