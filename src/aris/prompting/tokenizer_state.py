"""Settings that a `tokenizer.json` carries beside its vocabulary, put to Gemma 3's own.

Tools write their last call's settings into the file: transformers the truncation and padding, trainers a dropout of
merges, converters the normalizer or flags of another family. None belongs to the model, whose weights have seen one
way to cut a text. What a fine-tune adds beyond Gemma's vocabulary stays as the file says.
"""

from __future__ import annotations

import json

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from aris.checkpoints import pieces
from aris.errors import CheckpointError

# Far above Gemma's 262,145; an id beyond is damage, and tables by id would take the memory.
_MOST_IDS = 1 << 20


def put_right(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Switch off truncation, padding and dropout, and cut text as Gemma 3 does, whatever the file says.

    Returns:
        The same tokenizer, or one made from it where it cannot be changed in place.

    Raises:
        CheckpointError: the model is not a BPE, or an added token has an id that cannot be.
    """
    inner = _not_special(inner)
    model = inner.model
    if not isinstance(model, models.BPE):
        raise CheckpointError(f"tokenizer: its model is {type(model).__name__}, not Gemma's BPE; use the model's own")
    inner.no_truncation()
    inner.no_padding()
    inner.encode_special_tokens = False
    model.dropout = None
    model.byte_fallback = model.fuse_unk = True
    model.unk_token = "<unk>"
    model.ignore_merges = False
    for affix in ("continuing_subword_prefix", "end_of_word_suffix"):
        if getattr(model, affix):
            raise CheckpointError(f"tokenizer: its model has a {affix}, Gemma's has none; use the model's own")
    normalizer = normalizers.Replace(" ", "▁")
    odd = _state(inner.normalizer) != _state(normalizer)
    inner.normalizer = normalizer
    # No space is left to split at after the normalizer; Gemma's tokenizer.json has this step, so it is here too.
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    _put_right_tokens(inner, anew=odd)
    return inner


def _not_special(inner: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """Without the mark of a special token on known pieces that are none; adding them again would leave it."""
    marked = {token.content for token in inner.get_added_tokens_decoder().values() if token.special}
    if not marked & pieces.WHOLE.difference(pieces.SPECIAL_TOKENS):
        return inner
    whole = json.loads(inner.to_str())
    for token in whole["added_tokens"]:
        token["special"] = token["content"] in marked and (
            token["content"] in pieces.SPECIAL_TOKENS or token["content"] not in pieces.WHOLE
        )
    return tokenizers.Tokenizer.from_str(json.dumps(whole))


def _put_right_tokens(inner: tokenizers.Tokenizer, *, anew: bool) -> None:
    """Make the known pieces whole ones with plain flags; adding a token again replaces its flags.

    Args:
        anew: add all again, as those with `normalized` were matched through another normalizer.
    """
    by_id = inner.get_added_tokens_decoder()
    added = {token.content: token for token in by_id.values()}
    if any(index >= _MOST_IDS for index in by_id):
        raise CheckpointError(f"tokenizer: an added token has an id above {_MOST_IDS:,}; the file is damaged")
    own = {name for name in pieces.WHOLE if name in added or inner.token_to_id(name) is not None}
    wanted = []
    for name in sorted(own, key=lambda name: inner.token_to_id(name) or 0):
        special, token = name in pieces.SPECIAL_TOKENS, added.get(name)
        flags = token and (token.special, token.normalized, token.lstrip, token.rstrip, token.single_word)
        if anew or flags != (special, False, False, False, False):
            wanted.append(AddedToken(name, normalized=False, special=special))
    if anew:
        wanted += [token for name, token in added.items() if name not in own]
    if wanted:
        inner.add_tokens(wanted)


def _state(part: object) -> bytes | None:
    return None if part is None else part.__getstate__()  # type: ignore[return-value]
