"""The images of a data set, each read once: as levels of grey or colour, or in the very bytes that a model sees.

Files are decoded as they are for an answer later (`aris.imaging`): a model that learned from other pixels than
it is shown would be worse without a word. So DICOM is windowed, more than 8 bits fill the range, a photograph stands
upright as its EXIF says, and transparency lies over black.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch
from torch import Tensor

from aris.errors import ArisError
from aris.imaging import radiograph, raster, sniff
from aris.prompting import Image, ImageProcessor

# Formats that are read for training beside those of `aris.imaging`: data sets of photographs come in them.
_OTHERS = ("BMP", "WEBP", "GIF")


class ImageBank:
    """A bank of images of one size, each read once; an example names an image by its index.

    Args:
        size: side in pixels; the aspect ratio is not kept, as in Gemma 3's image processor.
        colour: keep red, green and blue.
        keep: keep them in memory; if not, `image` reads one again from its source.
    """

    def __init__(self, size: int, *, colour: bool = False, keep: bool = True) -> None:
        self.size, self.colour, self.keep = size, colour, keep
        self._images: list[np.ndarray] = []
        self._sources: list[Path | bytes] = []
        self._known: dict[Path | bytes, int] = {}
        self.digests: list[str] = []  # SHA-256 of each as it is kept
        self.full_digests: list[str] = []  # SHA-256 of each at its full size

    def __len__(self) -> int:
        return len(self.digests)

    def add(self, source: Path | bytes) -> int:
        """Add the image of a file, or of a file's contents; return its index.

        Raises:
            OSError: it is not a readable image; the message says why.
        """
        key = hashlib.sha256(source).digest() if isinstance(source, bytes) else source
        known = self._known.get(key)
        if known is None:
            image = decoded(source)
            kept = self.prepare(image)
            known = self._known[key] = len(self)
            self.full_digests.append(hashlib.sha256(f"{image.size}{image.mode}".encode() + image.tobytes()).hexdigest())
            self.digests.append(hashlib.sha256(np.ascontiguousarray(kept).data).hexdigest())
            if self.keep:
                self._images.append(kept)
            else:
                self._sources.append(source)
        return known

    def _read(self, source: Path | bytes) -> np.ndarray:
        return self.prepare(decoded(source))

    def prepare(self, image: PIL.Image.Image) -> np.ndarray:
        """Resize an image to the bank's form: uint8 (size, size), or (size, size, 3) in colour."""
        kept = image.convert("RGB" if self.colour else "L")
        return np.asarray(kept.resize((self.size, self.size), PIL.Image.Resampling.BILINEAR))

    def image(self, index: int) -> Tensor:
        """Return one image, uint8, as `pixels` has it.

        Raises:
            OSError: it is not kept, and cannot be read again.
        """
        return torch.from_numpy(np.array(self._images[index] if self.keep else self._read(self._sources[index])))

    def pixels(self) -> Tensor:
        """Return all images (N, size, size) uint8, or (N, size, size, 3) in colour, of a bank that keeps them."""
        if not self._images:
            return torch.zeros(0, self.size, self.size, *([3] if self.colour else []), dtype=torch.uint8)
        return torch.from_numpy(np.stack(self._images))


def decoded(source: Path | bytes) -> PIL.Image.Image:
    """Decode a file, or a file's contents, to the image that a model is shown of it.

    Raises:
        OSError: it is not a readable image; the message says why, without its name.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    kind = sniff.kind_of(data)
    try:
        if kind == "dicom":
            return PIL.Image.fromarray(radiograph.read(data, "image")[0])
        if kind != "unknown":
            return PIL.Image.fromarray(raster.read(data, kind, "image")[0])
        with PIL.Image.open(io.BytesIO(data), formats=_OTHERS) as image:
            image.load()
            return PIL.Image.fromarray(Image.from_pil(PIL.ImageOps.exif_transpose(image)).pixels)
    except ArisError as error:
        raise OSError(str(error).removeprefix("image: ")) from None
    except PIL.UnidentifiedImageError:
        raise OSError(sniff.complaint(data)) from None
    except (PIL.Image.DecompressionBombError, SyntaxError, ValueError):  # what Pillow's decoders raise
        raise OSError("damaged, or too large") from None


class ProcessedImageBank(ImageBank):
    """A bank of images in the very bytes that the model's image processor scales, each (S, S, 3)."""

    def __init__(self, processor: ImageProcessor, *, keep: bool = True) -> None:
        self.processor = processor
        super().__init__(processor.size, colour=True, keep=keep)

    @property
    def settings(self) -> dict[str, Any]:
        """Settings by which the bytes become pixel values."""
        values = self.processor
        return {"mean": list(values.image_mean), "std": list(values.image_std), "rescale": values.rescale_factor}

    def prepare(self, image: PIL.Image.Image) -> np.ndarray:
        values = self.processor(Image.from_pil(image.convert("RGB")), pan_and_scan=False)[0]
        mean, std = torch.tensor(self.processor.image_mean), torch.tensor(self.processor.image_std)
        levels = (values.permute(1, 2, 0) * std + mean) / self.processor.rescale_factor
        return levels.round().clamp(0, 255).to(torch.uint8).numpy()

    def view(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Return a function of bytes (B, S, S, 3) to the processor's pixel values (B, 3, S, S) on the device."""
        mean = torch.tensor(self.processor.image_mean, device=device)
        std = torch.tensor(self.processor.image_std, device=device)

        def scale(images: Tensor) -> Tensor:
            scaled = (images.to(device).double() * self.processor.rescale_factor).float()
            return ((scaled - mean) / std).permute(0, 3, 1, 2)

        return scale
