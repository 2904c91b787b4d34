"""`aris deidentify`: images without what names their patients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from aris.cli.options.names import inside, without
from aris.cli.outcome import FAILED
from aris.cli.terminal import counting, note, one_line, write, write_json
from aris.errors import ArisError, ExchangeError
from aris.regular import read_regular


def deidentify(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH", help="DICOM files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write to: patient/study/object.dcm.")],
    key: Annotated[
        Path,
        typer.Option(help="The project's key file: the same key gives the same new names and UIDs. Keep it secret."),
    ],
    new_key: Annotated[bool, typer.Option("--new-key", help="Make the key file first.")] = False,
    dates: Annotated[
        str,
        typer.Option(metavar="remove|shift", help="Remove dates, or shift each patient's by a secret number of days."),
    ] = "remove",
    keep_characteristics: Annotated[
        bool, typer.Option("--keep-characteristics", help="Keep sex, age (90 and over as 90), size and weight.")
    ] = False,
    pixels: Annotated[
        str,
        typer.Option(
            metavar="auto|ocr|reviewed",
            help="auto: look for burned-in text where an OCR library is installed, refuse risky images where none is. "
            "ocr: fail without one. reviewed: somebody has looked at all images, and none carries text.",
        ),
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout an object, one a line.")] = False,
) -> None:
    """De-identify images by DICOM's Basic Profile (PS3.15 Annex E), burned-in text included.

    What cannot be shown to be clean is refused and not written: reports, slides, unreadable files, images whose text
    cannot be looked for or removed. No OCR finds all text; look at the images before you give them out.

    Examples:

        aris deidentify study/ --out clean --key project.key --new-key

        aris deidentify more/ --out clean --key project.key --dates shift
    """
    from aris.exchange.deidentify.burned_in import trouble
    from aris.exchange.deidentify.images import Deidentifier, Options, read_key
    from aris.exchange.documents.formats import write as write_file

    _choice(dates, ("remove", "shift"), "--dates")
    _choice(pixels, ("auto", "ocr", "reviewed"), "--pixels")
    options = Options(
        dates=cast(Literal["remove", "shift"], dates),
        characteristics=keep_characteristics,
        pixels=cast(Literal["auto", "ocr", "reviewed"], pixels),
    )
    files = list(_files(paths))
    cleaner = Deidentifier(read_key(key, new=new_key), options)
    if pixels == "auto" and not cleaner.searches_pixels:
        note(f"! images that may carry text are refused: {trouble()}")
    refused = blanked = searched = same = beside = 0
    written: dict[Path, bytes] = {}
    with counting("de-identifying", len(files)) as step:
        for typed, path in files:
            try:
                made = cleaner.clean(read_regular(path), str(path))
                folder = out / made.patient / made.study.removeprefix("2.25.")
                digest = hashlib.sha256(made.data).digest()
                location, again = _location(folder, made.uid, digest, written)
                if again:
                    same += 1
                else:
                    _folder(location.parent)
                    write_file(location, made.data, overwrite=True)
                    beside += location.parent != folder
                    written[location] = digest
                blanked += made.blanked > 0
                searched += made.searched
                if json:
                    write_json({"file": str(path), "out": str(location), "blanked": made.blanked,
                                "searched": made.searched, "error": None})  # fmt: skip
                else:
                    write(f"{one_line(str(location))}\n")
            except (ArisError, OSError) as error:
                refused += 1
                said = str(error) if isinstance(error, ArisError) else f"cannot be read ({error.strerror})"
                said = without(said, str(path))
                if json:
                    write_json({"file": str(path), "out": None, "error": said})
                elif path != typed:
                    write(f"not written: {one_line(str(path))}: {one_line(said)}\n")
                    step()
                    continue  # a terminal shows both streams: once is enough
                note(f"error: {inside(f'{path}: {said}', str(path), str(typed))}")
            step()
    done = len(written)
    note(f"{done} written, {refused} refused; pixels of {searched} were searched for text, which {blanked} had")
    if same:
        note(f"{same} were given twice, with the same contents, and are written once")
    if beside:
        note(f"! {beside} have the SOP Instance UID of another file but other contents; both are written (study.2/)")
    if done and searched:
        note("! no OCR finds all text: look at the images before you give them out")
    if refused:
        raise typer.Exit(FAILED)


def _files(paths: list[Path]) -> Iterator[tuple[Path, Path]]:
    """Files as named, and those inside folders, hidden ones and links left out; each with what was named."""
    for path in paths:
        if path.is_dir():
            found = sorted(each for each in path.rglob("*") if each.is_file() and not each.is_symlink())
            wanted = (each for each in found if not each.name.startswith(".") and each.name != "DICOMDIR")
            yield from ((path, each) for each in wanted)
        elif path.exists():
            yield path, path
        else:
            raise ExchangeError(f"{path}: no such file or folder; check the path")


def _location(folder: Path, uid: str, digest: bytes, written: dict[Path, bytes]) -> tuple[Path, bool]:
    """Return an object's path, and whether the same is there already; another under its UID is never replaced."""
    number = 1
    while True:
        location = (folder if number == 1 else folder.with_name(f"{folder.name}.{number}")) / f"{uid}.dcm"
        if location not in written or written[location] == digest:
            return location, location in written
        number += 1


def _folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExchangeError(f"{folder}: cannot be made ({error.strerror})") from None


def _choice(value: str, known: tuple[str, ...], option: str) -> None:
    if value not in known:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}", param_hint=option)
