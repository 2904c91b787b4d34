"""The command `aris tune RECIPE`: from a user's data and a model to the tuned weights."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from aris.checkpoints.checkpoint import load_model
from aris.checkpoints.peft.adapters import CONFIG, TRAINED, WEIGHTS, save_adapter
from aris.checkpoints.writing import write_whole
from aris.errors import CheckpointError, DataError, is_full_disk
from aris.model import MedGemma
from aris.prompting import PromptProcessor
from aris.tuning.base import open_base
from aris.tuning.check import data_files, file_splits
from aris.tuning.checkpointing import sole_run
from aris.tuning.data.conversations import BadExample, PreferencePair, read_examples
from aris.tuning.data.examples import Conversation, TokenizedExample, check_groups, tokenize
from aris.tuning.data.images import ImageBank, ProcessedImageBank
from aris.tuning.data.splits import split_by_group
from aris.tuning.data.tower_cache import TowerCache
from aris.tuning.deterministic import inputs_of
from aris.tuning.distributed import ProcessGroup, join, leave, shard, silent, unshard
from aris.tuning.evaluation.tensorboard import Board
from aris.tuning.loop import Loop, Result
from aris.tuning.objectives import AnswerObjective, Objective
from aris.tuning.preference import PreferenceObjective, pair_example
from aris.tuning.recipe import Recipe
from aris.tuning.steps.forward import TrainingImages
from aris.tuning.trainable import prepare

ADAPTER = "adapter"
TOWER_CACHE, TENSORBOARD = "tower-cache", "tensorboard"
_NO_LIMIT = 1 << 30


def find_recipe(name: str) -> Path:
    """Find a recipe of the package by its name, or a YAML file by its path.

    Raises:
        DataError: there is neither.
    """
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    folder = Path(str(resources.files("aris.tuning"))) / "recipes"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name in known:
        return folder / f"{name}.yaml"
    near = difflib.get_close_matches(name, known, n=1)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise DataError(f"recipe {name!r:.60}: not known; give a YAML file, or one of {', '.join(known)}{meant}")


def tune(
    recipe: Recipe,
    model_name: str,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    log: Callable[[str], None] = lambda line: print(line, flush=True),
    tower_cache: Path | None = None,
    tensorboard: bool = False,
) -> Result:
    """Train a model on a data set; resumes a stopped run in `out`.

    `out` receives `adapter/` in PEFT's layout (not with the method "full"), `trained.safetensors` if more than
    adapters was trained, the curve as JSON Lines and PNG, and the state to go on from.

    Args:
        data: a file, which is split by group, or a folder with a training and a validation file (`train.jsonl`,
            `validation.jsonl`; a `test.jsonl` is left alone), or with a folder of images for each class, where the
            recipe has a question for them.
        tower_cache: folder for the tower's features where the recipe caches them; in `out` by default.
        tensorboard: write the curve for TensorBoard too, to `out`.

    Where torchrun started several processes, they share the run, each on a GPU of its own, or on the CPU.

    Raises:
        DataError: a row is wrong or too long (each is logged first), a group is in both splits, TensorBoard is
            wanted and not installed, `out` cannot be written, the disk has no room for the tower's features, or
            training met what is not a number. What was the best until then is in `out` as if the run had ended there.
        CheckpointError: the model is not there.
    """
    board = Board(out / TENSORBOARD) if tensorboard else None
    process_group, torch_device = join(torch.device(device), shards=recipe.shard)
    if not process_group.is_main:
        log = silent
    try:
        follow = board.add if board is not None and process_group.is_main else None
        cache = tower_cache or out / TOWER_CACHE
        result = _tune(recipe, model_name, data, out, torch_device, process_group, log, cache, follow)
        process_group.barrier()  # for the one that writes
        return result
    except OSError as error:
        if is_full_disk(error):
            raise DataError(f"{out}: the disk is full; make room and start the same command again") from None
        raise DataError(f"training: {error.filename or out}: {error.strerror or error}") from None
    finally:
        leave(process_group)
        if board is not None:
            board.close()


def _tune(
    recipe: Recipe,
    model_name: str,
    data: Path,
    out: Path,
    torch_device: torch.device,
    process_group: ProcessGroup,
    log: Callable[[str], None],
    cache: Path,
    follow: Callable[[dict[str, Any]], None] | None,
) -> Result:
    if recipe.augment_strength > 0:
        raise DataError("recipe: augment_strength is for the films of `aris tune nano`; set it to 0 here")
    base = open_base(model_name)
    cached = recipe.cache_tower
    if cached and (recipe.tower_learning_rate > 0 or recipe.tower_adapters):
        log("cache_tower is off: the tower is trained, so its features change")
        cached = False
    image_processor = base.processor.image_processor
    prepared = ImageBank(1) if image_processor is None else ProcessedImageBank(image_processor, keep=not cached)
    train: Sequence[TokenizedExample]
    validation: Sequence[TokenizedExample]
    train, validation = _splits(recipe, data, prepared, base.processor, log)
    if not recipe.mixture:
        shares: dict[str, float] = {}
        for example in train:
            shares[example.task] = shares.get(example.task, 0.0) + 1.0
        recipe = dataclasses.replace(recipe, mixture=shares)
    for examples, split in ((train, "training"), (validation, "validation")):
        if others := {each.task for each in examples} - set(recipe.mixture):
            count = sum(each.task in others for each in examples)
            log(f"{count} rows for {split} are left out: the mixture does not name {', '.join(sorted(others))}")
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    # For NF4 the dense weights never meet the device as a whole: layers are quantised there one by one.
    early = torch.device("cpu") if recipe.method == "qlora" else torch_device
    model = load_model(base.checkpoint, dtype=dtype, device=early)
    if len(prepared) and model.vision_tower is None:
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    inputs = inputs_of(model, prepared.digests)
    trained = prepare(model, recipe, torch_device)
    count = sum(parameter.numel() for parameter in trained.values())
    log(f"{len(train)} examples, {len(validation)} for validation, {len(prepared)} images")
    log(f"training {count / 1e6:.2f} M parameters on {torch_device}, method {recipe.method}")
    images = None
    if isinstance(prepared, ProcessedImageBank) and len(prepared):
        images = _images(prepared, model, recipe, cache if cached else None, process_group, log)
    preference = recipe.objective == "preference"
    objective: Objective = PreferenceObjective(recipe.beta) if preference else AnswerObjective()
    trained = shard(model, trained, process_group)
    if process_group.world_size > 1:
        shards = "the decoder's weights, gradients and moments (float32) lie in shards"
        whole = "each holds the whole model"
        log(f"{process_group.world_size} processes; {shards if process_group.sharded else whole}")
    loop = Loop(
        model,
        trained,
        recipe,
        train,
        validation,
        images,
        out,
        log,
        process_group,
        tokenizer=base.processor.tokenizer,
        follow=follow,
        inputs=inputs,
        objective=objective,
    )
    with sole_run(out) if process_group.is_main else nullcontext():
        return _trained(loop, model, trained, recipe, out, process_group, log, model_name)


def _trained(
    loop: Loop,
    model: MedGemma,
    trained: dict[str, Tensor],
    recipe: Recipe,
    out: Path,
    process_group: ProcessGroup,
    log: Callable[[str], None],
    base: str,
) -> Result:
    """Run the loop, and write its weights."""
    try:
        result = loop.run()
    except DataError:
        if process_group.world_size == 1 and loop.best_step > 0:
            with suppress(DataError, CheckpointError, OSError, SafetensorError):  # the disk may be what is full
                loop.load_best_weights()
                _write(model, trained, recipe, out, base)
                log(f"the best weights, of step {loop.best_step}, were written as those of a run that ended")
        raise
    trained = unshard(model, trained)
    if process_group.is_main:
        _write(model, trained, recipe, out, base)
    return result


def _write(model: MedGemma, trained: dict[str, Tensor], recipe: Recipe, out: Path, base: str) -> None:
    """Write a run's weights for use, and remove those of an earlier run."""
    if recipe.method != "full":
        save_adapter(model, out / ADAPTER, base=base)
    else:
        for name in (CONFIG, WEIGHTS):
            (out / ADAPTER / name).unlink(missing_ok=True)
    rest = {name: value.detach().cpu().contiguous() for name, value in trained.items() if "lora_" not in name}
    if rest:
        data = safetensors.torch.save(rest)
        write_whole(out / TRAINED, lambda file: file.write(data))
    else:
        (out / TRAINED).unlink(missing_ok=True)


