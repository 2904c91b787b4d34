"""PNG, JPEG, WebP and TIFF to pixels: full range, upright, at full resolution."""

from __future__ import annotations

import io
import warnings
from contextlib import nullcontext
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, TiffImagePlugin

from aris.errors import ImageError
from aris.imaging.colour import to_srgb
from aris.imaging.dicom.codecs import quiet_stderr

MAX_PIXELS = 100_000_000
_WIDE = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")


def read(
    data: bytes, kind: Literal["png", "jpeg", "tiff", "webp"], source: str
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Decode an image.

    Returns:
        uint8 (H, W) or (H, W, 3), and warnings.

    Raises:
        ImageError: truncated or damaged, too large, or of several frames.
    """
    try:
        # Of Pillow's decoders of these libtiff alone writes to stderr, and others need not wait for each other.
        with warnings.catch_warnings(), quiet_stderr() if kind == "tiff" else nullcontext():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
                check_size(image.width, image.height, source)
                frames = getattr(image, "n_frames", 1)
                # A JPEG's further images are previews and gain maps (MPO, Ultra HDR): the first is the photograph.
                if frames > 1 and kind != "jpeg":
                    what = "pages" if kind == "tiff" else "frames"
                    raise ImageError(f"{source}: {frames} {what}; give a file with one image")
                image.load()
                return _pixels(image, source)
    except ImageError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit lies above ours and strikes before the size is known
        raise ImageError(f"{source}: its pixels are too many (100 million at most); export it smaller") from None
    except MemoryError:
        raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
    except Exception:  # Pillow's decoders raise many kinds on damaged files
        raise ImageError(f"{source}: the {kind.upper()} is truncated or damaged; copy or export it again") from None


def read_deep(
    data: bytes, kind: Literal["png", "tiff"], source: str
) -> tuple[npt.NDArray[np.uint16], bool] | None:
    """Decode a grey image of 9 to 16 bits, upright, with its own values.

    Returns:
        uint16 (H, W), and whether high values are dark (TIFF's WhiteIsZero); None for any other image.

    Raises:
        ImageError: as `read`.
    """
    try:
        with warnings.catch_warnings(), quiet_stderr() if kind == "tiff" else nullcontext():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=[kind.upper()]) as image:
                check_size(image.width, image.height, source)
                if image.mode not in _WIDE or image.mode == "F" or getattr(image, "n_frames", 1) > 1:
                    return None
                turned = image.getexif().get(0x0112) in range(2, 9)
                values = np.asarray(ImageOps.exif_transpose(image) if turned else image)
                if values.min() < 0 or values.max() > 0xFFFF:
                    return None
                inverted = isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0
                return values.astype(np.uint16), inverted
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"{source}: its pixels are too many (100 million at most); export it smaller") from None
    except MemoryError:
        raise ImageError(f"{source}: out of memory while decoding; close other programs") from None
    except Exception:  # Pillow's decoders raise many kinds on damaged files
        raise ImageError(f"{source}: the {kind.upper()} is truncated or damaged; copy or export it again") from None


def check_size(width: int, height: int, source: str) -> None:
    """Raise `ImageError` where an image has more pixels than are decoded, from its header alone."""
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{source}: {width:,} x {height:,} pixels are too many ({MAX_PIXELS // 1_000_000} million at most); "
            "export it smaller"
        )
    if width < 1 or height < 1:
        raise ImageError(f"{source}: the image has no pixels; export it again")


def _pixels(image: Image.Image, source: str) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    notes: list[str] = []
    # EXIF 2.32, Orientation: 1 is upright already, 2 to 8 are turned or mirrored, and other values say nothing.
    turned = image.getexif().get(0x0112) in range(2, 9)
    upright = ImageOps.exif_transpose(image) if turned else image
    if turned:
        notes.append("turned as its EXIF orientation says")
    mode = upright.mode
    if mode in _WIDE:
        pixels = _full_range(np.asarray(upright), notes)
        # Pillow inverts WhiteIsZero (Photometric Interpretation 0, TIFF 6.0 p. 37) of 8 bits or fewer, no wider ones.
        if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(262) == 0:
            pixels = 255 - pixels
        return pixels, tuple(notes)
    if mode in ("1", "L"):
        return np.asarray(upright.convert("L")), tuple(notes)
    if mode == "P" and "transparency" not in upright.info:
        upright = upright.convert("RGB")
    elif mode in ("LA", "RGBA", "PA", "P", "La", "RGBa"):
        # Over black, as a light box would show it.
        layer = upright.convert("RGBA")
        black = Image.new("RGBA", layer.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(black, layer).convert("RGB")
    elif mode != "RGB":
        upright = upright.convert("RGB")
    # A profile of CMYK or of grey describes other numbers than these.
    pixels, note = to_srgb(np.asarray(upright), image.info.get("icc_profile") if mode in ("RGB", "RGBA") else None)
    if note is not None:
        notes.append(note)
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 1] == pixels[..., 2]).all():
        pixels = pixels[..., 0]  # a grey film saved in colour
    return np.ascontiguousarray(pixels), tuple(notes)


def _full_range(values: npt.NDArray[np.generic], notes: list[str]) -> npt.NDArray[np.uint8]:
    """More than 8 bits: the range that occurs becomes 0 to 255. These files say no window, so none is invented."""
    notes.append("more than 8 bits without a window: its full range was used")
    # A block of rows at a time: in float64 a whole image of 100 million pixels would take 800 MB, several times over.
    blocks = np.array_split(values, max(1, values.size >> 20))
    finite = [part for block in blocks if (part := block[np.isfinite(block)]).size]
    low = min((float(part.min()) for part in finite), default=0.0)
    high = max((float(part.max()) for part in finite), default=0.0)
    shown = np.zeros(values.shape, dtype=np.uint8)
    if high == low:
        return shown
    for block, out in zip(blocks, np.array_split(shown, len(blocks)), strict=True):
        wide = np.where(np.isfinite(block), block, low).astype(np.float64)
        out[:] = np.rint((wide - low) / (high - low) * 255)
    return shown
