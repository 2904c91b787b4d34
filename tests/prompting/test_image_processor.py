"""Pixel values beside those of transformers' `Gemma3ImageProcessorPil`."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prompting_strategies import GENERATED, pil_images

from aris.errors import PromptError
from aris.prompting import Image, ImageProcessor, normalize
from aris.prompting.processor import pad_to_square
from imported_late import late

transformers = late("transformers")
MODES = ("RGB", "L", "1", "LA", "RGBA", "P", "P+transparency", "CMYK", "YCbCr")
PAN_AND_SCAN = {
    "pan_and_scan_min_crop_size": 256,
    "pan_and_scan_max_num_crops": 4,
    "pan_and_scan_min_ratio_to_activate": 1.2,
}


def oracle(image: PIL.Image.Image, size: int, **options: Any) -> torch.Tensor:
    processor = transformers.Gemma3ImageProcessorPil(size={"height": size, "width": size}, **PAN_AND_SCAN)
    return processor(image, return_tensors="pt", **options)["pixel_values"]


def noise(height: int, width: int, *channels: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(height * 7919 + width).integers(0, 256, (height, width, *channels), dtype=np.uint8)


@settings(GENERATED, max_examples=60)
@given(pil_images(MODES), st.integers(1, 96))
def test_equals_transformers(image: PIL.Image.Image, size: int) -> None:
    ours = ImageProcessor(size)(Image.from_pil(image))
    assert ours.dtype == torch.float32
    assert torch.equal(ours, oracle(image, size))


@pytest.mark.parametrize(("height", "width"), [(896, 896), (1, 1), (3, 2000), (1500, 1200)])
def test_equals_transformers_at_full_size(height: int, width: int) -> None:
    pixels = noise(height, width, 3)
    assert torch.equal(ImageProcessor()(Image(pixels)), oracle(PIL.Image.fromarray(pixels), 896))


def test_grey_arrays_equal_rgb_ones() -> None:
    grey = noise(61, 45)
    both = [ImageProcessor(32)(Image(pixels)) for pixels in (grey, np.repeat(grey[..., None], 3, axis=2))]
    assert torch.equal(*both)


@settings(GENERATED, max_examples=60)
@given(st.integers(1, 2600), st.integers(1, 2600), st.integers(64, 300), st.integers(2, 6), st.floats(1, 3))
@example(256, 512, 256, 4, 1.2)
@example(300, 360, 180, 4, 1.2)
@example(1025, 4097, 256, 4, 1.2)
@example(4097, 1025, 256, 4, 1.2)
def test_crops_equal_transformers(height: int, width: int, smallest: int, most: int, ratio: float) -> None:
    pixels = np.arange(height * width, dtype=np.uint32).astype(np.uint8).reshape(height, width)
    ours = ImageProcessor(
        pan_and_scan_min_crop_size=smallest, pan_and_scan_max_num_crops=most, pan_and_scan_min_ratio_to_activate=ratio
    ).pan_and_scan(pixels)
    theirs = transformers.Gemma3ImageProcessorPil().pan_and_scan(
        pixels[None],
        pan_and_scan_min_crop_size=smallest,
        pan_and_scan_max_num_crops=most,
        pan_and_scan_min_ratio_to_activate=ratio,
    )
    assert len(ours) == len(theirs)
    for our, their in zip(ours, theirs, strict=True):
        assert np.array_equal(our, their[0])


@settings(GENERATED, max_examples=60)
@given(pil_images(most=900))
def test_pan_and_scan_values_equal_transformers(image: PIL.Image.Image) -> None:
    ours = ImageProcessor(48)(Image.from_pil(image), pan_and_scan=True)
    assert torch.equal(ours, oracle(image, 48, do_pan_and_scan=True))


def test_pan_and_scan_is_off_unless_asked_for() -> None:
    wide = Image(noise(300, 1200))
    assert len(ImageProcessor(32)(wide)) == 1
    assert len(ImageProcessor(32, do_pan_and_scan=True)(wide)) == 5
    assert len(ImageProcessor(32, do_pan_and_scan=True)(wide, pan_and_scan=False)) == 1


def test_reads_gemma_s_preprocessor_config() -> None:
    config = {
        "do_convert_rgb": None,
        "do_normalize": True,
        "do_pan_and_scan": None,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.5, 0.5, 0.5],
        "image_processor_type": "Gemma3ImageProcessor",
        "image_seq_length": 256,
        "image_std": [0.5, 0.5, 0.5],
        "pan_and_scan_max_num_crops": None,
        "processor_class": "Gemma3Processor",
        "resample": 2,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": 896, "width": 896},
    }
    assert ImageProcessor.from_dict(config) == ImageProcessor.from_dict({}) == ImageProcessor()


def test_reads_every_option() -> None:
    config = {"size": 224, "fit": "pad", "crop_borders": True, "equalize": "histogram", "grayscale": True,
              "image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "do_pan_and_scan": True,
              "pan_and_scan_max_num_crops": 2, "resample": 3}  # fmt: skip
    processor = ImageProcessor.from_dict(config)
    assert processor == ImageProcessor(
        224, (0.1, 0.2, 0.3), (1.0, 2.0, 4.0), resample=3, do_pan_and_scan=True, pan_and_scan_max_num_crops=2,
        fit="pad", crop_borders=True, grayscale=True, equalize="histogram"
    )  # fmt: skip
    mean = torch.tensor([0.1, 0.2, 0.3])
    black = ImageProcessor.from_dict({**config, "fit": "stretch"})(Image(np.zeros((9, 9), np.uint8)))[0, :, 0, 0]
    assert torch.allclose(black, -mean / torch.tensor([1.0, 2.0, 4.0]))


@pytest.mark.parametrize(
    "config",
    [
        {"do_resize": False},
        {"do_normalize": False},
        {"size": {"height": 448, "width": 896}},
        {"size": {"shortest_edge": 896}},
        {"size": {"height": 0, "width": 0}},
        {"image_mean": [0.5]},
        {"image_std": [0.5, 0, 0.5]},
        {"fit": "crop"},
        {"equalize": "gamma"},
        {"resample": "bilinear"},
        {"pan_and_scan_min_crop_size": 0},
        {"image_mean": 0.5},
    ],
)
def test_foreign_configurations_are_refused(config: dict[str, Any]) -> None:
    with pytest.raises(PromptError, match="preprocessor_config"):
        ImageProcessor.from_dict(config)


@settings(GENERATED, max_examples=60)
@given(st.integers(1, 90), st.integers(1, 90), st.booleans())
def test_padding_centres_the_image_on_zeros(height: int, width: int, colour: bool) -> None:
    pixels = noise(height, width, *([3] if colour else [])) | 1  # no zero of its own
    square = pad_to_square(pixels)
    side = max(height, width)
    assert square.shape[:2] == (side, side)
    rows, columns = np.nonzero(square.reshape(side, side, -1).any(axis=2))
    assert (rows.min(), columns.min()) == ((side - height) // 2, (side - width) // 2)
    assert np.array_equal(square[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], pixels)
    padded = ImageProcessor(16, fit="pad")(Image(pixels))
    assert torch.equal(padded, oracle(PIL.Image.fromarray(square), 16))


def test_grayscale_gives_luminance_in_three_channels() -> None:
    colour = noise(50, 40, 3)
    values = ImageProcessor(24, grayscale=True)(Image(colour))
    assert torch.equal(values, oracle(PIL.Image.fromarray(colour).convert("L"), 24))
    assert torch.equal(values[0, 0], values[0, 2])


@pytest.mark.parametrize("channels", [(), (3,)])
def test_borders_are_cropped_before_resizing(channels: tuple[int, ...]) -> None:
    inner = noise(80, 90, *channels)
    framed = np.zeros((100, 100, *channels), dtype=np.uint8)
    framed[12:92, 6:96] = inner
    values = ImageProcessor(24, crop_borders=True)(Image(framed))
    assert torch.equal(values, ImageProcessor(24)(Image(inner)))
    assert not torch.equal(values, ImageProcessor(24)(Image(framed)))


@pytest.mark.parametrize("method", ["histogram", "clahe"])
def test_equalisation_is_of_the_resized_luminance(method: str) -> None:
    grey = noise(70, 50) // 3 + 60
    processor = ImageProcessor(32, equalize=method)  # type: ignore[arg-type]
    resized = np.asarray(PIL.Image.fromarray(grey).resize((32, 32), PIL.Image.Resampling.BILINEAR))
    expected = normalize.equalize(resized, method)  # type: ignore[arg-type]
    values = processor(Image(grey))
    assert torch.equal(values, ImageProcessor(32)(Image(expected)))
    # Of a colour image the hue stays: red remains the largest channel.
    red = np.stack([grey, grey // 2, grey // 2], axis=2)
    means = processor(Image(red))[0].mean(dim=(1, 2))
    assert means[0] > means[1]


def test_many_images_at_once_are_each_as_alone() -> None:
    source = np.random.default_rng(4)
    images = [Image(source.integers(0, 256, (40 + 9 * at, 64, 3), dtype=np.uint8)) for at in range(7)]
    processor = ImageProcessor(size=32, pan_and_scan_min_crop_size=8)
    for made, image in zip(processor.many(images, pan_and_scan=True), images, strict=True):
        assert torch.equal(made, processor(image, pan_and_scan=True))
    assert processor.many([]) == []
