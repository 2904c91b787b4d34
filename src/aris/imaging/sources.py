"""Sources of bytes: files of a folder, members of a zip archive, with limits. Nothing is ever written."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Protocol, TypeVar, cast

from aris.errors import ImageError, is_full_disk
from aris.imaging import sniff
from aris.imaging.dicom.parsing import parse
from aris.imaging.dicom.quiet import quiet_pydicom
from aris.regular import open_regular

MAX_FILE_BYTES = 1 << 30
MAX_FILES = 100_000
MAX_ARCHIVE_BYTES = 16 << 30  # unpacked
# Deflate reaches 1,032; images of air alone reach some hundreds, whole archives of images do not.
MAX_ARCHIVE_RATIO = 200
_RATIO_FREE_BYTES = 64 << 20
_PIECE = 1 << 20
_NOT_IMAGES = {".ds_store", "thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class FileSource:
    """A file, or a member of a zip archive.

    Attributes:
        path: of the file or the archive.
        member: its name in the archive; None for a file.
    """

    path: Path
    member: str | None = None

    @property
    def given_name(self) -> str:
        """The path, of a member as "archive:member"."""
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"

    @property
    def name(self) -> str:
        """For messages: printable, on one line."""
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in self.given_name)

    def raw(self) -> io.RawIOBase:
        """Open it without a buffer: every reader of a file comes by here.

        Raises:
            OSError, ValueError: it cannot be opened, or is not a regular file.
            ImageError: as `read`, of a member.
        """
        if self.member is not None:
            return cast(io.RawIOBase, io.BytesIO(self.read()))
        return open_regular(self.path).detach()

    def open(self) -> io.BufferedReader:
        """Open it to be read; errors as of `raw`."""
        return io.BufferedReader(self.raw())

    def size(self) -> int:
        """Count its bytes.

        Raises:
            OSError: it is gone.
            ImageError: as `read`, of a member.
        """
        return self.path.stat().st_size if self.member is None else len(self.read())

    def read(self) -> bytes:
        """All bytes.

        Raises:
            ImageError: it is gone, too large, encrypted or damaged.
        """
        try:
            if self.member is None:
                if self.size() > MAX_FILE_BYTES:
                    raise ImageError(f"{self.name}: larger than 1 GB; split it")
                with self.open() as file:
                    return file.read()
            with _opened(FileSource(self.path)) as archive:
                return read_member(archive, archive.getinfo(self.member), self.name)
        except ImageError:
            raise
        except PermissionError:
            raise ImageError(f"{self.name}: no permission to read it") from None
        except Exception:  # gone, or zipfile's many kinds
            raise ImageError(f"{self.name}: cannot be read; copy it again") from None

    def dataset(self) -> Any:
        """The DICOM data set in it, with its pixels.

        Raises:
            ImageError: as `read`, or damaged.
        """
        with quiet_pydicom():
            return parse(self.read(), self.name)


class HeldFile(FileSource):
    """A file that is opened once and parsed once, however many readers look at it. Close it, or use it in `with`.

    Args:
        what: the file. Nothing but a regular file is opened; of others `head` is empty and `read` says why.
        given: the path as the caller gave it, for results.

    Attributes:
        given: as above.
    """

    given: str
    _source: FileSource

    def __init__(self, what: Path | FileSource, given: str | None = None) -> None:
        source = what if isinstance(what, FileSource) else FileSource(what)
        super().__init__(source.path, source.member)
        object.__setattr__(self, "_source", source)
        object.__setattr__(self, "given", source.given_name if given is None else given)

    def __enter__(self) -> HeldFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    @cached_property
    def _file(self) -> BinaryIO | None:
        try:
            return self._source.open()
        except (OSError, ValueError):
            return None

    @cached_property
    def head(self) -> bytes:
        """The first 4,096 bytes, or all of a shorter file; none of what cannot be opened."""
        try:
            return b"" if self._file is None else self._file.read(4096)
        except OSError:
            return b""

    @cached_property
    def _data(self) -> bytes:
        head, file = self.head, self._file
        if file is None:
            return self._source.read()
        try:
            if self._source.size() > MAX_FILE_BYTES:
                raise ImageError(f"{self.name}: larger than 1 GB; split it")
            file.seek(len(head))
            return head + file.read()
        except (OSError, ValueError):
            raise ImageError(f"{self.name}: cannot be read; copy it again") from None

    @cached_property
    def _dataset(self) -> Any:
        return super().dataset()

    @cached_property
    def kind(self) -> sniff.Kind:
        """The kind of image that it really is."""
        return sniff.kind_of(self.read())

    def raw(self) -> io.RawIOBase:
        return self._source.raw()

    def size(self) -> int:
        return self._source.size()

    def read(self) -> bytes:
        return self._data

    def dataset(self) -> Any:
        return self._dataset


@dataclass(frozen=True)
class Skipped:
    """A file that was left out, and why, in a few words."""

    source: str
    reason: str


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> bytes:
    """A member's bytes; never more of them than its entry declares.

    Raises:
        ImageError: it is encrypted, too large, packed in an unknown way or damaged.
    """
    _require_readable(info, name)
    file = io.BytesIO()
    _unpack(archive, info, name, file)
    return file.getvalue()


def _require_readable(info: zipfile.ZipInfo, name: str) -> None:
    if info.flag_bits & 1:
        raise ImageError(f"{name}: encrypted; unpack the archive and give the folder")
    if info.file_size > MAX_FILE_BYTES:
        raise ImageError(f"{name}: larger than 1 GB unpacked; it is left out")


def _unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, file: BinaryIO) -> None:
    size = 0
    try:
        with archive.open(info) as stream:
            while size <= info.file_size and (piece := stream.read(_PIECE)):
                size += len(piece)
                file.write(piece)
    except MemoryError:
        raise ImageError(f"{name}: out of memory while unpacking; unpack the archive and give the folder") from None
    except OSError as error:
        if is_full_disk(error):
            raise
        raise ImageError(f"{name}: damaged in the archive; pack it again") from None
    except Exception:  # zipfile and its three decompressors raise many kinds on damaged members
        raise ImageError(f"{name}: damaged in the archive; pack it again") from None
    if size != info.file_size:
        raise ImageError(f"{name}: damaged in the archive; pack it again")


def in_folder(folder: Path) -> Iterator[FileSource | Skipped]:
    """Every regular file below a folder, in the order of names. Links are followed only to files inside it.

    Raises:
        ImageError: the folder cannot be listed, or has more than 100,000 files.
    """
    root = folder.resolve()
    found = 0

    def refuse(error: OSError) -> None:
        # A folder below that may not be entered does not stop the rest; the first one does.
        if error.filename is not None and Path(error.filename) == folder:
            raise ImageError(f"{folder}: the folder cannot be read; check its permissions") from None

    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower() in _NOT_IMAGES or name.startswith("."):
                continue
            path = Path(parent, name)
            source = FileSource(path)
            found += 1
            if found > MAX_FILES:
                raise ImageError(f"{folder}: more than {MAX_FILES:,} files; give a smaller folder")
            try:
                target = path.resolve()
                regular = stat.S_ISREG(target.stat().st_mode)
            except (OSError, RuntimeError):
                yield Skipped(source.name, "cannot be read")
                continue
            if not target.is_relative_to(root):
                yield Skipped(source.name, "a link that leaves the folder")
            elif not regular:
                yield Skipped(source.name, "not a regular file")
            else:
                yield source


def in_zip(path: Path) -> Iterator[tuple[FileSource, bytes] | Skipped]:
    """Every member of an archive with its bytes; members whose names leave the archive are left out.

    Raises:
        ImageError: no zip archive, more than 100,000 members, or it would swell beyond what archives of images do.
    """
    for each in unpacked(FileSource(path), lambda _: FileInMemory()):
        yield each if isinstance(each, Skipped) else (each[0], each[1].read())


class FileInMemory(FileSource):
    """A file that is nowhere but in memory.

    Args:
        data: its contents; to be written by default.
        name: for messages.
    """

    _data: io.BytesIO

    def __init__(self, data: bytes = b"", name: str = "file") -> None:
        super().__init__(Path(name))
        object.__setattr__(self, "_data", io.BytesIO(data))

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """Write it, once, from its beginning."""
        yield self._data

    def raw(self) -> io.RawIOBase:
        return cast(io.RawIOBase, io.BytesIO(self._data.getvalue()))

    def size(self) -> int:
        return len(self._data.getbuffer())

    def read(self) -> bytes:
        return self._data.getvalue()


class Writable(Protocol):
    """A file that is written once and then read."""

    def writing(self) -> AbstractContextManager[BinaryIO]:
        """Write it from its beginning."""


Target = TypeVar("Target", bound=Writable)


def unpacked(archive: FileSource, into: Callable[[int], Target]) -> Iterator[tuple[FileSource, Target] | Skipped]:
    """As `in_zip`, of an archive however it is kept; each member is written into a file that is made for it.

    Args:
        into: makes the file, of a member of so many bytes.
    """
    with _opened(archive) as opened:
        for each in _members(opened, archive):
            if isinstance(each, Skipped):
                yield each
                continue
            try:
                info = opened.getinfo(each.member or "")
                _require_readable(info, each.name)
                made = into(info.file_size)
                with made.writing() as file:
                    _unpack(opened, info, each.name, file)
            except ImageError as error:
                yield Skipped(each.name, _reason(error, each.name))
                continue
            yield each, made


def named_in_zip(path: Path, endings: tuple[str, ...]) -> list[FileSource]:
    """The members of an archive whose names end so, in small letters, as far as `in_zip` gives them; none is unpacked.

    Raises:
        ImageError: as for `in_zip`.
    """
    with _opened(FileSource(path)) as archive:
        members = [each for each in _members(archive, FileSource(path)) if isinstance(each, FileSource)]
    return [each for each in members if (each.member or "").lower().endswith(endings)]


@contextmanager
def _opened(source: FileSource) -> Iterator[zipfile.ZipFile]:
    try:
        file = source.open()
    except Exception:
        raise _damaged(source) from None
    with file:
        try:
            archive = zipfile.ZipFile(file)
        except Exception:  # zipfile raises many kinds on a damaged directory
            raise _damaged(source) from None
        with archive:
            yield archive


def _damaged(source: FileSource) -> ImageError:
    return ImageError(f"{source.name}: the archive is damaged; pack or copy it again")


def _members(archive: zipfile.ZipFile, whole: FileSource) -> Iterator[FileSource | Skipped]:
    name, path = whole.name, whole.path
    # An entry without a name is none; zipfile itself stumbles over it.
    infos = [info for info in archive.infolist() if info.filename and not info.is_dir()]
    if len(infos) > MAX_FILES:
        raise ImageError(f"{name}: more than {MAX_FILES:,} files; give a smaller archive")
    unpacked = sum(info.file_size for info in infos)
    packed = min(whole.size(), sum(info.compress_size for info in infos))
    swells = unpacked > _RATIO_FREE_BYTES and unpacked > MAX_ARCHIVE_RATIO * max(1, packed)
    if unpacked > MAX_ARCHIVE_BYTES or swells:
        raise ImageError(f"{name}: it unpacks to {unpacked / 1e9:.1f} GB, more than images would; refused")
    seen: set[str] = set()
    for info in sorted(infos, key=lambda one: one.filename):
        source = FileSource(path, info.filename)
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.name.lower() in _NOT_IMAGES or parts.name.startswith(".") or "__MACOSX" in parts.parts:
            continue
        if reason := _trick(info, parts):
            yield Skipped(source.name, reason)
        elif info.filename in seen:
            yield Skipped(source.name, "the archive holds this name twice; the last was used")
        else:
            seen.add(info.filename)
            yield source


def _trick(info: zipfile.ZipInfo, parts: PurePosixPath) -> str | None:
    drive = len(info.filename) > 1 and info.filename[1] == ":"
    if parts.is_absolute() or drive or ".." in parts.parts:
        return "its name leaves the archive"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    return None


def _reason(error: ImageError, name: str) -> str:
    return str(error).removeprefix(f"{name}: ")
