"""`aris tune RECIPE`: a user's rows, a model, the loop, and what comes out of it."""

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
from aris.tuning.checkpointing import sole_run
from aris.tuning.data.check import data_files, file_splits
from aris.tuning.data.conversations import BadRow, Pair, read_rows
from aris.tuning.data.images import PictureBank, ProcessedBank
from aris.tuning.data.rows import Conversation, TokenRow, check_groups, tokenize
from aris.tuning.data.splits import split_by_group
from aris.tuning.data.tower_cache import TowerCache
from aris.tuning.deterministic import inputs_of
from aris.tuning.distributed import Team, join, leave, shard, silent, unshard
from aris.tuning.evaluation.tensorboard import Board
from aris.tuning.loop import Loop, Pictures, Result
from aris.tuning.preference import PreferenceLoop, pair_row
from aris.tuning.recipe import Recipe
from aris.tuning.trainable import prepare

ADAPTER = "adapter"
TOWER_CACHE, TENSORBOARD = "tower-cache", "tensorboard"
_NO_LIMIT = 1 << 30


def find_recipe(name: str) -> Path:
    """A recipe of the package by its name, or a YAML file by its path.

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
    say: Callable[[str], None] = lambda line: print(line, flush=True),
    tower_cache: Path | None = None,
    tensorboard: bool = False,
) -> Result:
    """Train a model on a data set; goes on from a stopped run in `out`.

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
        DataError: a row is wrong or too long (each is told by `say` first), a group is in both splits, TensorBoard is
            wanted and not installed, `out` cannot be written, the disk has no room for the tower's features, or
            training met what is not a number. What was the best until then is in `out` as if the run had ended there.
        CheckpointError: the model is not there.
    """
    board = Board(out / TENSORBOARD) if tensorboard else None
    team, torch_device = join(torch.device(device), shards=recipe.shard)
    if not team.leads:
        say = silent
    try:
        follow = board.add if board is not None and team.leads else None
        cache = tower_cache or out / TOWER_CACHE
        result = _tune(recipe, model_name, data, out, torch_device, team, say, cache, follow)
        team.wait()  # for the one that writes
        return result
    except OSError as error:
        if is_full_disk(error):
            raise DataError(f"{out}: the disk is full; make room and start the same command again") from None
        raise DataError(f"training: {error.filename or out}: {error.strerror or error}") from None
    finally:
        leave(team)
        if board is not None:
            board.close()


def _tune(
    recipe: Recipe,
    model_name: str,
    data: Path,
    out: Path,
    torch_device: torch.device,
    team: Team,
    say: Callable[[str], None],
    cache: Path,
    follow: Callable[[dict[str, Any]], None] | None,
) -> Result:
    if recipe.augment_strength > 0:
        raise DataError("recipe: augment_strength is for the films of `aris tune nano`; set it to 0 here")
    base = open_base(model_name)
    cached = recipe.cache_tower
    if cached and (recipe.tower_learning_rate > 0 or recipe.tower_adapters):
        say("cache_tower is off: the tower is trained, so what it makes of an image changes")
        cached = False
    images = base.processor.image_processor
    prepared = PictureBank(1) if images is None else ProcessedBank(images, keep=not cached)
    train: Sequence[TokenRow]
    validation: Sequence[TokenRow]
    train, validation = _splits(recipe, data, prepared, base.processor, say)
    if not recipe.mixture:
        shares: dict[str, float] = {}
        for row in train:
            shares[row.task] = shares.get(row.task, 0.0) + 1.0
        recipe = dataclasses.replace(recipe, mixture=shares)
    for rows, what in ((train, "training"), (validation, "validation")):
        if others := {row.task for row in rows} - set(recipe.mixture):
            count = sum(row.task in others for row in rows)
            say(f"{count} rows for {what} are left out: the mixture does not name {', '.join(sorted(others))}")
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    # For NF4 the dense weights never meet the device as a whole: layers are quantised there one by one.
    early = torch.device("cpu") if recipe.method == "qlora" else torch_device
    model = load_model(base.checkpoint, dtype=dtype, device=early)
    if len(prepared) and model.vision_tower is None:
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    inputs = inputs_of(model, prepared.digests)
    trained = prepare(model, recipe, torch_device)
    count = sum(parameter.numel() for parameter in trained.values())
    say(f"{len(train)} rows, {len(validation)} for validation, {len(prepared)} pictures")
    say(f"training {count / 1e6:.2f} M parameters on {torch_device}, method {recipe.method}")
    pictures = None
    if isinstance(prepared, ProcessedBank) and len(prepared):
        pictures = _pictures(prepared, model, recipe, cache if cached else None, team, say)
    kind = PreferenceLoop if recipe.objective == "preference" else Loop
    trained = shard(model, trained, team)
    if team.world > 1:
        shards = "the decoder's weights, gradients and moments (float32) lie in shards"
        say(f"{team.world} processes; {shards if team.sharded else 'each holds the whole model'}")
    loop = kind(model, trained, recipe, train, validation, pictures, out, say, team,
                tokenizer=base.processor.tokenizer, follow=follow, inputs=inputs)  # fmt: skip
    with sole_run(out) if team.leads else nullcontext():
        return _trained(loop, model, trained, recipe, out, team, say, model_name)


def _trained(
    loop: Loop,
    model: MedGemma,
    trained: dict[str, Tensor],
    recipe: Recipe,
    out: Path,
    team: Team,
    say: Callable[[str], None],
    base: str,
) -> Result:
    """Run the loop, and write what came of it."""
    try:
        result = loop.run()
    except DataError:
        if team.world == 1 and loop.best_step > 0:
            with suppress(DataError, CheckpointError, OSError, SafetensorError):  # the disk may be what is full
                loop.take_best()
                _write(model, trained, recipe, out, base)
                say(f"the best weights, of step {loop.best_step}, were written as those of a run that ended")
        raise
    trained = unshard(model, trained)
    if team.leads:
        _write(model, trained, recipe, out, base)
    return result


def _write(model: MedGemma, trained: dict[str, Tensor], recipe: Recipe, out: Path, base: str) -> None:
    """What a run leaves for use, and nothing of an earlier one."""
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


def _pictures(
    bank: ProcessedBank, model: MedGemma, recipe: Recipe, cache: Path | None, team: Team, say: Callable[[str], None]
) -> Pictures:
    """The images for the loop, as pixels or, with a folder for them, as a frozen tower's features."""
    view = bank.view(model.device)
    if cache is None:
        return Pictures(bank.pixels(), lambda films, _: view(films), view)
    tower, projector = model.vision_tower, model.multi_modal_projector
    assert tower is not None and projector is not None
    half = recipe.precision == "bf16"

    def see(films: Tensor) -> Tensor:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=half):
            return projector.pool(tower(view(films)))

    settings = bank.settings | {"precision": recipe.precision, "device": model.device.type}
    features = TowerCache(cache, model, bank.digests, bank.picture, see, settings)
    features.fill(say, team)
    return Pictures(bank.pixels(), lambda films, _: view(films), view, features)


