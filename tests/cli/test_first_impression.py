"""What a new user meets: help that can be read, names that are suggested, facts told of pictures, right counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import typer
from typer.testing import CliRunner

from aris.cli import app
from aris.cli.options.patient_facts import years
from aris.cli.outcome import Group
from aris.imaging import read_film
from aris.tasks.evidence_maps.relevance_map import hot_regions
from aris.tasks.evidence_maps.sides import side_of
from films import filmlike
from scripted_backend import ScriptedBackend, spec

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]
COMMANDS = [
    "", "draft", "findings", "classify", "locate", "compare", "calibrate", "ask", "export", "deidentify", "chat",
    "serve", "bench", "models", "models show", "models quantize", "tune", "tune run", "tune check", "tune merge",
    "tune export", "node", "node serve", "node return", "node studies",
]  # fmt: skip


def shown(command: str, width: int) -> str:
    # Typer reads the width once, when it is imported.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.rich_utils.MAX_WIDTH", width)
        result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    return str(result.output)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_wrapped_by_the_terminal_and_not_by_the_source(command: str) -> None:
    for width in (80, 120):
        text = shown(command, width)
        assert max(map(len, text.splitlines())) <= width
        prose = text.partition("Example")[0].partition("╭")[0].splitlines()
        # A line that ends early is the end of its paragraph: the next one is empty.
        for line, after in pairwise(prose):
            first = after.strip().partition(" ")[0]
            if line.strip() and first and not line.strip().startswith("Usage"):
                assert len(line.rstrip()) + 1 + len(first) >= width - 1, (command, line, after)


def test_brackets_stay_in_help() -> None:
    made = typer.Typer(cls=Group, rich_markup_mode="rich")

    @made.command()
    def one(box: str = typer.Option("", help="A box [left, top, right, bottom] in pixels.")) -> None:
        """Take a list [label, box].

        Example:

            aris one --box [bold]
        """

    @made.command()
    def two() -> None: ...

    text = CliRunner().invoke(made, ["one", "--help"]).output
    assert "[left, top, right, bottom]" in text and "[label, box]" in text and "    aris one --box [bold]" in text


def test_exit_codes_are_told() -> None:
    for command in ("", "draft", "ask", "tune check"):
        assert "Exit codes: 0 done" in shown(command, 120)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["models", "show", "medgema-4b-it"], "medgemma-4b-it"), (["models", "show", "aris-nan"], "aris-nano"),
        (["models", "pull", "medgemma-27b"], "medgemma-27b-it"), (["ask", "-m", "aris-nan", "What?"], "aris-nano"),
        (["draft", "x.png", "--kind", "chestfilm"], "chest-film"), (["draft", "x.png", "--view", "APP"], "AP"),
        (["bench", "--dtype", "bfloat61"], "bfloat16"), (["ask", "--quantize", "int5", "x"], "int"),
        (["tune", "chekc", "x"], "check"), (["drft", "x"], "draft"),
        (["tune", "run", "record", "--data", "d", "--out", "o"], "records"), (["export", "-", "-f", "fihr"], "fhir"),
    ],
)  # fmt: skip
def test_a_misspelt_word_is_suggested(aris: Aris, typed: list[str], meant: str) -> None:
    result = aris(*typed, input="{}")
    said = " ".join(result.output.replace("│", " ").split()).lower()
    assert result.exit_code in (1, 2) and "did you mean" in said and meant.lower() in said.partition("did you mean")[2]


@pytest.mark.parametrize(("orientation", "turned"), [(1, False), (0, False), (9, False), (3, True), (6, True)])
def test_an_upright_picture_is_not_said_to_be_turned(tmp_path: Path, orientation: int, turned: bool) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(filmlike()).save(tmp_path / "film.jpg", exif=exif)
    assert any("EXIF" in each for each in read_film(tmp_path / "film.jpg").warnings) is turned


def test_ages_are_read_with_their_units() -> None:
    assert [years(each) for each in ("4", "0.5", "18M", "4y")] == [4, 0.5, 1.5, 4]
    for wrong in ("", "x", "-1", "131", "4 years old"):
        with pytest.raises(typer.BadParameter):
            years(wrong)


def test_age_and_view_are_said_before_the_text_or_told(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted()
    lines = aris("draft", film_png).stdout.splitlines()
    unknown = next(i for i, line in enumerate(lines) if line.startswith("! age and view are not known"))
    assert unknown < lines.index("FINDINGS: Opacity on the right.") and "clinician" in lines[1]
    told = json.loads(aris("draft", film_png, "--age", "4", "--view", "pa", "--json").stdout)
    assert not any("not known" in each for each in told["warnings"])
    old = json.loads(aris("findings", film_png, "--age", "40", "--json").stdout)
    assert old["findings"][0]["probability"] is None and "age is outside" in old["findings"][0]["note"]


def test_results_of_a_model_not_for_patients_say_so(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted(spec=spec(patient_care=False))
    for command in (("draft", film_png), ("findings", film_png), ("ask", "-i", film_png, "Is it?")):
        assert json.loads(aris(*command, "--json").stdout)["caution"].endswith("never for patient care.")
    lines = aris("draft", film_png).stdout.splitlines()
    assert lines[1] == "tiny is for trying and testing only, never for patient care."


def test_a_folder_counts_and_names_each_file_once(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    scripted()
    PIL.Image.fromarray(filmlike()).save(tmp_path / "good.png")
    shade = np.arange(128, dtype=np.uint8)[:, None, None] // 4
    PIL.Image.fromarray(np.full((128, 128, 3), (200, 60, 160), dtype=np.uint8) - shade).save(tmp_path / "tile.png")
    (tmp_path / "bad.png").write_bytes(b"\x89PNG broken")
    result = aris("draft", tmp_path)
    assert result.exit_code == 1 and result.output.count("bad.png") == 1
    assert "1 draft, 1 outside the model's scope, 1 not read" in result.stderr


def test_a_question_that_is_not_answered_ends_with_1(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    declared = spec(patient_care=False)
    scripted(spec=replace(declared, scope=replace(declared.scope, free_answers=False)), pieces=("Yes",))
    tile = tmp_path / "tile.png"
    PIL.Image.fromarray(np.full((128, 128, 3), (200, 60, 160), dtype=np.uint8)).save(tile)
    refused = aris("ask", "-i", tile, "Is there pneumonia?")
    assert refused.exit_code == 1 and "cannot answer this" in refused.stdout and "Yes" not in refused.stdout
    assert refused.output.count("never for patient care") == 1
    assert json.loads(aris("ask", "-i", tile, "Is there pneumonia?", "--json").stdout)["answered"] is False
    forced = aris("ask", "-i", tile, "Is there pneumonia?", "--force")
    assert forced.exit_code == 0 and forced.stdout.startswith("! forced") and forced.stdout.endswith("Yes\n")
    talk = aris("chat", "-i", tile, input="Hello\nIs there pneumonia?\n/clear\nWhat is asthma?\n")
    assert talk.stdout.count("cannot answer this") == 2 and talk.stdout.splitlines()[-1] == "Yes"


def test_no_box_is_drawn_where_relevance_is_diffuse() -> None:
    assert hot_regions(np.full((200, 200), 1 / 40_000, dtype=np.float32)) == ()
    rows, columns = np.mgrid[0:200, 0:200] / 200 - 0.5
    wide = np.exp(-(rows**2 + columns**2) / (2 * 0.4**2)).astype(np.float32)
    assert hot_regions(wide / wide.sum()) == ()
    narrow = np.exp(-(rows**2 + columns**2) / (2 * 0.05**2)).astype(np.float32)
    assert len(hot_regions(narrow / narrow.sum())) == 1


def test_evidence_across_the_midline_has_no_side() -> None:
    assert side_of((10, 0, 55, 10), 100, ("L", "F"), whole=True) == "midline"
    assert side_of((10, 0, 48, 10), 100, ("L", "F"), whole=True) == "right"
    assert side_of((35, 0, 62, 10), 100, ("L", "F")) == "midline"


def test_the_node_names_what_it_received(aris: Aris) -> None:
    text = " ".join(shown("node serve", 120).split())
    assert "Each one is told on stdout" in text


def test_server_takes_quantize() -> None:
    assert "--quantize" in shown("serve", 120)
