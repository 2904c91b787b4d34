"""FHIR files: a bundle or one resource as JSON, an NDJSON export, either of them in gzip, or a folder of such."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from aris.errors import RecordError
from aris.records.fhir.json_parts import Page, Part, as_utf8, parts_of

LIMIT = 1 << 30  # bytes of one file, unpacked
_SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")
_NDJSON = (".ndjson", ".jsonl")
_CHUNK = 1 << 22


def record_files(path: Path) -> list[Path]:
    """Return the files of a record: the path itself, or the JSON and NDJSON files of a folder, in order of their names.

    Raises:
        RecordError: there is nothing there.
    """
    if path.is_dir():
        try:
            found = sorted(p for p in path.rglob("*") if p.name.lower().endswith(_SUFFIXES) and p.is_file())
        except OSError as error:
            raise RecordError(f"{path}: the folder cannot be read ({error.strerror})") from None
        if not found:
            raise RecordError(f"{path}: there are no .json or .ndjson files (also .gz) in this folder")
        return found
    if not path.exists():
        raise RecordError(f"{path}: there is no such file or folder")
    return [path]


def read_file(path: Path, shown: str) -> Iterator[Part | Page | RecordError]:
    """Give the resources of one file.

    Args:
        path: the file.
        shown: how messages name it.

    Raises:
        RecordError: it cannot be read, is too large, or is no FHIR.
    """
    yield from parts_in(unpacked(path, shown), shown, ndjson=path.name.lower().removesuffix(".gz").endswith(_NDJSON))


def parts_in(data: bytes, shown: str, *, ndjson: bool = False) -> Iterator[Part | Page | RecordError]:
    """Give the resources of a file's bytes, unpacked.

    Args:
        ndjson: each line is a resource; otherwise that is looked for.

    Raises:
        RecordError: it is no FHIR.
    """
    data = as_utf8(data, shown)
    start = data[:4096].lstrip()
    if start.startswith(b"<"):
        raise RecordError(f"{shown}: this is XML; FHIR is read as JSON: convert it")
    if not start:
        raise RecordError(f"{shown}: it is empty")
    if ndjson or _is_ndjson(data):
        yield from _lines(data, shown)
        return
    if start.startswith(b"["):
        raise RecordError(f"{shown}: it is a list; give a Bundle, one resource, or NDJSON (a resource on each line)")
    yield from parts_of(data, shown)


def unpacked(file: Path | bytes, shown: str, limit: int = LIMIT) -> bytes:
    """Return a file's bytes, out of gzip.

    Args:
        file: its path, or its bytes as they lie.
        shown: how messages name it.

    Raises:
        RecordError: it cannot be read, or is larger than the limit.
    """
    try:
        with io.BytesIO(file) if isinstance(file, bytes) else file.open("rb") as opened:
            zipped = opened.read(2) == b"\x1f\x8b"
            opened.seek(0)
            if not zipped:
                size = len(file) if isinstance(file, bytes) else file.stat().st_size
                if size > limit:
                    raise RecordError(f"{shown}: it is larger than {limit >> 20} MiB; split it, or export NDJSON files")
                return opened.read()
            pieces, size = [], 0
            with gzip.open(opened) as plain:
                while piece := plain.read(_CHUNK):
                    size += len(piece)
                    if size > limit:
                        raise RecordError(f"{shown}: unpacked it is larger than {limit >> 20} MiB; split it")
                    pieces.append(piece)
            return b"".join(pieces)
    except EOFError:
        raise RecordError(f"{shown}: the gzip file is truncated") from None
    except (gzip.BadGzipFile, zlib.error):
        raise RecordError(f"{shown}: the gzip file is damaged") from None
    except OSError as error:
        raise RecordError(f"{shown}: it cannot be read ({error.strerror or type(error).__name__})") from None


def _is_ndjson(data: bytes) -> bool:
    """Return whether each line is a resource: one line ends an object and another follows."""
    end = data.find(b"\n")
    first, rest = data[:end].strip(), data[end + 1 : end + 4097].lstrip()
    return end > 0 and first.startswith(b"{") and first.endswith(b"}") and rest.startswith(b"{")


def _lines(data: bytes, shown: str) -> Iterator[Part | Page | RecordError]:
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].strip()
        start, number = end + 1, number + 1
        if line:
            try:
                yield from parts_of(line, f"{shown} line {number}")
            except RecordError as error:
                yield error