def _images(
    bank: ProcessedImageBank,
    model: MedGemma,
    recipe: Recipe,
    cache: Path | None,
    process_group: ProcessGroup,
    log: Callable[[str], None],
) -> TrainingImages:
    """Return the images for the loop, as pixels or, with a folder for them, as a frozen tower's features."""
    view = bank.view(model.device)
    if cache is None:
        return TrainingImages(bank.pixels(), lambda images, _: view(images), view)
    tower, projector = model.vision_tower, model.multi_modal_projector
    assert tower is not None and projector is not None
    half = recipe.precision == "bf16"

    def see(images: Tensor) -> Tensor:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            return projector.pool(tower(view(images)))

    settings = bank.settings | {"precision": recipe.precision, "device": model.device.type}
    features = TowerCache(cache, model, bank.digests, bank.image, see, settings)
    features.fill(log, process_group)
    return TrainingImages(bank.pixels(), lambda images, _: view(images), view, features)


def _splits(
    recipe: Recipe, data: Path, bank: ImageBank, processor: PromptProcessor, log: Callable[[str], None]
) -> tuple[list[TokenizedExample], list[TokenizedExample]]:
    """Tokenise training and validation examples, every one checked first."""
    wrong: list[BadExample] = []
    sides: dict[bool, list[Conversation | PreferencePair]] = {False: [], True: []}
    wanted = PreferencePair if recipe.objective == "preference" else Conversation
    for file, split in file_splits(data_files(data)).items():
        if split == "test":
            log(f"{file.name} is left out: no run touches a test split")
            continue
        good, bad = read_examples(file, bank, labels=recipe.labels)
        wrong += bad
        side = sides[split == "validation"]
        for line, example in good:
            if isinstance(example, wanted):
                side.append(example)
            else:
                wrong.append(BadExample(file, line, f"not a row for the objective {recipe.objective!r}"))
    for each in wrong:
        log(str(each))
    if wrong:
        raise DataError(f"{data}: {len(wrong)} rows are wrong, see above; `aris tune check` lists them too")
    train, validation = sides[False], sides[True]
    if not validation:
        train, validation = split_by_group(train, recipe.validation_share, recipe.seed)
    check_groups(train, validation)
    made = [_tokens(side, processor, recipe.max_tokens, data) for side in (train, validation)]
    seen = [{bank.digests[image] for each in side for image in each.all_images()} for side in made]
    if both := seen[0] & seen[1]:
        log(f"warning: {len(both)} images are in training and in validation; what is measured on them may be memory")
    return made[0], made[1]


def _tokens(
    examples: Sequence[Conversation | PreferencePair], processor: PromptProcessor, limit: int, data: Path
) -> list[TokenizedExample]:
    made: list[TokenizedExample] = []
    long = []
    for example in examples:
        two = [example.chosen, example.rejected] if isinstance(example, PreferencePair) else [example]
        tokens = [each for each in (tokenize(one, processor, _NO_LIMIT) for one in two) if each is not None]
        longest = max(len(each.token_ids) for each in tokens)
        if longest > limit:
            long.append(longest)
        made.append(pair_example(*tokens) if isinstance(example, PreferencePair) else tokens[0])
    if long:
        raise DataError(
            f"{data}: {len(long)} rows are over max_tokens {limit}, the longest has {max(long)}; raise it, or shorten "
            f"them (`aris tune check --max-tokens {limit}` names each)"
        )
    return made
