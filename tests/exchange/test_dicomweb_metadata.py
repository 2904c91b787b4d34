"""DICOM JSON of elements that cannot be read: they are there without a value, and are not absent (PS3.18 F.2.5)."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from aris.exchange.dicomweb.metadata import to_json
from aris.store.objects import parse
from dicom_objects import as_bytes, image
from unreadable import put_text

EXPLICIT = "1.2.840.10008.1.2.1"


def metadata(made: Any, bulkdata: str = "http://web/bulk") -> dict[str, Any]:
    out = io.BytesIO()
    made.save_as(out, enforce_file_format=True)
    found = to_json(parse(out.getvalue(), "object"), bulkdata, EXPLICIT)
    json.dumps(found, allow_nan=False)
    return found


def test_numbers_that_cannot_be_read_are_null_and_not_absent() -> None:
    made = image()
    put_text(made, "RescaleIntercept", "-1024,0")
    put_text(made, "RescaleSlope", "one")
    put_text(made, "WindowCenter", "40\\forty\\50 HU")
    put_text(made, "InstanceNumber", "first")
    made.add_new(0x00280030, "DS", [0.5, 0.25])
    found = metadata(made)
    assert found["00281052"] == {"vr": "DS", "Value": [-1024.0]}
    assert found["00281053"] == {"vr": "DS"}
    assert found["00281050"] == {"vr": "DS", "Value": [40.0, None, None]}
    assert found["00200013"] == {"vr": "IS"}
    assert found["00280030"]["Value"] == [0.5, 0.25]
    # Another reader takes it.
    again = pydicom.Dataset.from_json(found, lambda *_: b"")
    assert again.RescaleIntercept == -1024 and again.RescaleSlope is None


def test_one_bad_element_does_not_cost_its_sequence() -> None:
    made = image()
    values, item = Dataset(), Dataset()
    values.RescaleSlope, values.RescaleType = 1, "HU"
    put_text(values, "RescaleIntercept", "x")
    item.PixelValueTransformationSequence = Sequence([values])
    made.SharedFunctionalGroupsSequence = Sequence([item])
    made.PerFrameFunctionalGroupsSequence = Sequence([])
    made.ReferencedSeriesSequence = Sequence([Dataset()])
    found = metadata(made)
    (group,) = found["52009229"]["Value"]
    (inner,) = group["00289145"]["Value"]
    assert inner == {
        "00281052": {"vr": "DS"}, "00281053": {"vr": "DS", "Value": [1.0]}, "00281054": {"vr": "LO", "Value": ["HU"]},
    }  # fmt: skip
    assert found["52009230"] == {"vr": "SQ"} and found["00081115"] == {"vr": "SQ", "Value": [{}]}


def test_binary_values_are_named_at_every_depth_and_infinite_numbers_are_strings() -> None:
    made = image(side=64)
    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 16])
    item.add_new(0x00283006, "OW", np.arange(4096, dtype="<u2").tobytes())
    item.add_new(0x00189073, "FD", float("inf"))
    made.VOILUTSequence = Sequence([item])
    found = metadata(made)
    (inner,) = found["00283010"]["Value"]
    assert inner["00283006"]["BulkDataURI"] == "http://web/bulk/00283010/1/00283006"
    assert inner["00189073"] == {"vr": "FD", "Value": ["inf"]}
    assert found["7FE00010"]["BulkDataURI"] == "http://web/bulk/7FE00010"
    bare = metadata(made, "")
    assert "7FE00010" not in bare and "00283006" not in bare["00283010"]["Value"][0]


def test_lengths_that_no_number_has() -> None:
    data = as_bytes(image())
    # Rows (0028,0010) of three bytes: US has two.
    at = data.index(b"\x28\x00\x10\x00US\x02\x00")
    broken = data[: at + 6] + b"\x04\x00" + data[at + 8 : at + 10] + b"\0\0" + data[at + 10 :]
    broken = broken.replace(b"\x28\x00\x10\x00US\x04\x00", b"\x28\x00\x10\x00US\x04\x00")
    found = to_json(parse(broken, "object"), "http://web/bulk", EXPLICIT)
    assert found["00280010"]["vr"] == "US"
