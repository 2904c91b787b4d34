"""An archive as a DICOMweb service: QIDO-RS and WADO-RS (PS3.18 10.6, 10.4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aris.errors import ExchangeError
from aris.exchange.archives.found import MOST_OBJECTS, MOST_STUDIES, RETURNED, FoundStudy, Keep, is_uid, questions
from aris.exchange.dicomweb.multipart import PartReader
from aris.exchange.dicomweb.problems import WebError
from aris.exchange.sending.http import client, refused
from aris.imaging.dicom.patients import Patient
from aris.imaging.dicom.values import plain_day
from aris.store.objects import identity, parse

_ANSWER_BYTES = 64 << 20
# Of one object, which is held in memory.
_OBJECT_BYTES = 2 << 30


def find_studies(
    url: str, patient: Patient, *, token_file: Path | None = None, authority: Path | None = None
) -> list[FoundStudy]:
    """The studies that a service has of a patient, and of others who may be him. Compare before you use them.

    Args:
        url: of the service, as https://pacs.example/dicom-web; `/studies` is added.

    Raises:
        ExchangeError: it cannot be reached, refuses, or its answer cannot be read.
    """
    made: dict[str, FoundStudy] = {}
    with client(url, token_file, authority) as http:
        for keys in questions(patient):
            parameters = [*keys.items(), *(("includefield", each) for each in RETURNED), ("limit", str(MOST_STUDIES))]
            # The star stands as it is: Orthanc takes an escaped one for itself.
            address = f"{url.rstrip('/')}/studies?{urlencode(parameters, safe='*', quote_via=quote)}"
            with http.stream("GET", address, headers={"Accept": "application/dicom+json"}) as response:
                if response.status_code == 204:
                    continue
                if response.status_code != 200:
                    raise refused(url, response.status_code)
                content = bytearray()
                for piece in response.iter_bytes():
                    content += piece
                    if len(content) > _ANSWER_BYTES:
                        raise ExchangeError(f"{url}: its answer is too large")
            for study in _studies(url, bytes(content)):
                made.setdefault(study.uid, study)
    return list(made.values())


def retrieve_study(
    url: str, study: str, keep: Keep, *, token_file: Path | None = None, authority: Path | None = None
) -> int:
    """Fetch a study. How many objects were kept.

    Args:
        keep: is called with each object of this study; an object of another one ends it.

    Raises:
        ExchangeError: it cannot be reached, refuses, breaks off, or gives something else.
        StoreError: an object cannot be kept.
    """
    kept = 0
    address = f"{url.rstrip('/')}/studies/{quote(study, safe='')}"
    accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
    with client(url, token_file, authority) as http, http.stream("GET", address, headers={"Accept": accept}) as got:
        if got.status_code != 200:
            raise refused(url, got.status_code)
        try:
            reader = PartReader(_boundary(got.headers.get("content-type", "")), _OBJECT_BYTES)
            for piece in got.iter_bytes():
                for part in reader.feed(piece):
                    if part.too_large or kept >= MOST_OBJECTS:
                        raise ExchangeError(f"{url}: gives more than a study can hold")
                    if identity(parse(part.data, "object", pixels=False), "object").study != study:
                        raise ExchangeError(f"{url}: gives objects of another study than was asked for")
                    keep(part.data)
                    kept += 1
            reader.finish()
        except WebError:
            raise ExchangeError(f"{url}: its answer is no multipart body, or broke off") from None
    if not kept:
        raise ExchangeError(f"{url}: gave no object of the study")
    return kept


def _boundary(content_type: str) -> str:
    from email.message import Message

    said = Message()
    said["Content-Type"] = content_type
    return str(said.get_param("boundary", "")) if said.get_content_type() == "multipart/related" else ""


def _studies(url: str, content: bytes) -> list[FoundStudy]:
    if not content.strip():
        return []
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError):
        raise ExchangeError(f"{url}: its answer is not DICOM JSON") from None
    if not isinstance(rows, list) or len(rows) > MOST_STUDIES:
        raise ExchangeError(f"{url}: its answer is no list of studies, or too long")
    return [study for row in rows if isinstance(row, Mapping) and (study := _study(row)) is not None]


def _study(row: Mapping[str, Any]) -> FoundStudy | None:
    uid = _one(row, "0020000D")
    if not is_uid(uid):
        return None
    count = _one(row, "00201208")
    return FoundStudy(
        uid=uid,
        patient=Patient(_one(row, "00100020"), _one(row, "00100021"), _one(row, "00100010"),
                        plain_day(_one(row, "00100030"))[:8], _one(row, "00100040")),
        date=plain_day(_one(row, "00080020"))[:8], time=_one(row, "00080030").partition(".")[0],
        description=_one(row, "00081030"), accession=_one(row, "00080050"),
        modalities=tuple(sorted(each for each in _all(row, "00080061") if each)),
        instances=int(count) if count.isdigit() and len(count) < 10 else None,
    )  # fmt: skip


def _one(row: Mapping[str, Any], tag: str) -> str:
    return next(iter(_all(row, tag)), "")


def _all(row: Mapping[str, Any], tag: str) -> list[str]:
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    if not isinstance(values, list):
        return []
    made = []
    for value in values[:32]:
        if isinstance(value, Mapping):  # a person name, by its groups
            groups = [str(value.get(each) or "") for each in ("Alphabetic", "Ideographic", "Phonetic")]
            made.append("=".join(groups).rstrip("=")[:512])
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            made.append(str(value).strip()[:512])
    return made
