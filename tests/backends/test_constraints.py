"""Answers of a given form: what a mask lets through is valid, and what is valid gets through."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_checkpoint
from aris.backends import GenerationOptions, Grammar, NativeBackend
from aris.backends.constraints.masks import GrammarCompiler, GrammarMask, packed
from aris.backends.remote.messages import request_body
from aris.engine.sampling import unpacked
from aris.errors import ModelError
from aris.prompting import Tokenizer, user

STOPS = (1, 106)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(tiny_checkpoint.tokenizer())


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> GrammarCompiler:
    return GrammarCompiler(tokenizer, STOPS)


@pytest.fixture(scope="module")
def backend() -> NativeBackend:
    return NativeBackend("tiny", tiny_checkpoint.network(False), Tokenizer(tiny_checkpoint.tokenizer()), None)


def walk(mask: GrammarMask, seed: int, most: int = 3000) -> list[int]:
    """Tokens chosen at random of those allowed, up to the end."""
    random = torch.Generator().manual_seed(seed)
    out: list[int] = []
    while not mask.finished:
        ids = unpacked(mask.allowed(), 1 << 20).nonzero()[:, 0]
        assert len(ids)
        out.append(int(ids[torch.randint(len(ids), (), generator=random)]))
        mask.accept(out[-1])
        assert len(out) < most
    return out


def text_of(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    assert not set(ids[:-1]) & set(STOPS)  # an answer ends at its end only
    assert not (set(ids) - set(STOPS)) & tokenizer.control_ids
    decoder = tokenizer.stream_decoder()
    return "".join(decoder.push(token) for token in ids) + decoder.flush()


def passes(compiler: GrammarCompiler, tokenizer: Tokenizer, grammar: Grammar, text: str) -> bool:
    """Whether a text gets through, token by token, and may end there."""
    mask = compiler.mask(grammar)
    for token in tokenizer.encode(text):
        if mask.finished or not unpacked(mask.allowed(), 1 << 20)[token]:
            return False
        mask.accept(token)
    return mask.finished or bool(unpacked(mask.allowed(), 1 << 20)[STOPS[0]])


NAMES = st.text(string.ascii_lowercase + ' "\\é', min_size=1, max_size=5)


def _numbers(low: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.integers(0, 300).map(lambda span: {"type": "integer", "minimum": low, "maximum": low + span})


LEAVES = st.one_of(
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.integers(-50, 50).flatmap(_numbers),
    st.integers(0, 6).map(lambda most: {"type": "string", "maxLength": most}),
    st.just({"type": "string", "pattern": "^[a-c]{1,3}$"}),
    st.lists(st.one_of(NAMES, st.integers(-9, 9), st.booleans()), min_size=1, max_size=4).map(lambda v: {"enum": v}),
    st.one_of(NAMES, st.integers()).map(lambda value: {"const": value}),
)


def _nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    lists = st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3))
    objects = st.dictionaries(NAMES, inner, max_size=3).flatmap(
        lambda parts: st.lists(st.sampled_from(sorted(parts)), unique=True).map(
            lambda required: {
                "type": "object",
                "properties": parts,
                "required": required,
                "additionalProperties": False,
            }
        )
        if parts
        else st.just({"type": "object", "additionalProperties": False})
    )
    return st.one_of(lists, objects, st.lists(inner, min_size=1, max_size=2).map(lambda v: {"anyOf": v}))


SCHEMAS = st.recursive(LEAVES, _nested, max_leaves=6)


@QUICK
@given(schema=SCHEMAS, seed=st.integers(0, 1000))
def test_what_a_schema_lets_through_is_valid(
    compiler: GrammarCompiler, tokenizer: Tokenizer, schema: dict[str, Any], seed: int
) -> None:
    answer = text_of(tokenizer, walk(compiler.mask(Grammar.json_schema(schema)), seed))
    jsonschema_rs.validate(schema, json.loads(answer))


REGEXES = st.recursive(
    st.one_of(st.sampled_from([r"\d", "[a-c]", "[^a-z]", ".", "é", "x", r"\.", " ", r"\{"]), st.just("ab|c")),
    lambda inner: st.one_of(
        st.builds("({}){{{}}}".format, inner, st.integers(1, 3)),
        st.builds("({})?".format, inner),
        st.builds("({}|{})".format, inner, inner),
        st.builds("{}{}".format, inner, inner),
    ),
    max_leaves=6,
).map("({})".format)


@QUICK
@given(pattern=REGEXES, seed=st.integers(0, 1000))
def test_what_a_regex_lets_through_matches(
    compiler: GrammarCompiler, tokenizer: Tokenizer, pattern: str, seed: int
) -> None:
    answer = text_of(tokenizer, walk(compiler.mask(Grammar.regex(pattern)), seed))
    assert re.fullmatch(pattern, answer)


@QUICK
@given(pattern=REGEXES, text=st.text("abcx1é .{", max_size=5))
def test_what_matches_gets_through_and_nothing_else(
    compiler: GrammarCompiler, tokenizer: Tokenizer, pattern: str, text: str
) -> None:
    assert passes(compiler, tokenizer, Grammar.regex(pattern), text) == bool(re.fullmatch(pattern, text))


@QUICK
@given(options=st.lists(st.text(min_size=1, max_size=6), min_size=1, max_size=5), seed=st.integers(0, 100))
def test_a_choice_is_one_of_the_options(
    compiler: GrammarCompiler, tokenizer: Tokenizer, options: list[str], seed: int
) -> None:
    # "▁" decodes as a space: no token stands for it.
    options = [each.replace("▁", "_") for each in options]
    assert text_of(tokenizer, walk(compiler.mask(Grammar.choice(options)), seed)) in options


def test_a_choice_that_begins_another_may_end_or_go_on(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    grammar = Grammar.choice(["no", "normal", '"'])
    assert all(passes(compiler, tokenizer, grammar, text) for text in ("no", "normal", '"'))
    assert not any(passes(compiler, tokenizer, grammar, text) for text in ("n", "nor", "normally", ""))
    ends = {text_of(tokenizer, walk(compiler.mask(grammar), seed)) for seed in range(40)}
    assert ends == {"no", "normal", '"'}


def test_markup_spelt_in_a_choice_is_text(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    ids = walk(compiler.mask(Grammar.choice(["<eos>", "<image_soft_token>"])), 0)
    assert text_of(tokenizer, ids) in ("<eos>", "<image_soft_token>")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Grammar.json_schema({"not": {}, "if": {}, "then": {"minProperties": 1}}), "not supported: .*if"),
        (lambda: Grammar.json_schema({"properties": {"a": {"uniqueItems": True}}}), "uniqueItems"),
        (lambda: Grammar.json_schema({"type": "film"}), "film"),
        (lambda: Grammar.json_schema({"type": "integer", "minimum": 2, "maximum": 1}), "minimum"),
        (lambda: Grammar.json_schema({"$ref": "#/nowhere"}), "nowhere"),
        (lambda: Grammar.json_schema("{"), "not JSON"),
        (lambda: Grammar.json_schema([1]), "object"),  # type: ignore[arg-type]
        (lambda: Grammar.json_schema({"const": {1, 2}}), "JSON has no form"),
        (lambda: Grammar.regex("(a"), "unclosed group"),
        (lambda: Grammar.regex("(?=a)b"), "look-around"),
        (lambda: Grammar.choice([]), "at least one"),
        (lambda: Grammar.choice(["a", ""]), "empty"),
        (lambda: Grammar.choice("yes"), "list"),
        (lambda: Grammar.choice(["\ud800"]), "surrogate"),
        (lambda: Grammar.regex("a\udcff"), "surrogate"),
    ],
)
def test_a_bad_form_is_one_line_that_says_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_form_that_grows_beyond_bounds_is_an_error_of_its_own(compiler: GrammarCompiler) -> None:
    huge = "(" + "|".join(f"(a{{1,{n}}}b?){{1,400}}" for n in range(300, 330)) + ")"
    with pytest.raises(ModelError) as caught:
        mask = compiler.mask(Grammar.regex(huge))
        for _ in range(2000):
            mask.allowed()
            mask.accept(compiler._tokenizer.encode("a")[0])
    assert "\n" not in str(caught.value)


def test_compiled_forms_are_kept_and_masks_are_their_own(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    grammar = Grammar.regex("[ab]c?")
    first, second = compiler.mask(grammar), compiler.mask(Grammar.regex("[ab]c?"))
    first.accept(tokenizer.encode("a")[0])
    assert unpacked(second.allowed(), 500)[tokenizer.encode("b")[0]]
    assert not unpacked(first.allowed(), 500)[tokenizer.encode("b")[0]]
    for number in range(100):
        compiler.mask(Grammar.choice([str(number)]))
    assert len(compiler._kept) == 64


def test_packed_masks_unpack_to_themselves() -> None:
    mask = torch.rand(64 * 32, generator=torch.Generator().manual_seed(0)) > 0.5
    assert torch.equal(unpacked(packed(mask), len(mask)), mask)


OPTIONS = GenerationOptions(max_tokens=200, temperature=1.0)
SCHEMA = {
    "type": "object",
    "properties": {"finding": {"enum": ["effusion", "none"]}, "sure": {"type": "boolean"}, "mm": {"maximum": 9,
    "minimum": 0, "type": "integer"}},
    "required": ["finding", "sure", "mm"],
    "additionalProperties": False,
}  # fmt: skip


def test_answers_of_several_forms_side_by_side(backend: NativeBackend) -> None:
    """Each is valid, and the same as alone."""
    grammars = [Grammar.json_schema(SCHEMA), Grammar.regex("[a-z]{2,5}!"), None, Grammar.choice(["yes", "no"])]
    asked = [replace(OPTIONS, seed=seed, grammar=grammars[seed % 4], max_tokens=120) for seed in range(16)]
    streams = [backend.stream([user(f"Q {at % 3}")], options) for at, options in enumerate(asked)]
    iterators: list[Iterator[str]] = [iter(stream) for stream in streams]
    while iterators:
        iterators = [each for each in iterators if next(each, None) is not None]
    for at, (stream, options) in enumerate(zip(streams, asked, strict=True)):
        reply = stream.reply
        assert reply.text == backend.generate([user(f"Q {at % 3}")], options).text
        if at % 4 == 0:
            jsonschema_rs.validate(SCHEMA, json.loads(reply.text))
        elif at % 4 == 1:
            assert re.fullmatch("[a-z]{2,5}!", reply.text)
        elif at % 4 == 3:
            assert reply.text in ("yes", "no")
        assert at % 4 == 2 or reply.finish_reason == "stop"


def test_an_answer_that_is_cut_says_so(backend: NativeBackend) -> None:
    reply = backend.generate([user("Q")], replace(OPTIONS, max_tokens=5, grammar=Grammar.json_schema(SCHEMA)))
    assert reply.finish_reason == "length" and reply.usage.completion_tokens == 5
    with pytest.raises(ValueError, match=r"."):
        json.loads(reply.text)


def test_greedy_answers_keep_to_the_form_too(backend: NativeBackend) -> None:
    options = replace(OPTIONS, temperature=0.0, grammar=Grammar.json_schema(SCHEMA), top_logprobs=2)
    reply = backend.generate([user("Q")], options)
    jsonschema_rs.validate(SCHEMA, json.loads(reply.text))
    assert reply.logprobs is not None and all(each.logprob > float("-inf") for each in reply.logprobs)


def test_the_form_begins_after_the_thought(backend: NativeBackend, compiler: GrammarCompiler) -> None:
    tokenizer = backend.tokenizer
    begin, end = (tokenizer.token_to_id(f"<unused{n}>") for n in (94, 95))
    assert begin is not None and end is not None
    mask = compiler.mask(Grammar.choice(["yes"]), thinking=True)
    first = unpacked(mask.allowed(), 1 << 20)
    assert first[begin] and first[tokenizer.encode("y")[0]] and not first[tokenizer.encode("a")[0]]
    mask.accept(begin)
    inside = unpacked(mask.allowed(), 1 << 20)
    assert inside[tokenizer.encode("a")[0]] and inside[end]
    assert not any(inside[token] for token in (*STOPS, begin, tokenizer.image_token_id))
    for token in [*tokenizer.encode("any thought"), end]:
        assert not mask.finished
        mask.accept(token)
    after = unpacked(mask.allowed(), 1 << 20)
    assert after[tokenizer.encode("y")[0]] and not after[begin] and not after[tokenizer.encode("a")[0]]
    for token in tokenizer.encode("yes"):
        mask.accept(token)
    assert mask.finished
    # Without being asked to think, a model may not.
    assert not unpacked(compiler.mask(Grammar.choice(["yes"])).allowed(), 1 << 20)[begin]


def test_endpoints_are_asked_for_the_same_form() -> None:
    def body(grammar: Grammar) -> dict[str, Any]:
        return request_body("m", [user("Q")], GenerationOptions(grammar=grammar))

    form = body(Grammar.json_schema(SCHEMA))["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["schema"] == SCHEMA
    assert body(Grammar.regex("a+"))["structured_outputs"] == {"regex": "a+"}
    assert body(Grammar.choice(["a", "b"]))["structured_outputs"] == {"choice": ["a", "b"]}
    assert Grammar.json_object().value == {"type": "object"}
