"""Images as a browser shows them (PS3.18 8.3.5 and 10.4.1.1.3), through the pipeline that the models' images take."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aris.errors import ImageError
from aris.exchange.dicomweb import frames
from aris.exchange.dicomweb.media import MediaRange
from aris.exchange.dicomweb.opened import Opened
from aris.exchange.dicomweb.problems import WebError, not_acceptable
from aris.imaging.dicom import codecs
from aris.imaging.dicom.frames import split
from aris.imaging.dicom.rescale import rescale_for_display
from aris.imaging.dicom.voi import Span, needs_span
from aris.imaging.radiograph import display_pixels, span_of_frames
from aris.imaging.raster import check_size
from aris.imaging.volumes.sampling import slice_indices

JPEG, PNG = "image/jpeg", "image/png"
THUMBNAIL = 128
_FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_MOST = 8192
_SAMPLE = 8  # frames


@dataclass(frozen=True)
class Rendering:
    """Parameters of a rendered image.

    Attributes:
        window: centre, width and function, after the modality transformation; None for the image's own.
        size: columns and rows that it must fit into, its shape kept; None for its own.
        area: left, top, width and height of the part that is shown, in pixels; negative sizes mirror it. None for all.
        quality: of JPEG, 1 to 100.
        kind: "image/jpeg" or "image/png".
    """

    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    area: tuple[float, float, float, float] | None = None
    quality: int = 90
    kind: str = JPEG


def rendering(parameters: Mapping[str, str], ranges: list[MediaRange], *, thumbnail: bool = False) -> Rendering:
    """Read a request's parameters. Those of other purposes (`annotation`, `iccprofile`) are passed over.

    Raises:
        WebError: 400, a parameter is malformed; 406, no accepted form is made.
    """
    kind = next((kind for each in ranges for kind in (JPEG, PNG) if not each.multipart and each.takes(kind)), None)
    if kind is None:
        raise not_acceptable(f"rendered images are given as {JPEG} or {PNG}")
    size, area = _viewport(parameters.get("viewport"))
    quality = parameters.get("quality", "90")
    if not re.fullmatch("[0-9]{1,3}", quality) or not 1 <= int(quality) <= 100:
        raise WebError(400, "quality: give a number from 1 to 100")
    default = (THUMBNAIL, THUMBNAIL) if thumbnail else None
    return Rendering(_window(parameters.get("window")), size or default, area, int(quality), kind)


def span_of(one: Opened, wanted: Rendering) -> Span | None:
    """The span of a loop's values (`dicom.span_of_frames`), by a sample of its frames, which are read one by one.

    Returns:
        None where a window is asked for or stored, or where the frames lie in memory together: `render` looks itself.
    """
    if wanted.window is not None or one.position is None or one.position.keyword != "PixelData" or one.total == 1:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values
            if not _functional(one.dataset) and not needs_span(one.dataset, rescale_for_display(one.dataset)):
                return None
            check_size(int(one.dataset.Columns), int(one.dataset.Rows), "image")
            cut = (one.frame(index) for index in slice_indices(one.total, _SAMPLE))
            return span_of_frames((next(split(dataset, [at])) for dataset, at in cut), "image")
    except (WebError, MemoryError):
        raise
    except Exception:  # pydicom raises many kinds on damaged objects; the frame that is asked for may be whole
        return None


def render(dataset: Any, index: int, wanted: Rendering, span: Span | None = None) -> bytes:
    """Render a frame as a JPEG or PNG.

    Args:
        span: of all frames' values, where the dataset has one of them alone (`span_of`).

    Raises:
        WebError: 406, it is damaged, too large, or no image.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's quote values
            pixels = _pixels(dataset, index, wanted, span)
            image = _fitted(Image.fromarray(pixels), wanted)
    except (WebError, MemoryError):
        raise
    except (ImageError, codecs.DecodeError):
        raise not_acceptable("the image is damaged, too large, or of a kind that is not rendered") from None
    except Exception:  # pydicom raises many kinds on damaged objects
        raise not_acceptable("the image is damaged and cannot be rendered") from None
    out = io.BytesIO()
    if wanted.kind == JPEG:
        image.save(out, "JPEG", quality=wanted.quality)
    else:
        image.save(out, "PNG")
    return out.getvalue()


