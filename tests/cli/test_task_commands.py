"""`draft` on folders and archives, `classify`, `locate`, `compare`, `calibrate`: results, JSON, one-line errors."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from aris.checkpoints.registry import find
from films import filmlike
from scripted_backend import ScriptedBackend

Aris = Callable[..., Any]
Scripted = Callable[..., ScriptedBackend]
SAMPLES = Path(__file__).resolve().parents[2] / "samples"
V15 = {"spec": find("medgemma-1.5-4b-it"), "calibration": {}}


def test_a_folder_is_drafted_and_what_is_broken_stops_nothing(
    aris: Aris, scripted: Scripted, film_png: Path, tmp_path: Path
) -> None:
    scripted()
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "c.png"):
        (folder / name).write_bytes(film_png.read_bytes())
    (folder / "b.png").write_bytes(b"broken")
    result = aris("draft", folder, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [Path(line["file"]).name for line in lines] == ["a.png", "b.png", "c.png"]
    assert ["error" in line for line in lines] == [False, True, False]
    assert result.stderr.count("error:") == 1 and "2 drafts, 1 not read" in result.stderr


def test_a_series_in_a_zip(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    from aris.imaging.synthetic.series import Geometry, write_series

    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as zipped:
        for path in write_series(tmp_path / "ct", Geometry(slices=3), StudyDescription="CT chest"):
            zipped.write(path, path.name)
    scripted(**V15)
    result = aris("draft", tmp_path / "ct.zip", "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["kind"] == "ct" and data["sections"]["examination"] == "CT chest" and data["draft"] is True


def test_priority_stands_under_the_text(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted()
    assert "PRIORITY: urgent" in aris("draft", film_png).stdout


def test_classify(aris: Aris, scripted: Scripted, tmp_path: Path) -> None:
    tile = tmp_path / "tile.png"
    PIL.Image.fromarray(np.full((64, 64, 3), 180, dtype=np.uint8)).save(tile)
    scripted(**V15, choices=lambda options: [-float(i) for i in range(len(options))])
    result = aris("classify", tile, tmp_path / "none.png", "--json")
    good, bad = map(json.loads, result.stdout.splitlines())
    assert good["choice"] == "adipose" and good["scored_by"] == "log-probability of the whole option"
    assert set(bad) == {"file", "error"} and result.exit_code == 1
    text = aris("classify", tile, "-o", "benign", "-o", "malignant", "-q", "Which?", "--kind", "skin").stdout
    assert "benign (log-probability of the whole option)" in text and "0.73  benign" in text
    assert aris("classify", tile, "-o", "one", "-o", "two").exit_code == 2
    assert aris("classify", tile, "--kind", "teeth").exit_code == 2


def test_locate(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    box = '[{"box_2d": [100, 200, 300, 400], "label": "heart"}, {"box_2d": [1], "label": "x"}]'
    scripted(**V15, pieces=(box,))
    result = aris("locate", film_png, "heart")
    assert result.exit_code == 0 and "heart: x " in result.stdout and "dropped: " in result.stdout
    data = json.loads(aris("locate", film_png, "heart", "--json").stdout)
    assert len(data["regions"]) == 1 and data["dropped"][0]["reason"] == "1 numbers, not 4"


def test_compare(aris: Aris, scripted: Scripted, film_png: Path) -> None:
    scripted(**V15, pieces=("The lungs are ", "clearer."))
    result = aris("compare", film_png, film_png)
    assert result.exit_code == 0 and "DRAFT" in result.stdout and "The lungs are clearer." in result.stdout
    data = json.loads(aris("compare", film_png, film_png, "--json").stdout)
    assert data["text"] == "The lungs are clearer." and data["draft"] is True and data["days"] is None


@pytest.mark.parametrize("command", ["classify", "locate", "compare"])
def test_an_error_of_a_folder_names_no_file_in_it(
    aris: Aris, scripted: Scripted, command: str, tmp_path: Path
) -> None:
    scripted(**V15)
    from aris.imaging.synthetic.series import Geometry, write_series

    folder = tmp_path / "study"
    write_series(folder, Geometry(slices=3, rows=32, columns=32), prefix="Mustermann")
    more = {"classify": [], "locate": ["heart"], "compare": [folder]}[command]
    result = aris(command, folder, *more)
    assert result.exit_code == 1 and "error: " in result.stderr and "Mustermann" not in result.stderr


@pytest.mark.parametrize("command", ["classify", "locate", "compare"])
def test_the_embedded_model_refuses_in_one_line(aris: Aris, command: str, film_png: Path) -> None:
    more = {"classify": [], "locate": ["heart"], "compare": [film_png]}[command]
    result = aris(command, film_png, *more)
    assert result.exit_code == 1 and result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("error: aris-nano: ") and "outside the model's scope" in line


def test_calibrate_with_the_embedded_model_and_use_it(aris: Aris, tmp_path: Path) -> None:
    """The two sample films, brightened and shifted into 24: enough to walk the way, no evidence of anything."""
    rows = ["file,patient,pneumonia"]
    for index in range(24):
        ill = index % 2
        name = "child-pneumonia.jpg" if ill else "child-normal.jpg"
        pixels = np.asarray(PIL.Image.open(SAMPLES / name).convert("L")).astype(np.float64)
        shifted = np.clip(np.roll(pixels, index - 12, axis=1) * (0.9 + index / 120), 0, 255).astype(np.uint8)
        PIL.Image.fromarray(shifted).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,p{index},{ill}")
    (tmp_path / "broken.png").write_bytes(b"x")
    rows.append("broken.png,q,1")
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    out, plot = tmp_path / "site.json", tmp_path / "plot.png"
    result = aris("calibrate", labels, "--out", out, "--plot", plot, "--sensitivity", "0.9")
    assert result.exit_code == 0, result.output
    assert "AUC" in result.stdout and "left out: line " in result.stderr and "broken.png" not in result.stderr
    assert PIL.Image.open(plot).format == "PNG"
    data = json.loads(aris("findings", SAMPLES / "child-pneumonia.jpg", "--calibration", out, "--json").stdout)
    (finding,) = data["findings"]
    assert finding["note"] == "calibrated on the site's own labels" and finding["probability"] > 0.5
    # Probabilities of these weights are none of others'.
    other = aris("findings", SAMPLES / "child-normal.jpg", "--calibration", out, "--quantize", "int8", "--dtype=bf16")
    assert other.exit_code == 1 and "other weights" in other.stderr and other.stdout == ""
    wrong = aris("findings", SAMPLES / "child-normal.jpg", "--calibration", labels)
    assert wrong.exit_code == 1 and wrong.stderr.count("\n") == 1


def test_labels_that_are_wrong_are_one_line(aris: Aris, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,pneumonia\na.png,maybe\n")
    PIL.Image.fromarray(filmlike()).save(tmp_path / "a.png")
    result = aris("calibrate", tmp_path / "labels.csv", "--out", tmp_path / "site.json")
    assert result.exit_code == 1 and result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert not (tmp_path / "site.json").exists()
