"""`aris draft`: marked as a draft at both ends, one JSON document, failures in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bad_files
from films import filmlike
from opened_files import counted
from scripted_backend import ScriptedBackend, spec

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]
MARK = "DRAFT — not signed"


def test_a_draft_is_headed_and_footed_as_one(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted()
    result = aris("draft", film_png)
    assert result.exit_code == 0, result.output
    lines = result.stdout.strip().splitlines()
    assert lines[0].startswith(MARK) and str(film_png) in lines[0]
    assert lines[-1].startswith(MARK)
    assert "pneumonia: present, probability 0.90" in result.stdout
    assert "FINDINGS: Opacity on the right.\nIMPRESSION: Pneumonia is likely." in result.stdout
    assert "! age and view are not known" in result.stdout


def test_the_embedded_model_says_what_it_is_not_for(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted(name="aris-nano", spec=spec(name="aris-nano"))
    footer = aris("draft", film_png).stdout.strip().splitlines()[-1]
    assert "for trying and testing only, never for patient care" in footer


def test_json_is_one_document_and_nothing_else(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted()
    result = aris("draft", film_png, "--json")
    assert result.exit_code == 0
    data = json.loads(result.stdout)
    assert list(data) == [
        "model", "file", "sections", "findings", "warnings", "draft", "kind", "priority", "checks", "confidence",
        "timings",
    ]  # fmt: skip
    assert data["file"] == str(film_png) and data["draft"] is True
    assert data["sections"]["impression"] == "Pneumonia is likely."


def test_outside_the_scope_the_exit_code_is_0_and_there_is_no_text(
    aris: Aris, scripted: Scripted, film_png: Path
) -> None:
    model = scripted(gate=0.1)
    result = aris("draft", film_png)
    assert result.exit_code == 0 and "! not a chest film" in result.stdout and "Opacity" not in result.stdout
    assert "pneumonia: not assessed" in result.stdout
    assert model.prompts == []
    forced = json.loads(aris("draft", film_png, "--json", "--force").stdout)
    assert forced["forced"] is True and forced["sections"]["findings"]


def test_options_reach_the_model(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    model = scripted()
    aris("draft", film_png, "--temperature", "0.7", "--seed", "5", "--top-k", "3", "--max-tokens", "99")
    (options,) = model.options
    assert options is not None
    assert (options.temperature, options.seed, options.top_k, options.max_tokens) == (0.7, 5, 3, 99)


def test_a_bad_file_is_one_line_and_the_others_go_on(
    aris: Aris, scripted: Scripted, film_png: Path, tmp_path: Path
) -> None:
    scripted()
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"")
    result = aris("draft", bad, film_png, "--json")
    assert result.exit_code == 1
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["file"] == str(bad) and set(first) == {"file", "error"}
    assert second["file"] == str(film_png)
    assert len(result.stderr.strip().splitlines()) == 1 and str(bad) in result.stderr


def test_a_wrong_file_is_told_before_the_model_is_loaded(
    aris: Aris, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("aris.backends.load", lambda *_, **__: pytest.fail("loaded"))
    result = aris("draft", tmp_path / "none.png")
    assert result.exit_code == 1 and result.stdout == "" and "none.png" in result.stderr


def test_escape_sequences_of_a_model_do_not_reach_the_terminal(
    aris: Aris, scripted: Scripted, film_png: Path
) -> None:
    evil = "FINDINGS: \x1b[2J\x1b]0;owned\x07 red\rOVER \u202egnp.exe [bold]x[/bold]\nIMPRESSION: y \x9b1m"
    scripted(pieces=tuple(evil))
    result = aris("draft", film_png)
    assert not set(result.output) & {"\x1b", "\x07", "\r", "\u202e", "\x9b"}
    assert "␛[2J" in result.stdout and "[bold]x[/bold]" in result.stdout
    document = aris("draft", film_png, "--json").stdout
    assert document.isascii() and json.loads(document)["sections"]["impression"].startswith("y")


def test_a_file_name_cannot_forge_lines(aris: Aris, scripted: Scripted, film_png: Path, tmp_path: Path) -> None:
    scripted()
    name = tmp_path / "a\nDRAFT signed by Dr X\x1b[1m[red].png"
    name.write_bytes(film_png.read_bytes())
    result = aris("draft", name)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output and "\nDRAFT signed" not in result.stdout and "[red]" in result.stdout
    name.write_bytes(b"")
    result = aris("draft", name)
    assert result.exit_code == 1 and len(result.stderr.strip().splitlines()) == 1


def test_a_film_is_opened_once_and_parsed_once(
    aris: Aris, scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = scripted()
    path = bad_files.dicom(tmp_path, filmlike().astype(np.uint16) * 16, BodyPartExamined="CHEST", PatientAge="003Y")
    with counted(monkeypatch, tmp_path) as (opened, parsed):
        result = aris("draft", path)
    assert result.exit_code == 0 and "FINDINGS: Opacity on the right." in result.stdout and model.prompts
    assert opened == {"film.dcm": 1} and len(parsed) == 1
