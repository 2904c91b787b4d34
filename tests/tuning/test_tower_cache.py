"""A frozen tower's features on the disk: same losses, kept between runs, made again where damaged, never half."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_run import SETTINGS, base, data  # noqa: F401

from aris.checkpoints import load_model, open_checkpoint
from aris.errors import DataError
from aris.model.vision import VisionTower
from aris.tuning.checkpointing import Curve
from aris.tuning.data import tower_cache
from aris.tuning.recipe import Recipe
from aris.tuning.run import tune


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images the tower looked at, in each pass."""
    seen: list[int] = []
    real = VisionTower.forward

    def forward(self: VisionTower, pixels: torch.Tensor) -> torch.Tensor:
        seen.append(len(pixels))
        return real(self, pixels)

    monkeypatch.setattr(VisionTower, "forward", forward)
    return seen


def run(base: Path, data: Path, out: Path, cache: Path | None = None, **changes: Any) -> tuple[list[Any], list[str]]:  # noqa: F811
    said: list[str] = []
    recipe = Recipe.from_dict(SETTINGS | {"steps": 6} | changes)
    tune(recipe, str(base), data, out, log=said.append, tower_cache=cache)
    lines = Curve.read(out / "curve.jsonl")
    return [(line["step"], line.get("loss"), line.get("validation_loss")) for line in lines], said


@pytest.mark.parametrize("changes", [{}, {"projector": True}, {"precision": "bf16"}], ids=["lora", "projector", "bf16"])
def test_losses_and_weights_are_those_of_a_run_without_it(
    changes: dict[str, Any], base: Path, data: Path, tmp_path: Path, looks: list[int]  # noqa: F811
) -> None:
    plain, _ = run(base, data, tmp_path / "plain", **changes)
    assert sum(looks) > 24
    looks.clear()
    cached, said = run(base, data, tmp_path / "cached", cache_tower=True, **changes)
    # 24 files hold 2 different images: looked at once each, and the first once more to learn its size.
    assert sum(looks) == 3 and any("2 to compute" in line for line in said)
    # The tower's sums round otherwise for two images than for a batch, on some processors; Adam makes steps of that.
    exact = changes.get("precision") != "bf16"
    for ours, theirs in zip(cached, plain, strict=True):
        assert ours[0] == theirs[0]
        for mine, other in zip(ours[1:], theirs[1:], strict=True):
            assert mine == (None if other is None else pytest.approx(other, rel=1e-3 if exact else 2e-2))
    name = "adapter/adapter_model.safetensors"
    if exact:
        adapters = [load_file(tmp_path / each / name) for each in ("cached", "plain")]
        cached_weights, plain_weights = (torch.cat([each[key].flatten() for key in sorted(each)]) for each in adapters)
        assert (cached_weights - plain_weights).norm() < 2e-2 * plain_weights.norm()


def test_another_run_finds_what_is_there_and_heals_what_is_damaged(
    base: Path, data: Path, tmp_path: Path, looks: list[int]  # noqa: F811
) -> None:
    cache = tmp_path / "cache"
    first, _ = run(base, data, tmp_path / "a", cache, cache_tower=True)
    looks.clear()
    second, said = run(base, data, tmp_path / "b", cache, cache_tower=True)
    assert second == first and not looks and any("all 2 images are in" in line for line in said)
    whole, cut = sorted(cache.glob("*/*/*.features"))
    contents = {path: path.read_bytes() for path in (whole, cut)}
    cut.write_bytes(contents[cut][:-100])
    flipped = bytearray(contents[whole])
    flipped[200] ^= 1
    whole.write_bytes(flipped)
    third, _ = run(base, data, tmp_path / "c", cache, cache_tower=True)
    assert third == first and sum(looks) == 2
    assert all(path.read_bytes() == kept for path, kept in contents.items())
    # Other weights, another scale or precision: another folder, nothing of the first is used.
    run(base, data, tmp_path / "d", cache, cache_tower=True, precision="bf16")
    other = shutil.copytree(base, tmp_path / "base")
    settings = json.loads((other / "preprocessor_config.json").read_text())
    (other / "preprocessor_config.json").write_text(json.dumps(settings | {"image_std": [0.4, 0.5, 0.5]}))
    run(other, data, tmp_path / "e", cache, cache_tower=True)
    assert len(list(cache.iterdir())) == 3


def test_it_is_off_where_the_tower_is_trained(base: Path, data: Path, tmp_path: Path, looks: list[int]) -> None:  # noqa: F811
    for number, changes in enumerate(({"tower_learning_rate": 1e-3}, {"tower_adapters": True})):
        _, said = run(base, data, tmp_path / str(number), cache_tower=True, steps=2, **changes)
        assert any("cache_tower is off" in line for line in said)
        assert not (tmp_path / str(number) / "tower-cache").exists()
    assert sum(looks) > 24


def test_a_disk_without_room_is_told_before_anything_is_written(
    base: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 0, tower_cache.SPARE_BYTES + 8000))
    with pytest.raises(DataError, match=r"2 images need 0.00 GB in .*make room, give another --tower-cache"):
        run(base, data, tmp_path, cache_tower=True)
    assert not list(tmp_path.rglob("*.features"))
    monkeypatch.undo()

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DataError, match=r"the disk is full; make room in .*what is there stays"):
        run(base, data, tmp_path, cache_tower=True)
    monkeypatch.undo()
    assert not list(tmp_path.rglob("*.new"))
    run(base, data, tmp_path, cache_tower=True)


def test_a_kill_in_mid_write_leaves_nothing_that_is_taken_for_whole(base: Path, tmp_path: Path) -> None:  # noqa: F811
    """A process that fills a cache of many images is killed; the next run finishes it and reads every file."""
    script = f"""
import sys, torch
from pathlib import Path
sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
from test_tower_cache import filler
filler(Path({str(base)!r}), Path({str(tmp_path)!r}), wait=True)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 200
        while len(list(tmp_path.glob("*/*/*.features"))) < 20:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    there = len(list(tmp_path.glob("*/*/*.features")))
    assert 20 <= there < COUNT
    stale = next(tmp_path.glob("*/*")) / ".left.1.new"
    stale.write_bytes(b"half")
    os.utime(stale, (time.time() - 7200,) * 2)
    cache = filler(base, tmp_path)
    assert cache.seen == COUNT - there and not stale.exists()
    whole = cache(torch.arange(COUNT))
    assert cache.seen == COUNT - there
    torch.testing.assert_close(whole[:, 0, 0], torch.arange(COUNT, dtype=torch.float32))


COUNT = 3000


def filler(base: Path, folder: Path, *, wait: bool = False) -> Any:  # noqa: F811
    """Fill a cache by a tower whose features are the image's number.

    Args:
        wait: take time over each batch, so that whoever kills it on a busy machine does not come too late.
    """
    model = load_model(open_checkpoint(str(base)), dtype=torch.float32)
    assert model.config.vision is not None
    shape = (model.config.mm_tokens_per_image, model.config.vision.hidden_size)
    digests = [f"{number:064x}"[::-1] for number in range(COUNT)]

    def see(films: torch.Tensor) -> torch.Tensor:
        time.sleep(0.1 * wait)
        return films.float()[:, :, None].expand(-1, *shape).contiguous()

    cache = tower_cache.TowerCache(
        folder,
        model,
        digests,
        lambda index: torch.tensor([index]),
        see,
        {},
    )
    cache.fill(lambda line: None)
    return cache
