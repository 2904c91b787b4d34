"""Micro-batches of a step: how its examples are split, and the shapes that micro-batches are padded to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.packing import pack
from aris.tuning.distributed import ProcessGroup


class MicroBatching(Protocol):
    """A strategy that splits a step into micro-batches of few shapes."""

    @property
    def packed(self) -> bool:
        """True if the examples of a recorded micro-batch are packed instead of padded."""
        ...

    def split(self, examples: Sequence[TokenizedExample]) -> list[tuple[list[TokenizedExample], bool]]:
        """Split a step's examples; each micro-batch comes with whether it counts."""
        ...

    def shape(self, examples: Sequence[TokenizedExample], tokens: int, answers: int) -> tuple[int, int]:
        """Return the tokens of a row and the answer tokens that a recorded micro-batch is padded to."""
        ...


def round_up(count: int, least: int = 64) -> int:
    """Return the next of a few sizes: four to eight between a power of two and the next."""
    step = max(least, 1 << max(count.bit_length() - 3, 0))
    return -(-count // step) * step


@dataclass(frozen=True)
class LengthMicroBatching:
    """Micro-batches of like length, shared out over the processes of a run.

    Attributes:
        max_tokens: padded tokens of a micro-batch.
        packed: examples of a micro-batch are packed instead of padded.
    """

    process_group: ProcessGroup
    max_tokens: int
    packed: bool = False

    def split(self, examples: Sequence[TokenizedExample]) -> list[tuple[list[TokenizedExample], bool]]:
        """Return this process's micro-batches of a step, each with whether it counts.

        Over shards all processes make the same number of passes, as the layers' weights are gathered in each: a process
        that has no more examples repeats its last micro-batch, which does not count.
        """
        group = self.process_group
        order = sorted(range(len(examples)), key=lambda index: (-len(examples[index].token_ids), index))
        dealt = [sorted(order[rank :: group.world_size]) for rank in range(group.world_size)]
        cuts = [pack([len(examples[index].token_ids) for index in share], self.max_tokens) for share in dealt]
        passes = max(len(cut) for cut in cuts)
        mine = dealt[group.rank]
        own = [([examples[mine[index]] for index in microbatch], True) for microbatch in cuts[group.rank]]
        if not group.sharded:
            return own
        if not own:
            own = [([examples[order[0]]], False)]
        return own + [(own[-1][0], False)] * (passes - len(own))

    def shape(self, examples: Sequence[TokenizedExample], tokens: int, answers: int) -> tuple[int, int]:
        """Round both numbers up to one of a few."""
        return round_up(tokens), round_up(answers)
