"""The settings of a training run, as a YAML file gives them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aris.errors import DataError
from aris.tuning.data.image_folders import Labels
from aris.tuning.metrics import ALWAYS, METRICS, PREFERENCE

ANY_TASK = "*"
# Settings that had another name; the old ones are still read.
RENAMED = {"rows_per_step": "batch_size", "most_tokens": "max_tokens_per_microbatch"}
_CHOICES = {
    "precision": ("bf16", "fp32"),
    "method": ("lora", "qlora", "full"),
    "objective": ("answers", "preference"),
    "optimizer": ("adamw", "adamw8bit"),
}


@dataclass(frozen=True)
class Recipe:
    """Every setting of a run that changes its result.

    Attributes:
        seed: of every random number.
        steps, warmup_steps: of the optimizer.
        batch_size: examples drawn for a step, by the mixture.
        max_tokens_per_microbatch: padded tokens in memory at once; a step is split into such micro-batches.
        max_tokens: longer examples are left out.
        learning_rate: peak, of the adapters and the projector.
        tower_learning_rate: peak, of the vision tower; 0 leaves it frozen.
        weight_decay: of matrices; vectors are not decayed.
        clip_norm: largest norm of the gradient.
        lora_r, lora_alpha: rank and scale of the adapters.
        augment_strength: of the images, 0 to 1; for the films of aris-nano.
        evaluate_every, save_every: in steps; the last step does both.
        mixture: share of the examples by task; empty: as many as there are.
        balanced: tasks whose few answers are drawn evenly.
        precision: "bf16" (autocast over the frozen weights) or "fp32".
        method: "lora", "qlora" (the decoder's frozen weights in NF4), or "full" (all of the decoder but its embedding).
        targets: layers that get an adapter, as `adapters.attach` takes them.
        rslora, dora: rank-stabilised scale; trained norms of the weight's rows.
        tower_adapters: put adapters on the vision tower's targeted layers too.
        projector: train the projector.
        checkpointing: keep only each layer's input, and compute the rest again in the backward pass.
        packing: pack the examples of a micro-batch instead of padding them; each sees itself alone.
        graphs: on a GPU, record the steps of each shape of batch as a CUDA graph; faster, same result.
        optimizer: "adamw", or "adamw8bit" with its two moments in 8 bits each.
        objective: "answers", or "preference" (`preference.py`) for pairs of a chosen and a rejected answer.
        beta: of the preference loss: the cost of leaving the reference.
        patience: evaluations in a row without a better `best` after which the run ends; 0 never.
        folder_question, folders, folder_task, folder_rows: for data that is a folder of images for each class: the
            question, the answer by name of folder, the task, and how many images at most, 0 for all.
        metrics: by task, or "*" for every other one, the metrics of its validation examples beside the loss
            (`metrics.METRICS`).
        best: the measure that the best weights are chosen by, and that patience is about: "loss", another measure
            ("accuracy": the mean of the tasks that have it, by their shares), or one of a task ("accuracy of tissue").
        answer_tokens: of an answer that is generated for a metric, at most.
        metric_rows: examples of a task that metrics are measured on, the same ones each time; 0: all.
        shard: on several processes, share out the decoder's weights, gradients and moments; false: each process has all
            of them, which is faster where they fit.
        cache_tower: keep the frozen tower's features of every image on the disk, and compute them once.
        offload_activations: keep the layers' inputs for the backward pass in the computer's memory, not on the GPU.
        validation_share: of the groups, where the data has no validation file.
    """

    seed: int
    steps: int
    batch_size: int
    max_tokens_per_microbatch: int
    max_tokens: int
    learning_rate: float
    tower_learning_rate: float
    warmup_steps: int
    weight_decay: float
    clip_norm: float
    lora_r: int
    lora_alpha: float
    augment_strength: float
    evaluate_every: int
    save_every: int
    mixture: dict[str, float]
    balanced: tuple[str, ...] = field(default=())
    precision: str = "bf16"
    method: str = "lora"
    targets: tuple[str, ...] = field(default=("all-linear",))
    rslora: bool = False
    dora: bool = False
    tower_adapters: bool = False
    projector: bool = True
    checkpointing: bool = False
    packing: bool = False
    graphs: bool = True
    optimizer: str = "adamw"
    objective: str = "answers"
    beta: float = 0.1
    patience: int = 0
    validation_share: float = 0.1
    folder_question: str = ""
    folders: dict[str, str] = field(default_factory=dict)
    folder_task: str = "chat"
    folder_rows: int = 0
    metrics: dict[str, tuple[str, ...]] = field(default_factory=dict)
    best: str = "loss"
    answer_tokens: int = 64
    metric_rows: int = 0
    shard: bool = True
    cache_tower: bool = False
    offload_activations: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "max_tokens_per_microbatch", "max_tokens", "lora_r", "evaluate_every",
                     "save_every", "answer_tokens"):  # fmt: skip
            if getattr(self, name) < 1:
                raise DataError(f"recipe: {name} must be at least 1")
        for name in ("learning_rate", "clip_norm", "lora_alpha"):
            if getattr(self, name) <= 0:
                raise DataError(f"recipe: {name} must be above 0")
        for name in ("seed", "tower_learning_rate", "warmup_steps", "weight_decay", "augment_strength", "patience",
                     "metric_rows", "folder_rows"):  # fmt: skip
            if getattr(self, name) < 0:
                raise DataError(f"recipe: {name} must not be negative")
        if self.seed >= 1 << 32:
            raise DataError("recipe: seed must be below 2^32")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                choices = " or ".join(repr(choice) for choice in known)
                raise DataError(f"recipe: {name} is {getattr(self, name)!r:.40}; use {choices}")
        if self.method == "full" and (self.rslora or self.dora):
            raise DataError("recipe: rslora and dora are for adapters; the method is 'full'")
        if self.objective == "preference" and (
            self.method == "full" or self.projector or self.tower_learning_rate or self.beta <= 0
        ):
            raise DataError(
                "recipe: the objective 'preference' needs adapters alone (method lora or qlora, projector: false, "
                "tower_learning_rate: 0), as the reference is the model without them, and a beta above 0"
            )
        if self.offload_activations and not self.checkpointing:
            raise DataError("recipe: offload_activations moves what checkpointing keeps; set checkpointing: true too")
        if bool(self.folders) != bool(self.folder_question.strip()):
            raise DataError("recipe: folders and folder_question belong together; set both or neither")
        self._check_metrics()
        if not self.targets:
            raise DataError("recipe: targets must name a layer, or be left out for all linear ones")
        if self.max_tokens > self.max_tokens_per_microbatch:
            raise DataError(
                "recipe: max_tokens is above max_tokens_per_microbatch, so such a row would not fit in memory"
            )

    @property
    def best_measure(self) -> tuple[str, str]:
        """Measure that `best` names, and its task, or "" for all tasks that have it."""
        measure, _, task = self.best.partition(" of ")
        return measure.strip(), task.strip()

    @property
    def labels(self) -> Labels | None:
        """Question and answers of images that lie in a folder for each class."""
        if not self.folders:
            return None
        return Labels(self.folder_question, self.folders, self.folder_task, self.folder_rows)

    def with_metrics_of_each_task(self) -> Recipe:
        """Return the recipe with the metrics of "*" at every task of the mixture that has none of its own."""
        if ANY_TASK not in self.metrics:
            return self
        rest = self.metrics[ANY_TASK]
        return dataclasses.replace(self, metrics={task: self.metrics.get(task, rest) for task in self.mixture})

    def _check_metrics(self) -> None:
        """Check that every metric is known, and that the measure of the best weights is measured."""
        for task, names in self.metrics.items():
            for name in names:
                if name not in METRICS:
                    raise DataError(f"recipe: metrics of {task}: {name!r:.40} is not known; use {', '.join(METRICS)}")
            if self.mixture and task not in self.mixture and task != ANY_TASK:
                raise DataError(f"recipe: metrics name {task!r:.60}, which is no task of the rows or the mixture")
        if self.metrics and self.objective == "preference":
            raise DataError("recipe: metrics are for answers; the objective 'preference' has loss, exact and margin")
        measure, task = self.best_measure
        always = PREFERENCE if self.objective == "preference" else ALWAYS
        named = [names for each, names in self.metrics.items() if task in ("", each) or each == ANY_TASK]
        measured = {name for names in named for name in names}
        if measure not in always and measure not in measured:
            raise DataError(
                f"recipe: best is {self.best!r:.60}, which is not measured; use one of {', '.join(always)}, or name it "
                "under metrics too (best: accuracy of TASK)"
            )

    @classmethod
    def from_dict(cls, values: dict[str, Any], note: Callable[[str], None] | None = None) -> Recipe:
        """Build a recipe from plain values.

        Args:
            note: receives a line for each setting that is given by its old name.

        Raises:
            DataError: a setting is missing, unknown, given twice, of the wrong type or out of range.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        values = _renamed(values, note)
        for name in values:
            if name not in known:
                raise DataError(f"recipe: {str(name)!r:.40} is not a setting")
        given: dict[str, Any] = {}
        for name, setting in known.items():
            if name in values:
                given[name] = _checked(name, str(setting.type), values[name])
            elif setting.default is dataclasses.MISSING and setting.default_factory is dataclasses.MISSING:
                raise DataError(f"recipe: {name} is missing")
        return cls(**given)

    @classmethod
    def from_file(cls, path: Path, note: Callable[[str], None] | None = None, **instead: Any) -> Recipe:
        """Read a YAML file; `instead` replaces settings of it.

        Args:
            note: as for `from_dict`.

        Raises:
            DataError: as `from_dict`, or the file is not there or not YAML.
        """
        import yaml

        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError):
            raise DataError(f"{path}: no such recipe; give a YAML file") from None
        except yaml.YAMLError:
            raise DataError(f"{path}: not YAML; check its indentation") from None
        if not isinstance(values, dict):
            raise DataError(f"{path}: a recipe is a table of settings")
        return cls.from_dict(values | instead, note)


