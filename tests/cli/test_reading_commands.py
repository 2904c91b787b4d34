"""The reading room from the command line: from a film to the signed, delivered, audited report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from typer.testing import Result

from aris.exchange.documents.formats import read_report
from aris.flow.drafting import draft_next
from aris.flow.house import open_house
from aris.flow.settings import SiteSettings
from aris.store.store import Store
from aris.tasks import Draft, Sections
from cheap_passwords import cheap_passwords
from dicom_objects import ROOT, as_bytes, image

__all__ = ["cheap_passwords"]
Aris = Callable[..., Result]
PASSWORD = "correct horse battery staple"
STUDY = f"{ROOT}.1"


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cheap_passwords: None) -> Path:
    """A user's folders, a site's settings, and a film."""
    for name in ("ARIS_STORE", "ARIS_DATABASE", "ARIS_AUDIT_KEY", "ARIS_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARIS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ARIS_SITE", str(tmp_path / "site.yaml"))
    monkeypatch.setenv("ARIS_USER", "ana")
    (tmp_path / "site.yaml").write_text(
        "quiet_s: 0\naudit_heads: heads.jsonl\ndestinations:\n  - {kind: folder, name: out, path: out}\n"
    )
    (tmp_path / "film.dcm").write_bytes(as_bytes(image(1)))
    prior = image(1, study=2, PatientID="P1", PatientName="Müller^Ana1")
    (tmp_path / "prior.dcm").write_bytes(as_bytes(prior))
    return tmp_path


def users(aris: Aris) -> None:
    for login, role in (("ana", "reader"), ("vic", "viewer")):
        made = aris("users", "add", login, "--role", role, "--name", "Müller^Ana", "--organization", "St. Élan",
                    "--password-stdin", input=PASSWORD + "\n")  # fmt: skip
        assert made.exit_code == 0, made.output


def told(result: Result, code: int = 0) -> Any:
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_the_whole_loop_in_a_terminal(aris: Aris, house: Path) -> None:
    users(aris)
    assert "stored" in aris("flow", "add", house / "film.dcm").stdout
    assert told(aris("flow", "run", "--once", "--no-model", "--json")) == {"settled": 1}
    (entry,) = [json.loads(line) for line in aris("worklist", "--json").stdout.splitlines()]
    assert (entry["study"], entry["state"], entry["accession"]) == (STUDY, "settled", "A1")
    assert "Müller^Ana1 P1" in aris("worklist", "müller").stdout and aris("worklist", "nobody").stdout == ""

    opened = told(aris("read", "open", "next", "--json"))
    assert opened["text"] == 0 and opened["draft"] is None
    aris("flow", "add", house / "prior.dcm")
    assert "\nprior: 20260102" in aris("read", "show", "A1").stdout
    (house / "report.txt").write_text("# findings\nClear lungs.\n\n# impression\nNo pneumonia.\n")
    assert told(aris("read", "edit", "A1", "--file", house / "report.txt", "--json"))["text"] == 1
    assert told(aris("read", "edit", "A1", "-s", "impression=Normal.", "--base", "1", "--json"))["text"] == 2
    second = aris("read", "edit", "A1", "-s", "impression=Other.", "--base", "1")
    assert second.exit_code == 1 and "kept beside" in second.stderr
    shown = aris("read", "show", "A1").stdout
    assert "DRAFT — not signed (opened; text 2 of ana)" in shown and "impression: Other." in shown

    denied = aris("read", "sign", "A1", "--text", "2", "--password-stdin", input="wrong\n")
    assert denied.exit_code == 1 and "nothing was signed" in denied.stderr
    viewer = aris("read", "sign", "A1", "--text", "2", "--user", "vic", "--password-stdin", input=PASSWORD + "\n")
    assert viewer.exit_code == 1 and "only a reader" in viewer.stderr
    signed = told(
        aris("read", "sign", "A1", "--text", "2", "--password-stdin", "--json", "--seen", "0", input=PASSWORD + "\n")
    )
    assert (signed["version"], signed["state"], signed["destinations"]) == (1, "final", ["out"])
    assert signed["warnings"] == ["1 of 1 images were not seen"]
    assert told(aris("flow", "run", "--once", "--no-model", "--json")) == {"delivered": 1, "settled": 1}
    report = read_report(house / "out" / STUDY / "1.sr.dcm")
    assert report.sections.impression == "Normal." and report.signer is not None
    added = aris("read", "addendum", STUDY, "--text", "-", "--password-stdin", input=f"{PASSWORD}\nMore.\n")
    assert added.exit_code == 0 and "version 2 is signed: addendum" in added.stdout

    raised = told(aris("read", "critical", "A1", "--finding", "Misplaced tube", "--json"))
    assert raised["open"] and told(aris("flow", "status", "--json"))["critical_open"] == 1
    done = aris("read", "critical", "A1", "--number", raised["number"], "--whom", "Dr. Roe", "--how", "telephone",
                "--outcome", "read back")  # fmt: skip
    assert "done" in done.stdout and "CRITICAL 1: Misplaced tube: done" in aris("read", "show", "A1").stdout

    assert told(aris("audit", "verify", "--json"))["sound"]
    events = [json.loads(line) for line in aris("audit", "list", "--study", STUDY, "--json").stdout.splitlines()]
    assert [each["outcome"] for each in events if each["action"] == "sign"] == ["done", "denied", "denied"]
    assert told(aris("store", "verify", "--json"))["sound"]
    assert aris("store", "backup", house / "backup").exit_code == 0
    assert aris("store", "restore", house / "backup", "--store", house / "again").exit_code == 0
    assert told(aris("read", "show", "A1", "--store", house / "again", "--json"))["reports"][0]["version"] == 1
    pairs = told(aris("export", "--pairs", house / "pairs", "--json"))
    assert pairs["pairs"] == 0 and pairs["skipped"] == {"no draft was signed": 1}
    rebuilt = aris("node", "rebuild")
    assert rebuilt.exit_code == 0, rebuilt.output
    assert "SIGNED: addendum" in aris("read", "show", "A1").stdout and told(aris("audit", "verify", "--json"))["sound"]


def test_an_editor_is_run_on_the_text(aris: Aris, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users(aris)
    aris("flow", "add", house / "film.dcm")
    aris("flow", "run", "--once", "--no-model")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i 's/^# impression$/# impression\\nNormal./'")
    assert told(aris("read", "edit", "A1", "--json"))["text"] == 1
    assert told(aris("read", "show", "next", "--json"))["sections"]["impression"] == "Normal."
    monkeypatch.setenv("EDITOR", "false")
    assert aris("read", "edit", "A1").exit_code == 1
    monkeypatch.setenv("EDITOR", "/no/such/editor")
    assert "set EDITOR" in aris("read", "edit", "A1").stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["read", "show", "1.2.3"], 1, "no such study"),
        (["read", "open", "next"], 1, "the worklist is empty"),
        (["read", "sign", "A1"], 2, "--text"),
        (["read", "sign", "next", "--text", "1", "--password-stdin"], 1, "may be another study"),
        (["read", "critical", "A1"], 2, "give --finding"),
        (["read", "judge", "A1", "--verdict", "accepted"], 2, "give --finding or --sentence"),
        (["worklist", "--state", "finl"], 2, "did you mean final"),
        (["worklist", "--sort", "age"], 1, "cannot be sorted"),
        (["users", "add", "bob", "--role", "king", "--password-stdin"], 1, "no role"),
        (["users", "add", "bob", "--role", "admin"], 1, "--password-stdin"),
        (["store", "restore", "nowhere"], 1, "no backup"),
        (["audit", "verify", "--heads", "nowhere"], 1, "cannot be read"),
        (["orders", "listen", "--host", "0.0.0.0"], 1, "--anyone"),
        (["orders", "query", "nowhere"], 1, "AETITLE@HOST:PORT"),
        (["export", "--pairs", "x", "-f", "sr"], 2, "stands alone"),
        (["export"], 2, "give a report"),
        (["worklist", "--database", "mysql://x/y"], 1, "driver"),
        (["worklist", "--database", "postgresql://secret:word@127.0.0.1:1/x"], 1, "cannot be opened"),
    ],
)
def test_misuse_and_failure_are_said_in_a_line(
    aris: Aris, house: Path, words: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(house)
    result = aris(*words, input="short\n" if "king" in words else None)
    assert result.exit_code == code, result.output
    flat = re.sub(r"[│╭╮╰╯─\s]+", " ", result.stderr)
    assert said in flat and "Traceback" not in result.output and "secret" not in result.output


@pytest.mark.slow
def test_nano_drafts_what_is_then_signed(aris: Aris, house: Path) -> None:
    """The one test with the real model: arrival, draft, findings, priority, edit, signature, documents."""
    sample = Path(__file__).resolve().parents[2] / "samples" / "child-pneumonia.jpg"
    with PIL.Image.open(sample) as opened:
        pixels = np.asarray(opened.convert("L")).astype(np.uint16) * 16
    film = image(1, Rows=pixels.shape[0], Columns=pixels.shape[1], PixelData=pixels.tobytes(), ViewPosition="AP",
                 PatientAge="005Y", PatientBirthDate="20200101")  # fmt: skip
    (house / "film.dcm").write_bytes(as_bytes(film))
    users(aris)
    aris("flow", "add", house / "film.dcm")
    assert told(aris("flow", "run", "--once", "--json")) == {"drafted": 1, "settled": 1}
    (entry,) = [json.loads(line) for line in aris("worklist", "--json").stdout.splitlines()]
    assert entry["state"] == "drafted" and entry["concern"] == 2 and "pneumonia" in entry["reason"]
    opened = told(aris("read", "open", "next", "--json"))
    assert opened["author"] == "(model)" and opened["sections"]["impression"]
    assert "never for patient care" in opened["draft"]["caution"]
    assert aris("read", "edit", "A1", "-s", "impression=Pneumonia.").exit_code == 0
    aris("read", "sign", "A1", "--text", "2", "--password-stdin", input=PASSWORD + "\n")
    assert told(aris("flow", "run", "--once", "--json"))["delivered"] == 1
    report = read_report(house / "out" / STUDY / "1.sr.dcm")
    assert report.findings[0].name == "pneumonia" and report.sections.impression == "Pneumonia."
    assert report.model.name == "aris-nano" and "never for patient care" in report.caution
    assert told(aris("export", "--pairs", house / "pairs", "--json"))["pairs"] == 1


def test_what_was_written_in_an_editor_is_not_lost(aris: Aris, house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users(aris)
    aris("flow", "add", house / "film.dcm")
    aris("flow", "run", "--once", "--no-model")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i '1s/.*/A long report without a heading./'")
    failed = aris("read", "edit", "A1")
    assert failed.exit_code == 1 and "--file" in failed.stderr
    (kept,) = (house / "home" / "store").glob("unsaved-*.txt")
    assert kept.read_text().startswith("A long report") and kept.stat().st_mode & 0o077 == 0


class Late:
    """A drafter whose draft comes after a reader's text."""

    name, revision = "aris-nano", "r1"

    def __call__(self, files: object) -> Draft:
        return Draft(model=self.name, file="film.dcm", sections=Sections(impression="Pneumothorax on the left."),
                     findings=(), warnings=(), priority="critical")  # fmt: skip


