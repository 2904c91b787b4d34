"""`aris intake` as a user and as a script meet it."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Aris = Callable[..., Any]
CALM = (
    "1\nme\n40\nsore knee after running\n0\n0\nmale\nneither\ndays\n3 days\nright knee\n1\n4\n0\n0\n0\nnone\nnone\n"
    + "2\n"
    + "0\n" * 6
)


def test_a_conversation_ends_with_advice_and_a_summary(aris: Aris, tmp_path: Path) -> None:
    result = aris("intake", "--model", "none", "--fhir", tmp_path / "out.json", input=CALM)
    assert result.exit_code == 0, result.output
    assert "software, not a person" in result.stdout and "(1 of at most 20)" in result.stdout
    assert "Thank you. The questions are done." in result.stdout
    assert "TRIAGE LEVEL: ROUTINE" in result.stdout and "sore knee after running" in result.stdout
    document = json.loads((tmp_path / "out.json").read_text())
    assert document["resourceType"] == "Bundle" and stat.S_IMODE((tmp_path / "out.json").stat().st_mode) == 0o600


def test_an_emergency_shows_the_sites_number_and_ends(aris: Aris, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text('emergency_number: "144"\nclinic: Seeklinik\n')
    result = aris("intake", "--model", "none", "--site", site, "--no-summary", input="yes\nme\nI can't breathe\n")
    assert result.exit_code == 0 and "Call 144 now" in result.stdout and "Seeklinik" in result.stdout
    assert "TRIAGE" not in result.stdout and "main problem" not in result.stdout


def test_json_lines(aris: Aris) -> None:
    said = ["yes", "me", json.dumps({"answer": "54"}), json.dumps("crushing chest pain")]
    result = aris("intake", "--json", "--model", "none", input="\n".join(said) + "\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["event"] for line in lines] == ["question"] * 4 + ["result"]
    assert [line["id"] for line in lines[:4]] == ["consent", "who", "age", "complaint"]
    assert lines[-1]["level"] == "emergency" and lines[-1]["summary"]["red_flags"]


def test_answers_of_a_script_may_be_numbers_and_lists(aris: Aris) -> None:
    said = [json.dumps({"answer": each}) for each in (1, 1, 54, "my knee hurts", [0])]
    result = aris("intake", "--json", "--model", "none", input="\n".join(said) + "\n")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert not any(line.get("note") for line in lines) and len({line["id"] for line in lines}) == len(lines) == 6


def test_a_stopped_intake_goes_on_at_the_same_question(aris: Aris, tmp_path: Path) -> None:
    saved = tmp_path / "visit.json"
    first = aris("intake", "--json", "--model", "none", "--save", saved, input="yes\nme\n")
    assert first.exit_code == 1 and "--resume" in first.stderr
    asked = [json.loads(line)["id"] for line in first.stdout.splitlines()][-1]
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    again = aris("intake", "--json", "--model", "none", "--resume", saved, input="40\n")
    assert [json.loads(line)["id"] for line in again.stdout.splitlines()][:2] == [asked, "complaint"]


def test_declined_keeps_nothing(aris: Aris, tmp_path: Path) -> None:
    saved = tmp_path / "visit.json"
    result = aris("intake", "--model", "none", "--save", saved, "--fhir", tmp_path / "out.json", input="no\n")
    assert result.exit_code == 0 and "nothing was kept" in result.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("emergency_number: 144\nphone: 1\n", "phone"),
        ("[1, 2]", "settings"),
        ("a: [", "not YAML"),
        ("clinic: ''", "clinic"),
    ],
)
def test_wrong_settings_are_one_line(aris: Aris, tmp_path: Path, content: str, said: str) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(content)
    result = aris("intake", "--model", "none", "--site", site, input="yes\n")
    assert result.exit_code == 1 and said in result.stderr and len(result.stderr.splitlines()) == 1


def test_wrong_files_are_one_line(aris: Aris, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{}")
    for arguments in (
        ["--resume", tmp_path / "none.json"],
        ["--resume", tmp_path / "bad.json"],
        ["--site", tmp_path / "x.yaml"],
    ):
        result = aris("intake", "--model", "none", *arguments, input="yes\n")
        assert result.exit_code == 1 and result.stderr.startswith("error: ") and len(result.stderr.splitlines()) == 1
    result = aris("intake", "--model", "none", "--save", tmp_path / "bad.json", input="yes\n")
    assert result.exit_code == 2  # it is there, and would be lost


def test_a_model_that_cannot_be_loaded_does_not_stop_the_questions(aris: Aris) -> None:
    result = aris("intake", "--model", "no-such-model-at-all", "--no-summary", input=CALM)
    assert result.exit_code == 0 and "without a model" in result.stderr and "Thank you" in result.stdout


def test_the_page_needs_a_key_and_an_address(aris: Aris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARIS_API_KEY", raising=False)
    listen = ("intake", "--model", "none", "--sessions", tmp_path / "kept", "--listen")
    result = aris(*listen, "127.0.0.1:0")
    assert result.exit_code == 2 and "ARIS_API_KEY" in result.output
    result = aris(*listen, "nowhere", "--api-key", "k")
    assert result.exit_code == 1 and "HOST:PORT" in result.stderr
