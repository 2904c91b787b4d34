"""No command writes what identifies a patient to stderr: not from headers, pixels' neighbours, or names inside folders.

The rule (docs/exchange.md): a name that was typed on the command line is repeated; names found inside what was named,
and whatever a file holds, are on stdout alone, where the results are. Stderr is what ends in logs.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from PIL import Image

from aris.store.store import Store
from conftest import Aris
from dicom_objects import as_bytes, image
from films import filmlike

SECRET = "Zqplanted"
# Elements whose text readers convert, compare or report on: what is wrong with one must not be told by quoting it.
_TEXTS = (
    "Modality", "PhotometricInterpretation", "BodyPartExamined", "ViewPosition", "SpecificCharacterSet", "PatientAge",
    "PatientSex", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "StudyDate", "StudyTime",
    "VOILUTFunction", "PresentationLUTShape", "BurnedInAnnotation", "RescaleType", "Laterality", "PatientOrientation",
    "ImageType", "LossyImageCompression",
)  # fmt: skip
_NUMBERS = ("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept", "NumberOfFrames", "InstanceNumber",
            "SeriesNumber", "PixelSpacing", "SliceThickness", "ImagePositionPatient")  # fmt: skip


def planted(number: int = 1, **changes: Any) -> Any:
    """A chest film with the word in header, nested and private elements, and preamble."""
    made = image(number, side=64, PatientName=f"{SECRET}^Anna", PatientID=f"{SECRET}-7", StudyDescription=SECRET)
    made.preamble = SECRET.encode().ljust(128, b"\0")
    made.OtherPatientIDs, made.InstitutionName, made.ReferringPhysicianName = SECRET, SECRET, SECRET
    item = pydicom.Dataset()
    item.PatientID, item.CodeMeaning = SECRET, SECRET
    made.OtherPatientIDsSequence = [item]
    made.private_block(0x0011, SECRET, create=True).add_new(1, "LO", SECRET)
    for keyword, value in changes.items():
        made[keyword] = pydicom.DataElement(pydicom.datadict.tag_for_keyword(keyword), "UT", value)
    return made


def variants() -> dict[str, bytes]:
    """Files that fail in many ways, each with the word where it fails."""
    found = {"good": as_bytes(planted())}
    for keyword in (*_TEXTS, *_NUMBERS):
        made = planted()
        # As bytes, since pydicom itself would refuse such values.
        data = as_bytes(made)
        vr = pydicom.datadict.dictionary_VR(keyword)
        made.add(pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag(keyword), vr, len(SECRET) + 1, SECRET.encode() + b" ", 0, False, True
        ))  # fmt: skip
        try:
            data = as_bytes(made)
        except Exception:
            continue
        found[keyword] = data
    whole = found["good"]
    found |= {f"cut at {share}": whole[: int(len(whole) * share)] for share in (0.05, 0.1, 0.2, 0.4, 0.9)}
    found["without pixels"] = as_bytes(_without("PixelData"))
    found["without rows"] = as_bytes(_without("Rows"))
    found["no DICOM"] = SECRET.encode() * 100
    found["a syntax of its own"] = whole.replace(b"1.2.840.10008.1.2.1\0", SECRET.encode().ljust(20, b"x"))
    return found


def _without(keyword: str) -> Any:
    made = planted()
    del made[keyword]
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plain name, and names of patients inside it."""
    root = tmp_path_factory.mktemp("in")
    inside = root / f"{SECRET}^Anna"
    inside.mkdir()
    for number, (name, data) in enumerate(variants().items()):
        (inside / f"{SECRET}-{number}-{name.replace(' ', '-')}.dcm").write_bytes(data)
    (inside / f"{SECRET}.png").write_bytes(b"\x89PNG\r\n\x1a\n damaged")
    (inside / f"{SECRET}.txt").write_text(SECRET)
    Image.fromarray(filmlike()).save(inside / f"{SECRET}-good.png")
    return root


