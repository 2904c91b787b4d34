"""Files that somebody named: which format each one is, opened within bounds."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from aris.errors import LiteratureError
from aris.literature.papers import Fault, Paper
from aris.regular import open_regular

FORMATS = ("pubmed", "medline", "jats", "pdf", "html", "markdown", "jsonl")
_ENDINGS = {
    ".pdf": "pdf", ".html": "html", ".htm": "html", ".xhtml": "html", ".md": "markdown", ".markdown": "markdown",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".nbib": "medline", ".medline": "medline", ".xml": "xml", ".nxml": "xml",
    ".txt": "text",
}  # fmt: skip
# A year's baseline file of PubMed has some 300 MB; nothing else comes near.
_MOST_BYTES = 2 << 30
_HEAD = 8192


def find_files(paths: list[Path]) -> Iterator[Path]:
    """The files of folders, below them too, in a stable order; those named by themselves as they are.

    Hidden files, and files of no known ending, are passed over in folders alone.
    """
    for path in paths:
        if path.is_dir():
            for folder, below, names in os.walk(path):
                below[:] = sorted(each for each in below if not each.startswith("."))
                for name in sorted(names):
                    if not name.startswith(".") and _ending(Path(name)) in _ENDINGS:
                        yield Path(folder) / name
        else:
            yield path


def read_papers(path: Path) -> Iterator[Paper | Fault]:
    """Read a file's papers, one after the other as they are met.

    Yields:
        each paper; a `Fault` for a record that cannot be used.

    Raises:
        LiteratureError: the file cannot be opened, is of no known format, or is damaged from here on.
    """
    try:
        with open_regular(path) as file:
            raw: Any = file
            if file.peek(2)[:2] == b"\x1f\x8b":
                raw = gzip.GzipFile(fileobj=file)
            bounded = io.BufferedReader(_Bounded(raw, _MOST_BYTES, path), _HEAD * 8)
            yield from _reader(_format(path, bounded.peek(_HEAD)[:_HEAD]), path)(bounded, path)
    except LiteratureError:
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise LiteratureError(f"{path}: the compressed file is cut short or damaged; fetch it again") from None
    except FileNotFoundError:
        raise LiteratureError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a path"
        raise LiteratureError(f"{path}: cannot be read ({why})") from None
    except (MemoryError, RecursionError):
        raise LiteratureError(f"{path}: too large or too deeply nested to be read") from None


class _Bounded(io.RawIOBase):
    """A file that is read up to a limit: a compressed one may be without end."""

    def __init__(self, file: IO[bytes], most: int, path: Path) -> None:
        self._file, self._left, self._path = file, most, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise LiteratureError(f"{self._path}: holds more than {_MOST_BYTES >> 30} GiB; split it")
        buffer[: len(data)] = data
        return len(data)


def _ending(path: Path) -> str:
    suffixes = [each.lower() for each in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _format(path: Path, head: bytes) -> str:
    """The format by what the file begins with, and by its ending where that leaves a choice."""
    known = _ENDINGS.get(_ending(path), "")
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if not head.strip():
        raise LiteratureError(f"{path}: the file is empty")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") and known not in ("xml", "html"):
        raise LiteratureError(f"{path}: text in UTF-16; save it as UTF-8")
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    # Of what stands before the first element, nothing says what the element is.
    bare = re.sub(rb"<!--.*?-->|<\?.*?\?>", b"", start, flags=re.DOTALL)
    element = re.search(
        rb"<([A-Za-z][\w.:-]*)", re.sub(rb"<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", b"", bare, flags=re.DOTALL)
    )
    doctype = re.search(rb"<!DOCTYPE\s+([\w.:-]+)", bare, re.IGNORECASE)
    name = (
        (element[1] if element else doctype[1] if doctype else b"")
        .decode("ascii", "replace")
        .rpartition(":")[2]
        .lower()
    )
    if start.startswith(b"<"):
        if name in ("pubmedarticleset", "pubmedarticle", "pubmedbookarticleset"):
            return "pubmed"
        if name in ("article", "pmc-articleset", "articles", "oai-pmh") and known != "html":
            return "jats"
        if name == "html" or known == "html" or (doctype and doctype[1].lower() == b"html"):
            return "html"
        if known == "xml":
            raise LiteratureError(f"{path}: XML, and neither PubMed's nor JATS; its first element is {name[:40]!r}")
    if known == "pdf":
        raise LiteratureError(f"{path}: not a PDF, whatever its name says")
    if known in ("markdown", "jsonl", "medline", "html"):
        return known
    if re.match(rb"PMID- ", start) or re.search(rb"^PMID- *\d+\s*$", head, re.MULTILINE):
        return "medline"
    if known == "text" and b"\0" not in head:
        return "markdown"
    raise LiteratureError(f"{path}: of no format that is read: {', '.join(FORMATS)}")


def _reader(kind: str, path: Path) -> Callable[[IO[bytes], Path], Iterator[Paper | Fault]]:
    # Each is loaded when it is first needed; lxml and pypdf are an extra.
    try:
        if kind == "pubmed":
            from aris.literature.readers.pubmed import read
        elif kind == "jats":
            from aris.literature.readers.jats import read
        elif kind == "medline":
            from aris.literature.readers.medline import read
        elif kind == "pdf":
            from aris.literature.readers.pdf import read
        elif kind == "html":
            from aris.literature.readers.html import read
        elif kind == "jsonl":
            from aris.literature.readers.jsonl import read
        else:
            from aris.literature.readers.markdown import read
    except ModuleNotFoundError as error:
        raise LiteratureError(
            f"{path}: reading this needs {error.name}; pip install 'aris-medgemma[literature]'"
        ) from None
    return read
