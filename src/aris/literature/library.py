"""The database of a library: papers, their passages, the words and vectors of those, and a list of retractions.

One SQLite file in a folder for its owner alone. Papers are added in transactions: what was added survives whatever
happens next, and adding the same again finds it there.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aris.errors import LiteratureError
from aris.literature.encoder import Encoder, Vectors, default_folder
from aris.literature.papers import Paper, Retraction
from aris.literature.passages import CHARACTERS, passage_spans, sentence_spans
from aris.literature.vector_file import FEWEST, read_vectors, write_vectors
from aris.private import FILE, FOLDER, make_file, make_folder

NAME = "library.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE papers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, digest TEXT NOT NULL, pmid TEXT UNIQUE, doi TEXT UNIQUE, title TEXT NOT NULL,
    authors TEXT NOT NULL, journal TEXT NOT NULL, year INTEGER, volume TEXT NOT NULL, issue TEXT NOT NULL,
    pages TEXT NOT NULL, url TEXT NOT NULL, licence TEXT NOT NULL, types TEXT NOT NULL, study_type TEXT NOT NULL,
    retraction TEXT NOT NULL, source TEXT NOT NULL, characters INTEGER NOT NULL);
CREATE INDEX papers_by_digest ON papers (digest);
CREATE TABLE passages (
    id INTEGER PRIMARY KEY AUTOINCREMENT, paper INTEGER NOT NULL REFERENCES papers (id) ON DELETE CASCADE,
    section INTEGER NOT NULL, heading TEXT NOT NULL, page INTEGER, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    text TEXT NOT NULL);
CREATE INDEX passages_by_paper ON passages (paper);
CREATE VIRTUAL TABLE words USING fts5 (title, text, content='', tokenize='porter unicode61 remove_diacritics 2');
CREATE TABLE vectors (passage INTEGER PRIMARY KEY REFERENCES passages (id) ON DELETE CASCADE, value BLOB NOT NULL);
CREATE TABLE files (digest TEXT PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE retractions (kind TEXT NOT NULL, value TEXT NOT NULL, nature TEXT NOT NULL, PRIMARY KEY (kind, value));
"""
_TAKEN_BACK = re.compile(
    r"\W*(?:retracted|withdrawn)\s*(?:article|paper|chapter)?\s*[:\]\-\u2013\u2014]", re.IGNORECASE
)
Outcome = Literal["added", "updated", "known"]


@dataclass(frozen=True)
class StoredPaper:
    """A paper as a library keeps it: as `Paper`, without its text.

    Attributes:
        id: its number in this library.
        study_type: one of `papers.STUDY_TYPES`, or "".
        retraction: by what its source says and by the list that was imported.
        source: the name of the file that it came from, without its folder.
    """

    id: int
    title: str
    authors: tuple[str, ...]
    journal: str
    year: int | None
    volume: str
    issue: str
    pages: str
    pmid: str | None
    doi: str | None
    url: str
    licence: str
    types: tuple[str, ...]
    study_type: str
    retraction: Retraction
    source: str


@dataclass(frozen=True)
class Passage:
    """A passage of a paper.

    Attributes:
        section: the place of its section in the paper, from 0; -1 for the title.
        heading: of that section.
        page: from 1, where the format has pages.
        start, end: its characters in the section's text, so that `text` is that text's [start:end].
    """

    id: int
    paper: int
    section: int
    heading: str
    page: int | None
    start: int
    end: int
    text: str


