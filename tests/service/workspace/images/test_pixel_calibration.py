"""Millimetres of a pixel, and what they are worth."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from aris.service.workspace.images.calibration import (
    AT_DETECTOR,
    REGIONS,
    SEVERAL_REGIONS,
    UNSTATED,
    scale_of,
)


def header(**values: Any) -> Dataset:
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, value)
    return made


def region(across: float, down: float, box: tuple[int, int, int, int], units: int = 3) -> Dataset:
    return header(
        PhysicalDeltaX=across, PhysicalDeltaY=down, PhysicalUnitsXDirection=units, PhysicalUnitsYDirection=units,
        RegionSpatialFormat=1, RegionLocationMinX0=box[0], RegionLocationMinY0=box[1], RegionLocationMaxX1=box[2],
        RegionLocationMaxY1=box[3],
    )  # fmt: skip


DX = {"Modality": "DX"}


@pytest.mark.parametrize(("facts", "spacing", "worth", "note"), [
    ({"Modality": "CT", "PixelSpacing": [0.5, 0.7]}, (0.5, 0.7), "calibrated", ""),
    ({"Modality": "CT", "PixelSpacing": [0.5, 0.7], "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}, (0.5, 0.7),
     "at detector", "scout"),
    (DX, None, "pixels only", ""),
    (DX | {"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "at detector", AT_DETECTOR),
    (DX | {"PixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "at detector", UNSTATED),
    (DX | {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), "at detector", AT_DETECTOR),
    (DX | {"PixelSpacing": [0.15, 0.15], "ImagerPixelSpacing": [0.2, 0.2]}, (0.15, 0.15), "calibrated", "differs"),
    (DX | {"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "FIDUCIAL"},
     (0.2, 0.2), "calibrated", "known size"),
    (DX | {"PixelSpacing": [0.1, 0.1], "PixelSpacingCalibrationType": "GEOMETRY"}, (0.1, 0.1), "calibrated", "magnif"),
    # An estimate is told; lengths are not changed by it, and stay those of the detector.
    (DX | {"ImagerPixelSpacing": [0.2, 0.2], "EstimatedRadiographicMagnificationFactor": 1.25}, (0.2, 0.2),
     "at detector", "magnification of 1.25"),
    ({"Modality": "XA", "ImagerPixelSpacing": [0.2, 0.2], "DistanceSourceToDetector": 1200,
      "DistanceSourceToPatient": 800}, (0.2, 0.2), "at detector", "magnification of 1.50"),
    ({"Modality": "SC", "NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), "at detector", "scanned"),
    (DX | {"PixelSpacing": [0, 0.2]}, None, "pixels only", ""),
    (DX | {"PixelSpacing": [0.2]}, None, "pixels only", ""),
])  # fmt: skip
def test_scale_of_a_film_or_a_slice(
    facts: dict[str, Any], spacing: tuple[float, float] | None, worth: str, note: str
) -> None:
    found = scale_of(header(**facts), 0)
    assert (found.spacing, found.calibration) == (spacing, worth) and note in found.note and not found.within


def test_ultrasound_is_calibrated_inside_its_regions_alone() -> None:
    us = header(Modality="US", PixelSpacing=[9, 9], SequenceOfUltrasoundRegions=[
        region(0.01, -0.02, (10, 20, 109, 219)), region(0.01, 1, (0, 300, 99, 399), units=4),
    ])  # fmt: skip
    found = scale_of(us, 0)
    assert found.spacing == pytest.approx((0.2, 0.1)) and found.calibration == "calibrated"
    assert found.within == ((10, 20, 110, 220),) and found.note == REGIONS
    us.SequenceOfUltrasoundRegions.append(region(0.03, 0.03, (200, 0, 300, 100)))
    several = scale_of(us, 0)
    assert (several.spacing, several.calibration, several.note) == (None, "pixels only", SEVERAL_REGIONS)
    us.SequenceOfUltrasoundRegions = [region(0.01, 0.01, (0, 0, 9, 9), units=4)]
    assert scale_of(us, 0).calibration == "pixels only"
