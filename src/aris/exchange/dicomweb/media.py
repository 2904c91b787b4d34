"""Media types of DICOMweb (PS3.18 8.7): what a request accepts, and how compressed pixels are called on the web."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DICOM, JSON, OCTETS = "application/dicom", "application/dicom+json", "application/octet-stream"
# PS3.18 table 8.7.3-5: a frame in its transfer syntax, as a media type.
COMPRESSED = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.100": "video/mpeg2",
    "1.2.840.10008.1.2.4.101": "video/mpeg2",
    "1.2.840.10008.1.2.4.102": "video/mp4",
    "1.2.840.10008.1.2.4.103": "video/mp4",
    "1.2.840.10008.1.2.4.104": "video/mp4",
    "1.2.840.10008.1.2.4.105": "video/mp4",
    "1.2.840.10008.1.2.4.106": "video/mp4",
    "1.2.840.10008.1.2.4.107": "video/H265",
    "1.2.840.10008.1.2.4.108": "video/H265",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
}
_OLD_NAMES = {"image/x-dicom-rle": "image/dicom-rle", "image/x-jls": "image/jls"}
# A comma or semicolon outside of quotes.
_COMMA, _SEMICOLON = (re.compile(rf'{c}(?=(?:[^"]*"[^"]*")*[^"]*$)') for c in ",;")
_LONGEST = 8192


@dataclass(frozen=True)
class MediaRange:
    """Media range of a request.

    Attributes:
        kind: of the whole response, or of each part where `multipart`; "*/*" and "image/*" stand for several.
        multipart: whether it comes as multipart/related.
        transfer_syntax: a UID, "*" for any, None where none is named.
        quality: the preference, 0 to 1; 0 is not accepted.
    """

    kind: str
    multipart: bool = False
    transfer_syntax: str | None = None
    quality: float = 1.0

    def takes(self, kind: str) -> bool:
        """Return whether the media type is one of those that it stands for."""
        if self.kind in ("*/*", kind):
            return True
        return self.kind.endswith("/*") and kind.startswith(self.kind[:-1])


def accepted(header: str | None) -> list[MediaRange]:
    """Parse an Accept header to media ranges, the most preferred first; everything where there is none."""
    if header is None or not header.strip():
        return [MediaRange("*/*")]
    ranges = [parse(each) for each in _COMMA.split(header[:_LONGEST]) if each.strip()]
    return sorted((each for each in ranges if each.quality > 0), key=lambda each: -each.quality)


def takes_json(ranges: Iterable[MediaRange]) -> bool:
    """Return whether one of them takes DICOM JSON, under its own name or as any JSON."""
    return any(each.takes(JSON) or each.takes("application/json") for each in ranges)


def parse(text: str) -> MediaRange:
    """Parse a media range with its parameters."""
    kind, parameters = content_type(text)
    multipart = kind in ("multipart/related", "multipart/*")
    inner = parameters.get("type", "*/*").lower() if multipart else kind
    try:
        quality = min(1.0, max(0.0, float(parameters.get("q", "1"))))
    except ValueError:
        quality = 1.0
    return MediaRange(_OLD_NAMES.get(inner, inner), multipart, parameters.get("transfer-syntax"), quality)


def content_type(text: str) -> tuple[str, dict[str, str]]:
    """A media type and its parameters, names in lower case and values without their quotes."""
    kind, *rest = _SEMICOLON.split(text[:_LONGEST])
    pairs = (each.partition("=") for each in rest)
    return kind.strip().lower(), {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
