"""`aris node`: its commands end as they should, and say in one line what is wrong."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from aris.exchange.node.server import Node, NodeSettings
from aris.store.store import Store
from conftest import Aris
from dicom_objects import ROOT, as_bytes, image


def files(folder: Path, count: int = 2) -> list[Path]:
    paths = [folder / f"{n}.dcm" for n in range(1, count + 1)]
    for n, path in enumerate(paths, 1):
        path.write_bytes(as_bytes(image(n)))
    return paths


def test_echo_send_studies_and_return(aris: Aris, tmp_path: Path) -> None:
    paths = files(tmp_path)
    with Store(tmp_path / "a") as ours, Store(tmp_path / "b") as theirs:
        settings = NodeSettings(port=0)
        with Node(ours, settings) as node, Node(theirs, NodeSettings(ae_title="PACS", port=0)) as pacs:
            to = f"ARIS@127.0.0.1:{node.port}"
            assert "answers" in aris("node", "echo", to).stdout
            sent = aris("node", "send", *paths, "--to", to, "--ae-title", "PACS", "--json")
            assert sent.exit_code == 0
            assert [json.loads(line)["error"] for line in sent.stdout.splitlines()] == [None, None]
            listed = aris("node", "studies", "--store", tmp_path / "a", "--json", "--match", "PatientID=P1")
            assert json.loads(listed.stdout)["NumberOfStudyRelatedInstances"] == 2
            assert aris("node", "studies", "--store", tmp_path / "a", "--match", "PatientID=none").stdout == ""
            # Back to whoever sent the study.
            where = ["--store", tmp_path / "a", "--peer", f"PACS@127.0.0.1:{pacs.port}"]
            assert aris("node", "return", paths[0], *where).exit_code == 0
            assert theirs.find(f"{ROOT}.1.1.1") is not None
            where[-1] = f"OTHER@127.0.0.1:{pacs.port}"
            unknown = aris("node", "return", paths[0], *where)
            assert unknown.exit_code == 1 and "its study came from PACS" in unknown.stderr
        gone = aris("node", "send", *paths, "--to", to)
        assert gone.exit_code == 1 and "cannot be reached" in gone.stderr and len(gone.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["echo", "nowhere"], "AETITLE@HOST:PORT"),
        (["serve", "--host", "0.0.0.0"], "--allow"),
        (["serve", "--ae-title", "far too long a title"], "no AE title"),
        (["serve", "--tls-key", "x.pem"], "--tls-cert"),
        (["serve", "--tls-cert", "/no/such.pem"], "cannot be read"),
        (["studies", "--match", "SOPInstanceUID=1"], "not a key"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(aris: Aris, tmp_path: Path, arguments: list[str], said: str) -> None:
    extra = [] if arguments[0] == "echo" else ["--store", tmp_path]
    result = aris("node", *arguments, *extra)
    assert result.exit_code == 1 and said in result.stderr and "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_files_that_are_no_dicom_name_themselves(aris: Aris, tmp_path: Path) -> None:
    wrong = tmp_path / "x.dcm"
    wrong.write_text("hello")
    for path in (wrong, tmp_path / "missing.dcm"):
        result = aris("node", "send", path, "--to", "A@127.0.0.1:9")
        assert result.exit_code == 1 and str(path) in result.stderr


def test_tls_proves_who_calls(aris: Aris, tmp_path: Path) -> None:
    from aris.exchange.node.tls import server_context

    for name in ("ours", "stranger"):
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", tmp_path / f"{name}.key",
             "-out", tmp_path / f"{name}.pem"],
            capture_output=True, check=False,
        )  # fmt: skip
        if made.returncode:
            pytest.skip("openssl is not here")
    ours, key = tmp_path / "ours.pem", tmp_path / "ours.key"
    settings = NodeSettings(port=0, tls=server_context(ours, key, ours))
    with Store(tmp_path / "s") as store, Node(store, settings) as node:
        to = f"ARIS@127.0.0.1:{node.port}"
        good = ["--tls-cert", ours, "--tls-key", key, "--tls-ca", ours]
        assert aris("node", "echo", to, *good).exit_code == 0
        bad = ["--tls-cert", tmp_path / "stranger.pem", "--tls-key", tmp_path / "stranger.key", "--tls-ca", ours]
        for arguments in (bad, ["--tls-ca", ours], []):
            result = aris("node", "echo", to, *arguments)
            assert result.exit_code == 1 and "cannot be reached" in result.stderr


def test_a_lost_index_is_made_anew(aris: Aris, tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.add(as_bytes(image(1)))
        damaged = tmp_path / "s" / "objects"
    (tmp_path / "s" / "aris.db").write_bytes(b"")
    lost = aris("node", "studies", "--store", tmp_path / "s")
    assert lost.exit_code == 1 and "aris node rebuild" in lost.stderr and len(lost.stderr.splitlines()) == 1
    made = aris("node", "rebuild", "--store", tmp_path / "s")
    assert made.exit_code == 0 and made.stdout.startswith("1 objects indexed")
    assert f"{ROOT}.1" in aris("node", "studies", "--store", tmp_path / "s").stdout
    (path,) = damaged.rglob("*.dcm")
    path.write_bytes(b"x" + path.read_bytes()[1:])
    made = aris("node", "rebuild", "--store", tmp_path / "s")
    assert made.exit_code == 1 and path.name in made.stdout and "1 objects are damaged" in made.stderr


def test_whose_a_contested_study_is_can_be_said(aris: Aris, tmp_path: Path) -> None:
    where = ("--store", tmp_path / "s")
    with Store(tmp_path / "s") as store:
        store.add(as_bytes(image(1, PatientID="P1", PatientName="Doe^Ana")))
        assert "0 studies are contested" in aris("node", "apart", *where).stderr
        store.add(as_bytes(image(2, PatientID="P2", PatientName="Roe^Eva")))
        store.add(as_bytes(image(3, PatientID="P2\x1b[2J", PatientName="Roe^\u202eEva")))
    shown = aris("node", "apart", *where)
    first, second, third = shown.stdout.splitlines()
    assert "the study" in first and "P1" in first and "kept apart" in second and "Roe^Eva" in second
    assert "\x1b" not in third and "\u202e" not in third and "1 study is contested" in shown.stderr
    refused = aris("node", "resolve", f"{ROOT}.1", "--patient-id", "P9", *where)
    assert refused.exit_code == 1 and "aris node apart" in refused.stderr
    assert aris("node", "resolve", f"{ROOT}.1", *where).exit_code == 2
    done = aris("node", "resolve", f"{ROOT}.1", "--patient-id", "P2", "--json", *where)
    assert json.loads(done.stdout) == {"StudyInstanceUID": f"{ROOT}.1", "given": 1, "apart": 2}
    rows = [json.loads(line) for line in aris("node", "apart", "--json", *where).stdout.splitlines()]
    events = [json.loads(line) for line in aris("audit", "list", "--json", *where).stdout.splitlines()]
    assert [(each["action"], each["subject"]) for each in events if each["action"] == "resolve"] == [
        ("resolve", f"{ROOT}.1")
    ]  # fmt: skip
    assert [row["PatientID"] for row in rows if not row.get("KeptApart")] == ["P2"]
    assert sorted(row["PatientID"] for row in rows if row.get("KeptApart"))[0] == "P1"


def test_two_patients_under_one_study_are_shown(aris: Aris, tmp_path: Path) -> None:
    with Store(tmp_path / "s") as store:
        store.add(as_bytes(image(1, PatientID="P1", PatientName="Doe^Ana")))
        store.add(as_bytes(image(2, PatientID="P2", PatientName="Zqsecret^Eva")))
    shown = aris("node", "studies", "--store", tmp_path / "s")
    first, second = shown.stdout.splitlines()
    assert "P1" in first and "KEPT" not in first and "P2" in second and "KEPT APART" in second
    assert "1 objects are kept apart" in shown.stderr and "P2" not in shown.stderr and "Zq" not in shown.stderr
    listed = aris("node", "studies", "--store", tmp_path / "s", "--json").stdout
    rows = [json.loads(line) for line in listed.splitlines()]
    assert [(row["PatientID"], row.get("KeptApart")) for row in rows] == [("P1", None), ("P2", True)]
    only = aris("node", "studies", "--store", tmp_path / "s", "--match", "PatientID=P1")
    assert len(only.stdout.splitlines()) == 1 and "apart" not in only.stderr


def test_nothing_in_a_header_makes_a_line_of_its_own(aris: Aris, tmp_path: Path) -> None:
    forged = "CT\n20260101  CT         1 objects  P9  1.2.3\x1b[2J\u202e"
    for number, keyword in enumerate(("Modality", "PatientID", "StudyDate"), 1):
        made = image(1, study=number)
        made.add_new(keyword, "UT", forged)
        with Store(tmp_path / "s") as store:
            store.add(as_bytes(made))
    shown = aris("node", "studies", "--store", tmp_path / "s").stdout
    assert len(shown.splitlines()) == 3
    assert not any(each in shown for each in ("\x1b", "\u202e"))
