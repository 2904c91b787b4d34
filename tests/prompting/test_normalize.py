"""Normalisation of films: what it must cancel, what it must leave alone, and its cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from prompting_strategies import GENERATED

from aris.errors import PromptError
from aris.prompting import normalize

Film = np.ndarray[Any, np.dtype[np.uint8]]


@st.composite
def films(draw: st.DrawFn, least: int = 1, most: int = 160) -> Film:
    """Smooth blobs with grain, in part of the grey range."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    field = np.sin(5 * x + rng.uniform(0, 6)) * np.cos(4 * y + rng.uniform(0, 6)) + rng.normal(0, 0.1, x.shape)
    low, high = sorted(draw(st.tuples(st.integers(0, 255), st.integers(0, 255))))
    spread = np.ptp(field) or 1.0
    return np.rint(low + (field - field.min()) / spread * (high - low)).astype(np.uint8)


@settings(GENERATED, max_examples=100)
@given(films(), st.data())
def test_histogram_cancels_any_increasing_exposure(film: Film, data: st.DataObject) -> None:
    levels = np.unique(film)
    exposed = np.sort(data.draw(st.permutations(range(256)))[: len(levels)])
    curve = np.zeros(256, dtype=np.uint8)
    curve[levels] = exposed
    assert np.array_equal(normalize.equalize_histogram(curve[film]), normalize.equalize_histogram(film))


@settings(GENERATED, max_examples=60)
@given(films(least=2))
def test_histogram_spreads_and_keeps_order(film: Film) -> None:
    flat = normalize.equalize_histogram(film)
    assert flat.dtype == np.uint8 and flat.shape == film.shape
    order = np.argsort(film, axis=None, kind="stable")
    assert np.all(np.diff(flat.ravel()[order].astype(int)) >= 0)
    if len(np.unique(film)) > 1:
        assert (flat.min(), flat.max()) == (0, 255)
    else:
        assert not flat.any()


def test_histogram_is_uniform_on_many_levels() -> None:
    film = (np.random.default_rng(0).beta(2, 5, (300, 300)) * 255).astype(np.uint8)
    flat = normalize.equalize_histogram(film)
    assert abs(flat.mean() - 127.5) < 3
    assert abs(np.percentile(flat, 25) - 64) < 4


@settings(GENERATED, max_examples=60)
@given(films())
def test_histogram_is_the_training_s(film: Film) -> None:
    augment = pytest.importorskip("aris.tuning.nano.augment")
    trained = augment.equalize(torch.from_numpy(film)[None, None].float() / 255)
    assert np.array_equal(normalize.equalize_histogram(film), (trained[0, 0] * 255).round().byte().numpy())


@settings(GENERATED, max_examples=60)
@given(films(), st.integers(1, 9), st.floats(1, 40))
def test_clahe_of_any_film(film: Film, tiles: int, clip: float) -> None:
    before = film.copy()
    out = normalize.equalize_clahe(film, tiles, clip)
    assert out.dtype == np.uint8 and out.shape == film.shape
    assert np.array_equal(film, before)
    assert np.array_equal(out, normalize.equalize_clahe(film, tiles, clip))


def reference_clahe(film: Film, tiles: int, clip: float) -> Film:
    """Pixel by pixel, by the definition."""
    height, width = film.shape
    curves = np.empty((tiles, tiles, 256))
    for row in range(tiles):
        for column in range(tiles):
            region = [
                film[y, x]
                for y in range(height)
                for x in range(width)
                if y * tiles // height == row and x * tiles // width == column
            ]
            counts = np.bincount(region, minlength=256).astype(float)
            clipped = np.minimum(counts, clip * len(region) / 256)
            clipped += (len(region) - clipped.sum()) / 256
            curves[row, column] = np.cumsum(clipped) * 255 / len(region)
    out = np.empty_like(film)
    for y in range(height):
        for x in range(width):
            v, u = (y + 0.5) * tiles / height - 0.5, (x + 0.5) * tiles / width - 0.5
            total = 0.0
            for row, down in ((int(np.floor(v)), 1 - v % 1), (int(np.floor(v)) + 1, v % 1)):
                for column, across in ((int(np.floor(u)), 1 - u % 1), (int(np.floor(u)) + 1, u % 1)):
                    curve = curves[min(max(row, 0), tiles - 1), min(max(column, 0), tiles - 1)]
                    total += curve[film[y, x]] * down * across
            out[y, x] = np.rint(total)
    return out


