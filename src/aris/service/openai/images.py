"""Images of a request: data: URIs to pixels, within limits. Nothing is ever fetched."""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager

import PIL.Image

from aris.errors import ImageError
from aris.imaging import Film, radiograph, raster, sniff
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.imaging.memory_budget import DECODING, MemoryBusyError
from aris.prompting import Image
from aris.service.errors import RETRY_AFTER_S, bad_request, busy, too_large
from aris.service.settings import Limits

# That decoding and displaying one takes, at most.
_BYTES_A_PIXEL = 12
_DATA_URI = re.compile(r"data:(?P<type>[^,;]{0,100})(?P<parameters>(?:;[^,;]{0,100}){0,4}),", re.IGNORECASE)


class ImageReader:
    """Reads the images of one request, and counts what they take of its limits.

    Attributes:
        films: the images in order, with what their files say of them.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._images = 0
        self._pixels = 0
        self.films: list[Film] = []

    def read(self, url: str, param: str) -> Image:
        """Read an image: PNG, JPEG, WebP, TIFF or DICOM; the contents decide, not the media type.

        Raises:
            ApiError: it is no data: URI, too large, one too many, or damaged.
        """
        self._images += 1
        if self._images > self._limits.images:
            raise too_large(f"{param}: more than {self._limits.images} images in one request", param)
        data = _decode(url, param)
        try:
            film = self._film_of(data, param)
        except ImageError as error:
            raise bad_request(str(error), param, "invalid_image") from None
        self.films.append(film)
        return Image(film.pixels)

    def _film_of(self, data: bytes, param: str) -> Film:
        kind = sniff.kind_of(data)
        if kind == "dicom":
            width, height = _dicom_size(data, param)
            self._count(width, height, param)
            with _room(_BYTES_A_PIXEL * width * height + len(data)):
                pixels, facts, notes = radiograph.read(data, param)
            return Film(pixels, param, "dicom", warnings=notes, **facts)
        if kind == "unknown":
            raise bad_request(f"{param}: {sniff.complaint(data)}", param, "invalid_image")
        width, height = _size(data, kind, param)
        self._count(width, height, param)
        with _room(_BYTES_A_PIXEL * width * height + len(data)):
            pixels, notes = raster.read(data, kind, param)
        return Film(pixels, param, kind, warnings=notes)

    def _count(self, width: int, height: int, param: str) -> None:
        self._pixels += width * height
        if self._pixels > self._limits.image_pixels:
            raise too_large(
                f"{param}: the request's images have more than {self._limits.image_pixels:,} pixels; send them smaller",
                param,
            )


@contextmanager
def _room(size: int) -> Iterator[None]:
    """Within this there is memory for so many bytes, of what all requests share.

    Raises:
        ApiError: 429, none became free in time.
    """
    try:
        with DECODING.holding(size):
            yield
    except MemoryBusyError:
        raise busy(RETRY_AFTER_S) from None


def _dicom_size(data: bytes, param: str) -> tuple[int, int]:
    """Width and height from the header; nothing of the pixels is inflated or decoded for it."""
    try:
        with quiet_pydicom():
            header = parse(data, param, pixels=False)
            return int(header.get("Columns") or 0), int(header.get("Rows") or 0)
    except ImageError as error:
        raise bad_request(str(error), param, "invalid_image") from None
    except Exception:  # said when it is read
        return 0, 0


def _size(data: bytes, kind: str, param: str) -> tuple[int, int]:
    """Width and height from the header."""
    try:
        with PIL.Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
            return image.size
    except PIL.Image.DecompressionBombError:
        raise too_large(f"{param}: the image has too many pixels; send it smaller", param) from None
    except Exception:  # Pillow's decoders raise many kinds on damaged files
        raise bad_request(f"{param}: the {kind.upper()} is damaged; send it again", param, "invalid_image") from None


def _decode(url: str, param: str) -> bytes:
    """The bytes of a data: URI (RFC 2397)."""
    head = _DATA_URI.match(url)
    if head is None:
        scheme = url.split(":", 1)[0].lower() if ":" in url[:20] else ""
        what = f"{scheme}: URLs are not fetched" if scheme in ("http", "https", "file", "ftp") else "not a data: URI"
        raise bad_request(
            f"{param}: {what}; send the image itself as data:image/png;base64,...", param, "invalid_image_url"
        )
    if "base64" not in head["parameters"].lower().split(";"):
        raise bad_request(f"{param}: the data: URI is not base64; send data:image/png;base64,...", param)
    try:
        data = base64.b64decode(url[head.end() :].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise bad_request(f"{param}: the base64 of the data: URI is damaged", param, "invalid_image_url") from None
    if not data:
        raise bad_request(f"{param}: the data: URI is empty", param, "invalid_image_url")
    return data
