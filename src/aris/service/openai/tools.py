"""Functions that a model may call: told to it as Google's guide for Gemma does, and read back from its answer.

Gemma 3 has no tokens for calls (https://ai.google.dev/gemma/docs/capabilities/function-calling): functions stand in the
instructions, a call is JSON in the answer, and what came of it is told in a user's turn. A grammar holds the answer to
that form, so a call is always of a function that exists, with arguments that its schema describes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from aris.backends import Grammar
from aris.backends.constraints.json_schemas import without_idle_keywords
from aris.service.schemas import Tool
from aris.service.schemas.chat import CalledFunction

_ONE = (
    "You have access to functions. If you decide to invoke any of the function(s), you MUST put it in the format of\n"
    '{"name": function name, "parameters": dictionary of argument name and its value}\n'
)
_SEVERAL = "or, for several calls at once, a list of them: [{...}, {...}]\n"
_ALONE = "\nYou SHOULD NOT include any other text in the response if you call a function\n"
# How a call may begin. An answer that begins so is calls and nothing else.
_FENCES = ("", "```json\n", "```tool_code\n")
_OPENINGS = ('{"name": "', '[{"name": "')
# White space as `json.dumps` writes it (see `Grammar.json_schema`).
_LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
_HEAD = re.compile(r'\{"name": "([^"]*)", "parameters": (?=\{)')


def instructions(tools: Sequence[Tool], *, parallel: bool) -> str:
    """The text that tells a model of its functions."""
    told = [tool.function.model_dump(exclude_none=True, exclude={"strict"}) for tool in tools]
    listed = json.dumps(told, ensure_ascii=False, indent=1)
    return f"{_ONE}{_SEVERAL if parallel else ''}{_ALONE}{listed}"


def spelt_calls(calls: Sequence[CalledFunction]) -> str:
    """Calls as the model writes them."""
    spelt = [f'{{"name": {json.dumps(call.name)}, "parameters": {_canonical(call.arguments)}}}' for call in calls]
    return spelt[0] if len(spelt) == 1 else f"[{', '.join(spelt)}]"


def spelt_result(name: str, content: str) -> str:
    """Spell a function's result as the model reads it."""
    told = json.dumps({"name": name, "response": content}, ensure_ascii=False)
    return f"<tool_response>\n{told}\n</tool_response>"