@pytest.mark.parametrize(("height", "width", "tiles", "clip"), [(24, 24, 3, 2.0), (25, 17, 4, 3.5), (8, 30, 1, 1.0)])
def test_clahe_follows_its_definition(height: int, width: int, tiles: int, clip: float) -> None:
    film = np.random.default_rng(1).integers(0, 256, (height, width), dtype=np.uint8)
    ours = normalize.equalize_clahe(film, tiles, clip).astype(int)
    assert np.abs(ours - reference_clahe(film, tiles, clip)).max() <= 1  # float32 beside float64


def test_clahe_raises_local_contrast_and_limits_it() -> None:
    rng = np.random.default_rng(2)
    film = (np.linspace(60, 180, 256)[None] + rng.normal(0, 4, (256, 256))).clip(0, 255).astype(np.uint8)
    spread = [np.std(normalize.equalize_clahe(film, 8, clip)[:, 100:130]) for clip in (1.0, 2.0, 8.0)]
    assert np.std(film[:, 100:130]) < spread[1] < spread[2]
    # A clip of 1 lets no bar rise above the mean: the curve stays a ramp.
    assert np.abs(normalize.equalize_clahe(film, 8, 1.0).astype(int) - film).max() < 80


@settings(GENERATED, max_examples=100)
@given(films(least=60), st.tuples(*[st.integers(0, 8)] * 4), st.sampled_from([0, 10, 240, 255]), st.booleans())
def test_borders_are_found(film: Film, margins: tuple[int, int, int, int], level: int, grain: bool) -> None:
    top, bottom, left, right = margins
    rng = np.random.default_rng(int(film.sum()))
    inner = rng.integers(60, 200, film.shape, dtype=np.uint8)
    framed = np.full((inner.shape[0] + top + bottom, inner.shape[1] + left + right), level, dtype=np.uint8)
    if grain:
        framed += rng.integers(0, 3, framed.shape, dtype=np.uint8) if level < 250 else 0
    framed[top : top + inner.shape[0], left : left + inner.shape[1]] = inner
    assert normalize.border_trims(framed) == margins
    assert np.array_equal(normalize.crop_borders(framed), inner)


@settings(GENERATED, max_examples=100)
@given(films(), st.floats(0, 0.49))
def test_borders_never_take_more_than_the_limit(film: Film, limit: float) -> None:
    trims = normalize.border_trims(film, limit)
    height, width = film.shape
    assert all(trim <= limit * side for trim, side in zip(trims, (height, height, width, width), strict=True))
    assert normalize.crop_borders(film, limit).size > 0
    black = normalize.crop_borders(np.zeros((100, 100), np.uint8), 0.15)
    assert black.shape == (70, 70)


def test_dark_lungs_and_bright_markers_are_no_border() -> None:
    film = np.random.default_rng(3).integers(30, 200, (200, 200), dtype=np.uint8)
    assert normalize.border_trims(film) == (0, 0, 0, 0)
    film[:20] = 5
    film[:20, 40:70] = 250  # a marker within the dark bar: not uniform, so the bar stays
    assert normalize.border_trims(film)[0] == 0


def test_by_name() -> None:
    film = np.arange(100, dtype=np.uint8).reshape(10, 10)
    assert normalize.equalize(film, "none") is film
    assert np.array_equal(normalize.equalize(film, "histogram"), normalize.equalize_histogram(film))
    assert np.array_equal(normalize.equalize(film, "clahe"), normalize.equalize_clahe(film))
    with pytest.raises(PromptError, match="gamma"):
        normalize.equalize(film, "gamma")  # type: ignore[arg-type]
    with pytest.raises(PromptError, match="limit"):
        normalize.crop_borders(film, 0.5)
    with pytest.raises(PromptError, match="tiles"):
        normalize.equalize_clahe(film, 0)


@pytest.mark.parametrize(
    "function", [normalize.crop_borders, normalize.equalize_histogram, normalize.equalize_clahe]
)
def test_cost(function: Callable[[Film], Film]) -> None:
    film = np.random.default_rng(4).integers(0, 256, (1024, 1024), dtype=np.uint8)
    film[:200] = 0
    best = min(_seconds(function, film) for _ in range(5))
    assert best < 0.15  # of the processor's time: 5 to 30 ms


def _seconds(function: Callable[[Film], Film], film: Film) -> float:
    start = time.thread_time()  # what others do on a busy machine is not counted
    function(film)
    return time.thread_time() - start
