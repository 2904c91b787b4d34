"""Text to token ids and back, for Gemma 3: from a `tokenizer.json` or from a GGUF vocabulary."""

from __future__ import annotations

import codecs
import functools
from collections.abc import Sequence
from pathlib import Path

import tokenizers
from tokenizers import AddedToken

from aris.checkpoints.pieces import IMAGE_SOFT_TOKEN
from aris.errors import CheckpointError, PromptError
from aris.prompting import gguf_vocabulary, tokenizer_state
from aris.prompting.mapped_tokenizer import MappedTokenizer

BOS = "<bos>"
START_OF_TURN = "<start_of_turn>"
END_OF_TURN = "<end_of_turn>"
START_OF_IMAGE = "<start_of_image>"
END_OF_IMAGE = "<end_of_image>"


class Tokenizer:
    """Gemma 3's tokenizer. Made by `from_file` or `from_gguf`.

    Attributes:
        bos_id, eos_id, pad_id, start_of_turn_id, end_of_turn_id: 2, 1, 0, 105, 106 in Gemma 3.
        start_of_image_id, end_of_image_id, image_token_id: 255999, 256000, 262144; the last is the soft token that
            stands for one image embedding and may lie beyond a text-only model's embedding rows.
        control_ids: ids that markup alone may bring into a prompt: all special tokens and the `<unusedN>`.
    """

    def __init__(self, inner: tokenizers.Tokenizer | MappedTokenizer) -> None:
        """Wrap a loaded tokenizer.

        Raises:
            CheckpointError: it is not Gemma's.
        """
        if isinstance(inner, tokenizers.Tokenizer):
            inner = tokenizer_state.put_right(inner)
        if isinstance(inner, tokenizers.Tokenizer) and inner.token_to_id(IMAGE_SOFT_TOKEN) is None:
            inner.add_special_tokens([AddedToken(IMAGE_SOFT_TOKEN, normalized=False, special=True)])
        self._inner = inner
        self.bos_id = self._required(BOS)
        self.eos_id = self._required("<eos>")
        self.pad_id = self._required("<pad>")
        self.start_of_turn_id = self._required(START_OF_TURN)
        self.end_of_turn_id = self._required(END_OF_TURN)
        self.start_of_image_id = self._required(START_OF_IMAGE)
        self.end_of_image_id = self._required(END_OF_IMAGE)
        self.image_token_id = self._required(IMAGE_SOFT_TOKEN)
        added = inner.get_added_tokens_decoder()
        self.special_ids = frozenset(index for index, token in added.items() if token.special)
        self.control_ids = self.special_ids | {
            index for index, token in added.items() if token.content.startswith("<unused")
        }
        self._bytes = {self._required(f"<0x{value:02X}>"): value for value in range(256)}

    @classmethod
    def from_file(cls, path: str | Path) -> Tokenizer:
        """Read a `tokenizer.json`.

        Raises:
            CheckpointError: the file is missing, damaged, or not of a Gemma tokenizer.
        """
        path = Path(path)
        if not path.is_file():
            raise CheckpointError(f"{path}: not found; a checkpoint needs its tokenizer.json")
        try:
            inner = tokenizers.Tokenizer.from_file(str(path))
        except (KeyboardInterrupt, SystemExit, MemoryError):
            raise
        except BaseException:  # tokenizers raises bare Exception, with a message of many lines, or Rust's panics
            raise CheckpointError(f"{path}: not a readable tokenizer.json; download it again") from None
        return cls(inner)

    @classmethod
    def from_gguf(cls, tokens: Sequence[str], scores: Sequence[float], types: Sequence[int]) -> Tokenizer:
        """Make the tokenizer of a GGUF file from its metadata (`tokenizer.ggml.tokens`, `.scores`, `.token_type`).

        Takes a few seconds the first time for 262,144 tokens, then reads a cache (see `gguf_vocabulary`).

        Raises:
            CheckpointError: the vocabulary is not one of Gemma's.
        """
        return cls(gguf_vocabulary.from_vocabulary(tokens, scores, types))

    def save(self, path: Path) -> None:
        """Write it as a `tokenizer.json`, which `from_file` and other programs read."""
        path.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The text of a `tokenizer.json`."""
        return self._inner.to_str()

    def prepare(self) -> None:
        """Build what long texts need now (seconds, where the tokenizer came from a cache) and not at the first one."""
        if isinstance(self._inner, MappedTokenizer):
            self._inner.whole()

    def _required(self, token: str) -> int:
        index = self._inner.token_to_id(token)
        if index is None:
            raise CheckpointError(f"tokenizer: no token {token}; Aris runs Gemma 3 and MedGemma")
        return index

    @property
    def vocab_size(self) -> int:
        """Number of tokens, the soft token included: 262,145 for Gemma 3."""
        return self._inner.get_vocab_size(with_added_tokens=True)

    @functools.cached_property
    def longest_token(self) -> int:
        """Characters that a token spells at most, so a text of n has n / this tokens at least."""
        if isinstance(self._inner, MappedTokenizer):
            return self._inner.longest
        return max(map(len, self._inner.get_vocab(with_added_tokens=True)))

    def token_to_id(self, token: str) -> int | None:
        """The id of a token as it is spelt in the vocabulary ("▁" for a space), or None."""
        return self._inner.token_to_id(token)

    def id_to_token(self, token_id: int) -> str | None:
        """The token of an id, as it is spelt in the vocabulary, or None."""
        return self._inner.id_to_token(token_id)

    def token_bytes(self) -> list[bytes]:
        """The UTF-8 bytes that each id adds to a decoded text, by id; markup's are its spelling, b"" has no token."""
        vocabulary = self._inner.get_vocab(with_added_tokens=True)
        words = [b""] * (max(vocabulary.values()) + 1)
        for token, index in vocabulary.items():
            value = self._bytes.get(index)
            if value is not None:
                words[index] = bytes([value])
            else:
                words[index] = (token if index in self.control_ids else token.replace("▁", " ")).encode()
        return words

    def encode(self, text: str, add_bos: bool = False) -> list[int]:
        """Token ids of a text.

        Control tokens that it spells out become control tokens: give it trusted text only (`PromptProcessor` makes
        untrusted text safe first).

        Args:
            text: any Unicode text; nothing is stripped or folded.
            add_bos: put the beginning-of-sequence token first, unless the text begins with it already.

        Raises:
            PromptError: the text has no UTF-8 form (a lone surrogate).
        """
        try:
            ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        except (UnicodeEncodeError, TypeError):
            raise PromptError("text: it holds half of a surrogate pair and has no UTF-8 form; decode it anew") from None
        if add_bos and ids[:1] != [self.bos_id]:
            ids.insert(0, self.bos_id)
        return ids

    def decode(self, ids: Sequence[int], skip_special_tokens: bool = True) -> str:
        """The text of token ids. Special tokens are left out by default; thinking markers are not special."""
        return self._inner.decode(list(ids), skip_special_tokens=skip_special_tokens)

    def stream_decoder(self, skip_special_tokens: bool = True) -> StreamDecoder:
        """A decoder for ids that arrive one at a time."""
        return StreamDecoder(self, skip_special_tokens)


class StreamDecoder:
    """Text of ids that arrive one at a time. The pieces joined are `Tokenizer.decode` of all ids.

    Characters outside the vocabulary are spelt in byte tokens; they come out whole. (In a run of bytes that is not
    UTF-8, `decode` replaces every byte by U+FFFD, this only the offending ones: the rest is already out.)
    """

    def __init__(self, tokenizer: Tokenizer, skip_special_tokens: bool = True) -> None:
        self._tokenizer = tokenizer
        self._skipped = tokenizer.special_ids if skip_special_tokens else frozenset()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The text that this id completes: may be empty, never half a character."""
        if token_id in self._skipped:
            return ""
        value = self._tokenizer._bytes.get(token_id)
        if value is not None:
            return self._utf8.decode(bytes([value]))
        token = self._tokenizer.id_to_token(token_id) or ""
        return self.flush() + token.replace("▁", " ")

    def flush(self) -> str:
        """The end of the text: a character left incomplete comes out as U+FFFD. The decoder can be used again."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest
