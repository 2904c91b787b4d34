"""Speculation by a draft model: a small model of the same vocabulary proposes the next tokens."""

from __future__ import annotations

from collections.abc import Sequence as Listed

from aris.engine.engine import Engine
from aris.engine.sampling import SamplingParams
from aris.engine.sequence import Request, Sequence
from aris.engine.speculation import usable


class DraftModel:
    """Draft tokens by a small model of the same vocabulary, which goes on greedily from the text (images left out).

    Its engine keeps the sequences that it has read, and only reads what is new of each. It runs while the large
    model's engine plans its step, so it holds up those who submit.

    Args:
        engine: of the small model, used by nothing else.
        vocab_size: of the large model.
        image_tokens: ids that stand for images or their frames in prompts; left out.
        count: draft tokens at once.
    """

    def __init__(self, engine: Engine, vocab_size: int, *, image_tokens: Listed[int] = (), count: int = 8) -> None:
        self._engine = engine
        self._vocab_size = vocab_size
        self._left_out = frozenset(image_tokens)
        self._count = count

    def propose(self, sequence: Sequence, room: int) -> list[int]:
        """See `scheduler.Proposer`."""
        small = self._engine.model.config.text.vocab_size
        tokens = [token for token in sequence.tokens if token not in self._left_out]
        count = min(room, self._count, self._engine.max_tokens - len(tokens))
        if count < 1 or not tokens or any(token >= small for token in tokens):
            return []
        params = SamplingParams(
            max_tokens=count,
            stop_token_ids=sequence.params.stop_token_ids,
            banned_token_ids=sequence.params.banned_token_ids,
        )
        written = [step.token_id for step in self._engine.submit(Request(tokens, params=params))]
        return usable(written, sequence, self._vocab_size)

    def observe(self, sequence: Sequence, proposed: int, accepted: int) -> None:
        """See `scheduler.Proposer`; the gate keeps the score."""
