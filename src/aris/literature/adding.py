"""Files into a library: each file's papers in batches, files that are known passed over, faults told and gone past."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from aris.errors import LiteratureError
from aris.literature.library import Library
from aris.literature.papers import Fault, Paper, clean_doi, clean_pmid
from aris.literature.readers import find_files, read_papers
from aris.regular import open_regular

_BATCH = 200
_SHOWN_FAULTS = 20
_COLUMNS = {
    "pmid": ("originalpaperpubmedid", "retractedpmid", "articlepmid", "pmid", "pubmedid"),
    "doi": ("originalpaperdoi", "retracteddoi", "articledoi", "doi"),
    "nature": ("retractionnature", "nature"),
}


@dataclass
class Added:
    """Outcome of a file.

    Attributes:
        added, updated, known: how many of its papers were new, were filled in, or were there already.
        faults: records that could not be used, the first of them in words.
        error: why the file could not be read to its end; what came before that is kept.
        unchanged: the same file was added before.
    """

    path: Path
    added: int = 0
    updated: int = 0
    known: int = 0
    faulty: int = 0
    faults: list[str] = field(default_factory=list)
    error: str | None = None
    unchanged: bool = False


def add_files(library: Library, paths: list[Path]) -> Iterator[Added]:
    """Add files, and those in folders; yields what became of each.

    A file that fails costs nothing that was added before, and the next ones are read all the same. Killed at any moment
    it loses at most the batch at hand, and goes on there when it is called again.
    """
    for path in find_files(paths):
        told = Added(path)
        try:
            digest = _digest(path)
            told.unchanged = library.has_file(digest)
            if not told.unchanged:
                _add(library, path, told)
        except LiteratureError as error:
            told.error = str(error)
        else:
            if not told.unchanged and not told.faulty:
                library.keep_file(digest, path.name)
        yield told


def _add(library: Library, path: Path, told: Added) -> None:
    batch: list[Paper] = []
    try:
        for each in read_papers(path):
            if isinstance(each, Fault):
                told.faulty += 1
                if len(told.faults) < _SHOWN_FAULTS:
                    told.faults.append(each.message)
                continue
            batch.append(each)
            if len(batch) >= _BATCH:
                _flush(library, path, batch, told)
    finally:
        # What was read before the file broke off is added too, but not in the way of Ctrl-C.
        if batch:
            _flush(library, path, batch, told)


def _flush(library: Library, path: Path, batch: list[Paper], told: Added) -> None:
    papers = batch.copy()
    batch.clear()
    for outcome, _ in library.add(papers, path.name):
        setattr(told, outcome, getattr(told, outcome) + 1)


def _digest(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise LiteratureError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise LiteratureError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not a path'})") from None


def read_retractions(path: Path) -> list[tuple[str, str, str]]:
    """Read a list of retractions: Retraction Watch's CSV, a CSV with a column `pmid` or `doi`, or one of them a line.

    Returns:
        (pmid or doi, its value, nature) rows as `Library.list_retractions` takes them.

    Raises:
        LiteratureError: it cannot be read, or holds no PMID and no DOI.
    """
    try:
        with open_regular(path) as file:
            data = file.read((256 << 20) + 1)
    except FileNotFoundError:
        raise LiteratureError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise LiteratureError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not a path'})") from None
    if len(data) > 256 << 20:
        raise LiteratureError(f"{path}: larger than 256 MiB; split it")
    text = data.decode("utf-8-sig", "replace")
    lines = text.splitlines()
    head = lines[0] if lines and not re.search(r"\d", lines[0]) else ""
    mark = max(",;\t", key=head.count)
    try:
        names = [re.sub(r"[^a-z]", "", each.lower()) for each in next(csv.reader([head], delimiter=mark), [])]
        table = list(csv.reader(io.StringIO(text[len(head) :].lstrip("\r\n")), delimiter=mark)) if head else []
    except csv.Error:
        raise LiteratureError(f"{path}: not a CSV file that can be read") from None
    columns = {kind: next((names.index(name) for name in options if name in names), None)
               for kind, options in _COLUMNS.items()}  # fmt: skip
    if len(names) > 1 and columns["pmid"] is None and columns["doi"] is None:
        columns["doi"] = _only_column(path, table, names)
    rows: list[tuple[str, str, str]] = []
    if columns["pmid"] is not None or columns["doi"] is not None:
        for row in table:
            if nature := _nature(_cell(row, columns["nature"])):
                rows.extend(_identifiers(_cell(row, columns["pmid"]), _cell(row, columns["doi"]), nature))
    else:
        for line in lines:
            rows.extend(_identifiers(line, line, "retracted"))
    if not rows:
        raise LiteratureError(f"{path}: no PMID and no DOI in it; give one a line, or a CSV with a column pmid or doi")
    return rows


def _only_column(path: Path, table: list[list[str]], names: list[str]) -> int | None:
    """Return the column that holds DOIs where no column has a name that is known; None if none does.

    Raises:
        LiteratureError: several do: one of them may hold the notices, which are not retracted.
    """
    seen = table[:200]
    holding = [
        column
        for column in range(len(names))
        if sum(clean_doi(_cell(row, column)) is not None for row in seen) > 0.3 * max(1, len(seen))
    ]
    if len(holding) > 1:
        raise LiteratureError(
            f"{path}: columns {' and '.join(str(each + 1) for each in holding)} hold DOIs; name the one of the "
            "retracted papers doi"
        )
    return holding[0] if holding else None


def _cell(row: list[str], column: int | None) -> str:
    return row[column] if column is not None and column < len(row) else ""


def _nature(text: str) -> str:
    low = text.lower()
    if "reinstate" in low:
        return "reinstated"
    if "concern" in low:
        return "concern"
    return "" if "correction" in low else "retracted"


def _identifiers(pmid: str, doi: str, nature: str) -> Iterator[tuple[str, str, str]]:
    if (digits := clean_pmid(pmid)) is not None:
        yield "pmid", digits, nature
    if (found := clean_doi(doi)) is not None:
        yield "doi", found, nature
