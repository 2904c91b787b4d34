"""The prompts of `aris-nano`, made with the real Gemma 3 vocabulary, and its corpus from the real folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from aris.checkpoints import embedded, gguf_gemma
from aris.prompting import PromptProcessor, Tokenizer
from aris.tuning import nano_corpus
from aris.tuning.nano_vision import TOKENS_PER_SIDE


@pytest.fixture(scope="session")
def processor() -> PromptProcessor:
    tokenizer = Tokenizer.from_gguf(*gguf_gemma.vocabulary(embedded.language_weights()))
    return PromptProcessor(tokenizer, None, TOKENS_PER_SIDE**2)


@pytest.fixture(scope="session")
def real_corpus(data_dir: Path) -> nano_corpus.Corpus:
    return nano_corpus.build(data_dir, drafts_per_film=1)
