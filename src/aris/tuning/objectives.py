"""Objectives of training: the loss that a step lowers, and its measurement on the validation examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.distributed import ProcessGroup
from aris.tuning.evaluation.losses import measure_losses
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import ForwardPass
from aris.tuning.trainable import answer_losses, example_means


class Objective(Protocol):
    """A loss of examples."""

    @property
    def recordable(self) -> bool:
        """True if it is the loss of `graphs.static_loss`, so that steps can be recorded as CUDA graphs."""
        ...

    def losses(
        self, forward: ForwardPass, examples: Sequence[TokenizedExample], generator: torch.Generator | None
    ) -> Tensor:
        """Return the loss of each example (E,) float32, with gradients.

        Args:
            generator: of the augmentation; without one the images are as at inference.
        """
        ...

    def evaluate(
        self,
        forward: ForwardPass,
        validation: Sequence[TokenizedExample],
        recipe: Recipe,
        process_group: ProcessGroup,
    ) -> dict[str, dict[str, float]]:
        """Measure the validation examples by task, without gradients: `loss`, `exact` and `rows` at least."""
        ...


class AnswerObjective:
    """Cross-entropy of the answers, as a mean over the tokens of an example."""

    recordable = True

    def losses(
        self, forward: ForwardPass, examples: Sequence[TokenizedExample], generator: torch.Generator | None
    ) -> Tensor:
        batch = collate(examples, packed=forward.packing).to(forward.model.device)
        with forward.autocast():
            pixels = forward.pixels(batch.images, generator)
            losses, _ = answer_losses(forward.model, batch, pixels, train_tower=forward.train_tower)
        return example_means(losses, batch)

    def evaluate(
        self,
        forward: ForwardPass,
        validation: Sequence[TokenizedExample],
        recipe: Recipe,
        process_group: ProcessGroup,
    ) -> dict[str, dict[str, float]]:
        return measure_losses(forward, validation, recipe, process_group)