class Library:
    """A library of papers in a folder.

    Attributes:
        folder: where it is.
        without_vectors: why it is searched by words alone; "" where it is not.
    """

    def __init__(
        self, folder: str | Path, *, encoder: Encoder | str | Path | None = None, lexical: bool = False,
        passage_characters: int = CHARACTERS,
    ) -> None:  # fmt: skip
        """Open a library, or make one.

        Args:
            folder: made where there is none.
            encoder: of sentence vectors, or its folder; by default all-MiniLM-L6-v2 where it is installed.
            lexical: search by words alone.
            passage_characters: of a passage of papers that are added, at most.

        Raises:
            LiteratureError: it cannot be opened, or is another user's.
        """
        self.folder = Path(folder).expanduser()
        self._given = encoder
        self._encoder: Encoder | None = encoder if isinstance(encoder, Encoder) else None
        self._most = passage_characters
        self.without_vectors = "as asked" if lexical else ""
        if not lexical and encoder is None and default_folder() is None:
            self.without_vectors = "no encoder is installed"
        self._lock = threading.RLock()
        self._matrix: tuple[str, Vectors, Any, Any] | None = None
        self._frequencies: dict[str, int] = {}
        with _told(self.folder):
            _claim(self.folder)
            self._db = sqlite3.connect(self.folder / NAME, timeout=60, isolation_level=None, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
                self._db.execute(f"PRAGMA {pragma}")
            self._prepare()

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._db.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _prepare(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > _VERSION:
            raise LiteratureError(f"{self.folder}: this library was made by a newer version of Aris; update Aris")
        if version == 0:
            with self._transaction():
                if self._db.execute("PRAGMA user_version").fetchone()[0] == 0:  # none was quicker
                    for statement in _SCHEMA.split(";\n"):
                        if statement.strip():
                            self._db.execute(statement)
                    self._db.execute(f"PRAGMA user_version={_VERSION}")
        if not self._stamp():
            with self._transaction():
                self._change_vectors()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, _told(self.folder):
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def execute(self, statement: str, values: Iterable[Any] | Mapping[str, Any] = ()) -> list[sqlite3.Row]:
        """Run a query and return its rows.

        Raises:
            LiteratureError: the database is damaged or busy.
        """
        with self._lock, _told(self.folder):
            return self._db.execute(statement, tuple(values) if not isinstance(values, Mapping) else values).fetchall()

    def _stamp(self) -> str:
        """A word that every change of the vectors changes."""
        rows = self.execute("SELECT value FROM meta WHERE name = 'vectors'")
        return str(rows[0]["value"]) if rows else ""

    def _change_vectors(self) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('vectors', lower(hex(randomblob(12))))")

    # Papers

    def add(self, papers: Iterable[Paper], source: str = "") -> list[tuple[Outcome, int]]:
        """Add papers in one transaction.

        A paper is known by its PMID, its DOI or, where those do not tell it from another, its title and text. Of one
        that is known, what was missing is filled in, a retraction is taken over, and a fuller text replaces a shorter.

        Args:
            papers: to add.
            source: the name of their file.

        Returns:
            for each paper what became of it, and its number.
        """
        with self._transaction():
            return [self._add(_marked(each), source) for each in papers]

    def _add(self, paper: Paper, source: str) -> tuple[Outcome, int]:
        for pmid, doi in paper.retracts:
            for kind, value in (("pmid", pmid), ("doi", doi)):
                if value:
                    self._list_retraction(kind, value, "retracted")
        known = self._known(paper)
        if known is not None:
            return self._merge(known, paper, source), known["id"]
        values = _row(paper) | {"source": source}
        names = ", ".join(values)
        marks = ", ".join(f":{name}" for name in values)
        number = self._db.execute(f"INSERT INTO papers ({names}) VALUES ({marks})", values).lastrowid
        assert number is not None
        self._add_passages(number, paper)
        return "added", number

    def _known(self, paper: Paper) -> sqlite3.Row | None:
        for kind, value in (("pmid", paper.pmid), ("doi", paper.doi)):
            if value:
                row: sqlite3.Row | None = self._db.execute(
                    f"SELECT * FROM papers WHERE {kind} = ?", (value,)
                ).fetchone()
                if row is not None:
                    return row
        for row in self._db.execute("SELECT * FROM papers WHERE digest = ?", (paper.digest,)):
            pairs = ((row["pmid"], paper.pmid), (row["doi"], paper.doi))
            if not any(mine and theirs and mine != theirs for mine, theirs in pairs):
                return row
        return None

    def _merge(self, row: sqlite3.Row, paper: Paper, source: str) -> Outcome:
        values = _row(paper)
        changed: dict[str, Any] = {}
        for name in ("pmid", "doi", "journal", "year", "volume", "issue", "pages", "url", "licence", "title"):
            if not row[name] and values[name]:
                changed[name] = values[name]
        for name in ("pmid", "doi"):
            if (
                name in changed
                and self._db.execute(f"SELECT 1 FROM papers WHERE {name} = ?", (changed[name],)).fetchone()
            ):
                del changed[name]  # another paper's; which of the two is right cannot be told here
        if not json.loads(row["authors"]) and paper.authors:
            changed["authors"] = values["authors"]
        types = list(dict.fromkeys([*json.loads(row["types"]), *paper.types]))
        if json.dumps(types) != row["types"]:
            changed["types"] = json.dumps(types)
            changed["study_type"] = Paper("", types=tuple(types)).study_type or row["study_type"]
        if paper.retraction != row["retraction"] and paper.retraction in ("retracted", "concern"):
            changed["retraction"] = paper.retraction
        if paper.characters > 1.2 * row["characters"]:
            self._remove_passages(row["id"])
            changed |= {"digest": values["digest"], "characters": values["characters"], "source": source}
            changed["study_type"] = changed.get("study_type") or row["study_type"] or values["study_type"]
        if "title" in changed and "digest" not in changed:
            self._name_passages(row["id"], row["title"], changed["title"])
        if changed:
            sets = ", ".join(f"{name} = :{name}" for name in changed)
            self._db.execute(f"UPDATE papers SET {sets} WHERE id = :id", changed | {"id": row["id"]})
        if "digest" in changed:
            self._add_passages(row["id"], paper, changed.get("title", row["title"]))
        return "updated" if changed else "known"

    def _add_passages(self, number: int, paper: Paper, title: str | None = None) -> None:
        title = paper.title if title is None else title
        parts = [
            (index, each.name, each.page, start, end, each.text[start:end])
            for index, each in enumerate(paper.sections)
            for start, end in passage_spans(each.text, self._most)
        ] or [(-1, "Title", None, 0, len(title), title)]
        for part in parts:
            row = self._db.execute(
                'INSERT INTO passages (paper, section, heading, page, start, "end", text) VALUES (?, ?, ?, ?, ?, ?, ?)',
                (number, *part),
            )
            self._db.execute("INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)", (row.lastrowid, title, part[5]))

    def _name_passages(self, paper: int, before: str, title: str) -> None:
        """Index a paper's passages again under a title that it lacked: FTS5 must be told later what it was given."""
        for row in self._db.execute("SELECT id, text FROM passages WHERE paper = ?", (paper,)).fetchall():
            self._db.execute(
                "INSERT INTO words (words, rowid, title, text) VALUES ('delete', ?, ?, ?)",
                (row["id"], before, row["text"]),
            )
            self._db.execute("INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)", (row["id"], title, row["text"]))

    def _remove_passages(self, paper: int) -> None:
        title = self._db.execute("SELECT title FROM papers WHERE id = ?", (paper,)).fetchone()["title"]
        for row in self._db.execute("SELECT id, text FROM passages WHERE paper = ?", (paper,)).fetchall():
            # FTS5 without content of its own is told what it had been given.
            self._db.execute(
                "INSERT INTO words (words, rowid, title, text) VALUES ('delete', ?, ?, ?)",
                (row["id"], title, row["text"]),
            )
        self._db.execute("DELETE FROM passages WHERE paper = ?", (paper,))
        self._change_vectors()

    def remove(self, numbers: Iterable[int]) -> int:
        """Remove papers, and forget the files that they came from, so that adding one again adds its papers.

        Returns:
            how many there were.
        """
        removed = 0
        with self._transaction():
            for number in numbers:
                row = self._db.execute("SELECT source FROM papers WHERE id = ?", (number,)).fetchone()
                if row is not None:
                    self._remove_passages(number)
                    self._db.execute("DELETE FROM papers WHERE id = ?", (number,))
                    self._db.execute("DELETE FROM files WHERE name = ?", (row["source"],))
                    removed += 1
        return removed

    def papers(self) -> Iterator[StoredPaper]:
        """Every paper, in the order in which they were added."""
        for row in self.execute("SELECT id FROM papers ORDER BY id"):
            yield self.paper(row["id"])

    def paper(self, number: int) -> StoredPaper:
        """A paper by its number.

        Raises:
            LiteratureError: there is none.
        """
        rows = self.execute("SELECT * FROM papers WHERE id = ?", (number,))
        if not rows:
            raise LiteratureError(f"no paper has the number {number} in this library")
        row = rows[0]
        values = {name: row[name] for name in StoredPaper.__dataclass_fields__}
        return StoredPaper(
            **values
            | {"authors": tuple(json.loads(row["authors"])), "types": tuple(json.loads(row["types"]))}
            | {"retraction": self._retraction(row)}
        )

    def find(self, name: str) -> list[int]:
        """The numbers of papers by their number, PMID or DOI; "PMID:1" is no paper's number."""
        from aris.literature.papers import clean_doi, clean_pmid

        name = name.strip()
        if doi := clean_doi(name):
            return [row["id"] for row in self.execute("SELECT id FROM papers WHERE doi = ?", (doi,))]
        pmid = clean_pmid(name)
        if name.isascii() and name.isdigit() and len(name) < 18:
            rows = self.execute("SELECT id FROM papers WHERE id = ?", (int(name),))
            if rows:
                return [rows[0]["id"]]
        return [row["id"] for row in self.execute("SELECT id FROM papers WHERE pmid = ?", (pmid,))] if pmid else []

    def passage(self, number: int) -> Passage:
        """A passage by its number.

        Raises:
            LiteratureError: there is none.
        """
        rows = self.execute("SELECT * FROM passages WHERE id = ?", (number,))
        if not rows:
            raise LiteratureError(f"no passage has the number {number} in this library")
        return Passage(**{name: rows[0][name] for name in Passage.__dataclass_fields__})

    def passages(self, paper: int) -> list[Passage]:
        """A paper's passages in its order."""
        rows = self.execute("SELECT * FROM passages WHERE paper = ? ORDER BY id", (paper,))
        return [Passage(**{name: row[name] for name in Passage.__dataclass_fields__}) for row in rows]

    def begins_inside(self, passage: Passage) -> bool:
        """Return whether a passage begins inside a sentence, which was too long for the passage before it."""
        if passage.start == 0:
            return False
        rows = self.execute(
            'SELECT "end", text FROM passages WHERE paper = ? AND section = ? AND "end" <= ? '
            'ORDER BY "end" DESC LIMIT 1',
            (passage.paper, passage.section, passage.start),
        )
        if not rows or passage.start - rows[0]["end"] > 1:
            return False
        before = rows[0]["text"]
        start = len(before) + passage.start - rows[0]["end"]
        spans = sentence_spans(f"{before}{' ' * (start - len(before))}{passage.text[:80]}")
        return any(first < len(before) and last > start for first, last in spans)

    def counts(self) -> dict[str, int]:
        """Count papers, passages vectors and retracted papers."""
        found = {name: self.execute(f"SELECT count(*) FROM {name}")[0][0] for name in ("papers", "passages", "vectors")}
        listed = "EXISTS (SELECT 1 FROM retractions WHERE nature = 'retracted' AND kind = '{0}' AND value = papers.{0})"
        found["retracted"] = self.execute(
            "SELECT count(*) FROM papers WHERE retraction = 'retracted' OR "
            f"{listed.format('pmid')} OR {listed.format('doi')}"
        )[0][0]
        return found

    # Files that were read to their end

    def has_file(self, digest: str) -> bool:
        """Tell whether a file of this SHA-256 was added to its end."""
        return bool(self.execute("SELECT 1 FROM files WHERE digest = ?", (digest,)))

    def keep_file(self, digest: str, name: str) -> None:
        """Remember that a file was added to its end."""
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO files (digest, name) VALUES (?, ?)", (digest, name))

    # Retractions

    def list_retractions(self, rows: Iterable[tuple[str, str, str]]) -> int:
        """Take over a list of (kind: pmid or doi, its value, nature: retracted, concern or reinstated).

        Returns:
            how many papers of the library are on it as retracted.
        """
        with self._transaction():
            for kind, value, nature in rows:
                self._list_retraction(kind, value, nature)
            self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('retraction list', '1')")
        return self.counts()["retracted"]

    def _list_retraction(self, kind: str, value: str, nature: str) -> None:
        if nature == "reinstated":
            self._db.execute("DELETE FROM retractions WHERE kind = ? AND value = ?", (kind, value))
        else:
            self._db.execute(
                "INSERT INTO retractions (kind, value, nature) VALUES (?, ?, ?) ON CONFLICT (kind, value) DO UPDATE "
                "SET nature = excluded.nature WHERE nature != 'retracted'",
                (kind, value, nature),
            )

    def _retraction(self, row: sqlite3.Row) -> Retraction:
        listed = {
            each["nature"]
            for each in self.execute(
                "SELECT nature FROM retractions WHERE (kind = 'pmid' AND value = ?) OR (kind = 'doi' AND value = ?)",
                (row["pmid"], row["doi"]),
            )
        } | {row["retraction"]}
        if "retracted" in listed:
            return "retracted"
        if "concern" in listed:
            return "concern"
        identified = row["pmid"] or row["doi"]
        has_list = bool(self.execute("SELECT 1 FROM meta WHERE name = 'retraction list'"))
        return "not listed" if has_list and identified else "unknown"

    # Vectors

    @property
    def encoder(self) -> Encoder | None:
        """The encoder of texts, loaded when it is first needed; None where the library is lexical.

        Raises:
            CheckpointError: its folder cannot be read.
        """
        if self.without_vectors:
            return None
        if self._encoder is None:
            folder = self._given if self._given is not None else default_folder()
            if folder is None or isinstance(folder, Encoder):
                return None
            self._encoder = Encoder(folder)
        return self._encoder

    def missing_vectors(self) -> int:
        """Count the passages without a vector of the present encoder. Vectors of another encoder are removed."""
        encoder = self.encoder
        if encoder is None:
            return 0
        with self._transaction():
            row = self._db.execute("SELECT value FROM meta WHERE name = 'encoder'").fetchone()
            if row is None or row["value"] != encoder.name:
                self._db.execute("DELETE FROM vectors")
                self._change_vectors()
                self._db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES ('encoder', ?)", (encoder.name,))
        return self.execute("SELECT count(*) FROM passages")[0][0] - self.execute("SELECT count(*) FROM vectors")[0][0]

    def add_vectors(self, batch: int = 64) -> Iterator[int]:
        """Make the vectors that are missing, a batch a transaction; yields how many each batch made."""
        encoder = self.encoder
        if encoder is None or not self.missing_vectors():
            return
        while rows := self.execute(
            "SELECT p.id, r.title, p.text FROM passages p JOIN papers r ON r.id = p.paper "
            "WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.passage = p.id) ORDER BY p.id LIMIT ?",
            (batch,),
        ):
            made = encoder.encode([_with_title(row["title"], row["text"]) for row in rows]).astype("<f2")
            self.keep_vectors([(row["id"], vector.tobytes()) for row, vector in zip(rows, made, strict=True)])
            yield len(rows)

    def keep_vectors(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Keep (passage, its vector in float16) rows; of a passage that was removed meanwhile none is kept."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO vectors (passage, value) SELECT id, ?2 FROM passages WHERE id = ?1", rows
            )
            self._change_vectors()

    def vectors(self) -> tuple[Vectors, Any, Any]:
        """All vectors (N, width), their passages' numbers (N,) and those of their papers (N,); kept in memory."""
        with self._lock:
            encoder = self.encoder
            stamp = f"{self._stamp()} {encoder.name if encoder is not None else ''}"
            if self._matrix is None or self._matrix[0] != stamp:
                self._matrix = (stamp, *(read_vectors(self.folder, stamp) or self._read_vectors(stamp)))
            return self._matrix[1:]

    def _read_vectors(self, stamp: str) -> tuple[Vectors, Any, Any]:
        """The vectors as the database has them, written to the file that others read."""
        rows = self.execute(
            "SELECT v.passage, v.value, p.paper FROM vectors v JOIN passages p ON p.id = v.passage ORDER BY v.passage"
        )
        width = self.encoder.width if self.encoder is not None else 0
        kept = [row for row in rows if len(row["value"]) == 2 * width]
        halves = np.frombuffer(b"".join(row["value"] for row in kept), dtype="<f2").reshape(len(kept), width or 1)
        numbers = np.array([row["passage"] for row in kept], np.int64)
        papers = np.array([row["paper"] for row in kept], np.int64)
        # Not while vectors are being made: the file would be written anew for each batch.
        whole = len(kept) == int(self.execute("SELECT count(*) AS n FROM passages")[0]["n"])
        if whole and len(kept) >= FEWEST and stamp.startswith(self._stamp()):
            write_vectors(self.folder, stamp, halves, numbers, papers)
        return halves.astype(np.float32), numbers, papers

    def size(self) -> int:
        """The number of passages, or a little more: of those that were ever added."""
        return int(self.execute("SELECT coalesce(max(id), 0) AS n FROM passages")[0]["n"])

    def frequency(self, word: str, most: int) -> int:
        """Count the passages that hold a word, up to `most`; kept for the life of this object, as it only guides."""
        found = self._frequencies.get(word)
        if found is None:
            (row,) = self.execute(
                "SELECT count(*) AS n FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
                (f'"{word}"', most),
            )
            found = int(row["n"])
            if len(self._frequencies) < 50_000:
                self._frequencies[word] = found
        return found


def _with_title(title: str, text: str) -> str:
    return text if not title or text.startswith(title) else f"{title} {text}"


def _marked(paper: Paper) -> Paper:
    """A paper whose title says that it was taken back, as publishers' pages do, is retracted whatever its format."""
    return replace(paper, retraction="retracted") if _TAKEN_BACK.match(paper.title) else paper


def _row(paper: Paper) -> dict[str, Any]:
    def safe(text: str | None) -> str | None:
        # SQLite keeps no lone surrogates, which JSON can write.
        return text if text is None else text.encode("utf-8", "replace").decode("utf-8")

    return {
        "digest": paper.digest,
        "pmid": safe(paper.pmid),
        "doi": safe(paper.doi),
        "title": safe(paper.title),
        "authors": json.dumps(paper.authors),
        "journal": safe(paper.journal),
        "year": paper.year,
        "volume": safe(paper.volume),
        "issue": safe(paper.issue),
        "pages": safe(paper.pages),
        "url": safe(paper.url),
        "licence": safe(paper.licence),
        "types": json.dumps(paper.types),
        "study_type": paper.study_type,
        "retraction": paper.retraction,
        "characters": paper.characters,
    }


def _claim(folder: Path) -> None:
    """Make the folder and its database for their owner alone, or take from others what they may do with them."""
    if folder.exists() and not folder.is_dir():
        raise LiteratureError(f"{folder}: not a folder; give the library a folder of its own")
    make_folder(folder)
    status = folder.stat()
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise LiteratureError(f"{folder}: belongs to another user; choose another folder for the library")
    path = folder / NAME
    if path.is_symlink():
        raise LiteratureError(f"{path}: a link; give the library a folder of its own")
    if not path.exists() and any(folder.iterdir()) and stat.S_IMODE(status.st_mode) & 0o077:
        raise LiteratureError(
            f"{folder}: holds other things, which others may read; give the library a folder of its own"
        )
    make_file(path)
    if os.name == "posix":
        for each, mode in ((folder, FOLDER), (path, FILE)):
            if stat.S_IMODE(each.stat().st_mode) & 0o077:
                each.chmod(mode)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turn what goes wrong with the database into one line."""
    try:
        yield
    except sqlite3.OperationalError as error:
        low = str(error).lower()
        if "locked" in low or "busy" in low:
            raise LiteratureError(f"{folder}: another process is writing to the library; try again") from None
        if "full" in low:
            raise LiteratureError(f"{folder}: the disk is full; what was added before is kept") from None
        if "no such module" in low:
            raise LiteratureError("this Python's SQLite has no FTS5, which the library needs") from None
        raise LiteratureError(f"{folder}: the library cannot be read or written ({type(error).__name__})") from None
    except sqlite3.DatabaseError as error:
        raise LiteratureError(
            f"{folder}: the library's database is damaged ({type(error).__name__}); remove {NAME} and add the papers "
            "anew"
        ) from None
    except OSError as error:
        raise LiteratureError(f"{folder}: cannot be opened ({error.strerror or type(error).__name__})") from None
