"""Conversations from JSON Lines: what is read, and how each bad row is named."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from reading import read_conversations

from aris.errors import DataError
from aris.prompting import PromptProcessor
from aris.tuning.data.examples import Turn, tokenize
from aris.tuning.data.images import ImageBank


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "films").mkdir()
    for name, level in (("a.png", 10), ("b.png", 200)):
        Image.fromarray(np.full((6, 9), level, dtype=np.uint8)).save(tmp_path / "films" / name)
    return tmp_path


def image(name: str) -> dict[str, str]:
    return {"type": "image", "path": name}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def row(*messages: tuple[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": role, "content": content} for role, content in messages], **more}


def write(folder: Path, *lines: Any) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_rows_are_read_with_their_images(folder: Path, processor: PromptProcessor) -> None:
    path = write(
        folder,
        row(("user", [image("films/a.png"), text("Describe.")]), ("assistant", "Dark."),
            group=17, task="draft", weight=2),
        "",
        row(("system", "Be kind."), ("user", [text("Compare "), image("films/b.png"), image("films/a.png")]),
            ("assistant", [text("One is "), text("brighter.")])),
    )  # fmt: skip
    images = ImageBank(4)
    good, bad = read_conversations(path, images)
    assert bad == []
    assert (good[0].group, good[0].task, good[0].weight) == ("17", "draft", 2.0)
    assert good[0].turns == (Turn("user", (0, "Describe.")), Turn("assistant", ("Dark.",)))
    assert good[1].turns[1].parts == ("Compare ", 1, 0), "a file is read once, whatever the number of its rows"
    assert (good[1].group, good[1].task, good[1].weight) == ("", "chat", 1.0)
    assert images.pixels().shape == (2, 4, 4) and images.pixels()[:, 0, 0].tolist() == [10, 200]
    tokens = tokenize(good[1], processor, 512)
    assert tokens is not None and tokens.all_images() == (1, 0)
    assert tokens.token_ids.count(processor.tokenizer.image_token_id) == 2 * processor.mm_tokens_per_image


ASKED = ("user", "Why?")
SAID = ("assistant", "SECRET")
BAD: dict[str, tuple[Any, str]] = {
    "cut": ('{"messages": [', "not JSON"),
    "list": ("[1]", "not an object"),
    "no messages": ({"task": "x"}, "'messages' must be"),
    "empty": ({"messages": []}, "'messages' must be"),
    "typo": (row(ASKED, SAID, wieght=2), "unknown field 'wieght'"),
    "weight": (row(ASKED, SAID, weight=0), "'weight'"),
    "weight nan": (row(ASKED, SAID, weight=float("nan")), "'weight'"),
    "weight true": (row(ASKED, SAID, weight=True), "'weight'"),
    "group": (row(ASKED, SAID, group=["p"]), "'group'"),
    "task": (row(ASKED, SAID, task=""), "'task'"),
    "role": (row(("model", "x"), SAID), "message 1: the role"),
    "message": ({"messages": ["hi", "ho"]}, "message 1: the role"),
    "order": (row(SAID, ASKED), "alternate"),
    "twice": (row(ASKED, ASKED, SAID), "alternate"),
    "unanswered": (row(ASKED), "alternate"),
    "late system": (row(ASKED, SAID, ("system", "x"), SAID), "alternate"),
    "content": (row(("user", 5), SAID), "message 1: 'content'"),
    "part": (row(("user", [{"type": "audio"}]), SAID), "message 1: a part"),
    "part text": (row(("user", [{"type": "text"}]), SAID), "message 1: a part"),
    "silent": (row(ASKED, ("assistant", "  ")), "message 2: the assistant's text is empty"),
    "open reasoning": (row(ASKED, ("assistant", "<unused94>thought\nSECRET")), "does not end with <unused95>"),
    "reasoning alone": (row(ASKED, ("assistant", "<unused94>thought\nSECRET<unused95> ")), "no answer after"),
    "late reasoning": (row(ASKED, ("assistant", "SECRET <unused94>x<unused95>")), "control token <unused94>"),
    "two ends": (row(ASKED, ("assistant", "<unused94>a<unused95>b<unused95>SECRET")), "control token <unused95>"),
    "ended by hand": (row(ASKED, ("assistant", "SECRET<end_of_turn>")), "control token <end_of_turn>"),
    "rendered": (row(ASKED, ("assistant", "<start_of_turn>model\nSECRET")), "control token <start_of_turn>"),
    "halves": (
        row(ASKED, ("assistant", [{"type": "text", "text": "SECRET<unus"}, {"type": "text", "text": "ed94>"}])),
        "control token <unused94>",
    ),
    "drawn answer": (row(ASKED, ("assistant", [image("films/a.png")])), "message 2: only the user's"),
    "missing": (row(("user", [image("films/c.png")]), SAID), "missing or not readable"),
    "folder": (row(("user", [image("films")]), SAID), "missing or not readable"),
    "no image": (row(("user", [image("rows.jsonl")]), SAID), "missing or not readable"),
    "outside": (row(("user", [image("../x.png")]), SAID), "outside the data folder"),
    "absolute": (row(("user", [image("/etc/hostname")]), SAID), "outside the data folder"),
    "nul": (row(("user", [image("a\0b")]), SAID), "missing or not readable"),
    "surrogate": (row(("user", "\ud800"), SAID), "surrogate"),
    "deep": ("[" * 100_000, "nested too deep|not JSON"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_by_line_and_reason_alone(folder: Path, name: str) -> None:
    content, reason = BAD[name]
    fine = row(ASKED, SAID)
    path = write(folder, fine, "", content, fine)
    good, bad = read_conversations(path, ImageBank(4))
    assert len(good) == 2 and len(bad) == 1
    assert str(bad[0]).startswith(f"{path}:3: ")
    assert re.search(reason, str(bad[0]))
    assert "SECRET" not in str(bad[0]) and "\n" not in str(bad[0])


def test_an_undecodable_line_is_one_bad_row(folder: Path) -> None:
    path = write(folder, row(ASKED, SAID))
    path.write_bytes(path.read_bytes() + b"\n\xff\xfe\n" + json.dumps(row(ASKED, SAID)).encode())
    good, bad = read_conversations(path, ImageBank(4))
    assert len(good) == 2 and [b.line for b in bad] == [2]


def test_a_truncated_image_is_one_bad_row(folder: Path) -> None:
    whole = (folder / "films" / "a.png").read_bytes()
    (folder / "films" / "cut.png").write_bytes(whole[: len(whole) // 2])
    path = write(folder, row(("user", [image("films/cut.png")]), SAID))
    assert [b.line for b in read_conversations(path, ImageBank(4))[1]] == [1]


def test_a_missing_file_and_another_root(folder: Path) -> None:
    with pytest.raises(DataError, match="not readable"):
        read_conversations(folder / "none.jsonl", ImageBank(4))
    path = write(folder, row(("user", [image("a.png")]), SAID))
    assert read_conversations(path, ImageBank(4))[1]
    assert not read_conversations(path, ImageBank(4), root=folder / "films")[1]
