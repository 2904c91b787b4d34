"""The prompts of `aris-nano`, made with the real Gemma 3 vocabulary, and its corpus from the real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from aris.checkpoints import embedded
from aris.checkpoints.gguf import gemma
from aris.prompting import PromptProcessor, Tokenizer
from aris.tuning.nano import corpus
from aris.tuning.nano.tower.vision import TOKENS_PER_SIDE


@pytest.fixture(scope="session")
def processor() -> PromptProcessor:
    tokenizer = Tokenizer.from_gguf(*gemma.vocabulary(embedded.language_weights()))
    return PromptProcessor(tokenizer, None, TOKENS_PER_SIDE**2)


@pytest.fixture(scope="session")
def real_corpus(data_dir: Path) -> corpus.Corpus:
    return corpus.build(data_dir, drafts_per_film=1)