def _canonical(arguments: str) -> str:
    """Arguments laid out as the model writes them; what is no JSON stays as it is."""
    try:
        return json.dumps(json.loads(arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        return arguments


def call_grammar(tools: Sequence[Tool], *, must: bool, parallel: bool) -> Grammar:
    """The form of an answer that is calls of these functions, or any other text where there need be none.

    Args:
        tools: the functions.
        must: there is a call.
        parallel: there may be several.

    Raises:
        ConstraintError: a function's parameters are no schema, or one that is not supported.
    """
    rules: list[str] = []
    openings = []
    for index, tool in enumerate(tools):
        schema = _parameters(tool)
        Grammar.json_schema(schema)  # tells which of its keywords are not supported
        openings.append(f'{{"name": {json.dumps(tool.function.name)}, "parameters": ')
        bound = without_idle_keywords(schema)
        rules.append(f"parameters{index}: %json {json.dumps({**bound, 'x-guidance': _LAYOUT})}")
    rules.append("call: " + _alternatives("", openings, "}"))
    ways = []
    for number, fence in enumerate(_FENCES[:1] if must else _FENCES):
        # What an answer begins with is one lexeme up to where it is no other text any more: llguidance's lexer takes
        # the longest, and would take a bracket alone for text.
        end = "\n```" if fence else ""
        ways.append(f"single{number}")
        rules.append(f"single{number}: " + _alternatives(fence, openings, "}" + end))
        if parallel:
            ways.append(f"several{number}")
            first = _alternatives(fence + "[", openings, "}")
            rules.append(f'several{number}: ({first}) (", " call)* {json.dumps("]" + end)}')
    if not must:
        ways.append("text")
        rules.append(f"text: /{_not_starting([fence + opening for fence in _FENCES for opening in _OPENINGS])}/")
    rules.insert(0, "start: " + " | ".join(ways))
    return Grammar.lark("\n".join(rules))


def _alternatives(before: str, openings: Sequence[str], end: str) -> str:
    """A call of each function as alternatives of a rule, with what stands before it and at its end."""
    return " | ".join(
        f"{json.dumps(before + opening)} parameters{index} {json.dumps(end)}" for index, opening in enumerate(openings)
    )


def _parameters(tool: Tool) -> dict[str, Any]:
    """The schema of a function's arguments, which are an object; a function without parameters takes none."""
    if tool.function.parameters is None:
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return {"type": "object", **tool.function.parameters}


def _not_starting(texts: Sequence[str]) -> str:
    """A regular expression (Rust's) for what begins with none of these texts, the empty text included."""
    following: dict[str, list[str]] = {}
    for text in texts:
        following.setdefault(text[0], []).append(text[1:])
    escaped = "".join(f"\\x{{{ord(sign):x}}}" for sign in following)
    ways = [f"[^{escaped}](?s:.*)"]
    for sign, rest in following.items():
        if all(rest):
            ways.append(f"\\x{{{ord(sign):x}}}({_not_starting(rest)})")
    return f"({'|'.join(ways)})?"


@dataclass(frozen=True)
class Called:
    """A call begins: the `index`-th of its answer."""

    index: int
    id: str
    name: str


@dataclass(frozen=True)
class Arguments:
    """More of the arguments of a call, as JSON text."""

    index: int
    text: str


class CallReader:
    """Tells calls from text in an answer that arrives in pieces and is of the form of `call_grammar`.

    What it gives does not depend on how the pieces fall, once joined.

    Attributes:
        calls: calls that have begun.
        whole: whether the answer is calls, and none is cut off.
    """

    def __init__(self) -> None:
        self.calls = 0
        self.whole = False
        self._kind: Literal["open", "text", "calls"] = "open"
        self._pending = ""
        self._depth = 0  # inside arguments
        self._quoted = self._escaped = False

    def push(self, text: str) -> list[str | Called | Arguments]:
        """Take a piece; return the text, calls and arguments that are certain with it."""
        self._pending += text
        if self._kind == "open":
            starts = [fence + opening for fence in _FENCES for opening in _OPENINGS]
            if any(self._pending.startswith(each) for each in starts):
                self._kind = "calls"
            elif any(each.startswith(self._pending) for each in starts):
                return []
            else:
                self._kind = "text"
        if self._kind == "text":
            out, self._pending = self._pending, ""
            return [out] if out else []
        return self._read_calls()

    def flush(self) -> list[str | Called | Arguments]:
        """The end of the answer: what could have begun a call and did not is text."""
        out, self._pending = self._pending, ""
        return [out] if self._kind == "open" and out else []

    def _read_calls(self) -> list[str | Called | Arguments]:
        found: list[str | Called | Arguments] = []
        while self._pending:
            if self._depth:
                end = self._end_of_arguments()
                found.append(Arguments(self.calls - 1, self._pending[:end]))
                self._pending = self._pending[end:]
                continue
            if self.calls and not self.whole:
                if self._pending[0] == "}":
                    self.whole = True
                self._pending = self._pending[1:]
                continue
            head = _HEAD.search(self._pending)
            if head is None:
                break
            found.append(Called(self.calls, f"call_{uuid.uuid4().hex}", head[1]))
            self.calls += 1
            self.whole = False
            self._depth, self._pending = 1, self._pending[head.end() :]
            self._quoted = self._escaped = False
            found.append(Arguments(self.calls - 1, "{"))
            self._pending = self._pending[1:]
        return found

    def _end_of_arguments(self) -> int:
        """Return the length of the pending text that belongs to the arguments being read."""
        for at, sign in enumerate(self._pending):
            if self._quoted:
                if self._escaped:
                    self._escaped = False
                elif sign == "\\":
                    self._escaped = True
                elif sign == '"':
                    self._quoted = False
            elif sign == '"':
                self._quoted = True
            elif sign in "{[":
                self._depth += 1
            elif sign in "}]":
                self._depth -= 1
                if not self._depth:
                    return at + 1
        return len(self._pending)