def _renamed(values: dict[str, Any], note: Callable[[str], None] | None) -> dict[str, Any]:
    """Return the settings by their new names."""
    for old, new in RENAMED.items():
        if old not in values:
            continue
        if new in values:
            raise DataError(f"recipe: {new} is given twice, also by its old name {old}; leave one out")
        values = {new if name == old else name: value for name, value in values.items()}
        if note is not None:
            note(f"note: the recipe's {old} is called {new} now; the old name is still read")
    return values


def _checked(name: str, kind: str, value: Any) -> Any:
    """Convert a setting's value to its declared type; YAML reads 1e-3 as text and 1 as a whole number."""
    if kind in ("float", "int"):
        try:
            if isinstance(value, bool):
                raise TypeError
            number = float(value)
            if math.isfinite(number) and (kind == "float" or number == int(number)):
                return number if kind == "float" else int(number)
        except (TypeError, ValueError, OverflowError):
            pass
        raise DataError(f"recipe: {name} must be a {'number' if kind == 'float' else 'whole number'}")
    if kind == "bool":
        if isinstance(value, bool):
            return value
        raise DataError(f"recipe: {name} must be true or false")
    if kind == "dict[str, tuple[str, ...]]":
        if isinstance(value, dict) and all(isinstance(each, str | list | tuple) for each in value.values()):
            listed = {key: [each] if isinstance(each, str) else each for key, each in value.items()}
            return {str(key): tuple(str(each) for each in names) for key, names in listed.items()}
        raise DataError(f"recipe: {name} must be a table of metrics by task")
    if kind == "dict[str, str]":
        if isinstance(value, dict) and all(isinstance(each, str) for each in value.values()):
            return {str(key): each for key, each in value.items()}
        raise DataError(f"recipe: {name} must be a table of texts")
    if kind.startswith("dict"):
        if isinstance(value, dict):
            return {str(key): _checked(f"{name} of {key}", "float", share) for key, share in value.items()}
        raise DataError(f"recipe: {name} must be a table of shares by task")
    if kind.startswith("tuple"):
        if isinstance(value, list | tuple):
            return tuple(str(item) for item in value)
        raise DataError(f"recipe: {name} must be a list")
    if isinstance(value, str):
        return value
    raise DataError(f"recipe: {name} must be a text")
