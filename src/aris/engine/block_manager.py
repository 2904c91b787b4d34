"""Allocation of slots and blocks of the pool to sequences, and reuse of cached prefixes.

A sequence reuses another's prefix of m tokens if the blocks of the global layers hold those, and if a ring of
the local layers still holds the window before m. Full blocks are shared; a block that is full only in part, and the
ring, are copied, since both will be written to. So prefix reuse survives the wrap of the window exactly where a ring
was kept: at the end of every sequence that ran, at lengths that a request asked to keep, and wherever a running
sequence stands.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from aris.engine.cache.kv_pool import BLOCK
from aris.engine.sequence import Holder, Sequence, common_length

# Fewer tokens than this are computed faster than a ring is copied; all prompts share their first token or two.
SHORTEST_REUSE = 8


@dataclass(frozen=True)
class Copy:
    """Tensor work that must be done before anything that was planned after it."""

    kind: str  # "slot" or "block"
    source: int
    target: int
    tokens: int  # that are taken over; of a slot nothing behind them is ever looked at


@dataclass(eq=False)
class Snapshot:
    """Snapshot of a sequence's cache: `computed` tokens in its blocks, and its ring. See `Holder`."""

    adapter: str | None
    content: list[int | bytes]
    keys: list[bytes]
    computed: int
    written: int
    slot: int
    table: list[int]