@pytest.fixture(scope="module")
def archive(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "in.zip"
    with zipfile.ZipFile(path, "w") as out:
        for each in sorted(folder.rglob("*")):
            if each.is_file():
                out.write(each, each.relative_to(folder))
        out.writestr(f"../{SECRET}.dcm", b"x")
    return path


@pytest.fixture(scope="module")
def plainly_named(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files whose names name nobody."""
    root = tmp_path_factory.mktemp("plain")
    paths = [root / f"{number}.dcm" for number in range(len(variants()))]
    for path, data in zip(paths, variants().values(), strict=True):
        path.write_bytes(data)
    return paths


def clean(folder: Path) -> list[str | Path]:
    """Options of `deidentify`; looking for text in pixels has tests of its own."""
    return ["--out", folder / "o", "--key", folder / "k", "--new-key", "--pixels", "reviewed"]


def names_somebody(text: str) -> bool:
    return SECRET.casefold() in text.casefold()


def told(result: Any) -> None:
    """Nothing on stderr, nor in an error on stdout, names anybody; no traceback, no defect."""
    for line in result.stderr.splitlines():
        assert not names_somebody(line), line
        assert "defect" not in line and "Traceback" not in line, line
    for line in result.stdout.splitlines():
        if line.startswith("{"):
            assert not names_somebody(str(json.loads(line).get("error", ""))), line


def test_the_detector_finds_what_is_planted(aris: Aris, scripted: Callable[..., Any], folder: Path) -> None:
    scripted()
    assert all(names_somebody(data.decode("latin-1")) for data in variants().values())
    result = aris("draft", folder, "--json")
    assert names_somebody(result.stdout)  # its files are named where the results are
    result.stderr_bytes = result.stdout_bytes
    with pytest.raises(AssertionError):
        told(result)


@pytest.mark.parametrize(("what", "form"), [("folder", ()), ("folder", ("--json",)), ("archive", ())])
def test_folders_and_archives(
    aris: Aris, scripted: Callable[..., Any], request: pytest.FixtureRequest, tmp_path: Path, what: str, form: Any
) -> None:
    scripted()
    path = request.getfixturevalue(what)
    for command in ("draft", "findings", "classify", "deidentify"):
        extra = clean(tmp_path) if command == "deidentify" else []
        result = aris(command, path, *form, *extra)
        told(result)
        # As plain text a folder's unread files are told once, by name on stdout; stderr has what was typed, or nothing.
        once = not form and command in ("draft", "deidentify")
        assert result.exit_code == 1 and (once or str(path) in result.stderr), command
    told(aris("locate", path, "heart", *form))
    told(aris("compare", path, path, *form))


def test_files(aris: Aris, scripted: Callable[..., Any], plainly_named: list[Path], tmp_path: Path) -> None:
    scripted()
    for command in ("draft", "findings", "classify", "deidentify"):
        extra = clean(tmp_path) if command == "deidentify" else []
        told(aris(command, *plainly_named, "--json", *extra))
    for path in plainly_named[::2]:
        told(aris("locate", path, "heart", "--json"))
        told(aris("compare", path, plainly_named[0]))
        told(aris("ask", "-i", path, "What is it?"))
        told(aris("export", path, "-f", "text", "--out", tmp_path / "e"))
    for path in plainly_named[::16]:
        told(aris("node", "send", path, "--to", "A@127.0.0.1:9"))
        told(aris("node", "return", path, "--peer", "A@127.0.0.1:9", "--store", tmp_path / "store"))
    lines = "".join(f"/image {path}\nWhat is it?\n/clear\n" for path in plainly_named)
    told(aris("chat", input=lines))


def test_tables_and_reports(
    aris: Aris, scripted: Callable[..., Any], folder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    scripted()
    files = [str(each.relative_to(folder)) for each in sorted(folder.rglob("*")) if each.is_file()]
    labels = folder / "labels.csv"
    rows = "".join(f"{name},{SECRET}-{n},{n % 2}\n" for n, name in enumerate(files))
    labels.write_text(f"file,patient,pneumonia\n{rows}")
    told(aris("calibrate", labels, "--out", tmp_path / "c.json"))
    labels.write_text(f"file,patient,pneumonia\n{files[0]},{SECRET},{SECRET}\n")
    told(aris("calibrate", labels, "--out", tmp_path / "c.json"))
    table = tmp_path / "train.jsonl"
    wrong = [{"messages": SECRET}, {"messages": [{"role": SECRET, "content": SECRET}]},
             {"messages": [{"role": "user", "content": [{"type": "image", "path": f"{SECRET}.png"}]}]}]  # fmt: skip
    table.write_text("".join(json.dumps(row) + "\n" for row in wrong) + SECRET)
    told(aris("tune", "check", table, "--model", tiny_model))
    for content in (SECRET, json.dumps({"model": SECRET}), json.dumps({"resourceType": "Bundle", "entry": [SECRET]}),
                    json.dumps({"model": {"name": SECRET}, "findings": [{"name": SECRET, "probability": SECRET}]}),
                    json.dumps({"model": SECRET, "file": SECRET, "sections": {"findings": 7, "impression": SECRET}}),
                    ):  # fmt: skip
        path = tmp_path / "r.json"
        path.write_text(content)
        told(aris("export", path, "-f", "text", "--out", tmp_path / "e", "--overwrite"))
        told(aris("export", path, "-f", "sr", "--regions", path, "--out", tmp_path / "e", "--overwrite"))


def test_a_store_is_searched_without_a_word(aris: Aris, tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.add(as_bytes(planted()))
    found = aris("node", "studies", "--store", tmp_path, "--match", f"PatientName={SECRET}*", "--json")
    assert names_somebody(found.stdout)
    told(found)
    told(aris("node", "studies", "--store", tmp_path, "--match", "PatientName"))


def test_deidentified_folders_have_no_old_names(aris: Aris, folder: Path, archive: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    out = tmp_path / "o"
    told(aris("deidentify", copy, *clean(tmp_path), "--json"))
    written = [each for each in out.rglob("*") if each.is_file()]
    assert written
    for each in out.rglob("*"):
        assert not names_somebody(str(each.relative_to(out)))
    for each in written:
        assert not names_somebody(each.read_bytes().decode("latin-1"))
        dataset = pydicom.dcmread(each)
        assert each.stem == dataset.SOPInstanceUID and each.parent.parent.name == dataset.PatientID


def test_an_unexpected_error_is_told_by_its_kind_alone(
    aris: Aris, scripted: Callable[..., Any], plainly_named: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted()

    def fail(*_: object, **__: object) -> None:
        raise ValueError(f"Invalid value: '{SECRET}'")

    monkeypatch.setattr("aris.tasks.findings", fail)
    result = aris("findings", plainly_named[0])
    assert result.exit_code == 1 and "ValueError" in result.stderr and not names_somebody(result.stderr)
