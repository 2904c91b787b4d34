"""Frames a second that the workspace decodes for the viewer, by transfer syntax, and the time to list a long CT series.

    python benchmarks/workspace_frames.py [--slices N]

A synthetic CT of 512 x 512 pixels (a body of soft tissue with lungs, bones and noise, 12 bits in 16) as single slices
and as one enhanced multi-frame object. Seconds are of the processor, children included, so that what else runs on the
machine does not count much; one frame after another. The time of gzip (level 1) is told beside what it saves.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from aris.service.workspace.images.decoding import FrameDecoder
from aris.service.workspace.images.series import SeriesLister
from aris.store.store import Store

SIDE = 512


def slices(count: int) -> np.ndarray:
    """Stored values (N, H, W) of a body."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE - 0.5
    body = (x / 0.4) ** 2 + (y / 0.3) ** 2 < 1
    lungs = sum(((x - at) / 0.12) ** 2 + (y / 0.2) ** 2 < 1 for at in (-0.18, 0.18)) > 0
    base = np.where(body, 1064, 24) + np.where(lungs, -850, 0) + np.where((np.hypot(x, y - 0.2) < 0.04), 700, 0)
    return np.clip(base + rng.normal(0, 12, (count, SIDE, SIDE)), 0, 4095).astype(np.uint16)


def header(kind: str, syntax: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, kind
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID = kind, generate_uid()
    meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.PatientID, made.PatientName, made.Modality, made.ImageType = "B", "Bench^CT", "CT", ["ORIGINAL", "PRIMARY"]
    made.Rows = made.Columns = SIDE
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    return made


def as_file(made: FileDataset, syntax: str) -> bytes:
    if syntax == JPEGLosslessSV1:
        return by_gdcm(made)
    if syntax != ExplicitVRLittleEndian:
        made.compress(syntax, generate_instance_uid=False)
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def by_gdcm(made: FileDataset) -> bytes:
    """In JPEG lossless, which pydicom does not write."""
    import gdcm

    with tempfile.TemporaryDirectory() as folder:
        plain, packed = f"{folder}/plain", f"{folder}/packed"
        made.save_as(plain, enforce_file_format=True)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(plain)
        assert reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
        change.SetInput(reader.GetImage())
        assert change.Change()
        writer.SetFileName(packed)
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return Path(packed).read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--slices", type=int, default=40)
    options = parser.parse_args()
    volume = slices(min(options.slices, 40))
    for name, syntax in (("uncompressed", ExplicitVRLittleEndian), ("JPEG-LS", JPEGLSLossless),
                         ("JPEG 2000", JPEG2000Lossless), ("RLE", RLELossless),
                         ("JPEG lossless", JPEGLosslessSV1)):  # fmt: skip
        with tempfile.TemporaryDirectory() as folder, Store(Path(folder) / "store") as store:
            print(json.dumps({"syntax": name, **measured(store, volume, syntax, options.slices)}), flush=True)
    print(json.dumps({"gzip_1": packed(volume[0])}))


def measured(store: Store, volume: np.ndarray, syntax: str, count: int) -> dict[str, float]:
    study, series = generate_uid(), generate_uid()
    for index in range(count):
        made = header(CTImageStorage, syntax)
        made.StudyInstanceUID, made.SeriesInstanceUID, made.InstanceNumber = study, series, index + 1
        made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
        made.WindowCenter, made.WindowWidth = [40, -600], [400, 1500]
        made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 0.7 * index], [1, 0, 0, 0, 1, 0]
        made.PixelSpacing, made.SliceThickness = [0.7, 0.7], 0.7
        made.PixelData = volume[index % len(volume)].tobytes()
        store.add(as_file(made, syntax))
    many = header(EnhancedCTImageStorage, syntax)
    many.StudyInstanceUID, many.SeriesInstanceUID, many.InstanceNumber = study, generate_uid(), 1
    many.NumberOfFrames = len(volume)
    groups = []
    for index in range(len(volume)):
        group, at, value = Dataset(), Dataset(), Dataset()
        at.ImagePositionPatient = [0, 0, float(index)]
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1024, "HU"
        group.PlanePositionSequence, group.PixelValueTransformationSequence = [at], [value]
        groups.append(group)
    many.PerFrameFunctionalGroupsSequence = groups
    many.PixelData = volume.tobytes()
    store.add(as_file(many, syntax))

    decoder = FrameDecoder(store)
    lister = SeriesLister(store, decoder)
    began = time.process_time()
    listed = lister.listed(study, series)
    list_s = time.process_time() - began
    assert listed is not None
    stored = {each.uid: each for each in store.instances(study=study)}
    some = listed.images[:40]
    began = time.process_time()
    for each in some:
        assert len(decoder.frame(stored[each.uid], 1).data) == SIDE * SIDE * 2
    single = len(some) / (time.process_time() - began)
    began = time.process_time()
    for index in range(len(volume)):
        decoder.frame(stored[many.SOPInstanceUID], index + 1).data  # noqa: B018
    return {
        "slices": count, "list_s": round(list_s, 3), "frames_per_s": round(single, 1),
        "multi_frame_per_s": round(len(volume) / (time.process_time() - began), 1),
    }  # fmt: skip


def packed(values: np.ndarray) -> dict[str, float]:
    data = (values.astype(np.int16) - 1024).tobytes()
    began = time.process_time()
    size = len(gzip.compress(data, 1))
    return {"ms": round(1000 * (time.process_time() - began), 1), "share": round(size / len(data), 3)}


if __name__ == "__main__":
    main()