def _splits(
    recipe: Recipe, data: Path, bank: PictureBank, processor: PromptProcessor, say: Callable[[str], None]
) -> tuple[list[TokenRow], list[TokenRow]]:
    """Training and validation rows as tokens, every row checked first."""
    wrong: list[BadRow] = []
    parts: dict[bool, list[Conversation | Pair]] = {False: [], True: []}
    wanted = Pair if recipe.objective == "preference" else Conversation
    for file, split in file_splits(data_files(data)).items():
        if split == "test":
            say(f"{file.name} is left out: no run touches a test split")
            continue
        good, bad = read_rows(file, bank, labels=recipe.labels)
        wrong += bad
        side = parts[split == "validation"]
        for line, row in good:
            if isinstance(row, wanted):
                side.append(row)
            else:
                wrong.append(BadRow(file, line, f"not a row for the objective {recipe.objective!r}"))
    for each in wrong:
        say(str(each))
    if wrong:
        raise DataError(f"{data}: {len(wrong)} rows are wrong, see above; `aris tune check` lists them too")
    train, validation = parts[False], parts[True]
    if not validation:
        train, validation = split_by_group(train, recipe.validation_share, recipe.seed)
    check_groups(train, validation)
    made = [_tokens(rows, processor, recipe.max_tokens, data) for rows in (train, validation)]
    seen = [{bank.digests[picture] for row in rows for picture in row.all_pictures()} for rows in made]
    if both := seen[0] & seen[1]:
        say(f"warning: {len(both)} images are in training and in validation; what is measured on them may be memory")
    return made[0], made[1]


def _tokens(rows: Sequence[Conversation | Pair], processor: PromptProcessor, limit: int, data: Path) -> list[TokenRow]:
    made: list[TokenRow] = []
    long = []
    for row in rows:
        two = [row.chosen, row.rejected] if isinstance(row, Pair) else [row]
        tokens = [each for each in (tokenize(one, processor, _NO_LIMIT) for one in two) if each is not None]
        longest = max(len(each.token_ids) for each in tokens)
        if longest > limit:
            long.append(longest)
        made.append(pair_row(*tokens) if isinstance(row, Pair) else tokens[0])
    if long:
        raise DataError(
            f"{data}: {len(long)} rows are over max_tokens {limit}, the longest has {max(long)}; raise it, or shorten "
            f"them (`aris tune check --max-tokens {limit}` names each)"
        )
    return made
