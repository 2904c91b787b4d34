"""The cache of models as they run: what is damaged, foreign or too much is as if it were not there."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aris.checkpoints import cache
from aris.checkpoints.cache import Array


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ARIS_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ARIS_CACHE_GB", raising=False)
    return tmp_path / "cache" / "models"


def arrays(seed: int = 1, size: int = 1000) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    one = random.integers(0, 256, size, dtype=np.uint8)
    two = random.normal(size=(3, 5)).astype(np.float32)
    return {"one": Array(one, "uint8", one.shape), "two": Array(two.view(np.uint8), "float32", two.shape)}


def test_what_was_written_is_read_from_a_private_map(place: Path) -> None:
    given = arrays()
    assert cache.read("a") is None
    assert cache.write("a", {"what": "model", "n": [1, 2.5, None]}, given)
    entry = cache.read("a")
    assert entry is not None and entry.meta == {"what": "model", "n": [1, 2.5, None]}
    for name, array in given.items():
        found = entry.arrays[name]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert np.array_equal(found.data, array.data.reshape(-1))
        assert found.data.ctypes.data % 64 == 0
    entry.arrays["one"].data[:] = 0  # reaches no file
    again = cache.read("a")
    assert again is not None and np.array_equal(again.arrays["one"].data, given["one"].data)


def test_nobody_else_can_read_it(place: Path) -> None:
    old = os.umask(0)
    try:
        cache.write("a", {}, arrays())
    finally:
        os.umask(old)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()} == {0o600}


@pytest.mark.parametrize("where", ["magic", "header", "array", "truncated", "longer", "empty"])
def test_a_damaged_entry_is_none_and_goes(place: Path, where: str) -> None:
    cache.write("a", {"what": "x"}, arrays())
    path = place / "a.aris"
    raw = bytearray(path.read_bytes())
    at = {"magic": 0, "header": 30, "array": len(raw) - 3}.get(where)
    if at is not None:
        raw[at] ^= 0x10
    path.write_bytes({"truncated": raw[:-7], "longer": raw + b"x", "empty": b""}.get(where, raw))
    assert cache.read("a") is None
    assert cache.write("a", {"what": "x"}, arrays()) and cache.read("a") is not None


def test_an_entry_that_was_touched_is_compared_and_kept(place: Path) -> None:
    cache.write("a", {"what": "x"}, arrays())
    os.utime(place / "a.aris", (1, 1))
    assert cache.read("a") is not None


def test_an_entry_without_a_note_of_its_digest_is_not_trusted(place: Path) -> None:
    cache.write("a", {"what": "x"}, arrays())
    (place / "a.whole").unlink()
    assert cache.read("a") is None


def test_a_folder_that_others_can_write_to_is_not_used(place: Path) -> None:
    cache.write("a", {"what": "x"}, arrays())
    place.chmod(0o777)
    assert cache.read("a") is None and not cache.write("b", {}, arrays())
    assert cache.content_digest([]) == cache.content_digest([])


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("ARIS_CACHE", str(tmp_path / "file"))
    assert not cache.write("a", {}, arrays()) and cache.read("a") is None
    assert cache.entries() == [] and cache.clear() == 0
    big = tmp_path / "big"
    big.write_bytes(bytes(5 << 20))
    assert len(cache.content_digest([big])) == 64


def test_a_full_disk_leaves_nothing_behind(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.write("a", {}, arrays())
    monkeypatch.setattr(cache, "_SPARE", 1 << 62)
    assert not cache.write("b", {}, arrays())
    assert sorted(path.name for path in place.iterdir()) == ["a.aris", "a.whole"]


def test_the_size_is_bounded_and_the_longest_unused_goes_first(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIS_CACHE_GB", str(2.5 * 2**20 / 2**30))
    for index, key in enumerate("abc"):
        assert cache.write(key, {"what": key}, arrays(size=1 << 20))
        os.utime(place / f"{key}.whole", (index + 1, index + 1))
    assert {each.key for each in cache.entries()} == {"b", "c"}
    assert cache.read("b") is not None  # used now
    assert cache.write("d", {"what": "d"}, arrays(size=1 << 20))
    assert cache.entries()[0].what == "d" and {each.key for each in cache.entries()} == {"b", "d"}
    assert not cache.write("e", {}, arrays(size=3 << 20))  # larger than all
    assert {each.key for each in cache.entries()} == {"b", "d"}


@pytest.mark.parametrize(("name", "value"), [("ARIS_CACHE", "off"), ("ARIS_CACHE_GB", "0")])
def test_it_can_be_switched_off(place: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert not cache.write("a", {}, arrays()) and cache.read("a") is None and cache.folder() is None
    assert not place.exists()


def test_clear_frees_what_it_says(place: Path) -> None:
    cache.write("a", {}, arrays())
    (place / "of-someone-else.txt").write_text("stays")
    size = sum(path.stat().st_size for path in place.iterdir() if path.suffix != ".txt")
    assert cache.clear() == size and [path.name for path in place.iterdir()] == ["of-someone-else.txt"]


def test_a_changed_file_has_another_digest_even_of_the_same_size_and_time(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(bytes(5 << 20))
    state = path.stat()
    os.utime(path, ns=(1, 1))
    before = cache.content_digest([path])
    assert cache.content_digest([path]) == before
    path.write_bytes(bytes((5 << 20) - 1) + b"x")
    os.utime(path, ns=(1, 1))
    assert path.stat().st_size == state.st_size
    assert cache.content_digest([path]) != before


def test_processes_that_write_the_same_at_once_disturb_nobody(place: Path) -> None:
    code = (
        "import numpy as np\n"
        "from aris.checkpoints import cache\n"
        "data = np.arange(1 << 20, dtype=np.uint8)\n"
        "for _ in range(5):\n"
        "    assert cache.write('a', {'what': 'x'}, {'one': cache.Array(data, 'uint8', data.shape)})\n"
        "    found = cache.read('a')\n"
        "    assert found is None or np.array_equal(found.arrays['one'].data, data)\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    cache.write("a", {}, arrays())
    assert cache.read("a") is not None
