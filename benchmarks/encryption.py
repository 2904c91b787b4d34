"""How fast files go into the store and come out of it, in clear and encrypted: MB a second of one core, and the ratio.

    python benchmarks/encryption.py [--mb 256] [--file-mb 16]

Writing is `FileStore.keep` (digest, file, fsync); reading is `FileStore.read` (file, digest); a frame is 512 KB from the
middle of a file, opened anew each time. The best of three rounds counts; the time is the processor's, so that other work
of the machine and the disk's waiting count for little.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from aris.store.encryption.keyring import Ring, WrappingKey, new_key
from aris.store.encryption.sealed import PIECE, SealedFile, seal
from aris.store.files import FileStore


def seconds(work: Callable[[], object], rounds: int = 3) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


def figures(folder: Path, encrypted: bool, files: list[list[bytes]], frames: int) -> dict[str, float]:
    store = FileStore(folder / "objects", 0, WrappingKey(folder / "store.key"))
    if encrypted:
        fresh = new_key()
        store.keyring.write(Ring({fresh.number: fresh}, fresh.number))
    waiting = iter(files)
    digests: list[str] = []
    mb = sum(map(len, files[0])) / 1e6
    made = {"write": mb / seconds(lambda: digests.extend([store.add(each) for each in next(waiting)]), len(files))}
    made["read"] = mb / seconds(lambda: [store.read(each) for each in digests[: len(files[0])]])

    def look() -> None:
        for at in range(frames):
            with store.file(digests[at % len(digests)]).open() as file:
                file.seek(len(files[0][0]) // 2)
                assert len(file.read(512 << 10)) == 512 << 10

    made["frames/s"] = frames / seconds(look)
    store.close()
    return made


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=256)
    parser.add_argument("--file-mb", type=int, default=16)
    options = parser.parse_args()
    count = max(1, options.mb // options.file_mb)
    files = [[os.urandom(options.file_mb << 20) for _ in range(count)] for _ in range(3)]
    data, key = files[0][0], new_key()
    sealing = seconds(lambda: sum(map(len, seal((data,), key, b"x"))))
    print(f"cipher alone, pieces of {PIECE >> 10} KiB: {len(data) / 1e6 / sealing:.0f} MB/s")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(b"".join(seal((data,), key, b"x")))

        def whole() -> None:
            with path.open("rb", buffering=0) as file, SealedFile(file, key, b"x") as opened:
                assert len(opened.read()) == len(data)

        print(f"deciphering alone: {len(data) / 1e6 / seconds(whole):.0f} MB/s")
        for each in ("clear", "encrypted"):
            (Path(folder) / each).mkdir()
        clear = figures(Path(folder) / "clear", False, files, 200)
        sealed = figures(Path(folder) / "encrypted", True, files, 200)
    for name, value in clear.items():
        unit = "" if name == "frames/s" else " MB/s"
        print(f"{name}: {value:.0f}{unit} in clear, {sealed[name]:.0f}{unit} encrypted, ratio {sealed[name] / value:.2f}")


if __name__ == "__main__":
    main()
