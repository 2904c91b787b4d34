"""Files that have no end, names that are no text, and words that reorder a terminal: through the commands."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aris.cli.options.names import inside
from aris.cli.terminal import one_line
from aris.exchange.documents.report import Patient, Study
from conftest import Aris
from dicom_objects import as_bytes, image

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@pytest.mark.parametrize(
    "arguments",
    [
        ["draft"], ["findings"], ["ask", "Is there pneumonia?", "-i"], ["classify", "--options", "a,b"], ["export"],
        ["locate", "--label", "heart"], ["deidentify", "--out", "o", "--key", "k", "--new-key"],
        ["node", "send", "--to", "A@127.0.0.1:9"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pipe", "endless", "socket"])
def test_only_regular_files_are_read(aris: Aris, tmp_path: Path, arguments: list[str], kind: str) -> None:
    os.chdir(tmp_path)
    path = tmp_path / "x.dcm"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        import socket

        made = socket.socket(socket.AF_UNIX)
        made.bind("x.dcm")
    result = aris(*arguments, path)
    assert result.exit_code in (1, 2) and "Traceback" not in result.stderr


def test_a_name_that_is_no_text_is_not_repeated() -> None:
    name = os.fsdecode(b"/data/in/ZQSECRET\xff ANNA.dcm")
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)
    for form in (name, escaped, one_line(name), Path(name).name, Path(escaped).name):
        for message in (f"{form}: damaged", f"cannot read {form}", f"{form}: {form} is damaged"):
            assert "ZQSECRET" not in inside(message, name, "/data/in")
    assert inside(f"{name}: damaged", name, name) == f"{name}: damaged"


def test_two_files_of_one_object_are_counted_as_what_is_written(aris: Aris, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm").write_bytes(as_bytes(image(1)))
    (folder / "b.dcm").write_bytes(as_bytes(image(1)))
    (folder / "c.dcm").write_bytes(as_bytes(image(1, side=24)))
    made = aris(
        "deidentify", folder, "--out", tmp_path / "out", "--key", tmp_path / "key", "--new-key", "--pixels", "reviewed"
    )
    assert made.exit_code == 0, made.stderr
    files = list((tmp_path / "out").rglob("*.dcm"))
    assert len(files) == 2 and "2 written, 0 refused" in made.stderr
    assert "1 were given twice" in made.stderr and "1 have the SOP Instance UID of another file" in made.stderr
    assert all(each.stat().st_mode & 0o077 == 0 for each in files)


def test_what_is_exported_neither_reorders_nor_splits() -> None:
    patient = Patient(identifier="A\\B\u202e", name="Doe\\John\u2066^Ana\ufeff\u2028X")
    assert patient.identifier == "A/B" and patient.name == "Doe/John^Ana X"
    assert Study(description="one\u202etwo\U000e0041", referrer="Roe\\R").referrer == "Roe/R"
    assert one_line("a\u202eb\u200b\ufeff\U000e0041\x1b\n") == "a\ufffdb\ufffd\ufffd\ufffd\u241b\u240a"
