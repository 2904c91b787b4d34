"""Images that are not chest films, made from random numbers, for a model to learn to refuse.

Kinds in `HELD_OUT` are for evaluation only, so that what is measured is refusal of the unseen.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

GreyImage = npt.NDArray[np.uint8]
_Random = np.random.Generator


def _scaled(x: npt.NDArray[np.float64]) -> GreyImage:
    low, high = x.min(), x.max()
    return ((x - low) / max(high - low, 1e-9) * 255).astype(np.uint8)


def _grid(size: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y, x = np.mgrid[0:size, 0:size] / size
    return x, y


def _white_noise(r: _Random, size: int) -> GreyImage:
    return r.integers(0, 256, (size, size), dtype=np.uint8)


def _coloured_noise(r: _Random, size: int) -> GreyImage:
    """Draw noise whose amplitude falls with frequency by a random power: clouds and textures."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(r.standard_normal((size, size))) / frequency ** r.uniform(0.5, 2.5)
    return _scaled(np.fft.irfft2(spectrum, (size, size)))


def _blank(r: _Random, size: int) -> GreyImage:
    level = int(r.integers(0, 256))
    noise = r.normal(0, r.choice([0, 0, 1, 3]), (size, size))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def _gradient(r: _Random, size: int) -> GreyImage:
    x, y = _grid(size)
    angle = r.uniform(0, 2 * np.pi)
    centre = r.uniform(0.2, 0.8, 2)
    radial = np.hypot(x - centre[0], y - centre[1])
    return _scaled(np.cos(angle) * x + np.sin(angle) * y if r.random() < 0.5 else radial)


def _stripes(r: _Random, size: int) -> GreyImage:
    x, y = _grid(size)
    angle, count = r.uniform(0, np.pi), r.uniform(3, 40)
    wave = np.sin(2 * np.pi * count * (np.cos(angle) * x + np.sin(angle) * y))
    return _scaled(np.sign(wave) if r.random() < 0.5 else wave)


def _checkerboard(r: _Random, size: int) -> GreyImage:
    x, y = _grid(size)
    count = int(r.integers(2, 24))
    return _scaled(((x * count).astype(int) + (y * count).astype(int)) % 2 * 1.0)


def _shapes(r: _Random, size: int) -> GreyImage:
    """Draw overlapping ellipses, boxes and half-planes with textures: an unphotographed scene."""
    x, y = _grid(size)
    out = _coloured_noise(r, size).astype(np.float64) * r.uniform(0, 0.5)
    for _ in range(int(r.integers(3, 25))):
        cx, cy, a, b = r.uniform(0, 1), r.uniform(0, 1), r.uniform(0.03, 0.4), r.uniform(0.03, 0.4)
        kind = r.integers(3)
        if kind == 0:
            inside = ((x - cx) / a) ** 2 + ((y - cy) / b) ** 2 < 1
        elif kind == 1:
            inside = (abs(x - cx) < a / 2) & (abs(y - cy) < b / 2)
        else:
            inside = (x - cx) * np.cos(a * 20) + (y - cy) * np.sin(a * 20) > b
        texture = r.normal(0, r.uniform(0, 25), (size, size))
        out[inside] = (r.uniform(0, 255) + texture)[inside]
    return np.clip(out, 0, 255).astype(np.uint8)


def _page(r: _Random, size: int) -> GreyImage:
    """Draw lines of short marks, like a page of text or a form."""
    dark = r.random() < 0.3
    out = np.full((size, size), 20 if dark else 235, dtype=np.uint8)
    height = int(r.integers(3, 12))
    for top in range(height, size - height, int(height * r.uniform(1.4, 2.5))):
        left = int(r.integers(2, 20))
        while left < size - 8:
            width = int(r.integers(1, 3 * height))
            if r.random() < 0.85:
                out[top : top + height, left : left + width : int(r.integers(1, 4))] = 230 if dark else 30
            left += width + int(r.integers(1, height))
    return out


