"""Metrics of answers of a model in training: generated greedily, or by the log-probabilities of the options.

All processes of a run make the same number of passes through the model, as sharded layers need it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from aris.errors import DataError
from aris.model import MedGemma
from aris.prompting import Tokenizer, split_thinking
from aris.tuning import metrics
from aris.tuning.data.collate import collate
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.options import Choice, choices, last_answer, parse
from aris.tuning.data.packing import pack
from aris.tuning.distributed import ProcessGroup
from aris.tuning.evaluation.losses import take_turns
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import ForwardPass
from aris.tuning.trainable import answer_losses, soft_tokens

Measured = dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Asked:
    """A validation example whose answer is measured.

    Attributes:
        names: the metrics.
        wanted: the example's own last answer.
        choice: the options, if a metric needs them.
    """

    example: TokenizedExample
    names: tuple[str, ...]
    wanted: str
    choice: Choice | None


class AnswerMetrics:
    """A recipe's metrics of answers, and the examples that they are measured on.

    Args:
        train: its answers are options too, where questions list none.

    Raises:
        DataError: a task's answers are no options, and its metric needs some.
    """

    def __init__(
        self,
        recipe: Recipe,
        train: Sequence[TokenizedExample],
        validation: Sequence[TokenizedExample],
        tokenizer: Tokenizer,
    ) -> None:
        self.recipe, self.tokenizer = recipe, tokenizer
        self.asked: list[_Asked] = []
        for task, names in sorted(recipe.metrics.items()):
            examples = [each for each in validation if each.task == task]
            if not any(metrics.METRICS[name].needs != "loss" for name in names):
                continue
            if recipe.metric_rows and len(examples) > recipe.metric_rows:
                drawn = torch.randperm(len(examples), generator=torch.Generator().manual_seed(recipe.seed))
                examples = [examples[index] for index in sorted(drawn[: recipe.metric_rows].tolist())]
            picked: Sequence[Choice | None] = [None] * len(examples)
            if {"accuracy", "option_accuracy", "auc"} & set(names):
                picked = choices(examples, (each for each in train if each.task == task), tokenizer)
            if "auc" in names:
                _require_yes_and_no(task, picked)
            for example, choice in zip(examples, picked, strict=True):
                self.asked.append(_Asked(example, names, last_answer(example, tokenizer), choice))

    def measure(self, forward: ForwardPass, process_group: ProcessGroup) -> Measured:
        """Measure every metric by task; the same for any number of processes, within rounding."""
        texts = self._generated(forward, process_group) if self._indices("text") else {}
        scores = self._scored(forward, process_group) if self._indices("scores") else {}
        found: dict[str, dict[str, float]] = {}
        for task in sorted({asked.example.task for asked in self.asked}):
            indices = [index for index, asked in enumerate(self.asked) if asked.example.task == task]
            found[task] = {}
            for name in self.asked[indices[0]].names:
                if metrics.METRICS[name].needs != "loss":
                    found[task][name] = round(self._metric(name, indices, texts, scores), 5)
        return found

    def _metric(
        self, name: str, indices: Sequence[int], texts: Mapping[int, str], scores: Mapping[int, list[float]]
    ) -> float:
        values: list[float] = []
        odds: list[float] = []
        positive: list[bool] = []
        for index in indices:
            asked = self.asked[index]
            choice = asked.choice
            if name == "exact_match":
                values.append(metrics.exact_match(texts[index], asked.wanted))
            elif name == "token_f1":
                values.append(metrics.token_f1(texts[index], asked.wanted))
            elif name == "accuracy":
                assert choice is not None
                values.append(float(parse(texts[index], choice.options) == choice.right))
            elif name == "option_accuracy":
                assert choice is not None
                values.append(float(int(np.argmax(scores[index])) == choice.right))
            else:
                assert choice is not None
                yes = _yes(choice)
                odds.append(scores[index][yes] - scores[index][1 - yes])
                positive.append(choice.right == yes)
        return metrics.auc(odds, positive) if name == "auc" else float(np.mean(values))

    def _indices(self, needs: str) -> list[int]:
        """Return the indices of the examples with a metric that needs this."""
        return [
            index
            for index, asked in enumerate(self.asked)
            if any(metrics.METRICS[name].needs == needs for name in asked.names)
        ]

    def _generated(self, forward: ForwardPass, process_group: ProcessGroup) -> dict[int, str]:
        """Generate answers, by the index of their example."""
        indices = self._indices("text")
        prompts = [_prompt(self.asked[index].example) for index in indices]
        lengths = [len(prompt.token_ids) + self.recipe.answer_tokens for prompt in prompts]
        ends = {self.tokenizer.end_of_turn_id, self.tokenizer.eos_id}
        made: list[tuple[int, str]] = []
        microbatches = pack(lengths, self.recipe.max_tokens_per_microbatch, overhead=0)
        for chosen, counts in take_turns(microbatches, process_group):
            with forward.autocast():
                answers = generate(
                    forward.model,
                    [prompts[index] for index in chosen],
                    forward.pixels,
                    self.recipe.answer_tokens,
                    ends,
                    process_group,
                )
            if counts:
                texts = (split_thinking(self.tokenizer.decode(ids))[1].strip() for ids in answers)
                made += [(indices[index], text) for index, text in zip(chosen, texts, strict=True)]
        return dict(process_group.all_gather(made))

    def _scored(self, forward: ForwardPass, process_group: ProcessGroup) -> dict[int, list[float]]:
        """Score the options: the log-probability of each after the prompt, by the index of their example."""
        indices = self._indices("scores")
        spelled = [self._options(self.asked[index]) for index in indices]
        lengths = [sum(len(each.token_ids) for each in examples) for examples in spelled]
        made: list[tuple[int, list[float]]] = []
        microbatches = pack(lengths, self.recipe.max_tokens_per_microbatch)
        for chosen, counts in take_turns(microbatches, process_group):
            examples = [each for index in chosen for each in spelled[index]]
            batch = collate(examples).to(forward.model.device)
            # Options of one example lie in one micro-batch: the tower sees its images once.
            shown, inverse = torch.unique(batch.images, return_inverse=True)
            with forward.autocast():
                soft = soft_tokens(forward.model, forward.pixels(shown))
                losses, _ = answer_losses(forward.model, batch, None, soft=None if soft is None else soft[inverse])
            empty = torch.zeros(len(examples), dtype=losses.dtype, device=losses.device)
            totals = iter(empty.index_add(0, batch.example_index, -losses).tolist())
            if counts:
                made += [(indices[index], [next(totals) for _ in spelled[index]]) for index in chosen]
        return dict(process_group.all_gather(made))

    def _options(self, asked: _Asked) -> list[TokenizedExample]:
        """Return the example once with each option as its only answer."""
        assert asked.choice is not None
        prompt = _prompt(asked.example)
        start = len(prompt.token_ids)
        made = []
        for option in asked.choice.spelled:
            ids = [*prompt.token_ids, *self.tokenizer.encode(option)]
            made.append(replace(asked.example, token_ids=ids, answer_start=start, answers=((start, len(ids)),)))
        return made


@torch.no_grad()
def generate(
    model: MedGemma,
    prompts: Sequence[TokenizedExample],
    pixels: Callable[[Tensor], Tensor | None],
    max_tokens: int,
    ends: set[int],
    process_group: ProcessGroup | None = None,
) -> list[list[int]]:
    """Generate the tokens after each prompt, greedily, without the one that ends an answer.

    Args:
        prompts: whole `token_ids`.
        pixels: of images by index.
        max_tokens: of an answer.
        ends: tokens that end one.
        process_group: processes that generate answers to prompts of their own meanwhile; all make as many passes.
    """
    device = model.device
    batch = collate(prompts)
    lengths = [len(prompt.token_ids) for prompt in prompts]
    soft = soft_tokens(model, pixels(batch.images) if len(batch.images) else None)
    cache = model.new_cache(len(prompts))
    hidden = model.hidden_states(batch.token_ids.to(device), soft, cache, lengths)
    states = hidden[torch.arange(len(prompts), device=device), torch.tensor(lengths, device=device) - 1]
    made: list[list[int]] = [[] for _ in prompts]
    done = [False] * len(prompts)
    for _ in range(max_tokens):
        tokens = model.logits(states).argmax(-1)
        for index, token in enumerate(tokens.tolist()):
            done[index] = done[index] or token in ends
            if not done[index]:
                made[index].append(token)
        left = torch.tensor(float(not all(done)), device=device)
        if not (process_group or ProcessGroup()).all_reduce(left).item():
            break
        states = model.hidden_states(tokens[:, None], None, cache, [1] * len(prompts))[:, 0]
    return made


def _prompt(example: TokenizedExample) -> TokenizedExample:
    """Return an example up to its last answer; `answers` is the last token, so that it can be collated."""
    start = example.spans()[-1][0]
    return replace(example, token_ids=example.token_ids[:start], answers=((start - 1, start),))


def _yes(choice: Choice) -> int:
    """Return the index of the option that is yes, of two."""
    return [metrics.normalized(option).split()[:1] == ["yes"] for option in choice.options].index(True)


def _require_yes_and_no(task: str, picked: Sequence[Choice | None]) -> None:
    for choice in picked:
        words = sorted(metrics.normalized(option).split()[0] for option in choice.options) if choice else []
        if words != ["no", "yes"]:
            raise DataError(f"rows: auc of the task {task!r} needs answers that are yes or no; use option_accuracy")
    if len({choice.right for choice in picked if choice}) < 2:
        raise DataError(f"rows: auc of the task {task!r} needs validation rows with yes and with no")
