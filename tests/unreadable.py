"""DICOM elements whose text is not what their VR allows, as broken exporters write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag


def put_text(dataset: Any, keyword: str, text: str) -> None:
    """Set an element to this text, whatever it is; little endian, explicit."""
    value = text.encode("latin-1")
    value += b" " * (len(value) % 2)
    tag = Tag(tag_for_keyword(keyword) or 0)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)


def rewrite(path: Path, **texts: str) -> Path:
    """Put texts into a file's elements."""
    dataset = pydicom.dcmread(path)
    for keyword, text in texts.items():
        put_text(dataset, keyword, text)
    dataset.save_as(path)
    return path