def test_a_later_draft_is_shown_though_it_is_not_the_text(aris: Aris, house: Path) -> None:
    users(aris)
    aris("flow", "add", house / "film.dcm")
    aris("flow", "run", "--once", "--no-model")
    assert aris("read", "edit", "A1", "-s", "impression=Clear.").exit_code == 0
    with Store(house / "home" / "store") as store:
        of_model = open_house(store, key=house / "home" / "keys" / "audit.key", settings=SiteSettings())
        assert draft_next(of_model, Late(), "w") == "drafted"
    shown = aris("read", "show", "A1").stdout
    assert "draft 1 came later and is not in the text" in shown and "Pneumothorax on the left." in shown


def test_users_who_do_both_lose_their_ways_in_and_the_trail_leaves_as_fhir(aris: Aris, house: Path) -> None:
    from fhir.resources.R4B.bundle import Bundle

    from aris.store.reading.access import identities, tokens

    made = aris("users", "add", "sol", "--role", "admin+reader", "--name", "Roe^Sol", "--organization", "St. Élan",
                "--password-stdin", input=PASSWORD + "\n")  # fmt: skip
    assert made.exit_code == 0 and "admin+reader" in made.stdout
    users(aris)
    last = aris("users", "change", "sol", "--role", "reader")
    assert last.exit_code == 1 and "last admin" in last.stderr
    with Store(house / "home" / "store") as store:
        now = datetime.now(UTC)
        with store.sessions.writing() as session:
            _, token = tokens.add(session, "ana", "x", ["read"], now, None)
            identities.link(session, "ana", "https://login.example", "subject", now)
        assert aris("users", "change", "ana", "--inactive", "--forget-oidc").exit_code == 0
        assert aris("users", "change", "ana", "--active").exit_code == 0
        with store.sessions.reading() as session:
            assert tokens.find(session, token, now) is None
            assert identities.find(session, "https://login.example", "subject") is None
    out = house / "audit.json"
    assert aris("audit", "export", out, "--after", "1").exit_code == 0
    bundle = Bundle.model_validate_json(out.read_text())
    assert len(bundle.entry) == 4 and out.stat().st_mode & 0o077 == 0
    assert "cannot be written" in aris("audit", "export", house / "none" / "x.json").stderr
    assert json.loads(aris("audit", "export", "-").stdout)["resourceType"] == "Bundle"
