"""WebP is read wherever an image is: a file, a request's image, a training row."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import aris
from aris.errors import ImageError
from aris.imaging import read_film, sniff
from aris.imaging.stills import read_stills
from aris.service.openai.images import ImageReader
from aris.service.settings import Limits

GREY = np.linspace(0, 255, 40 * 30).astype(np.uint8).reshape(40, 30)


def webp(pixels: np.ndarray, **options: object) -> bytes:
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "WEBP", lossless=True, **options)
    return out.getvalue()


def test_a_file_is_read_by_its_contents(tmp_path: Path) -> None:
    data = webp(GREY)
    assert sniff.kind_of(data) == "webp"
    for name in ("film.webp", "film"):
        (tmp_path / name).write_bytes(data)
        film = read_film(tmp_path / name)
        assert film.format == "webp" and np.array_equal(film.pixels, GREY) and not film.warnings
    assert np.array_equal(read_stills(tmp_path / "film.webp").frames[0], GREY)
    assert np.array_equal(aris.image(tmp_path / "film.webp").pixels, GREY)
    (tmp_path / "film.png").write_bytes(data)
    assert "named .png but holds WEBP" in read_film(tmp_path / "film.png").warnings[0]


def test_colour_transparency_and_orientation_are_those_of_other_formats(tmp_path: Path) -> None:
    colour = np.stack([GREY, GREY[::-1], GREY * 0, np.full_like(GREY, 255)], axis=-1)
    colour[:5, :, 3] = 0  # over black
    exif = PIL.Image.Exif()
    exif[0x0112] = 3
    (tmp_path / "c.webp").write_bytes(webp(colour, exif=exif.tobytes(), exact=True))
    shown = colour[..., :3].copy()
    shown[:5] = 0
    film = read_film(tmp_path / "c.webp")
    assert np.array_equal(film.pixels, shown[::-1, ::-1])
    assert "turned" in film.warnings[0]


def test_a_request_may_send_it() -> None:
    data = webp(GREY)
    for media_type in ("image/webp", "image/png"):  # the contents decide
        url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        assert np.array_equal(ImageReader(Limits()).read(url, "messages[0]").pixels, GREY)


def test_animations_and_damage_are_one_clear_line(tmp_path: Path) -> None:
    out = io.BytesIO()
    frames = [PIL.Image.fromarray(GREY), PIL.Image.fromarray(255 - GREY)]
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    bad = ((out.getvalue(), "2 frames"), (webp(GREY)[:60], "truncated or damaged"), (b"RIFF\0\0\0\0WEBP", "damaged"))
    for data, said in bad:
        (tmp_path / "x.webp").write_bytes(data)
        with pytest.raises(ImageError, match=said) as error:
            read_film(tmp_path / "x.webp")
        assert "\n" not in str(error.value)
