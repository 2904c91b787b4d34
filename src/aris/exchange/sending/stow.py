"""STOW-RS (PS3.18 10.5): objects to a DICOMweb service. Only what it says to have stored counts as sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from aris.errors import ExchangeError
from aris.exchange.sending.http import client, refused
from aris.store.objects import identity, parse

_STORED, _FAILED = "00081199", "00081198"


def stow(
    objects: Mapping[str, bytes], url: str, *, token_file: Path | None = None, authority: Path | None = None
) -> None:
    """Store objects (by name, for errors) at a service.

    Args:
        url: of the service, as https://pacs.example/dicom-web; `/studies` is added.

    Raises:
        ExchangeError: it cannot be reached, or does not say that it has each of them.
        StoreError: one is no DICOM object.
    """
    wanted = {identity(parse(data, name, pixels=False), name).uid for name, data in objects.items()}
    boundary = hashlib.sha256(b"".join(objects.values())).hexdigest()[:48]
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    parts = [head + data + b"\r\n" for data in objects.values()]
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    with client(url, token_file, authority) as http:
        body = b"".join(parts) + f"--{boundary}--\r\n".encode()
        response = http.post(f"{url.rstrip('/')}/studies", content=body, headers=headers)
    if response.status_code not in (200, 202, 409):
        raise refused(url, response.status_code)
    stored, failed = _told(response.content)
    if wanted <= stored:
        return
    why = f" (reason {failed[0]:04X})" if failed else ""
    if response.status_code == 200 and not response.content.strip():
        return  # a service that says nothing but that all went well; a page to sign in at says something
    raise ExchangeError(f"{url}: it did not store {len(wanted - stored)} of {len(wanted)} objects{why}")


def _told(content: bytes) -> tuple[set[str], list[int]]:
    """UIDs that were stored, and reasons of those that were not."""
    try:
        answer = json.loads(content)
        stored = {item["00081155"]["Value"][0] for item in answer.get(_STORED, {}).get("Value", [])}
        failed = [int(item["00081197"]["Value"][0]) for item in answer.get(_FAILED, {}).get("Value", [])]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return set(), []
    return stored, failed
