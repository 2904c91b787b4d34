"""`aris.load(speculation=...)`: what it switches on, and that greedy answers stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest

import aris
import tiny_checkpoint
from aris.engine.draft_model import DraftModel
from aris.engine.speculation import PromptLookup
from aris.errors import ModelError
from aris.prompting import Tokenizer


def test_every_setting_gives_the_same_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny_checkpoint.save(tmp_path / "tiny")
    options = aris.GenerationOptions(max_tokens=60)
    texts = set()
    for setting, kind in (("off", None), ("prompt", PromptLookup), (folder, DraftModel), (None, None)):
        model = aris.load(folder, dtype="float32", device="cpu", speculation=setting)
        proposer = model.engine._scheduler.proposer
        assert proposer is None if kind is None else isinstance(proposer, kind)
        texts.add(model.generate([aris.user("Repeat: one two three one two three")], options).text)
    assert len(texts) == 1
    differing = iter([[b"a"], [b"b"]])
    monkeypatch.setattr(Tokenizer, "token_bytes", lambda self: next(differing))
    with pytest.raises(ModelError, match="another vocabulary"):
        aris.load(folder, dtype="float32", device="cpu", speculation=folder)
