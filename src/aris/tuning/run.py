"""`aris tune RECIPE`: a user's rows, a model, the loop, and what comes out of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path

import numpy as np
import PIL.Image
import safetensors.torch
import torch
from torch import Tensor

from aris.checkpoints.checkpoint import load_model
from aris.checkpoints.peft import save_adapter
from aris.errors import DataError
from aris.prompting import Image, ImageProcessor, PromptProcessor
from aris.tuning.base import open_base
from aris.tuning.conversations import BadRow, Pair, PictureBank, read_rows
from aris.tuning.data_check import data_files
from aris.tuning.loop import Loop, Pictures, Result
from aris.tuning.preference import PreferenceLoop, pair_row
from aris.tuning.recipe import Recipe
from aris.tuning.rows import Conversation, TokenRow, check_groups, tokenize
from aris.tuning.splits import split_by_group
from aris.tuning.trainable import prepare

# Weights that were trained beside adapters (projector, tower, or with the method "full" the decoder), by our names.
TRAINED = "trained.safetensors"
ADAPTER = "adapter"
_VALIDATION = ("validation", "valid", "val", "dev")
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
    raise DataError(f"recipe {name!r:.60}: not known; give a YAML file, or one of {', '.join(known)}")


def tune(
    recipe: Recipe,
    model_name: str,
    data: Path,
    out: Path,
    *,
    device: str = "cpu",
    say: Callable[[str], None] = lambda line: print(line, flush=True),
) -> Result:
    """Train a model on a data set; goes on from a stopped run in `out`.

    `out` receives `adapter/` in PEFT's layout (not with the method "full"), `trained.safetensors` if more than
    adapters was trained, the curve as JSON Lines and PNG, and the state to go on from.

    Args:
        data: a file, which is split by group, or a folder with a training and a validation file (`train*.jsonl`,
            `validation*.jsonl`).

    Raises:
        DataError: a row is wrong or too long (each is told by `say` first), a group is in both splits, or training
            met what is not a number.
        CheckpointError: the model is not there.
    """
    base = open_base(model_name)
    prepared = PictureBank(1) if base.processor.image_processor is None else _ProcessedBank(base.processor)
    train: Sequence[TokenRow]
    validation: Sequence[TokenRow]
    train, validation = _splits(recipe, data, prepared, base.processor, say)
    if not recipe.mixture:
        shares: dict[str, float] = {}
        for row in train:
            shares[row.task] = shares.get(row.task, 0.0) + 1.0
        recipe = dataclasses.replace(recipe, mixture=shares)
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    torch_device = torch.device(device)
    # For NF4 the dense weights never meet the device as a whole: layers are quantised there one by one.
    early = torch.device("cpu") if recipe.method == "qlora" else torch_device
    model = load_model(base.checkpoint, dtype=dtype, device=early)
    if len(prepared) and model.vision_tower is None:
        raise DataError("rows: they hold images and the model has no vision tower; use a multimodal model")
    trained = prepare(model, recipe, torch_device)
    count = sum(parameter.numel() for parameter in trained.values())
    say(f"{len(train)} rows, {len(validation)} for validation, {len(prepared)} pictures")
    say(f"training {count / 1e6:.2f} M parameters on {torch_device}, method {recipe.method}")
    pictures = None
    if isinstance(prepared, _ProcessedBank) and len(prepared):
        view = prepared.view(torch_device)
        pictures = Pictures(prepared.pixels(), lambda films, _: view(films), view)
    kind = PreferenceLoop if recipe.objective == "preference" else Loop
    result = kind(model, trained, recipe, train, validation, pictures, out, say).run()
    if recipe.method != "full":
        save_adapter(model, out / ADAPTER, base=model_name)
    rest = {name: value.detach().cpu().contiguous() for name, value in trained.items() if "lora_" not in name}
    if rest:
        safetensors.torch.save_file(rest, out / TRAINED)
    return result


def _splits(
    recipe: Recipe, data: Path, bank: PictureBank, processor: PromptProcessor, say: Callable[[str], None]
) -> tuple[list[TokenRow], list[TokenRow]]:
    """Training and validation rows as tokens, every row checked first."""
    wrong: list[BadRow] = []
    parts: dict[bool, list[Conversation | Pair]] = {False: [], True: []}
    wanted = Pair if recipe.objective == "preference" else Conversation
    files = data_files(data)
    for file in files:
        good, bad = read_rows(file, bank)
        wrong += bad
        side = parts[len(files) > 1 and file.stem.startswith(_VALIDATION)]
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


class _ProcessedBank(PictureBank):
    """Pictures in the very bytes that the model's image processor scales, each (S, S, 3)."""

    def __init__(self, processor: PromptProcessor) -> None:
        assert processor.image_processor is not None
        self.processor: ImageProcessor = processor.image_processor
        super().__init__(self.processor.size, colour=True)

    def prepare(self, image: PIL.Image.Image) -> np.ndarray:
        values = self.processor(Image.from_pil(image.convert("RGB")), pan_and_scan=False)[0]
        mean, std = torch.tensor(self.processor.image_mean), torch.tensor(self.processor.image_std)
        levels = (values.permute(1, 2, 0) * std + mean) / self.processor.rescale_factor
        return levels.round().clamp(0, 255).to(torch.uint8).numpy()

    def view(self, device: torch.device) -> Callable[[Tensor], Tensor]:
        """Bytes (B, S, S, 3) to the processor's pixel values (B, 3, S, S) on the device."""
        mean = torch.tensor(self.processor.image_mean, device=device)
        std = torch.tensor(self.processor.image_std, device=device)

        def scale(films: Tensor) -> Tensor:
            scaled = (films.to(device).double() * self.processor.rescale_factor).float()
            return ((scaled - mean) / std).permute(0, 3, 1, 2)

        return scale