def _functional(dataset: Any) -> bool:
    return "PerFrameFunctionalGroupsSequence" in dataset or "SharedFunctionalGroupsSequence" in dataset


def _pixels(dataset: Any, index: int, wanted: Rendering, span: Span | None) -> npt.NDArray[np.uint8]:
    if not 0 <= index < frames.count(dataset) or "PixelData" not in dataset:
        raise not_acceptable("the object has no pixels that are rendered")
    check_size(int(dataset.Columns), int(dataset.Rows), "image")
    frame = dataset
    if _functional(dataset) or frames.count(dataset) > 1:
        (frame,) = split(dataset, [index])
    if wanted.window is not None:
        if not rescale_for_display(frame).known:
            # The window that is asked for is then of the stored values.
            for keyword in ("RescaleSlope", "RescaleIntercept", "ModalityLUTSequence"):
                if keyword in frame:
                    del frame[keyword]
        centre, width, function = wanted.window
        frame.WindowCenter, frame.WindowWidth, frame.VOILUTFunction = centre, width, function
        if "VOILUTSequence" in frame:
            del frame.VOILUTSequence
    elif span is None and frames.count(dataset) > 1 and needs_span(frame, rescale_for_display(frame)):
        # One mapping for all frames, whichever is asked for; a sample of them tells it.
        span = span_of_frames(split(dataset, slice_indices(frames.count(dataset), _SAMPLE)), "image")
    return display_pixels(frame, "image", span)[0]


def _fitted(image: Image.Image, wanted: Rendering) -> Image.Image:
    if wanted.area is not None:
        left, top, width, height = wanted.area
        right, bottom = left + abs(width or image.width - left), top + abs(height or image.height - top)
        if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
            raise WebError(400, "viewport: its area is not within the image")
        image = image.crop((round(left), round(top), round(right), round(bottom)))
        if width < 0:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            image = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if wanted.size is not None:
        scale = min(wanted.size[0] / image.width, wanted.size[1] / image.height)
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC)
    return image


def _window(text: str | None) -> tuple[float, float, str] | None:
    """`window=centre,width,function` (PS3.18 8.3.5.1.4)."""
    if text is None:
        return None
    parts = text.split(",")
    numbers = _numbers(parts[:2])
    if len(parts) != 3 or numbers is None or parts[2].lower() not in _FUNCTIONS or numbers[1] <= 0:
        raise WebError(400, f"window: give centre,width,function; functions are {', '.join(_FUNCTIONS)}")
    if parts[2].lower() == "linear" and numbers[1] < 1:
        raise WebError(400, "window: a linear one has a width of 1 or more")
    return numbers[0], numbers[1], _FUNCTIONS[parts[2].lower()]


def _viewport(text: str | None) -> tuple[tuple[int, int] | None, tuple[float, float, float, float] | None]:
    """`viewport=vw,vh` or `viewport=vw,vh,sx,sy,sw,sh` (PS3.18 8.3.5.1.3), of which the last four may be empty."""
    if text is None:
        return None, None
    parts = text.split(",")
    whole = len(parts) == 2 or len(parts) == 6
    numbers = _numbers([part or "0" for part in parts]) if whole else None
    if numbers is None or not all(each.is_integer() and 1 <= each <= _MOST for each in numbers[:2]):
        raise WebError(400, f"viewport: give width,height or width,height,x,y,w,h; sizes are 1 to {_MOST}")
    area = None if len(numbers) == 2 else (numbers[2], numbers[3], numbers[4], numbers[5])
    return (int(numbers[0]), int(numbers[1])), area


def _numbers(parts: list[str]) -> list[float] | None:
    if not all(re.fullmatch(r"[+-]?[0-9]{1,12}(\.[0-9]{0,12})?([eE][+-]?[0-9])?", part) for part in parts):
        return None
    return [float(part) for part in parts]
