"""Sample studies, to try the reading room: films of children, and a CT and an MR whose every voxel is made up.

Names, IDs and descriptions say that they are samples. UIDs are always the same, so that samples are there once however
often they are asked for, and that only they are ever removed. The films are the repository's own (samples/CREDITS.md).
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aris.errors import ArisError
from aris.exchange.documents.codes import uid_of
from aris.exchange.raster_images import checked_facts, secondary_capture
from aris.flow.arrival import collect, settle_now
from aris.flow.house import House
from aris.flow.records.sampling import add_sample_records, remove_sample_records
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.synthetic.series import Geometry, write_series

ISSUER = "ARIS-SAMPLES"
SOURCE = "SAMPLES"
_NOTICE = "SAMPLE, no patient"


@dataclass(frozen=True)
class Sample:
    """A sample study.

    Attributes:
        key: from which its UIDs follow.
        patient, patient_id, birth_date, sex, age: made up.
        date: of the study.
        film: file of a film; "" for a series that is made up.
        modality: of the series.
    """

    key: str
    patient: str
    patient_id: str
    birth_date: str
    sex: Literal["F", "M"]
    age: str
    date: str
    film: str = ""
    modality: Literal["CR", "CT", "MR"] = "CR"

    @property
    def study(self) -> str:
        """The Study Instance UID."""
        return uid_of("aris sample study", self.key)


SAMPLES = (
    Sample("ada-now", "Sample^Ada", "SAMPLE-1", "20220314", "F", "4", "20261103", "child-pneumonia.jpg"),
    Sample("ada-before", "Sample^Ada", "SAMPLE-1", "20220314", "F", "3", "20251118", "child-normal.jpg"),
    Sample("ben", "Sample^Ben", "SAMPLE-2", "20200622", "M", "6", "20261104", "child-normal-2.jpg"),
    Sample("cleo", "Sample^Cleo", "SAMPLE-3", "20231009", "F", "3", "20261104", "child-viral-pneumonia.jpg"),
    Sample("dora", "Sample^Dora", "SAMPLE-4", "19610227", "F", "65", "20261105", modality="CT"),
    Sample("emil", "Sample^Emil", "SAMPLE-5", "19780811", "M", "48", "20261105", modality="MR"),
)  # fmt: skip


@dataclass(frozen=True)
class AddedSamples:
    """Outcome of adding samples: the studies' UIDs, and how many objects were new, and how many known."""

    studies: tuple[str, ...]
    added: int
    known: int


def films() -> Path | None:
    """The folder of the films: in the installed package, or of a clone; None where they are not there."""
    package = Path(__file__).parents[1]
    for folder in (package / "samples", package.parents[1] / "samples"):
        if (folder / SAMPLES[0].film).is_file():
            return folder
    return None


def available() -> bool:
    """Return whether samples can be had."""
    return films() is not None


def present(house: House) -> int:
    """Count the samples that are in the store."""
    return sum(bool(house.store.instances(study=each.study)) for each in SAMPLES)


def add_samples(house: House, actor: str) -> AddedSamples:
    """Put the samples into the store, where they are not there, and have them drafted.

    Args:
        actor: for the audit trail: a login, or as "(terminal)".

    Raises:
        ArisError: the films are not there, or the store cannot be written.
    """
    folder = films()
    if folder is None:
        raise ArisError("the sample films are not installed; install a wheel, or run from a clone of the repository")
    added = known = 0
    for sample in SAMPLES:
        there = {each.uid for each in house.store.instances(study=sample.study)}
        if there:
            known += len(there)
            continue
        for data in _objects(sample, folder):
            house.store.add(data, source=SOURCE)
            added += 1
    uids = tuple(each.study for each in SAMPLES)
    settle_now(house, uids)
    add_sample_records(house, actor, ISSUER)
    if added:
        house.store.sessions.write(lambda session: house.trail.add(session, actor, "add samples", objects=added))
    return AddedSamples(uids, added, known)


def remove_samples(house: House, actor: str) -> list[str]:
    """Remove the samples, and nothing else, from the store. The UIDs of those that were there.

    What was signed of them stays in the database, as all that is signed, and is listed no more.

    Raises:
        StoreError: the store cannot be written.
    """
    collect(house)
    removed = house.store.remove([each.study for each in SAMPLES])
    remove_sample_records(house, actor)
    if removed:
        house.store.sessions.write(
            lambda session: house.trail.add(session, actor, "remove samples", studies=len(removed))
        )
    return removed


def _objects(sample: Sample, folder: Path) -> Iterator[bytes]:
    import pydicom

    if sample.film:
        facts = checked_facts(
            patient_name=sample.patient, patient_id=sample.patient_id, birth_date=sample.birth_date, age=sample.age,
            sex=sample.sex, view="AP", modality="CR", body_part="CHEST", date=sample.date, study=sample.study,
        )  # fmt: skip
        data = secondary_capture((folder / sample.film).read_bytes(), facts, sample.film, seen_clean=True)
        with quiet_pydicom():
            yield _finished(sample, pydicom.dcmread(io.BytesIO(data)), 1)
        return
    with tempfile.TemporaryDirectory() as made, quiet_pydicom():
        for number, path in enumerate(write_series(made, _GEOMETRY[sample.modality], modality=_kind(sample)), 1):
            yield _finished(sample, _grained(pydicom.dcmread(path), number), number)


_GEOMETRY = {
    "CT": Geometry(slices=40, rows=192, columns=256, spacing_mm=(6.0, 1.5, 1.5)),
    "MR": Geometry(slices=16, rows=160, columns=192, spacing_mm=(9.0, 2.0, 2.0), orientation="coronal"),
}


def _kind(sample: Sample) -> Literal["CT", "MR"]:
    return "MR" if sample.modality == "MR" else "CT"


def _grained(dataset: Any, number: int) -> Any:
    """The slice with grain, as a scanner's has it."""
    grain = np.random.default_rng(number).normal(0, 12, (dataset.Rows, dataset.Columns))
    pixels = np.clip(dataset.pixel_array + grain, 0, 4095).astype("<u2")
    dataset.PixelData = pixels.tobytes()
    if dataset.Modality == "CT":
        dataset.WindowCenter, dataset.WindowWidth = [40, -600], [400, 1500]
        dataset.WindowCenterWidthExplanation = ["SOFT TISSUE", "LUNG"]
    else:
        dataset.WindowCenter, dataset.WindowWidth = 900, 1800
    return dataset


def _finished(sample: Sample, dataset: Any, number: int) -> bytes:
    """The object as a file, with the sample's patient, study and UIDs."""
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPInstanceUID = uid_of("aris sample image", sample.key, number)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.StudyInstanceUID = sample.study
    dataset.SeriesInstanceUID = uid_of("aris sample series", sample.key)
    dataset.PatientName, dataset.PatientID, dataset.IssuerOfPatientID = sample.patient, sample.patient_id, ISSUER
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = (
        sample.birth_date, sample.sex, f"{int(sample.age):03}Y",
    )  # fmt: skip
    dataset.StudyDate = dataset.SeriesDate = sample.date
    dataset.StudyTime, dataset.StudyID, dataset.ReferringPhysicianName = "081500", sample.patient_id, ""
    dataset.AccessionNumber = f"SAMPLE-{sample.key.upper()}"[:16]
    what = "Chest film" if sample.film else f"Chest {sample.modality}, made up"
    dataset.StudyDescription, dataset.SeriesDescription = f"{what} ({_NOTICE})", what
    dataset.ImageComments = _NOTICE
    dataset.InstanceNumber = number
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
