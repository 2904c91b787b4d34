"""`aris serve` as a process: what it says, how it stops, and what it refuses to start with."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from serving import user, wait_for


def start(*args: object, **environment: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARIS_")}
    return subprocess.Popen(
        [sys.executable, "-m", "aris.cli", "serve", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept | {"OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


@contextmanager
def running(*args: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """A server process, its URL, and the lines that it said at its start."""
    process = start("--api-only", "--port", 0, *args, **environment)
    try:
        assert process.stderr is not None
        said: list[str] = []
        while not any("Ctrl-C" in line for line in said):
            line = process.stderr.readline()
            assert line, "".join(said)
            said.append(line)
        url = re.search(r"(http://\S+)/v1", said[0])
        assert url is not None, said
        yield process, url[1], said
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_what_it_says(endless_folder: Path) -> None:
    with running("--model", endless_folder) as (process, url, said):
        assert said[0].startswith("tiny is served at http://127.0.0.1:") and "key" in said[1]
        assert "clinician must check" in said[2]
        assert httpx2.get(f"{url}/healthz", timeout=60).json() == {"status": "ok"}
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=100)
        assert process.returncode == 0 and out == "" and "Traceback" not in err
        assert re.fullmatch(r"\S+ \S+ GET /healthz 200 [0-9.]+ s\n", err)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_answers_in_progress_end_first(endless_folder: Path, number: signal.Signals, code: int) -> None:
    with running("--model", endless_folder, "--drain-seconds", 60, "--max-output-tokens", 50_000) as (process, url, _):
        body = {"messages": user("x"), "max_tokens": 150, "temperature": 0, "stream": True}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            process.send_signal(number)
            rest = list(lines)
        assert "data: [DONE]" in rest and any('"finish_reason":"length"' in line for line in rest)
        _, err = process.communicate(timeout=100)
        assert process.returncode == code and "Traceback" not in err
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{url}/healthz", timeout=60)


def test_an_endless_answer_is_cut_when_the_time_is_up(endless_folder: Path) -> None:
    with running("--model", endless_folder, "--drain-seconds", 1, "--max-output-tokens", 50_000) as (process, url, _):
        body = {"messages": user("x"), "max_tokens": 50_000, "temperature": 0, "stream": True}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()
            next(lines)
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            with pytest.raises(httpx2.HTTPError):
                for _ in lines:
                    pass
        _, err = process.communicate(timeout=100)
        assert process.returncode == 0 and "Traceback" not in err, err
        assert time.monotonic() - began < 100  # 50,000 tokens take longer


def test_a_second_signal_does_not_wait(endless_folder: Path) -> None:
    with running("--model", endless_folder, "--drain-seconds", 600, "--max-output-tokens", 50_000) as (process, url, _):
        body = {"messages": user("x"), "max_tokens": 50_000, "temperature": 0, "stream": True}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=60) as response:
            lines = response.iter_lines()  # kept: a generator that goes hangs up
            next(lines)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=100)
        assert process.returncode == 130 and "Traceback" not in err, err


def test_an_address_of_others_needs_a_key(endless_folder: Path) -> None:
    process = start("--api-only", "--host", "0.0.0.0", "--model", endless_folder)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 1 and len(err.splitlines()) == 1 and "ARIS_API_KEY" in err
    with running("--host", "0.0.0.0", "--model", endless_folder, ARIS_API_KEY="some-key") as (_, url, said):
        assert "key" in said[1] and "some-key" not in "".join(said)
        url = url.replace("0.0.0.0", "127.0.0.1")
        assert httpx2.get(f"{url}/v1/models", timeout=60).status_code == 401
        good = httpx2.get(f"{url}/v1/models", timeout=60, headers={"Authorization": "Bearer some-key"})
        assert json.loads(good.text)["data"][0]["id"] == "tiny"


def test_a_port_in_use_is_one_line(endless_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start("--api-only", "--port", taken.getsockname()[1], "--model", endless_folder)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 1 and len(err.splitlines()) == 1 and "in use" in err


def test_misuse(endless_folder: Path) -> None:
    for args in (("--port", 70000), ("--max-images", 0)):
        process = start("--api-only", "--model", endless_folder, *args)
        _, err = process.communicate(timeout=200)
        assert process.returncode == 2 and "Traceback" not in err


def test_a_reader_that_leaves_is_logged_without_noise(endless_folder: Path) -> None:
    with running("--model", endless_folder, "--max-output-tokens", 50_000) as (process, url, _):
        body = {"messages": user("x"), "max_tokens": 50_000, "temperature": 0}
        with httpx2.stream("POST", f"{url}/v1/chat/completions", json=body | {"stream": True}, timeout=60) as response:
            next(response.iter_lines())
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{url}/v1/chat/completions", json=body, timeout=0.7)
        wait_for(lambda: "aris_engine_running 0.0" in httpx2.get(f"{url}/metrics", timeout=60).text)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 0 and "Traceback" not in err and "Exception" not in err
