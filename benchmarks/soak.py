"""A served model under mixed concurrent requests for a while: memory over time, and what is left behind.

    python benchmarks/soak.py --minutes 30 [--model aris-nano] [--clients 8]

Each client sends, in turn: whole answers, streams, streams that it leaves in the middle, images, several choices,
log-probabilities, legacy completions, and requests that are wrong. The server is a process of its own; its resident
memory is read from /proc. Fails if a sequence is left, if an answer is a 5xx, or if memory grows by more than the limit
from the end of the warm-up (a fifth of the time) to the end.
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
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import PIL.Image

KINDS = ("whole", "stream", "leave", "image", "choices", "logprobs", "legacy", "wrong", "burst")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, default=30.0)
    arguments.add_argument("--model", default="aris-nano")
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--max-tokens", type=int, default=24)
    arguments.add_argument("--growth", type=float, default=0.02, help="share of memory that may be gained")
    given = arguments.parse_args()
    process, url = start(given.model)
    try:
        ok = soak(process.pid, url, given)
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


def soak(pid: int, url: str, given: argparse.Namespace) -> bool:
    seconds = given.minutes * 60
    until = time.monotonic() + seconds
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def work(number: int) -> None:
        chosen = random.Random(number)
        with httpx2.Client(base_url=url, timeout=300) as http:
            while time.monotonic() < until:
                kind = chosen.choice(KINDS)
                outcome = ask(http, kind, chosen, given.max_tokens)
                with lock:
                    counts[kind] += 1
                    counts[f"status {outcome}"] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(given.clients)]
    for thread in threads:
        thread.start()
    began = time.monotonic()
    samples: list[tuple[float, float]] = []
    print("minute   resident MiB   requests")
    while any(thread.is_alive() for thread in threads):
        at = time.monotonic() - began
        samples.append((at, resident_mib(pid)))
        if len(samples) % 6 == 1 or seconds < 300:
            print(f"{at / 60:6.1f}   {samples[-1][1]:12.1f}   {sum(counts[kind] for kind in KINDS):8d}", flush=True)
        time.sleep(max(0.2, min(10.0, seconds / 60)))
    return verdict(url, samples, counts, seconds, given.growth)


def verdict(
    url: str, samples: list[tuple[float, float]], counts: Counter[str], seconds: float, growth: float
) -> bool:
    """Print what was seen; whether it is good."""
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    left = drained(url)
    warm = [mib for at, mib in samples if seconds * 0.2 <= at <= seconds * 0.4] or [samples[0][1]]
    last = [mib for at, mib in samples if at >= seconds * 0.8] or [samples[-1][1]]
    first, end = float(np.median(warm)), float(np.median(last))
    gained = end / first - 1
    print(f"median resident memory {first:.1f} MiB after the warm-up, {end:.1f} MiB in the last fifth: {gained:+.2%}")
    print(f"left behind: {left}")
    failed = sum(count for name, count in counts.items() if name.startswith("status 5"))
    return not any(left.values()) and not failed and gained <= growth


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
        text = httpx2.get(f"{url}/metrics").text
        found = {
            name: float(value)
            for name, value in re.findall(r"^aris_engine_(running|waiting) (\S+)$", text, flags=re.MULTILINE)
        }
        if not any(found.values()):
            break
        time.sleep(0.1)
    return found


def resident_mib(pid: int) -> float:
    """Resident memory of a process without its file pages (mapped weights come and go with the page cache)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
