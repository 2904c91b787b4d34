"""What a run would refuse of a whole data set, before any weight is loaded: found by the run's own rules."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from aris.errors import DataError
from aris.prompting import PromptProcessor
from aris.tuning.data.collate import Mixture
from aris.tuning.data.rows import TokenRow
from aris.tuning.data.splits import split_by_group
from aris.tuning.evaluation.answering import Examination
from aris.tuning.loop import in_mixture, require_tasks
from aris.tuning.recipe import Recipe

# What the package's recipes have, for answers and for preference rows: a check without a recipe goes by them.
SHARE, SHARE_OF_PAIRS, SEED = 0.1, 0.2, 0


@dataclass(frozen=True)
class Kept:
    """A good row: its tokens, and whoever it is about."""

    row: TokenRow
    group: str
    pair: bool


def refusals(
    train: Sequence[Kept], validation: Sequence[Kept], processor: PromptProcessor, recipe: Recipe | None
) -> list[str]:
    """Why a run would not begin, though each row is good, one line each; empty if it would.

    Args:
        train, validation: the good rows of each split; a run takes validation rows out of the first where there is no
            second.
        processor: of the model that is to be tuned.
        recipe: of the run; without one, what every recipe of the package would refuse.
    """
    try:
        _begin(list(train), list(validation), processor, recipe)
    except DataError as error:
        return [str(error)]
    return []


def _begin(train: list[Kept], validation: list[Kept], processor: PromptProcessor, recipe: Recipe | None) -> None:
    if recipe is not None and recipe.augment_strength > 0:
        raise DataError("recipe: augment_strength is for the films of `aris tune nano`; set it to 0 here")
    if not train:
        raise DataError("rows: none to train on; give a training file with good rows")
    if processor.image_processor is None and any(kept.row.all_pictures() for kept in (*train, *validation)):
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    pairs = {kept.pair for kept in (*train, *validation)}
    if len(pairs) > 1:
        raise DataError("rows: preference rows and others; a run takes one kind of them, so give each a folder")
    if not validation:
        share = (SHARE_OF_PAIRS if True in pairs else SHARE) if recipe is None else recipe.validation_share
        train, validation = split_by_group(train, share, SEED if recipe is None else recipe.seed)
    if recipe is None:
        shared = {kept.row.task for kept in train} & {kept.row.task for kept in validation}
        if not shared:
            raise DataError("rows: training and validation have no task in common; nothing could be measured")
        return
    rows = [kept.row for kept in train]
    if not recipe.mixture:
        recipe = dataclasses.replace(recipe, mixture={row.task: 1.0 for row in rows})
    recipe = recipe.with_metrics_of_each_task()
    Mixture(rows, recipe.mixture, frozenset(recipe.balanced))
    held = in_mixture([kept.row for kept in validation], recipe)
    require_tasks(held, recipe)
    Examination(recipe, rows, held, processor.tokenizer)