class BlockManager:
    """Slots and blocks of a pool, by number; number 0 of each is scratch and never given out.

    Args:
        slots, blocks: of the pool, scratch included.
        window: positions that a local layer sees.
        max_snapshots: how many prefixes are kept at most.
    """

    def __init__(self, slots: int, blocks: int, window: int, max_snapshots: int) -> None:
        self.window = window
        self.max_snapshots = max_snapshots
        self.usable_blocks = blocks - 1
        self._free_slots = list(range(slots - 1, 0, -1))
        self._free_blocks = list(range(blocks - 1, 0, -1))
        self._active = [0] * blocks  # running sequences that use a block
        self._kept = [0] * blocks  # snapshots that use a block
        self._cached = 0  # blocks that only snapshots use: given up when they are needed
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()  # by slot, least recently used first

    @property
    def free_blocks(self) -> int:
        """Blocks that a sequence can have, those included that only snapshots use."""
        return len(self._free_blocks) + self._cached

    @property
    def free_slots(self) -> int:
        """Slots that a sequence can have, those of snapshots included."""
        return len(self._free_slots) + len(self._snapshots)

    @property
    def snapshots(self) -> list[Snapshot]:
        """List the snapshots, least recently used first."""
        return list(self._snapshots.values())

    def match(self, sequence: Sequence, running: Iterable[Sequence]) -> tuple[Holder | None, int]:
        """Find the best cached prefix to go on from: who holds it, and its length (0 if none is worth it)."""
        best: tuple[Holder | None, int] = (None, 0)
        limit = sequence.match_limit()
        holders: list[Holder] = [*reversed(self._snapshots.values()), *running]
        for holder in holders:
            length = min(limit, holder.computed)
            if length <= best[1]:
                continue
            length = sequence.before_image(common_length(sequence, holder, length))
            if length > best[1] and length >= SHORTEST_REUSE and self._covers(length, holder.written):
                best = (holder, length)
        return best

    def is_being_read(self, sequence: Sequence, running: Iterable[Sequence]) -> bool:
        """Return whether a running sequence will soon cache a longer prefix of this one than any has now."""
        limit = sequence.match_limit()
        soon = 0
        for holder in running:
            if holder.computed < holder.rows_from:
                length = common_length(sequence, holder, min(limit, holder.rows_from))
                if not self._covers(length, holder.rows_from):
                    # Its ring will have gone on too far, but for what it keeps on the way.
                    length = max((kept for kept in holder.request.keep if kept <= length), default=0)
                soon = max(soon, sequence.before_image(length))
        return soon >= BLOCK and soon >= self.match(sequence, running)[1] + BLOCK

    def admit(self, sequence: Sequence, running: Iterable[Sequence], spare: int) -> list[Copy] | None:
        """Give a sequence its slot and blocks for all its tokens; `spare` more blocks must be left for others.

        Returns:
            The copies to make first, or None if there is no room: then nothing has changed.
        """
        if not self.free_slots:
            return None
        holder, length = self.match(sequence, running)
        blocks = -(-len(sequence.tokens) // BLOCK)
        shared = [] if holder is None else holder.table[: length // BLOCK]
        tail = holder.table[length // BLOCK] if holder is not None and length % BLOCK else None
        pinned = sum(not self._active[block] for block in (*shared, *(() if tail is None else (tail,))))
        if blocks - len(shared) + pinned + spare > self.free_blocks:
            if holder is None or blocks + spare > self.free_blocks:
                return None
            holder, length, shared, tail = None, 0, [], None
        for block in shared:
            self._use(block)
        if tail is not None:
            self._use(tail)  # until its copy is planned
        copies: list[Copy] = []
        table = list(shared)
        while len(table) < blocks:
            table.append(self._allocate(holder))
        if tail is not None:
            copies.append(Copy("block", tail, table[length // BLOCK], length % BLOCK))
            self._leave(tail)
        slot = self._take_slot(holder)
        if holder is not None and slot != holder.slot:
            copies.append(Copy("slot", holder.slot, slot, length))
            if holder.slot in self._snapshots:
                self._snapshots.move_to_end(holder.slot)
        # What the other's later tokens overwrote in the ring is as gone here as it is there.
        sequence.written = length if holder is None else max(length, holder.written)
        sequence.slot, sequence.table, sequence.computed = slot, table, length
        return copies

    def extend(self, sequence: Sequence, length: int) -> bool:
        """Give a sequence the blocks to hold `length` tokens; False, and nothing changed, if there are too few."""
        more = -(-length // BLOCK) - len(sequence.table)
        if more <= 0:
            return True
        if more > self.free_blocks:
            return False
        for _ in range(more):
            sequence.table.append(self._allocate(None))
        return True

    def release(self, sequence: Sequence, retain: bool) -> None:
        """Take back what a sequence has; `retain` keeps it as a snapshot until it is needed."""
        if not sequence.slot:
            return
        slot, table = sequence.slot, sequence.table
        kept = retain and self._worth(sequence) and self.max_snapshots > 0
        if kept:
            self._keep(sequence, slot)
        for block in table:
            self._leave(block)
        if not kept:
            self._free_slots.append(slot)
        sequence.slot, sequence.table, sequence.computed, sequence.written = 0, [], 0, 0
        self._trim()

    def checkpoint(self, sequence: Sequence) -> Copy | None:
        """Keep what a running sequence has computed so far; the copy of its ring is to be made now."""
        if not self.max_snapshots or not self._worth(sequence) or not self.free_slots:
            return None
        slot = self._take_slot(None)
        self._keep(sequence, slot)
        self._trim()
        return Copy("slot", sequence.slot, slot, sequence.computed)

    def forget(self) -> None:
        """Give up all snapshots."""
        while self._snapshots:
            self._drop(next(iter(self._snapshots)))

    def _covers(self, length: int, written: int) -> bool:
        """Return whether a ring that was written up to `written` holds the window before `length`."""
        ring = self.window + BLOCK
        return written <= ring or length - self.window + 1 >= written - ring

    def _worth(self, sequence: Sequence) -> bool:
        """Return whether to keep a sequence: not if a snapshot serves for it. Those that it serves for are dropped."""
        if sequence.computed < SHORTEST_REUSE:
            return False
        for slot, old in list(self._snapshots.items()):
            same = common_length(sequence, old, min(sequence.computed, old.computed))
            if same == sequence.computed and self._covers(same, old.written):
                self._snapshots.move_to_end(slot)
                return False
            if same == old.computed and self._covers(same, sequence.written):
                self._drop(slot)
        return True

    def _keep(self, sequence: Sequence, slot: int) -> None:
        used = sequence.table[: -(-sequence.computed // BLOCK)]
        for block in used:
            self._kept[block] += 1
        self._snapshots[slot] = Snapshot(
            adapter=sequence.adapter,
            content=sequence.content[: sequence.computed],
            keys=sequence.keys[: sequence.computed // BLOCK],
            computed=sequence.computed,
            written=sequence.written,
            slot=slot,
            table=used,
        )

    def _trim(self) -> None:
        while len(self._snapshots) > self.max_snapshots:
            self._drop(next(iter(self._snapshots)))

    def _drop(self, slot: int) -> None:
        snapshot = self._snapshots.pop(slot)
        self._free_slots.append(slot)
        for block in snapshot.table:
            self._kept[block] -= 1
            if not self._kept[block] and not self._active[block]:
                self._cached -= 1
                self._free_blocks.append(block)

    def _take_slot(self, holder: Holder | None) -> int:
        """A slot: a free one, else that of the least recently used snapshot, the holder's own last."""
        if not self._free_slots:
            own = 0 if holder is None else holder.slot
            self._drop(next((slot for slot in self._snapshots if slot != own), own))
        return self._free_slots.pop()

    def _allocate(self, holder: Holder | None) -> int:
        own = 0 if holder is None else holder.slot
        while not self._free_blocks:
            self._drop(next((slot for slot in self._snapshots if slot != own), own))
        block = self._free_blocks.pop()
        self._active[block] = 1
        return block

    def _use(self, block: int) -> None:
        if not self._active[block]:
            self._cached -= 1  # only snapshots had it
        self._active[block] += 1

    def _leave(self, block: int) -> None:
        self._active[block] -= 1
        if not self._active[block]:
            if self._kept[block]:
                self._cached += 1
            else:
                self._free_blocks.append(block)
