"""Log-probabilities in the two forms of OpenAI's API."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Sequence, Set

from aris.backends import TokenLogprob
from aris.backends.native import PromptToken
from aris.service.schemas.chat import ChoiceLogprobs, PromptLogprob, TopLogprob
from aris.service.schemas.chat import TokenLogprob as ChatTokenLogprob
from aris.service.schemas.completions import CompletionLogprobs

PromptLogprobs = list[dict[str, PromptLogprob] | None]

_BYTE = re.compile(r"<0x([0-9A-F]{2})>\Z")
# JSON has no infinity; nothing that a model can write is less likely.
_FLOOR = -9999.0


def token_text(token: str) -> tuple[str, list[int]]:
    """A token as text and as bytes: the vocabulary spells a space "▁" and single bytes "<0x0A>".

    A byte is a part of a character, which has no text of its own: it is spelt "bytes:\\x0a", as OpenAI does.
    """
    byte = _BYTE.match(token)
    if byte is not None:
        return f"bytes:\\x{byte[1].lower()}", [int(byte[1], 16)]
    text = token.replace("▁", " ")
    return text, list(text.encode("utf-8", "replace"))


class ChatLogprobs:
    """Builds the chat form of one choice, which may arrive in pieces.

    Tokens of markup (the end of the turn) are no text and are left out, but for one that the answer begins with:
    nothing else would tell of its place, and whoever scores answers looks there.
    """

    def __init__(self, markup: Set[str]) -> None:
        self._markup = markup
        self._begun = False

    def add(self, tokens: Iterable[TokenLogprob]) -> ChoiceLogprobs:
        """The form of the tokens that come next."""
        content = []
        for token in tokens:
            is_markup = token.token in self._markup
            if is_markup and self._begun:
                continue
            self._begun = True
            text, raw = token_text(token.token)
            content.append(
                ChatTokenLogprob(
                    token=text,
                    logprob=_finite(token.logprob),
                    bytes=None if is_markup else raw,
                    top_logprobs=[_top(name, value, self._markup) for name, value in token.top],
                )
            )
        return ChoiceLogprobs(content=content, refusal=None)


def _top(token: str, logprob: float, markup: Set[str]) -> TopLogprob:
    text, raw = token_text(token)
    return TopLogprob(token=text, logprob=_finite(logprob), bytes=None if token in markup else raw)


def prompt_logprobs(tokens: Iterable[PromptToken], spelling: Callable[[int], str | None]) -> PromptLogprobs:
    """Return vLLM's form of a prompt's log-probabilities: by token id, the token itself always among them."""
    out: PromptLogprobs = []
    for token in tokens:
        if token.logprob is None:
            out.append(None)
            continue
        ranked = {each: (value, rank) for rank, (each, value) in enumerate(token.top, 1)}
        ranked.setdefault(token.token_id, (token.logprob, 0))
        out.append({
            str(each): PromptLogprob(
                logprob=_finite(value), rank=rank or None, decoded_token=token_text(spelling(each) or "")[0]
            )
            for each, (value, rank) in ranked.items()
        })  # fmt: skip
    return out


class LegacyLogprobs:
    """Builds the legacy form of one choice, whose offsets go on from one piece to the next."""

    def __init__(self, markup: Set[str], top: int) -> None:
        self._markup = markup
        self._top = top
        self._offset = 0
        self._begun = False
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def add(self, tokens: Sequence[TokenLogprob], *, prompt: Sequence[TokenLogprob] = ()) -> CompletionLogprobs:
        """The form of a prompt's tokens and of generated ones after them.

        A prompt keeps its markup, which is no text and takes no room in it: callers count its tokens. Of what was
        generated it is left out, but for one that the answer begins with (see `ChatLogprobs`). A token whose
        log-probability is not a number has none (a prompt's first).
        """
        kept = []
        for token in tokens:
            if not self._begun or token.token not in self._markup:
                kept.append(token)
            self._begun = True
        out = CompletionLogprobs(text_offset=[], token_logprobs=[], tokens=[], top_logprobs=[] if self._top else None)
        for token in (*prompt, *kept):
            text, raw = token_text(token.token)
            known = token.logprob == token.logprob  # not NaN
            is_text, is_byte = token.token not in self._markup, _BYTE.match(token.token) is not None
            if is_text and not is_byte:
                self._offset += len(self._bytes.decode(b"", final=True))  # a character that was left incomplete
            out.tokens.append(text)
            out.token_logprobs.append(_finite(token.logprob) if known else None)
            out.text_offset.append(self._offset)
            if out.top_logprobs is not None:
                top = {token_text(name)[0]: _finite(value) for name, value in token.top}
                # The token itself is always among them, as OpenAI has it.
                out.top_logprobs.append({**top, text: _finite(token.logprob)} if known else None)
            if is_text:
                # Of a character that is spelt in bytes the last one takes the text on.
                self._offset += len(self._bytes.decode(bytes(raw))) if is_byte else len(text)
        return out


def _finite(value: float) -> float:
    return max(value, _FLOOR)
