"""The reasons why a run would refuse a whole data set, by the run's own rules, before any weight is loaded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from aris.errors import DataError
from aris.prompting import PromptProcessor
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.mixture import Mixture
from aris.tuning.data.splits import split_by_group
from aris.tuning.evaluation.answering import AnswerMetrics
from aris.tuning.loop import in_mixture, require_tasks
from aris.tuning.recipe import Recipe

# The shares of the package's recipes, for answers and for preference rows: a check without a recipe uses them.
SHARE, SHARE_OF_PAIRS, SEED = 0.1, 0.2, 0


@dataclass(frozen=True)
class CheckedExample:
    """A good example: its tokens, and whom it is about."""

    example: TokenizedExample
    group: str
    pair: bool


def refusals(
    train: Sequence[CheckedExample],
    validation: Sequence[CheckedExample],
    processor: PromptProcessor,
    recipe: Recipe | None,
) -> list[str]:
    """List the reasons why a run would not begin, though each example is good, one line each; empty if it would.

    Args:
        train, validation: the good examples of each split; without the second, a run validates on a part of the first.
        processor: of the model that is to be tuned.
        recipe: of the run; without one, the rules of every recipe of the package hold.
    """
    try:
        _begin(list(train), list(validation), processor, recipe)
    except DataError as error:
        return [str(error)]
    return []


def _begin(
    train: list[CheckedExample], validation: list[CheckedExample], processor: PromptProcessor, recipe: Recipe | None
) -> None:
    if recipe is not None and recipe.augment_strength > 0:
        raise DataError("recipe: augment_strength is for the films of `aris tune nano`; set it to 0 here")
    if not train:
        raise DataError("rows: none to train on; give a training file with good rows")
    if processor.image_processor is None and any(kept.example.all_images() for kept in (*train, *validation)):
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    pairs = {kept.pair for kept in (*train, *validation)}
    if len(pairs) > 1:
        raise DataError("rows: preference rows and others; a run takes one kind of them, so give each a folder")
    if not validation:
        share = (SHARE_OF_PAIRS if True in pairs else SHARE) if recipe is None else recipe.validation_share
        train, validation = split_by_group(train, share, SEED if recipe is None else recipe.seed)
    if recipe is None:
        shared = {kept.example.task for kept in train} & {kept.example.task for kept in validation}
        if not shared:
            raise DataError("rows: training and validation have no task in common; nothing could be measured")
        return
    examples = [kept.example for kept in train]
    if not recipe.mixture:
        recipe = dataclasses.replace(recipe, mixture={each.task: 1.0 for each in examples})
    recipe = recipe.with_metrics_of_each_task()
    Mixture(examples, recipe.mixture, frozenset(recipe.balanced))
    held = in_mixture([kept.example for kept in validation], recipe)
    require_tasks(held, recipe)
    AnswerMetrics(recipe, examples, held, processor.tokenizer)