def _body_slice(r: _Random, size: int) -> GreyImage:
    """Draw nested ellipses on black with texture, like a cross-section of head or trunk."""
    x, y = _grid(size)
    out = np.zeros((size, size))
    cx, cy = r.uniform(0.45, 0.55, 2)
    a, b = r.uniform(0.28, 0.48, 2)
    for shrink, level in ((1.0, r.uniform(120, 255)), (r.uniform(0.85, 0.96), r.uniform(40, 160))):
        out[((x - cx) / (a * shrink)) ** 2 + ((y - cy) / (b * shrink)) ** 2 < 1] = level
    for _ in range(int(r.integers(3, 14))):
        u, v = cx + r.uniform(-a, a) * 0.6, cy + r.uniform(-b, b) * 0.6
        inside = ((x - u) / r.uniform(0.02, 0.16)) ** 2 + ((y - v) / r.uniform(0.02, 0.16)) ** 2 < 1
        out[inside & (out > 0)] = r.uniform(20, 230)
    return np.clip(out + r.normal(0, r.uniform(1, 14), (size, size)) * (out > 0), 0, 255).astype(np.uint8)


def _rings(r: _Random, size: int) -> GreyImage:
    x, y = _grid(size)
    cx, cy = r.uniform(0.3, 0.7, 2)
    return _scaled(np.sin(2 * np.pi * r.uniform(4, 30) * np.hypot(x - cx, y - cy)))


def _cells(r: _Random, size: int) -> GreyImage:
    """Draw a Voronoi mosaic."""
    x, y = _grid(size)
    points = r.uniform(0, 1, (int(r.integers(10, 80)), 2))
    nearest = np.argmin([(x - u) ** 2 + (y - v) ** 2 for u, v in points], axis=0)
    return r.integers(0, 256, len(points), dtype=np.uint8)[nearest]


def _salt_and_pepper(r: _Random, size: int) -> GreyImage:
    out = np.full((size, size), int(r.integers(60, 200)), dtype=np.uint8)
    chance = r.random((size, size))
    share = r.uniform(0.02, 0.4)
    out[chance < share / 2] = 0
    out[chance > 1 - share / 2] = 255
    return out


def _plaid(r: _Random, size: int) -> GreyImage:
    x, y = _grid(size)
    return _scaled(np.sin(r.uniform(10, 120) * x) + np.sin(r.uniform(10, 120) * y) + r.normal(0, 0.1, (size, size)))


TRAINING: dict[str, Callable[[_Random, int], GreyImage]] = {
    "white noise": _white_noise,
    "coloured noise": _coloured_noise,
    "blank": _blank,
    "gradient": _gradient,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "shapes": _shapes,
    "page": _page,
    "body slice": _body_slice,
}
HELD_OUT: dict[str, Callable[[_Random, int], GreyImage]] = {
    "rings": _rings,
    "cells": _cells,
    "salt and pepper": _salt_and_pepper,
    "plaid": _plaid,
}


def generate(
    kinds: dict[str, Callable[[_Random, int], GreyImage]], count: int, seed: int, size: int = 224
) -> list[GreyImage]:
    """Generate `count` images uint8 (size, size), the kinds in turn."""
    r = np.random.default_rng(seed)
    makers = list(kinds.values())
    return [makers[index % len(makers)](r, size) for index in range(count)]


def turned(film: GreyImage, seed: int) -> GreyImage:
    """Turn a film by 90, 180 or 270 degrees."""
    return np.ascontiguousarray(np.rot90(film, 1 + int(np.random.default_rng(seed).integers(3))))


def enlarged(film: GreyImage, seed: int) -> GreyImage:
    """Enlarge a detail of a film, 18 to 30 % of its side, to its size (bilinear): nothing shows its position."""
    r = np.random.default_rng(seed)
    size = film.shape[0]
    side = round(size * r.uniform(0.18, 0.3))
    top, left = r.integers(0, size - side, 2)
    detail = film[top : top + side, left : left + side].astype(np.float64)
    at = np.linspace(0, side - 1, size)
    low = np.minimum(at.astype(int), side - 2)
    part = at - low
    rows = detail[low] * (1 - part)[:, None] + detail[low + 1] * part[:, None]
    return np.rint(rows[:, low] * (1 - part) + rows[:, low + 1] * part).astype(np.uint8)


def shuffled(film: GreyImage, seed: int, tiles: int = 4) -> GreyImage:
    """Cut a film into tiles x tiles squares in random order: its texture without its anatomy."""
    r = np.random.default_rng(seed)
    side = film.shape[0] // tiles
    squares = [film[i * side : (i + 1) * side, j * side : (j + 1) * side] for i in range(tiles) for j in range(tiles)]
    order = r.permutation(len(squares))
    rows = [np.hstack([squares[order[i * tiles + j]] for j in range(tiles)]) for i in range(tiles)]
    return np.vstack(rows)
