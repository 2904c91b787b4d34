"""Tuning data of every kind is read, each wrong row is named with its line, and leaks between splits are found."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from reading import read_conversations
from typer.testing import CliRunner

import tiny_checkpoint
from aris.errors import DataError
from aris.prompting import ImageProcessor, PromptProcessor, Tokenizer
from aris.service import Limits
from aris.service.openai.images import ImageReader
from aris.tuning.check import check_data, data_files, file_splits, pieces
from aris.tuning.data.conversations import PreferencePair, read_examples
from aris.tuning.data.examples import Conversation, Turn, tokenize
from aris.tuning.data.images import ImageBank, ProcessedImageBank
from aris.tuning.data.splits import split_by_group
from aris.tuning.recipe import Recipe
from aris.tuning.run import find_recipe
from dicom_objects import as_bytes
from dicom_objects import image as dicom_image


def png(level: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((5, 7), level, np.uint8)).save(out, "PNG")
    return out.getvalue()


def chat(question: Any, answer: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}], **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def processor() -> PromptProcessor:
    return PromptProcessor(Tokenizer(tiny_checkpoint.tokenizer()), None, 4)


def test_images_come_as_paths_base64_and_data_urls_and_equal_ones_are_kept_once(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(9))
    encoded = base64.b64encode(png(200)).decode()
    parts = [
        {"type": "image", "path": "a.png"},
        {"type": "image", "data": encoded},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}},
        {"type": "text", "text": "Compare."},
    ]
    bank = ImageBank(4, colour=True)
    good, bad = read_conversations(write(tmp_path / "d.jsonl", chat(parts, "Same.")), bank)
    assert not bad
    assert good[0].turns[0].parts == (0, 1, 1, "Compare.")
    assert bank.pixels().shape == (2, 4, 4, 3)
    assert bank.pixels()[:, 0, 0, 0].tolist() == [9, 200]


@pytest.mark.parametrize(
    "part, reason",
    [
        ({"type": "image", "data": "no base64!"}, "not base64"),
        ({"type": "image", "data": base64.b64encode(b"no image").decode()}, "not a readable image"),
        ({"type": "image_url", "image_url": {"url": "https://a.test/x.png"}}, "nothing is fetched"),
        ({"type": "image", "path": "../x.png"}, "outside"),
    ],
)
def test_a_image_that_cannot_be_read_is_named(part: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", chat("ok", "ok"), chat([part], "A"))
    good, bad = read_conversations(path, ImageBank(4))
    assert len(good) == 1
    assert [(each.file, each.line) for each in bad] == [(path, 2)] and reason in bad[0].reason


@pytest.mark.parametrize(
    "message, reason",
    [
        ({"images": ["1.png"]}, "message 1: unknown field 'images'"),
        ({"weight": 0}, "message 1: unknown field 'weight'"),
        ({"content": " "}, "message 1: it is empty"),
        ({"content": []}, "message 1: it is empty"),
    ],
)
def test_a_message_is_not_half_read(message: dict[str, Any], reason: str, tmp_path: Path) -> None:
    """Other formats say there which answers to learn and what images there are."""
    row = chat("Q", "A")
    row["messages"][0] |= message
    good, bad = read_conversations(write(tmp_path / "d.jsonl", row), ImageBank(4))
    assert not good and bad[0].reason.startswith(reason)


def test_preference_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "d.jsonl",
        {"prompt": "Q", "chosen": "Yes", "rejected": "No", "group": 7},
        {"prompt": "Q", "chosen": "Yes", "rejected": "Yes "},
        {"prompt": [{"role": "assistant", "content": "A"}], "chosen": "Yes", "rejected": "No"},
        {"prompt": "Q", "chosen": "Yes"},
    )
    rows, bad = read_examples(path, ImageBank(4))
    ((line, pair),) = rows
    assert line == 1 and isinstance(pair, PreferencePair) and pair.group == "7"
    assert pair.chosen.turns[0] == pair.rejected.turns[0] == Turn("user", ("Q",))
    assert (pair.chosen.turns[1].parts, pair.rejected.turns[1].parts) == (("Yes",), ("No",))
    assert [each.line for each in bad] == [2, 3, 4]
    assert "the same" in bad[0].reason and "alternate" in bad[1].reason and "'rejected'" in bad[2].reason


def test_parquet_holds_the_same_rows(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    image = [{"type": "image", "bytes": png(3), "text": None}, {"type": "text", "bytes": None, "text": "See?"}]
    rows = [{"messages": [{"role": "user", "content": image},
                          {"role": "assistant", "content": [{"type": "text", "bytes": None, "text": "Yes"}]}],
             "group": "p1"}]  # fmt: skip
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "d.parquet")
    good, bad = read_conversations(tmp_path / "d.parquet", ImageBank(4))
    assert not bad
    assert good == [Conversation("chat", (Turn("user", (0, "See?")), Turn("assistant", ("Yes",))), "p1")]
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="Parquet"):
        read_conversations(tmp_path / "broken.parquet", ImageBank(4))


def test_the_report_counts_lengths_and_finds_leaks_and_long_rows(tmp_path: Path, processor: PromptProcessor) -> None:
    write(tmp_path / "train.jsonl", chat("one", "Yes", group="a", task="t"), chat("two", "x" * 80, group="b"))
    write(tmp_path / "validation.jsonl", chat("three", "No", group="a"), "{", chat("", ""))
    report = check_data(tmp_path, processor, max_tokens=60)
    assert report.rows == {"train.jsonl": 2, "validation.jsonl": 1}
    assert [(each.file.name, each.line) for each in report.bad] == [("validation.jsonl", 2), ("validation.jsonl", 3)]
    assert [(each.file.name, each.line) for each in report.too_long] == [("train.jsonl", 2)]
    assert report.leaks == 1 and not report.good
    row = tokenize(Conversation("t", (Turn("user", ("one",)), Turn("assistant", ("Yes",)))), processor, 999)
    assert row is not None and report.tokens is not None and report.answer_tokens is not None
    assert report.answer_tokens.least == 2 and report.tokens.most > 60
    assert report.to_dict()["wrong"][0]["line"] == 2


def test_files_are_splits_by_their_names(tmp_path: Path) -> None:
    """A test split is nothing to train on."""
    names = {
        "train.jsonl": "train", "chest_train-2.jsonl": "train", "part1.jsonl": "train", "value.jsonl": "train",
        "val.jsonl": "validation", "dev_1.parquet": "validation", "validation.jsonl": "validation",
        "test.jsonl": "test", "chest.Test.jsonl": "test", "eval-2.jsonl": "test",
    }  # fmt: skip
    files = [tmp_path / name for name in names]
    assert {file.name: split for file, split in file_splits(files).items()} == names
    assert file_splits([tmp_path / "test.jsonl"]) == {tmp_path / "test.jsonl": "train"}  # it was named
    with pytest.raises(DataError, match="no file to train on"):
        file_splits([tmp_path / "test.jsonl", tmp_path / "val.jsonl"])
    with pytest.raises(DataError, match="train and test"):
        file_splits([tmp_path / "train_of_test.jsonl", tmp_path / "val.jsonl"])
    for name in ("train", "val", "test", "CRC-VAL-HE-7K"):
        (tmp_path / name).mkdir()
    assert [each.name for each in data_files(tmp_path)] == ["test", "train", "val"]


def test_what_lies_in_two_splits_is_told_by_check(tmp_path: Path, processor: PromptProcessor) -> None:
    one, two = ({"type": "image", "data": base64.b64encode(png(level)).decode()} for level in (9, 10))
    write(tmp_path / "train.jsonl", chat([one], "A", group="a"), chat("q", "r", group="b"), chat("s", "t"))
    write(tmp_path / "more.jsonl", chat("u", "v", group="a"))  # the same patient, on the same side
    write(tmp_path / "val.jsonl", chat([one], "B", group="c"), chat("q", "r", group="d"), chat([two], "A", group="e"))
    report = check_data(tmp_path, processor)
    assert (report.leaks, report.shared_images, report.shared_rows) == (0, 1, 1) and report.good
    assert report.splits == {"train.jsonl": "train", "more.jsonl": "train", "val.jsonl": "validation"}
    write(tmp_path / "test.jsonl", chat("w", "x", group="a"))
    report = check_data(tmp_path, processor)
    assert report.leaks == 1 and not report.good


def test_rows_of_the_other_objective_are_wrong_by_a_recipe(tmp_path: Path, processor: PromptProcessor) -> None:
    rows = (chat("q", "r"), {"prompt": "Q", "chosen": "Yes", "rejected": "No"})
    path = write(tmp_path / "d.jsonl", *rows)
    assert check_data(path, processor).good
    for pairs, line, name in ((True, 1, "'preference'"), (False, 2, "'answers'")):
        report = check_data(path, processor, pairs=pairs)
        assert [each.line for each in report.bad] == [line] and name in report.bad[0].reason
        assert report.rows == {"d.jsonl": 1} and not report.good


def test_the_example_shows_what_carries_loss(processor: PromptProcessor) -> None:
    turns = (Turn("user", (0, "Q")), Turn("assistant", ("Yes",)), Turn("user", ("R",)), Turn("assistant", ("No",)))
    row = tokenize(Conversation("t", turns), processor, 999)
    assert row is not None
    made = pieces(row, processor)
    assert [piece.text for piece in made if piece.learned] == ["Yes<end_of_turn>", "No<end_of_turn>"]
    assert "[4 image tokens]" in made[0].text and made[0].text.startswith("<bos><start_of_turn>user")


def test_a_group_keeps_its_side_when_rows_are_added() -> None:
    def rows(count: int) -> list[Conversation]:
        return [Conversation("t", (), group=f"p{number // 2}") for number in range(count)]

    train, validation = split_by_group(rows(200), 0.2)
    assert not {row.group for row in train} & {row.group for row in validation}
    assert 20 <= len(validation) <= 60
    _, more = split_by_group(rows(300), 0.2)
    assert {row.group for row in validation} <= {row.group for row in more}
    with pytest.raises(DataError, match="empty"):
        split_by_group(rows(2), 0.5)


def test_the_command_lists_every_wrong_row_and_exits_with_1(tmp_path: Path) -> None:
    from aris.cli import app

    model = tiny_checkpoint.save(tmp_path / "model")
    data = write(tmp_path / "d.jsonl", chat("one", "Yes"), "[]", "{}")
    result = CliRunner().invoke(app, ["tune", "check", str(data), "--model", str(model)])
    assert result.exit_code == 1
    assert f"{data}:2: not an object" in result.stdout and f"{data}:3: " in result.stdout
    assert "[[Yes<end_of_turn>]]" in result.stdout
    write(data, *(chat(f"one {index}", "Yes") for index in range(100)))
    result = CliRunner().invoke(app, ["tune", "check", str(data), "--model", str(model), "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert found["good"] and found["rows"] == {"d.jsonl": 100} and found["refused"] == []


def test_what_a_run_would_refuse_of_the_whole_is_refused_here(tmp_path: Path, processor: PromptProcessor) -> None:
    def refused(recipe: str | None = None, **changes: Any) -> list[str]:
        settings = Recipe.from_file(find_recipe(recipe), **changes) if recipe else None
        report = check_data(folder, processor, recipe=settings, whole=True)
        assert report.good is not bool(report.refused)
        return list(report.refused)

    folder = tmp_path / "d"
    folder.mkdir()
    write(folder / "train.jsonl", *(chat(f"q {index}", "Yes") for index in range(3)))
    (said,) = refused()
    assert "one side empty" in said and refused("records") == [said]
    write(folder / "validation.jsonl", chat("another", "No"))
    assert refused() == refused("records") == []
    assert "no rows" in refused("records", mixture={"other": 1.0})[0]
    assert "no task of the rows" in refused("records", best="accuracy of x", metrics={"x": ("accuracy",)})[0]
    assert "augment_strength" in refused("records", augment_strength=0.5)[0]
    (folder / "train.jsonl").unlink()
    write(folder / "train.jsonl", {"prompt": "p", "chosen": "a", "rejected": "b"}, chat("q", "Yes"))
    assert "one kind" in refused()[0]


def test_on_a_terminal_what_is_learned_is_green_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processor: PromptProcessor
) -> None:
    from aris.cli.models.tune import _print_report

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    content = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "Yes"},
               {"role": "user", "content": "\x1b[31mtwo"}, {"role": "assistant", "content": "No"}]  # fmt: skip
    report = check_data(write(tmp_path / "d.jsonl", {"messages": content}), processor)
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    monkeypatch.delenv("NO_COLOR", raising=False)
    _print_report(report)
    coloured = re.findall(r"\x1b\[32m(.*?)\x1b\[0m", shown.getvalue(), re.DOTALL)
    assert coloured == ["Yes<end_of_turn>", "No<end_of_turn>"]
    assert "two" in shown.getvalue() and "\x1b[31m" not in shown.getvalue()  # the row's own escape is not passed on


def encoded(image: Image.Image, kind: str, **more: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["16 bits", "upright", "transparent", "DICOM"])
def test_a_image_is_learned_as_it_is_shown_later(kind: str) -> None:
    """The bytes that training takes from a file are those that the engine makes of it for an answer."""
    half = np.zeros((24, 36), np.uint8)
    half[:, :18] = 220
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    clear = np.dstack([np.full((24, 36, 3), 200, np.uint8), half])
    data = {
        "16 bits": lambda: encoded(Image.fromarray(np.linspace(0, 40_000, 864).reshape(24, 36).astype("u2")), "PNG"),
        "upright": lambda: encoded(Image.fromarray(half), "JPEG", exif=exif),
        "transparent": lambda: encoded(Image.fromarray(clear), "PNG"),
        "DICOM": lambda: as_bytes(dicom_image(side=24)),
    }[kind]()
    processor = ImageProcessor(32)
    bank = ProcessedImageBank(processor)
    ours = bank.view(torch.device("cpu"))(bank.image(bank.add(data))[None])[0]
    shown = ImageReader(Limits()).read(f"data:;base64,{base64.b64encode(data).decode()}", "image")
    theirs = processor(shown, pan_and_scan=False)[0]
    assert theirs.std() > 0.2  # there is something to see
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1 / 250)


def test_what_is_no_image_says_why(tmp_path: Path) -> None:
    pages = encoded(Image.new("L", (4, 4)), "TIFF", save_all=True, append_images=[Image.new("L", (4, 4))])
    (tmp_path / "pages.tif").write_bytes(pages)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    parts = [[{"type": "image", "path": name}] for name in ("pages.tif", "a.pdf", "none.png")]
    rows = [chat([*part, {"type": "text", "text": "?"}], "A") for part in parts]
    _, bad = read_conversations(write(tmp_path / "d.jsonl", *rows), ImageBank(4))
    assert "2 pages" in bad[0].reason and "PDF" in bad[1].reason and bad[2].reason.endswith("not readable")
    assert str(tmp_path) not in "".join(each.reason for each in bad)
