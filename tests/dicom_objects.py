"""DICOM objects for tests: small images with distinct UIDs, as file bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

DX = "1.2.840.10008.5.1.4.1.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
ROOT = "1.2.826.0.1.3680043.8.498"


def image(number: int = 1, *, study: int = 1, series: int = 1, side: int = 16, **changes: Any) -> FileDataset:
    """A small grey image; the pixels follow from its number."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID = meta.MediaStorageSOPClassUID = DX
    made.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = f"{ROOT}.{study}.{series}.{number}"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"{ROOT}.{study}", f"{ROOT}.{study}.{series}"
    made.StudyDate, made.StudyTime, made.StudyID, made.AccessionNumber = f"202601{study:02}", "101500", "S", f"A{study}"
    made.StudyDescription, made.SeriesDescription = "Chest", "Frontal"
    made.PatientID, made.PatientName = f"P{study}", f"Müller^Ana{study}"
    made.PatientBirthDate, made.PatientSex, made.ReferringPhysicianName = "19800101", "F", "Roe^Richard"
    made.Modality, made.SeriesNumber, made.InstanceNumber = "DX", series, number
    made.BodyPartExamined, made.ViewPosition = "CHEST", "PA"
    made.PatientOrientation, made.ImageType = ["L", "F"], ["ORIGINAL", "PRIMARY"]
    pixels = np.random.default_rng(number).integers(0, 4096, (side, side)).astype(np.uint16)
    made.Rows, made.Columns, made.SamplesPerPixel, made.PhotometricInterpretation = side, side, 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = pixels.tobytes()
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    meta.MediaStorageSOPInstanceUID, meta.MediaStorageSOPClassUID = made.SOPInstanceUID, made.SOPClassUID
    return made


def as_bytes(dataset: Dataset) -> bytes:
    out = io.BytesIO()
    dataset.save_as(out, enforce_file_format=True)
    return out.getvalue()
