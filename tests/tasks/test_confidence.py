"""How sure a model was of its sentences: tokens found in the text however they are spelt, and what endpoints give."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aris.backends import GenerationOptions, Reply, TokenLogprob
from aris.errors import ModelError, PromptError
from aris.prompting import Message
from aris.tasks import DraftStream, draft
from aris.tasks.text.confidence import MARK_BELOW, NOT_GIVEN, sentence_confidence, token_spans
from aris.tasks.text.report import parse_report
from films import child
from scripted_backend import CALIBRATION, ScriptedBackend, ScriptedStream, nano, spec

TEXT = "FINDINGS: No effusion.\nThe lungs are clear.\nIMPRESSION: Pneumonia – likely."


def tokens(*pairs: tuple[str, float]) -> list[TokenLogprob]:
    return [TokenLogprob(token, math.log(probability)) for token, probability in pairs]


VOCABULARY = tokens(
    ("FIND", 1), ("INGS", 1), (":", 1), ("▁No", 0.25), ("▁effusion", 1), (".", 1), ("<0x0A>", 1),
    ("The", 0.5), ("▁lungs", 1), ("▁are", 1), ("▁clear", 0.5), (".", 1), ("\n", 1), ("IM", 1), ("PRESS", 1),
    ("ION", 1), (":", 1), ("▁Pneumonia", 0.01), ("▁", 0.9), ("<0xE2>", 0.9), ("<0x80>", 0.9), ("<0x93>", 0.9),
    ("▁likely", 0.1), (".", 0.9), ("<end_of_turn>", 0.001),
)  # fmt: skip


def test_each_sentence_has_the_tokens_that_it_is_made_of() -> None:
    told = sentence_confidence(TEXT, parse_report(TEXT)[0], VOCABULARY)
    assert [(each.section, each.text, each.tokens) for each in told] == [
        ("findings", "No effusion.", 3),
        ("findings", "The lungs are clear.", 5),
        ("impression", "Pneumonia – likely.", 7),
    ]
    assert told[0].mean_probability == pytest.approx(0.25 ** (1 / 3), abs=1e-4)
    assert told[0].least_probability == pytest.approx(0.25)
    assert [each.marked for each in told] == [each.mean_probability < MARK_BELOW for each in told]
    assert [each.marked for each in told] == [False, False, True]


def test_tokens_spelt_as_text_give_the_same() -> None:
    plain = [
        replace(each, token=f"bytes:\\x{each.token[3:5].lower()}" if each.token.startswith("<0x") else each.token)
        for each in VOCABULARY[:-1]
    ]
    plain = [replace(each, token=each.token.replace("▁", " ")) for each in plain]
    sections = parse_report(TEXT)[0]
    assert sentence_confidence(TEXT, sections, plain) == sentence_confidence(TEXT, sections, VOCABULARY)


def test_sentences_that_come_twice_have_their_own_tokens() -> None:
    text = "Clear. Clear."
    made = tokens(("Clear", 0.9), (".", 1), ("▁Clear", 0.4), (".", 1))
    found = sentence_confidence(text, parse_report(text)[0], made)
    assert [each.least_probability for each in found] == [0.9, 0.4]


@given(st.text(max_size=60), st.lists(st.tuples(st.text(max_size=8), st.floats(-30, 0)), max_size=40))
def test_no_text_and_no_tokens_upset_it(text: str, pairs: list[tuple[str, float]]) -> None:
    made = [TokenLogprob(*pair) for pair in pairs]
    spans = list(token_spans(text, made))
    assert all(0 <= start < end <= len(text) for start, end, _ in spans)
    assert [start for start, _, _ in spans] == sorted(start for start, _, _ in spans)
    sentence_confidence(text, parse_report(text)[0], made)


class Endpoint(ScriptedBackend):
    """As an endpoint: what it makes of log-probabilities is up to it."""

    gives: bool = True
    refuses: bool = False

    def stream(  # type: ignore[override]
        self, messages: list[Message], options: GenerationOptions | None = None, *, reasoning: bool = False
    ) -> ScriptedStream:
        asked = options is not None and options.top_logprobs is not None
        super().stream(messages, options)
        gives, refuses = self.gives, self.refuses

        class Stream(ScriptedStream):
            def __next__(self) -> str:
                if asked and refuses:
                    raise PromptError("endpoint: logprobs is not supported")
                return super().__next__()

            @property
            def reply(self) -> Reply:
                made = tuple(VOCABULARY) if asked and gives else () if asked else None
                return replace(super().reply, logprobs=made)

        return Stream(self.pieces, self.finish)


def endpoint(**changes: bool) -> Endpoint:
    pieces = (TEXT[:30], TEXT[30:])
    model = Endpoint(name="tiny", spec=spec(), calibration=CALIBRATION, scores=nano().scores, pieces=pieces)
    for name, value in changes.items():
        setattr(model, name, value)
    return model


def test_an_endpoint_that_gives_log_probabilities() -> None:
    stream = DraftStream(endpoint(), child())
    assert stream.draft.confidence is None
    assert "".join(stream) == TEXT  # nothing is added to the text
    confidence = stream.draft.confidence
    assert confidence is not None and len(confidence.sentences) == 3 and confidence.note == ""


def test_an_endpoint_that_gives_none_is_said() -> None:
    for model in (endpoint(gives=False), endpoint(refuses=True)):
        result = draft(model, child())
        assert result.text == TEXT and result.confidence is not None
        assert result.confidence.sentences == () and result.confidence.note == NOT_GIVEN
    assert [each.top_logprobs for each in model.options if each] == [0, None]  # asked once more, without


def test_evidence_of_an_endpoint_is_refused_before_anything_is_asked() -> None:
    model = endpoint()
    with pytest.raises(ModelError, match="an endpoint gives no gradients"):
        draft(model, child(), evidence=True)
    assert model.prompts == [] and model.asked == []
