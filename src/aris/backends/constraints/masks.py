"""Answers of a given form: JSON schema, regular expression, choice or grammar, as masks over the next token.

llguidance (https://github.com/guidance-ai/llguidance) says which tokens may follow what an answer has so far. It is
given our tokenizer as the bytes of each token, so a mask holds for the text that our decoder makes of the tokens.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aris.backends.constraints.json_schemas import without_idle_keywords
from aris.errors import ConstraintError
from aris.prompting import Tokenizer
from aris.prompting.thinking import BEGIN_REASONING, END_REASONING

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions
    from torch import Tensor

# White space between the parts of a document as `json.dumps` writes it, and nowhere else: what a schema bounds is
# then bounded in the answer too, and the model cannot wander off in blanks.
_JSON_LAYOUT: JsonCompileOptions = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_KEPT_GRAMMARS = 64
# llguidance's own message holds the answer's words, so it goes nowhere.
_LOST = "the answer's form cannot be followed further: it is too complex, or nothing can complete it; simplify it"
_UNSUPPORTED = re.compile(r"Unimplemented keys: (\[.*\])")


@dataclass(frozen=True)
class Grammar:
    """The form of an answer. Made by `json_schema`, `json_object`, `regex`, `choice` or `grammar`.

    Attributes:
        kind: which of them.
        definition: what it was made of, as JSON text.
        source: the same for llguidance.
    """

    kind: Literal["json_schema", "regex", "choice", "grammar"]
    definition: str
    source: str

    def __repr__(self) -> str:
        return f"Grammar.{self.kind}({self.definition:.80})"

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any] | bool | str) -> Grammar:
        """A JSON document that a schema describes, laid out as `json.dumps` does.

        The schema's keywords are those of JSON Schema 2020-12 that llguidance knows; annotations, formats that are
        none of its own, and keywords with values that allow everything may stand beside them. A length is only bounded
        where the schema bounds it; properties that it does not name are allowed unless it sets `additionalProperties`.

        Args:
            schema: as an object or as its JSON text.

        Raises:
            ConstraintError: it is no JSON, no schema, cannot be met, or uses keywords that are not supported, which are
                named.
        """
        from llguidance import LLMatcher

        if isinstance(schema, str):
            try:
                schema = json.loads(schema)
            except ValueError as error:
                raise ConstraintError(f"JSON schema: not JSON ({error}); give an object such as {{...}}") from None
        if not isinstance(schema, Mapping | bool):
            raise ConstraintError("JSON schema: it must be an object, such as {\"type\": \"object\", ...}")
        try:
            definition = json.dumps(schema, ensure_ascii=False)
            bound = json.dumps(without_idle_keywords(schema), ensure_ascii=False)
            source = LLMatcher.grammar_from_json_schema(bound, overrides=_JSON_LAYOUT)
        except (TypeError, ValueError, RecursionError):
            raise ConstraintError("JSON schema: it holds what JSON has no form for, or is nested too deep") from None
        return cls("json_schema", definition, _checked(source, "JSON schema"))

    @classmethod
    def json_object(cls) -> Grammar:
        """Any JSON object. Nothing bounds its length but `max_tokens`."""
        return cls.json_schema({"type": "object"})

    @classmethod
    def regex(cls, pattern: str) -> Grammar:
        """A text that a regular expression matches as a whole (Rust's syntax: no look-around, no back-references).

        Raises:
            ConstraintError: the expression is malformed or uses what is not supported.
        """
        from llguidance import LLMatcher

        try:
            pattern.encode()
        except UnicodeEncodeError:
            raise ConstraintError("regex: it holds half of a surrogate pair; decode it anew") from None
        source = LLMatcher.grammar_from_regex(pattern)
        return cls("regex", json.dumps(pattern), _checked(source, "regex"))

    @classmethod
    def choice(cls, options: Sequence[str]) -> Grammar:
        """Make a grammar of a choice among texts.

        Raises:
            ConstraintError: there are none, or one is empty.
        """
        from llguidance import LLMatcher

        if isinstance(options, str) or not options or not all(isinstance(each, str) and each for each in options):
            raise ConstraintError("choice: give a list of at least one text, none of them empty")
        distinct = list(dict.fromkeys(options))
        try:
            "".join(distinct).encode()
        except UnicodeEncodeError:
            raise ConstraintError("choice: a text holds half of a surrogate pair; decode it anew") from None
        # As an expression in which every sign stands for itself.
        spelt = ["".join(f"\\x{{{ord(sign):x}}}" for sign in each) for each in distinct]
        source = LLMatcher.grammar_from_regex("|".join(spelt))
        return cls("choice", json.dumps(distinct), _checked(source, "choice"))

    @classmethod
    def grammar(cls, text: str) -> Grammar:
        """A text that a context-free grammar derives from `start` (Lark's form) or `root` (GBNF, llama.cpp's form).

        Raises:
            ConstraintError: the grammar is malformed or uses what is not supported.
        """
        from llguidance.gbnf_to_lark import any_to_lark

        try:
            return cls.lark(any_to_lark(text))
        except ConstraintError:
            raise
        except Exception:  # the converter has no class of its own, and its message quotes the grammar
            raise ConstraintError("grammar: it cannot be read; give it in Lark's form or in GBNF") from None

    @classmethod
    def lark(cls, text: str) -> Grammar:
        """The same of a grammar that is in Lark's form for certain.

        Raises:
            ConstraintError: as for `grammar`.
        """
        from llguidance import LLMatcher

        try:
            text.encode()
        except UnicodeEncodeError:
            raise ConstraintError("grammar: it holds half of a surrogate pair; decode it anew") from None
        return cls("grammar", json.dumps(text), _checked(LLMatcher.grammar_from_lark(text), "grammar"))

    def allows(self, text: str) -> bool:
        """Return whether a text, as a whole, is of this form."""
        from llguidance import LLMatcher, LLTokenizer

        written = list(text.encode())
        with _panics_told():
            matcher = LLMatcher(LLTokenizer("byte"), self.source, log_level=0)
            return matcher.try_consume_tokens(written) == len(written) and bool(matcher.is_accepting())

    @property
    def value(self) -> Any:
        """Return the source: the schema, the pattern, the list of choices, or the grammar."""
        return json.loads(self.definition)


def _checked(source: str, what: str) -> str:
    """A grammar's source, if llguidance can use it."""
    from llguidance import LLMatcher

    wrong, messages = LLMatcher.validate_grammar_with_warnings(source)
    if wrong:
        raise ConstraintError(f"{what}: {_one_line(messages[0])}")
    return source


def _one_line(message: str) -> str:
    """Return llguidance's message in one line."""
    keywords = _UNSUPPORTED.search(message)
    if keywords is not None:
        names = ", ".join(json.loads(keywords[1]))
        return f"these keywords are not supported: {names}; leave them out or say it in another way"
    # Of a regular expression's error, which is drawn over several lines, the last says what is wrong.
    said = re.findall(r"error: (.+)", message)
    return f"{said[-1] if said else ' '.join(message.split()):.200}; correct it"


def _require_start(matcher: LLMatcher, what: str) -> None:
    """Raise `ConstraintError` if nothing can begin what a grammar describes, as with {"$ref": "#"}."""
    with _panics_told():
        begins = any(matcher.compute_bitmask())
    if matcher.is_error() or not begins:
        raise ConstraintError(
            f"{what}: no text meets it, or it is too large or refers to itself without an end; correct it"
        )


@contextmanager
def _panics_told() -> Iterator[None]:
    """Raise `ConstraintError` for a panic of llguidance, which is no `Exception` and would end the engine's thread."""
    try:
        yield
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ConstraintError(_LOST) from None


class GrammarCompiler:
    """Masks for one tokenizer. The tables for its vocabulary are made once, at the first grammar; grammars are kept.

    Several threads may use it.

    Args:
        tokenizer: the model's.
        stop_token_ids: tokens that end an answer; they are allowed exactly where the answer is complete.
    """

    def __init__(self, tokenizer: Tokenizer, stop_token_ids: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self._stops = tuple(stop_token_ids)
        self._lock = threading.Lock()
        self._tables: LLTokenizer | None = None
        self._kept: OrderedDict[str, LLMatcher] = OrderedDict()
        self._reasoning: Reasoning | None = None

    def prepare(self) -> None:
        """Make the tables for the vocabulary now: 1.5 s for Gemma's 262,145 tokens."""
        with self._lock:
            self._tokens()

    def mask(self, grammar: Grammar, *, thinking: bool = False) -> GrammarMask:
        """Make the token mask of one sequence.

        Args:
            grammar: the form of the answer.
            thinking: reasoning may come first, which the grammar does not bind.

        Raises:
            ConstraintError: the grammar is too large, or no text meets it.
        """
        from llguidance import LLMatcher

        with self._lock:
            matcher = self._kept.get(grammar.source)
            if matcher is None:
                matcher = LLMatcher(self._tokens(), grammar.source, log_level=0)
                what = grammar.kind.replace("_", " ")
                if matcher.is_error():
                    raise ConstraintError(f"{what}: {_one_line(matcher.get_error())}")
                _require_start(matcher.deep_copy(), what)
                self._kept[grammar.source] = matcher
                if len(self._kept) > _KEPT_GRAMMARS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(grammar.source)
            fresh = matcher.deep_copy()
        return GrammarMask(fresh, self._in_reasoning() if thinking else None)

    def _in_reasoning(self) -> Reasoning | None:
        """The mask inside reasoning: all but what ends the answer, and markup other than the reasoning's own end."""
        if self._reasoning is not None:
            return self._reasoning
        begin, end = (self._tokenizer.token_to_id(marker) for marker in (BEGIN_REASONING, END_REASONING))
        if begin is None or end is None:
            return None
        import torch

        words = self._tokenizer.token_bytes()
        inside = torch.zeros(-(-len(words) // 32) * 32, dtype=torch.bool)
        inside[: len(words)] = torch.tensor([bool(word) for word in words])
        inside[sorted({*self._tokenizer.control_ids, *self._stops} - {end})] = False
        self._reasoning = Reasoning(begin, end, packed(inside))
        return self._reasoning

    def _tokens(self) -> LLTokenizer:
        if self._tables is None:
            from llguidance import LLTokenizer

            # llguidance asks for a class of its own or anything with its attributes; its stub names the class only.
            tables: Any = LLTokenizer
            words = _Vocabulary(self._tokenizer, self._stops)
            slices = LLTokenizer.json_slices()
            self._tables = tables(words, n_vocab=len(words.tokens), eos_token=list(self._stops), slices=slices)
        return self._tables


class _Vocabulary:
    """A tokenizer as llguidance reads it (its `TokenizerWrapper`): the bytes of each token.

    Markup (`special_token_ids`) is never a part of a text, however it is spelt; a grammar can't bring it about.
    """

    is_tokenizer_wrapper = True

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[int]) -> None:
        self._tokenizer = tokenizer
        self.tokens = tokenizer.token_bytes()
        self.bos_token_id = tokenizer.bos_id
        self.eos_token_id = stops[0] if stops else tokenizer.eos_id
        # Ids without a token have no bytes, which no grammar allows either.
        self.special_token_ids = sorted({*tokenizer.control_ids, *stops})
        self._byte_ids = {value[0]: at for at, value in reversed(list(enumerate(self.tokens))) if len(value) == 1}

    def __call__(self, text: str | bytes) -> list[int]:
        """Token ids of a text; markup that it spells out is text too."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "replace")
        ids: list[int] = []
        for token in self._tokenizer.encode(text):
            if token in self._tokenizer.control_ids:
                ids += [self._byte_ids[value] for value in self.tokens[token]]
            else:
                ids.append(token)
        return ids


@dataclass(frozen=True)
class Reasoning:
    """The markers around reasoning, and the mask inside it."""

    begin: int
    end: int
    inside: Tensor


class GrammarMask:
    """Token mask of one answer under a grammar (see `engine.TokenMask`).

    Args:
        matcher: at the beginning of its grammar.
        reasoning: lets the answer begin with reasoning.
    """

    def __init__(self, matcher: LLMatcher, reasoning: Reasoning | None = None) -> None:
        self._matcher = matcher
        self._reasoning = reasoning
        self._begun = self._thinking = False

    def allowed(self) -> Tensor:
        """Return the tokens that may come next: int32 words of 32 tokens each, lowest bit first.

        Raises:
            ConstraintError: the grammar became too complex to follow.
        """
        if self._thinking and self._reasoning is not None:
            return self._reasoning.inside
        import torch

        with _panics_told():
            words = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.int32)
        self._check()
        if self._reasoning is not None and not self._begun:
            at, bit = divmod(self._reasoning.begin, 32)
            words[at] |= 1 << bit if bit < 31 else -(1 << 31)
        return words

    def accept(self, token: int) -> None:
        """A token was chosen, one of those allowed.

        Raises:
            ConstraintError: it was not one of them, or the grammar became too complex to follow.
        """
        reasoning, begun = self._reasoning, self._begun
        self._begun = True
        if reasoning is not None and self._thinking:
            self._thinking = token != reasoning.end
        elif reasoning is not None and not begun and token == reasoning.begin:
            self._thinking = True
        else:
            with _panics_told():
                self._matcher.consume_token(token)
            self._check()

    @property
    def finished(self) -> bool:
        """Return whether the answer is complete and nothing can follow."""
        return not self._thinking and self._matcher.is_stopped()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise ConstraintError(_LOST)


def packed(mask: Tensor) -> Tensor:
    """A mask (32 n,) bool as (n,) int32 words, lowest bit first."""
    import torch

    bits = mask.view(-1, 32).to(torch.int64) << torch.arange(32, device=mask.device)
    return bits.sum(dim=1).to(torch.int32)  # wraps into the sign bit
