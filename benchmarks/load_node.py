"""Objects into a node from several senders at once, and through kill -9: how many a second, how long each waits, none lost.

    python benchmarks/load_node.py [--objects 240] [--senders 8] [--side 512] [--kills 3]

A node runs as a process of its own over a store in a temporary folder. Each object is `side` x `side` pixels of 16 bits.
The time of an object is from its C-STORE request to its answer. Then the senders go on while the node is killed, again
and again; every object that was acknowledged must be in the store, bit by bit.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests")]

import pydicom  # noqa: E402
from pynetdicom import AE, build_context  # noqa: E402

from aris.exchange.node.peers import network  # noqa: E402
from aris.store.store import Store  # noqa: E402
from dicom_objects import DX, image  # noqa: E402


def start(folder: Path) -> tuple[subprocess.Popen[str], int]:
    """A node over a folder: its process and port."""
    command = [sys.executable, "-m", "aris.cli", "node", "serve", "--store", str(folder), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    if " listens at " not in line:
        raise SystemExit(f"the node did not start: {line}")
    threading.Thread(target=process.stderr.read, daemon=True).start()
    return process, int(line.split(" listens at ")[1].split(";")[0].rpartition(":")[2])


def associate(port: int) -> Any:
    entity = AE(ae_title="LOAD")
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 30
    return entity.associate("127.0.0.1", port, [build_context(DX)])


def send(port: int, numbers: list[int], side: int, waits: list[float], acknowledged: list[int]) -> None:
    """Send objects in one association until it ends."""
    association = associate(port)
    if not association.is_established:
        return
    for number in numbers:
        made = image(number, study=number % 5 + 1, side=side)
        began = time.perf_counter()
        try:
            status = association.send_c_store(made).get("Status")
        except (RuntimeError, ValueError, OSError):
            return
        if status != 0:
            return
        waits.append(time.perf_counter() - began)
        acknowledged.append(number)
    association.release()


def round_of(port: int, numbers: list[int], senders: int, side: int) -> tuple[list[threading.Thread], list[float], list[int]]:
    waits: list[float] = []
    acknowledged: list[int] = []
    threads = [
        threading.Thread(target=send, args=(port, numbers[each::senders], side, waits, acknowledged), daemon=True)
        for each in range(senders)
    ]
    for thread in threads:
        thread.start()
    return threads, waits, acknowledged


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=240)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--kills", type=int, default=3)
    asked = parser.parse_args()
    network()
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        process, port = start(store)
        began = time.perf_counter()
        threads, waits, done = round_of(port, list(range(1, asked.objects + 1)), asked.senders, asked.side)
        for thread in threads:
            thread.join()
        took = time.perf_counter() - began
        waits.sort()
        half, most = (waits[min(len(waits) - 1, int(len(waits) * part))] * 1000 for part in (0.5, 0.95))
        size = asked.side * asked.side * 2 / 1e6
        print(f"{len(done)} objects of {size:.2f} MB, {asked.senders} senders: {len(done) / took:.0f} a second, "
              f"p50 {half:.0f} ms, p95 {most:.0f} ms")  # fmt: skip
        kept = set(done)
        following = asked.objects + 1
        for _ in range(asked.kills):
            numbers = list(range(following, following + asked.objects))
            threads, _, done = round_of(port, numbers, asked.senders, asked.side)
            end = time.monotonic() + 30
            while len(done) < asked.objects // 3 and time.monotonic() < end:
                time.sleep(0.02)
            process.kill()
            process.wait()
            for thread in threads:
                thread.join(60)
            kept.update(done)
            following += asked.objects
            process, port = start(store)
        began = time.perf_counter()
        process.terminate()
        code = process.wait(30)
        print(f"SIGTERM: ended in {time.perf_counter() - began:.1f} s with {code}")
        lost = damaged = 0
        with Store(store) as opened:
            for number in sorted(kept):
                sent = image(number, study=number % 5 + 1, side=asked.side)
                if opened.find(sent.SOPInstanceUID) is None:
                    lost += 1
                elif pydicom.dcmread(io.BytesIO(opened.read(sent.SOPInstanceUID))).PixelData != sent.PixelData:
                    damaged += 1
        print(f"{len(kept)} objects acknowledged through {asked.kills} kill -9: {lost} lost, {damaged} damaged")
    return 1 if lost or damaged else 0


if __name__ == "__main__":
    raise SystemExit(main())
