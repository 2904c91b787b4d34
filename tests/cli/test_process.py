"""`aris` as a process, on a tiny checkpoint: signals, pipes, full disks, pure stdout, light imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

import tiny_checkpoint

ENDLESS = ("--max-tokens", "50000")


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that writes for minutes: greedy, it falls into a loop."""
    return tiny_checkpoint.save(tmp_path_factory.mktemp("endless") / "model", max_position_embeddings=60_000)


def start(*args: object, stdout: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ARIS_")} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "aris.cli", *map(str, args)]
    return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE, env=environment)


def run(*args: object) -> tuple[int, str, str]:
    process = start(*args)
    out, err = process.communicate(timeout=120)
    return process.returncode, out.decode(), err.decode()


def worked_s(process: subprocess.Popen[bytes]) -> float:
    """Seconds of a processor that a process has had: on a busy machine, how far it is."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_until(stream: IO[bytes], wanted: int) -> bytes:
    got = b""
    while len(got) < wanted:
        piece = os.read(stream.fileno(), 4096)
        assert piece, "the stream ended early"
        got += piece
    return got


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_ctrl_c_in_mid_stream(endless: Path, film_png: Path) -> None:
    process = start("draft", film_png, "--model", endless, *ENDLESS)
    assert process.stdout is not None
    head = read_until(process.stdout, 400)  # the heading, and some of the text
    took = worked_s(process)
    assert head.decode().startswith("DRAFT — not signed")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert process.returncode == signal.SIGINT + 128
    assert out.endswith(b"\n")
    assert err.decode() == "stopped: the draft is not complete\n"

    # With --json nothing at all is on stdout, however far the text had come.
    process = start("draft", film_png, "--model", endless, "--json", *ENDLESS)
    until = time.monotonic() + 200
    while worked_s(process) < took + 1:
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (130, b"")
    assert err.decode() == "stopped: the draft is not complete\n"


def test_a_reader_that_goes_away_ends_the_command_quietly(endless: Path, film_png: Path) -> None:
    process = start("draft", film_png, "--model", endless, *ENDLESS)
    assert process.stdout is not None and process.stderr is not None
    read_until(process.stdout, 200)
    process.stdout.close()
    assert process.wait(timeout=100) == 1
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        process = start("--version", stdout=full)
        _, err = process.communicate(timeout=100)
    assert process.returncode == 1
    assert err.decode().startswith("error: output: No space left") and len(err.splitlines()) == 1


def test_a_real_checkpoint_from_file_to_json(tiny_model: Path, film_png: Path, tmp_path: Path) -> None:
    code, out, err = run("draft", film_png, "--model", tiny_model, "--json", "--max-tokens", "20")
    assert code == 0, err
    data = json.loads(out)
    assert data["model"] == str(tiny_model) and data["draft"] is True
    assert data["timings"]["first_token_s"] > 0
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    code, out, err = run("findings", film_png, bad, "--model", tiny_model, "--json", "--force")
    good, wrong = map(json.loads, out.splitlines())
    assert code == 1 and wrong["file"] == str(bad) and "error" in wrong
    assert good["forced"] is True and all(0 <= each["probability"] <= 1 for each in good["findings"])
    assert "Traceback" not in err


def test_misuse_is_2() -> None:
    assert run("draft")[0] == 2


@pytest.mark.parametrize("statement", ["import aris, aris.cli", "import aris; dir(aris); aris.__version__"])
def test_the_command_line_starts_light(statement: str) -> None:
    heavy = ("torch", "numpy", "pydantic", "PIL", "pydicom", "huggingface_hub", "rich.progress")
    code = f"import sys; {statement}; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "code"), [("--version", 0), ("--no-such-option", 2), ("models show nowhere/none", 1)]
)
def test_one_of_several_processes_ends_without_the_interpreter_s_shutdown(command: str, code: int) -> None:
    """Threads of gloo that still hold tensors would end it with SIGABRT; all is written before, the code is kept."""
    program = f"import atexit, os, sys; atexit.register(os.write, 1, b'shut down'); sys.argv[1:] = {command.split()!r};"
    program += "from aris.cli import main; main()"
    ends = []
    for world in ("1", "2"):
        environment = os.environ | {"WORLD_SIZE": world}
        ends.append(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, timeout=120))
    alone, of_two = ends
    assert alone.returncode == of_two.returncode == code
    assert of_two.stderr == alone.stderr
    assert alone.stdout == of_two.stdout + b"shut down"
