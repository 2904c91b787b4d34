"""Any order of arrivals, growth, ends and checkpoints: no block or slot is lost, used twice, or taken over wrongly."""

from __future__ import annotations

from collections import Counter

import engine_models as em
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aris.engine import Request, Sequence
from aris.engine.block_manager import BlockManager
from aris.engine.cache.kv_pool import BLOCK, KVPool
from aris.engine.sequence import State

WINDOW, SLOTS, BLOCKS = 40, 6, 14
RING = WINDOW + BLOCK


def make(tokens: list[int]) -> Sequence:
    return Sequence(
        Request(tokens),
        tokens_limit=BLOCKS * BLOCK,
        image_token=-5,
        tokens_per_image=1,
        advance=lambda _: 0.0,
        cancel=lambda _: None,
    )


class Machine(RuleBasedStateMachine):
    """The manager against a pool of Python lists: each entry remembers which token of which text was written there."""

    def __init__(self) -> None:
        super().__init__()
        self.manager = BlockManager(SLOTS + 1, BLOCKS + 1, WINDOW, max_snapshots=3)
        self.running: list[Sequence] = []
        self.blocks: list[list[object]] = [[None] * BLOCK for _ in range(BLOCKS + 1)]
        self.rings: list[list[object]] = [[None] * RING for _ in range(SLOTS + 1)]

    def copy(self, copies: list[object]) -> None:
        for each in copies:
            held = self.rings if each.kind == "slot" else self.blocks  # type: ignore[attr-defined]
            # Behind the tokens that are taken over stands what stood there, whatever it was.
            held[each.target][: each.tokens] = held[each.source][: each.tokens]  # type: ignore[attr-defined]

    def write(self, sequence: Sequence, stop: int) -> None:
        """Compute up to `stop`; what a token's entry holds is the whole text up to it."""
        for at in range(sequence.computed, stop):
            entry = tuple(sequence.tokens[: at + 1])
            self.blocks[sequence.table[at // BLOCK]][at % BLOCK] = entry
            self.rings[sequence.slot][at % RING] = entry
        sequence.computed = stop
        sequence.written = max(sequence.written, stop)

    @rule(head=st.integers(0, 3), tail=st.integers(0, 2), length=st.integers(1, 300), cut=st.integers(0, 300))
    def arrive(self, head: int, tail: int, length: int, cut: int) -> None:
        tokens = [head] * min(cut, length) + [10 + tail] * max(0, length - cut)
        sequence = make(tokens)
        need = -(-len(tokens) // BLOCK)
        free = self.manager.free_blocks
        copies = self.manager.admit(sequence, self.running, 0)
        if copies is None:
            assert need > free or self.manager.free_slots == 0
            assert not sequence.slot and not sequence.table and self.manager.free_blocks == free
            return
        self.copy(copies)  # type: ignore[arg-type]
        assert sequence.computed < len(tokens) and len(sequence.table) == need
        sequence.state = State.RUNNING
        self.running.append(sequence)
        # All that it takes over is its own text, in the blocks and in the window before it.
        for at in range(sequence.computed):
            assert self.blocks[sequence.table[at // BLOCK]][at % BLOCK] == tuple(tokens[: at + 1])
        for at in range(max(0, sequence.computed - WINDOW + 1), sequence.computed):
            assert self.rings[sequence.slot][at % RING] == tuple(tokens[: at + 1])

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), count=st.integers(1, 200))
    def compute(self, which: int, count: int) -> None:
        sequence = self.running[which % len(self.running)]
        self.write(sequence, min(sequence.computed + count, len(sequence.tokens)))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), count=st.integers(1, 90), guesses=st.integers(0, 60))
    def answer(self, which: int, count: int, guesses: int) -> None:
        sequence = self.running[which % len(self.running)]
        self.write(sequence, len(sequence.tokens))
        for at in range(count):
            token = at % 3
            if len(sequence.tokens) + guesses >= BLOCKS * BLOCK:
                return
            if not self.manager.extend(sequence, len(sequence.tokens) + 1 + guesses):
                return
            sequence.append(token)
            length = len(sequence.tokens)
            self.write(sequence, length)
            for wrong in range(length, length + guesses):  # written and forgotten
                self.blocks[sequence.table[wrong // BLOCK]][wrong % BLOCK] = "wrong"
                self.rings[sequence.slot][wrong % RING] = "wrong"
            sequence.written = max(sequence.written, length + guesses)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99))
    def checkpoint(self, which: int) -> None:
        copy = self.manager.checkpoint(self.running[which % len(self.running)])
        if copy is not None:
            self.copy([copy])

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), retain=st.booleans())
    def end(self, which: int, retain: bool) -> None:
        sequence = self.running.pop(which % len(self.running))
        self.manager.release(sequence, retain)
        assert not sequence.slot and not sequence.table

    @rule()
    def forget(self) -> None:
        self.manager.forget()
        assert not self.manager.snapshots

    @invariant()
    def everything_has_one_place(self) -> None:
        manager = self.manager
        slots = [each.slot for each in (*self.running, *manager.snapshots)]
        assert len(set(slots)) == len(slots) and 0 not in slots
        assert len(manager._free_slots) + len(slots) == SLOTS
        active = Counter(block for each in self.running for block in set(each.table))
        kept = Counter(block for each in manager.snapshots for block in set(each.table))
        free = manager._free_blocks
        assert 0 not in active and 0 not in kept and 0 not in free
        assert len(set(free)) == len(free) and not set(free) & (active.keys() | kept.keys())
        assert len(free) + len(active.keys() | kept.keys()) == BLOCKS
        assert manager.free_blocks == BLOCKS - len(active)
        assert len(manager.snapshots) <= 3
        for sequence in self.running:
            # What it will write to is its own.
            for block in sequence.table[sequence.computed // BLOCK :]:
                assert active[block] == 1

    @invariant()
    def what_is_held_is_right(self) -> None:
        for each in (*self.running, *self.manager.snapshots):
            for at in range(0, each.computed, 7):
                assert self.blocks[each.table[at // BLOCK]][at % BLOCK] == tuple(each.content[: at + 1])


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def test_a_copy_of_a_ring_has_what_is_taken_over_and_no_more() -> None:
    machine = Machine()
    first, second = make([1] * 90), make([1] * 80 + [2] * 20)
    machine.copy(machine.manager.admit(first, [], 0))  # type: ignore[arg-type]
    first.state = State.RUNNING
    machine.write(first, 90)
    copies = machine.manager.admit(second, [first], 0)
    assert copies is not None and second.computed == 80
    assert [(each.kind, each.source, each.tokens) for each in copies] == [
        ("block", first.table[1], 80 - BLOCK), ("slot", first.slot, 80),
    ]  # fmt: skip
    kept = machine.manager.checkpoint(first)
    assert kept is not None and (kept.kind, kept.tokens) == ("slot", 90)


def test_a_pool_copies_the_rows_that_were_written() -> None:
    config = em.tiny().config.text
    pool = KVPool(config, 3, 2, "cpu", torch.float32)
    for tensor in (*pool.keys, *pool.values):
        tensor.copy_(torch.randn(tensor.shape))
    before = [tensor.clone() for tensor in (*pool.keys, *pool.values)]
    for tokens in (5, pool.ring - 1, pool.ring + 30, None):
        pool.copy_slot(1, 2, tokens)
        rows = pool.ring if tokens is None else min(tokens, pool.ring)
        for local, now, old in zip((*pool.local, *pool.local), (*pool.keys, *pool.values), before, strict=True):
            assert torch.equal(now[1], old[1])
            if local:
                assert torch.equal(now[2, :rows], old[1, :rows])
                assert torch.equal(now[2, rows:], old[2, rows:])
            else:
                assert torch.equal(now, old)
