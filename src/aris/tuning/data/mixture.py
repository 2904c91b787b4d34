"""Random draws of a step's examples, each task by its share.

A step draws a fixed number of examples, so the share of each task in the gradient is the share that the recipe names,
whatever the examples' lengths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import torch

from aris.errors import DataError
from aris.tuning.data.examples import TokenizedExample


class Mixture:
    """Draws of examples: a task by its share, evenly among the answers of a balanced task, then an example evenly.

    Args:
        shares: of the tasks, > 0; they need not sum to 1.
        balanced: tasks of a few short answers (yes and no), which are drawn evenly.

    Raises:
        DataError: a share is not positive, or names a task without examples.
    """

    def __init__(
        self,
        examples: Sequence[TokenizedExample],
        shares: Mapping[str, float],
        balanced: frozenset[str] = frozenset(),
    ) -> None:
        groups: dict[str, dict[tuple[int, ...], list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, example in enumerate(examples):
            answer = tuple(token for start, stop in example.spans() for token in example.token_ids[start:stop])
            groups[example.task][answer if example.task in balanced else ()].append(index)
        for task in sorted({*shares, *balanced}):
            if task not in groups:
                raise DataError(f"recipe: it names the task {task!r}, of which there are no rows")
        if not shares or any(not 0 < share < float("inf") for share in shares.values()):
            raise DataError("recipe: every share of the mixture must be above 0; leave a task out to skip it")
        self.examples = examples
        self.tasks = sorted(shares)
        self.shares = torch.tensor([shares[task] for task in self.tasks], dtype=torch.float64)
        self._groups = {
            task: [torch.tensor(groups[task][key]) for key in sorted(groups[task])] for task in self.tasks
        }

    def draw(self, count: int, generator: torch.Generator) -> list[TokenizedExample]:
        """Draw `count` examples; the same for the same generator state."""
        tasks = torch.multinomial(self.shares, count, replacement=True, generator=generator).tolist()
        # Two numbers for each draw, whatever the task: one draw does not change the next.
        numbers = torch.rand(count, 2, generator=generator, dtype=torch.float64).tolist()
        drawn = []
        for task, (answer, number) in zip(tasks, numbers, strict=True):
            groups = self._groups[self.tasks[task]]
            group = groups[int(answer * len(groups))]
            drawn.append(self.examples[int(group[int(number * len(group))])])
        return drawn


def step_generator(seed: int, step: int) -> torch.Generator:
    """Return the generator on the CPU that draws a step's examples."""
    return torch.Generator().manual_seed(step_seed(seed, step))


def step_seed(seed: int, step: int) -> int:
    """Return the seed of a step's random numbers, which follow from the run's seed and the step alone."""
    return seed * 1_000_003 + step
