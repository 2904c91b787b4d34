"""Pictures as DICOM: what a person said of them is written as it was meant, and what a compression lost is said."""

from __future__ import annotations

import io

import pydicom
import pytest
from PIL import Image

from aris.errors import ExchangeError
from aris.exchange.raster_images import checked_facts, secondary_capture


@pytest.mark.parametrize("day", ["1980-1-11", "1980111", "1980-0111", "1980-13-01", "19800230", "11.01.1980"])
def test_a_day_that_can_be_read_in_two_ways_is_refused(day: str) -> None:
    with pytest.raises(ExchangeError, match="birth date"):
        checked_facts(birth_date=day)


def test_a_day_is_taken_as_it_is_written() -> None:
    facts = checked_facts(birth_date="1980-01-11", date="20260131")
    assert (facts.birth_date, facts.date) == ("19800111", "20260131")


@pytest.mark.parametrize(
    ("form", "more", "lossy"),
    [
        ("JPEG", {}, "01"), ("PNG", {}, None), ("TIFF", {}, None), ("TIFF", {"compression": "tiff_lzw"}, None),
        ("TIFF", {"compression": "jpeg"}, "01"), ("WEBP", {"quality": 50}, "01"), ("WEBP", {"lossless": True}, None),
        # A colour profile stands before the pixels.
        ("WEBP", {"quality": 50, "icc_profile": b"x" * 601}, "01"),
        ("WEBP", {"lossless": True, "icc_profile": b"VP8 " * 50}, None),
    ],
)  # fmt: skip
def test_a_loss_is_said_whichever_file_it_came_in(form: str, more: dict[str, object], lossy: str | None) -> None:
    out = io.BytesIO()
    Image.effect_noise((64, 48), 80).convert("RGB").save(out, form, **more)
    made = pydicom.dcmread(io.BytesIO(secondary_capture(out.getvalue(), checked_facts())))
    assert made.get("LossyImageCompression") == lossy
