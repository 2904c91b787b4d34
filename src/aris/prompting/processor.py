"""Images to pixel values: what Gemma 3's `preprocessor_config.json` asks for, and a few options more.

Default, equal to transformers' `Gemma3ImageProcessorPil`: bilinear resize (antialiased) to a square that ignores the
aspect ratio, times 1/255, mean 0.5 and standard deviation 0.5. Pan and scan is off unless asked for.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import PIL.Image

from aris.errors import PromptError
from aris.prompting import normalize
from aris.prompting.messages import Image, Pixels
from aris.prompting.normalize import Equalization

if TYPE_CHECKING:
    from torch import Tensor

Fit = Literal["stretch", "pad"]
# Steps that a file may switch on: Gemma 3's own. Images are RGB here in any case.
_STEPS = ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb", "do_pan_and_scan")
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Frame:
    """Frame of a view on its image: boxes of left, top, right, bottom in pixels, (0, 0) the first one's outer corner.

    Attributes:
        box: what the view's square spans; with padding it is larger than what is shown.
        shown: what it shows of the image.
    """

    box: Box
    shown: Box


@dataclass(frozen=True)
class ImageProcessor:
    """Turns one image into pixel values.

    Attributes:
        size: side of the square in pixels: 896 for MedGemma.
        image_mean, image_std: for each channel, after scaling by `rescale_factor`.
        resample: a Pillow resampling filter; 2 is bilinear.
        do_pan_and_scan: also give crops of elongated images, where a call doesn't say.
        pan_and_scan_min_crop_size, pan_and_scan_max_num_crops, pan_and_scan_min_ratio_to_activate: see `pan_and_scan`.
        fit: "stretch" to the square, or "pad" with zeros to a square first, the image in the middle, as Google's
            medical serving code does.
        crop_borders: trim uniform margins first (`normalize.crop_borders`).
        grayscale: reduce to luminance (ITU-R 601), repeated in three channels.
        equalize: of the luminance, last of all (`normalize.equalize`). Padding hardly changes it: the histogram's
            curve leaves the mass of the darkest level out.
    """

    size: int = 896
    image_mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    image_std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    rescale_factor: float = 1 / 255
    resample: int = 2
    do_pan_and_scan: bool = False
    pan_and_scan_min_crop_size: int = 256
    pan_and_scan_max_num_crops: int = 4
    pan_and_scan_min_ratio_to_activate: float = 1.2
    fit: Fit = "stretch"
    crop_borders: bool = False
    grayscale: bool = False
    equalize: Equalization = "none"

    def __post_init__(self) -> None:
        if self.fit not in ("stretch", "pad"):
            raise PromptError(f"preprocessor_config: fit is {self.fit!r}; use 'stretch' or 'pad'")
        if self.equalize not in normalize.EQUALIZATIONS:
            names = ", ".join(normalize.EQUALIZATIONS)
            raise PromptError(f"preprocessor_config: equalize is {self.equalize!r}; use one of {names}")
        if self.resample not in list(PIL.Image.Resampling):
            raise PromptError(f"preprocessor_config: resample is {self.resample!r}; Gemma 3 uses 2, bilinear")
        if min(self.size, self.pan_and_scan_min_crop_size, self.pan_and_scan_max_num_crops) < 1:
            raise PromptError("preprocessor_config: sizes and the number of crops must be at least 1")
        if len(self.image_mean) != 3 or len(self.image_std) != 3 or not all(self.image_std):
            raise PromptError("preprocessor_config: image_mean and image_std need three numbers, the latter not 0")

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> ImageProcessor:
        """Read a `preprocessor_config.json`. An empty one gives MedGemma's numbers; null fields their defaults.

        Raises:
            PromptError: it describes another preprocessing than Gemma 3's.
        """
        for step in ("do_resize", "do_rescale", "do_normalize"):
            if config.get(step) is False:
                raise PromptError(f"preprocessor_config: {step} is false; Gemma 3 needs it, use the model's own file")
        for name, value in config.items():
            if name.startswith("do_") and value is True and name not in _STEPS:
                raise PromptError(f"preprocessor_config: {name} is true, which Gemma 3 does not do; use its own file")
        size = config.get("size", cls.size)
        if isinstance(size, Mapping):
            size = size.get("height") if size.get("height") == size.get("width") else None
        if not isinstance(size, int):
            raise PromptError(
                f"preprocessor_config: size is {config['size']!r}; Gemma 3 needs one height and the same width"
            )
        names = {field.name for field in fields(cls)} - {"size"}
        given = {name: value for name, value in config.items() if name in names and value is not None}
        try:
            for name in {"image_mean", "image_std"} & given.keys():
                given[name] = tuple(float(value) for value in given[name])
            return cls(size=size, **given)
        except (TypeError, ValueError) as error:
            raise PromptError(f"preprocessor_config: a field has the wrong type ({error})") from None

    def __call__(self, image: Image, *, pan_and_scan: bool | None = None) -> Tensor:
        """The pixel values of an image, and of its crops where it gets any.

        Args:
            image: uint8 pixels, grey or RGB.
            pan_and_scan: add crops of an elongated image; None does as the configuration says.

        Returns:
            float32 (1 + crops, 3, size, size), for the usual mean and deviation in -1..1; the whole image first.
        """
        pixels = image.pixels
        if pixels.ndim == 3 and self.grayscale:
            pixels = np.asarray(PIL.Image.fromarray(pixels).convert("L"))
        views = [pixels[top:bottom, left:right] for left, top, right, bottom in self._boxes(pixels, pan_and_scan)]
        import torch

        return torch.from_numpy(np.stack([self._pixel_values(view) for view in views]))

    def many(self, images: Sequence[Image], *, pan_and_scan: bool | None = None) -> list[Tensor]:
        """As `__call__` for each of several images (a series), as many at a time as there are processors."""
        threads = min(len(images), os.cpu_count() or 1)
        if threads < 2:
            return [self(image, pan_and_scan=pan_and_scan) for image in images]
        with ThreadPoolExecutor(threads, thread_name_prefix="aris-pixels") as pool:  # Pillow resizes without the GIL
            return list(pool.map(lambda image: self(image, pan_and_scan=pan_and_scan), images))

    def frames(self, image: Image, *, pan_and_scan: bool | None = None) -> list[Frame]:
        """Return the frame of each view of `__call__`, in the same order."""
        frames = []
        for box in self._boxes(image.pixels, pan_and_scan):
            left, top, right, bottom = box
            if self.fit == "pad":
                side = max(bottom - top, right - left)
                above, before = _padding(bottom - top, right - left)
                left, top = left - before, top - above
                right, bottom = left + side, top + side
            frames.append(Frame((left, top, right, bottom), box))
        return frames

    def pan_and_scan(self, pixels: Pixels) -> list[Pixels]:
        """Crops that tile an elongated image (H, W[, 3]) along its longer side, in reading order.

        None where the sides' ratio is under `pan_and_scan_min_ratio_to_activate`, or a crop would have a side under
        `pan_and_scan_min_crop_size`; else from 2 to `pan_and_scan_max_num_crops`, about square. The arithmetic is
        Gemma 3's reference processor's; the last crop may be narrower.
        """
        return [pixels[top:bottom, left:right] for left, top, right, bottom in self._crops(*pixels.shape[:2])]

    def _crops(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """The crops' left, top, right and bottom."""
        long, short = max(height, width), min(height, width)
        if long / short < self.pan_and_scan_min_ratio_to_activate:
            return []
        count = min(long // self.pan_and_scan_min_crop_size, math.floor(long / short + 0.5))
        count = min(max(2, count), self.pan_and_scan_max_num_crops)
        step = math.ceil(long / count)
        if min(step, short) < self.pan_and_scan_min_crop_size:
            return []
        spans = [(step * index, min(step * (index + 1), long)) for index in range(count)]
        if width >= height:
            return [(start, 0, stop, height) for start, stop in spans]
        return [(0, start, width, stop) for start, stop in spans]

    def _boxes(self, pixels: Pixels, pan_and_scan: bool | None) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of each view before it is padded or resized: the whole, then the crops."""
        height, width = pixels.shape[:2]
        left, top, right, bottom = 0, 0, width, height
        if self.crop_borders:
            luminance = pixels if pixels.ndim == 2 else np.asarray(PIL.Image.fromarray(pixels).convert("L"))
            above, below, before, behind = normalize.border_trims(luminance)
            left, top, right, bottom = before, above, width - behind, height - below
        wanted = self.do_pan_and_scan if pan_and_scan is None else pan_and_scan
        crops = self._crops(bottom - top, right - left) if wanted else []
        inner = [(left + x0, top + y0, left + x1, top + y1) for x0, y0, x1, y1 in crops]
        return [(left, top, right, bottom), *inner]

    def _pixel_values(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Convert a view (H, W[, 3]) to float32 (3, size, size)."""
        if self.fit == "pad":
            pixels = pad_to_square(pixels)
        resized = PIL.Image.fromarray(pixels).resize((self.size, self.size), resample=self.resample)
        values = np.asarray(self._equalized(resized))
        normal = np.empty((3, *values.shape[:2]), dtype=np.float32)
        for channel, levels in enumerate(self._levels):
            one = values if values.ndim == 2 else values[:, :, channel]
            np.take(levels, one, out=normal[channel], mode="clip")
        return normal

    @functools.cached_property
    def _levels(self) -> npt.NDArray[np.float32]:
        """Tabulate the 256 values' pixel values in each channel: float32 (3, 256)."""
        # A float64 product rounded to float32, then float32: the reference's roundings, so results are bit-equal.
        scaled = (np.arange(256, dtype=np.float64) * self.rescale_factor).astype(np.float32)
        mean, std = np.asarray(self.image_mean, np.float32), np.asarray(self.image_std, np.float32)
        levels: npt.NDArray[np.float32] = (scaled - mean[:, None]) / std[:, None]
        return levels

    def _equalized(self, image: PIL.Image.Image) -> PIL.Image.Image:
        if self.equalize == "none":
            return image
        if image.mode == "L":
            return PIL.Image.fromarray(normalize.equalize(np.asarray(image), self.equalize))
        luminance, blue, red = image.convert("YCbCr").split()
        luminance = PIL.Image.fromarray(normalize.equalize(np.asarray(luminance), self.equalize))
        return PIL.Image.merge("YCbCr", (luminance, blue, red)).convert("RGB")


def pad_to_square(pixels: Pixels) -> Pixels:
    """(H, W[, 3]) to (L, L[, 3]) with L the longer side: zeros around the image, an odd one below or right of it."""
    height, width = pixels.shape[:2]
    side = max(height, width)
    top, left = _padding(height, width)
    square = np.zeros((side, side, *pixels.shape[2:]), dtype=np.uint8)
    square[top : top + height, left : left + width] = pixels
    return square


def _padding(height: int, width: int) -> tuple[int, int]:
    """Rows above and columns before an image in the middle of a square of its longer side."""
    side = max(height, width)
    return (side - height) // 2, (side - width) // 2
