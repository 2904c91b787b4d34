"""A served model under mixed concurrent requests for a while: memory over time, and what is left behind.

    python benchmarks/soak.py --minutes 30 [--model aris-nano] [--clients 8]
    python benchmarks/soak.py --minutes 0 --requests 1000

Each client sends, in turn: whole answers, streams, streams that it leaves in the middle, images, several choices,
log-probabilities, legacy completions, and requests that are wrong. The server is a process of its own; its resident
memory is read from /proc. At the end 200 clients leave in the middle of a stream, all at once.

It warms up until what fills up once is full: three times all clients send what takes most at the same moment (several
choices of a long prompt with log-probabilities, then images), all prompts that may be kept are, every kind of request
came twenty times, and --warm-up requests are done. From then on it measures for --minutes, and for --requests at least. It fails if a
sequence is left, if an answer is a 5xx, or if memory (the median over the last tenth of what was measured, against that
over the first) grows by more than the limit.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image

KINDS = ("whole", "stream", "leave", "image", "choices", "logprobs", "legacy", "wrong", "burst")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30.0, help="to measure, after the warm-up")
    arguments.add_argument("--requests", type=int, default=1000, help="to measure at least")
    arguments.add_argument("--warm-up", type=int, default=300, help="requests before memory is measured, at least")
    arguments.add_argument("--model", default="aris-nano")
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--leavers", type=int, default=200, help="clients that leave at once at the end")
    arguments.add_argument("--max-tokens", type=int, default=24)
    arguments.add_argument("--growth", type=float, default=0.02, help="share of memory that may be gained")
    given = arguments.parse_args()
    process, url = start(given.model)
    try:
        ok = soak(process.pid, url, given) and leave(process.pid, url, given)
    finally:
        process.terminate()
        process.wait(60)
    print(f"the server ended with {process.returncode}")
    sys.exit(0 if ok and process.returncode == 0 else 1)


def start(model: str) -> tuple[subprocess.Popen[str], str]:
    """A server process and its URL; its log goes nowhere after its start."""
    process = subprocess.Popen(
        [sys.executable, "-m", "aris.cli", "serve", "--api-only", "--port", "0", "--model", model],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = ""
    while "Ctrl-C" not in said:
        line = process.stderr.readline()
        if not line:
            raise SystemExit(f"the server did not start: {said}")
        said += line
    threading.Thread(target=lambda: list(process.stderr or ()), daemon=True).start()
    found = re.search(r"(http://\S+)/v1", said)
    assert found is not None
    return process, found[1]


class Load:
    """Clients that ask until they are told to stop, and counts of what they asked and got."""

    def __init__(self, url: str, clients: int, max_tokens: int) -> None:
        self.counts: Counter[str] = Counter()
        self.stop = threading.Event()
        self._lock = threading.Lock()
        self._together = threading.Barrier(clients)
        self.threads = [threading.Thread(target=self._work, args=(url, n, max_tokens)) for n in range(clients)]
        for thread in self.threads:
            thread.start()

    @property
    def done(self) -> int:
        """Requests so far."""
        return sum(self.counts[kind] for kind in KINDS)

    def _work(self, url: str, number: int, max_tokens: int) -> None:
        chosen = random.Random(number)
        with httpx2.Client(base_url=url, timeout=300) as http:
            for kind in ("most", "image") * 3:
                self._together.wait()
                self._ask(http, kind, chosen, max_tokens)
            while not self.stop.is_set():
                self._ask(http, chosen.choice(KINDS), chosen, max_tokens)

    def _ask(self, http: httpx2.Client, kind: str, chosen: random.Random, max_tokens: int) -> None:
        try:
            outcome: object = ask(http, kind, chosen, max_tokens)
        except httpx2.HTTPError as error:
            outcome = f"5xx, no answer: {type(error).__name__}"
        with self._lock:
            self.counts[kind] += 1
            self.counts[f"status {outcome}"] += 1


def soak(pid: int, url: str, given: argparse.Namespace) -> bool:
    """Ask, sample and judge; whether all is well."""
    load = Load(url, given.clients, given.max_tokens)
    began = time.monotonic()
    warm: tuple[float, int] | None = None  # when the warm-up ended, and after how many requests
    samples: list[tuple[int, float]] = []  # (requests, MiB) since then
    kept, printed = -1.0, -60.0
    print(f"minute  requests  resident MiB  {'  '.join(f'{kind:>9}' for kind in MAPPINGS)}")
    while any(thread.is_alive() for thread in load.threads):
        now, done = time.monotonic() - began, load.done
        if now - printed >= max(10.0, given.minutes):
            printed = now
            parts = mappings_mib(pid)
            print(
                f"{now / 60:6.1f}  {done:8d}  {resident_mib(pid):12.1f}  "
                + "  ".join(f"{parts[kind]:9.1f}" for kind in MAPPINGS) + ("" if warm else "  warming up"),
                flush=True,
            )  # fmt: skip
        if warm is None:
            before, kept = kept, engine_facts(url).get("kept_prompts", 0.0)
            each = min(load.counts[kind] for kind in KINDS)
            if done >= given.warm_up and kept == before and each >= min(20, given.warm_up // 20):
                warm = (now, done)
        else:
            samples.append((done, resident_mib(pid)))
            if now - warm[0] >= given.minutes * 60 and done - warm[1] >= given.requests:
                load.stop.set()
        time.sleep(1.0)
    print(", ".join(f"{name} {count}" for name, count in sorted(load.counts.items())))
    left = drained(url)
    tenth = max(len(samples) // 10, 1)
    first, end = (float(np.median([mib for _, mib in part])) for part in (samples[:tenth], samples[-tenth:]))
    gained, count = end / first - 1, samples[-1][0] - samples[0][0]
    print(f"resident memory {first:.1f} MiB after the warm-up, {end:.1f} MiB {count} requests later: {gained:+.2%}")
    print(f"left behind: {left}")
    failed = sum(number for name, number in load.counts.items() if name.startswith("status 5"))
    return not any(left.values()) and not failed and gained <= given.growth


def leave(pid: int, url: str, given: argparse.Namespace) -> bool:
    """Clients that begin a stream and hang up in its middle, all at once; whether nothing of them is left."""
    before = resident_mib(pid)
    begun: Counter[int] = Counter()
    body = {"stream": True, "max_tokens": 2000, "temperature": 0.0}

    def one(number: int) -> None:
        asked = [{"role": "user", "content": f"Client {number}: count to a thousand in words."}]
        with httpx2.Client(base_url=url, timeout=300) as http, http.stream(
            "POST", "/v1/chat/completions", json=body | {"messages": asked}
        ) as response:
            for count, _ in enumerate(response.iter_lines()):
                if count > 3:
                    break
            begun[response.status_code] += 1

    with ThreadPoolExecutor(given.leavers or 1) as pool:
        list(pool.map(one, range(given.leavers)))
    left = drained(url)
    with httpx2.Client(base_url=url, timeout=300) as http:
        after = ask(http, "whole", random.Random(0), 4)
    print(f"{given.leavers} clients left in mid-stream ({dict(begun)}): left behind {left}, the next answer is {after}")
    print(f"resident memory {before:.1f} MiB before them, {resident_mib(pid):.1f} MiB after")
    return not any(left.values()) and set(begun) <= {200, 429} and after == 200


def ask(http: httpx2.Client, kind: str, chosen: random.Random, max_tokens: int) -> int:
    """One request of a kind; its status."""
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": f"Question {chosen.randrange(10**6)}: is the heart enlarged?"}],
        "max_tokens": chosen.randint(1, max_tokens),
        "temperature": chosen.choice((0.0, 1.0)),
    }
    path = "/v1/chat/completions"
    if kind == "legacy":
        path, body = "/v1/completions", {"prompt": ["The lungs are", "No"], "max_tokens": 8, "echo": True, "logprobs": 2}
    elif kind == "wrong":
        body["temperature"] = 9
    elif kind == "choices":
        body |= {"n": 3, "temperature": 1.0}
    elif kind == "logprobs":
        body |= {"logprobs": True, "top_logprobs": 5}
    elif kind == "image":
        body["messages"][0]["content"] = [picture(chosen), {"type": "text", "text": "Describe this X-ray"}]
    elif kind == "burst":
        body["messages"][0]["content"] += " word" * chosen.randrange(300)
    elif kind == "most":  # as much of everything at once as the others ask for
        body["messages"][0]["content"] += " word" * 300
        body |= {"n": 3, "temperature": 1.0, "logprobs": True, "top_logprobs": 5, "max_tokens": max_tokens}
    if kind in ("stream", "leave"):
        body |= {"stream": True, "max_tokens": max_tokens * (1 if kind == "stream" else 20)}
        with http.stream("POST", path, json=body) as response:
            for count, _ in enumerate(response.iter_lines()):
                if kind == "leave" and count > 6:
                    break
            return response.status_code
    return http.post(path, json=body).status_code


def picture(chosen: random.Random) -> dict[str, Any]:
    """One of 50 pictures, so that some repeat."""
    pixels = np.random.default_rng(chosen.randrange(50)).integers(0, 255, (128, 128), dtype=np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, "PNG")
    uri = f"data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": uri}}


def drained(url: str) -> dict[str, float]:
    """What the engine still has to do, once it has had a moment."""
    found: dict[str, float] = {}
    for _ in range(100):
        facts = engine_facts(url)
        found = {name: facts[name] for name in ("running", "waiting")}
        if not any(found.values()):
            break
        time.sleep(0.1)
    return found


def engine_facts(url: str) -> dict[str, float]:
    """The engine's gauges."""
    text = httpx2.get(f"{url}/metrics", timeout=60).text
    return {name: float(value) for name, value in re.findall(r"^aris_engine_(\w+) (\S+)$", text, flags=re.MULTILINE)}


# Where the memory is: malloc's main heap, its threads' arenas, what was mapped by itself (weights, the cache, large
# tensors).
MAPPINGS = ("heap", "arenas", "mapped")


def mappings_mib(pid: int) -> dict[str, float]:
    """Anonymous resident memory by where it is."""
    found = dict.fromkeys(MAPPINGS, 0)
    kind = "mapped"
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ \d+\s*(.*)", line)
        if head:
            start, end = int(head[1], 16), int(head[2], 16)
            arena = not head[3] and start % (64 << 20) == 0 and end - start <= 64 << 20
            kind = "heap" if head[3] == "[heap]" else "arenas" if arena else "mapped"
        elif line.startswith("Anonymous:"):
            found[kind] += int(line.split()[1])
    return {name: kib / 1024 for name, kib in found.items()}


def resident_mib(pid: int) -> float:
    """Resident memory of a process without its file pages (mapped weights come and go with the page cache)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
