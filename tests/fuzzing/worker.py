"""Reads mutated files, one at a time, and says how each went: `python worker.py SEED`; numbers in, JSON lines out.

A process of its own, so that whoever started it sees it crash or hang. Every open for writing, every byte on stdout or
stderr and the peak of memory are watched: readers write nothing, print nothing and take no more than they should.
"""

from __future__ import annotations

import gc
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import corpus
import mutations

from aris.errors import ArisError, ImageError
from aris.exchange.deidentify.images import Deidentifier, Options
from aris.imaging import (
    find_studies,
    open_slide,
    read_film,
    read_header,
    read_nifti,
    read_stills,
    read_volumes,
    volume_images,
)
from aris.tasks import Case, read_cases
from aris.tasks.scope import Kind

MAX_RISE = 2 << 30  # bytes of memory over what was taken before
_ADDRESS_SPACE = 5 << 30  # more than what is mapped now; beyond it allocation fails
_CLEANER = Deidentifier(bytes(range(32)), Options(pixels="reviewed"))
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod",
            "os.chown", "os.utime", "shutil.rmtree", "shutil.move", "shutil.copyfile", "tempfile.mkstemp",
            "tempfile.mkdtemp", "os.system", "os.exec", "socket.connect"}  # fmt: skip


class _Watch:
    """What was written while it is on."""

    def __init__(self) -> None:
        self.on, self.seen = False, list[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open":
            path, mode, flags = arguments
            writes = any(c in mode for c in "wax+") if isinstance(mode, str) else bool((flags or 0) & _WRITES)
            if writes and not isinstance(path, int) and os.fspath(path) not in (os.devnull, b"/dev/null"):
                self.seen.append(f"open {path!r}")
        elif event in _CHANGES:
            self.seen.append(f"{event} {arguments[:2]!r}")


def main() -> None:
    seed = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    noise = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the process
    for descriptor in (1, 2):
        os.dup2(noise.fileno(), descriptor)
    mutations.mutated(0, seed)  # the corpus, before anything is watched
    gc.collect()  # and the folders that it was made in
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + _ADDRESS_SPACE,) * 2)
    watch = _Watch()
    answers.write(json.dumps({"ready": True}) + "\n")
    for line in sys.stdin:
        number = int(line)
        with tempfile.TemporaryDirectory(prefix="aris-fuzz-") as folder:
            answer = _one(mutations.mutated(number, seed), Path(folder), watch, noise)
        answers.write(json.dumps({"number": number, **answer}) + "\n")


def _one(given: mutations.Input, folder: Path, watch: _Watch, noise: Any) -> dict[str, Any]:
    path = placed(given, folder)
    before = _listing(folder)
    base = _fresh_peak()
    wall, longest = time.monotonic(), 0.0
    read, wrong = 0, list[str]()
    watch.seen.clear()
    watch.on = True
    for name, call in calls(given, path):
        start, before_call = noise.seek(0, io.SEEK_END), _cpu()
        try:
            call()
            read += 1
        except ArisError as error:
            said = str(error)
            if len(said.splitlines()) != 1 or not said.isprintable():
                wrong.append(f"lines: {name} says {ascii(said)[:200]}")
            if corpus.PATIENT in said:
                wrong.append(f"patient: {name} says {ascii(said)[:200]}")
        except BaseException as error:
            place = traceback.extract_tb(error.__traceback__)[-3:]
            where = " < ".join(f"{Path(one.filename).name}:{one.lineno}" for one in reversed(place))
            wrong.append(f"traceback: {name}: {type(error).__name__}: {ascii(str(error))[:150]} at {where}")
        longest = max(longest, _cpu() - before_call)
        if noise.seek(0, io.SEEK_END) > start:
            noise.seek(start)
            wrong.append(f"noise: {name}: {noise.read(200).decode(errors='replace')!a}")
    watch.on = False
    peak = _peak() - base
    wrong += [f"write: {what[:200]}" for what in dict.fromkeys(watch.seen)]
    if _listing(folder) != before:
        wrong.append("write: the folder was changed")
    if peak > MAX_RISE:
        wrong.append(f"memory: {peak / 1e9:.1f} GB for {len(given.data):,} bytes")
    outcome = "read" if read else "refused"
    return {"file": given.name, "how": given.how, "outcome": outcome, "wrong": wrong, "peak": peak,
            "cpu": round(longest, 3), "wall": round(time.monotonic() - wall, 3)}  # fmt: skip


def placed(given: mutations.Input, folder: Path) -> Path:
    """The input as a user would have it: a file of its name, or a folder."""
    path = folder / "in" / given.name.rpartition("/")[2]
    path.parent.mkdir()
    if given.kind == "folder":
        try:
            with zipfile.ZipFile(io.BytesIO(given.data)) as archive:
                for info in archive.infolist():
                    target = path / info.filename
                    assert target.resolve().is_relative_to(path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(archive.read(info))
            return path
        except Exception:  # no archive any more: given as the file that it is
            shutil.rmtree(path, ignore_errors=True)
    path.write_bytes(given.data)
    return path


def calls(given: mutations.Input, path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """What is done with a file, by name."""
    if given.kind == "nifti":
        yield "read_nifti", lambda: volume_images(read_nifti(path, "CT"))
        yield "read_nifti MR", lambda: volume_images(read_nifti(path, "MR"))
        return
    yield "find_studies", lambda: find_studies(path)
    yield "read_cases", lambda: cases(path)
    if given.kind == "picture":
        yield "read_film", lambda: read_film(path)
        yield "read_stills", lambda: read_stills(path)
        yield "pathology", lambda: cases(path, "pathology")
    if given.kind == "dicom":
        for reader in (read_film, read_stills, read_header):
            yield reader.__name__, lambda reader=reader: reader(path)
        yield "read_volumes", lambda: [volume_images(each) for each in read_volumes(find_studies(path).series[0])]
        yield "open_slide", lambda: open_slide(path).region(0, 0, 64, 64)
        yield "deidentify", lambda: _CLEANER.clean(given.data, "object")
    if given.kind in ("zip", "folder"):
        yield "read_volumes", lambda: [read_volumes(one) for one in find_studies(path).series if one.kind == "volume"]
    if given.kind == "folder" and path.is_dir():
        yield "DICOMDIR", lambda: cases(path / "DICOMDIR")


def cases(path: Path, kind: Kind | None = None) -> None:
    """Every examination of a path; raises the first reason where there is none."""
    found = list(read_cases(path, kind))
    reasons = [each.reason for each in found if not isinstance(each, Case)]
    several = [reason for reason in reasons if len(reason.splitlines()) != 1 or corpus.PATIENT in reason]
    if several or len(reasons) == len(found):
        raise ImageError((several or reasons or ["nothing in it"])[0])


def _listing(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(one): (one.lstat().st_size, one.lstat().st_mtime_ns) for one in folder.rglob("*")}


def _fresh_peak() -> int:
    Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Peak of resident memory since `_fresh_peak`, bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def _cpu() -> float:
    mine, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
