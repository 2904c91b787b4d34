"""The run that makes `aris-nano`'s projector and adapters: examples, model, loop, export.

Two stages of one loop. The first has the tasks with many examples; the second, short and with smaller steps, adds the
few hundred questions that experts answered, which a long run would learn by heart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aris.checkpoints.gguf import gemma
from aris.checkpoints.gguf.reading import GGUFFile
from aris.checkpoints.peft.adapters import save_adapter
from aris.model import MedGemma, MedGemmaConfig
from aris.prompting import PromptProcessor, Tokenizer
from aris.tuning.data.examples import Example, TokenizedExample, check_groups, tokenize
from aris.tuning.data.mixture import Mixture
from aris.tuning.loop import Loop, Result
from aris.tuning.nano import corpus
from aris.tuning.nano.augment import FilmAugment, equalize, to_pixels
from aris.tuning.nano.tower.vision import TOKENS_PER_SIDE, TOWER
from aris.tuning.recipe import Recipe
from aris.tuning.steps.buckets import BucketMicroBatching
from aris.tuning.steps.forward import Augment, TrainingImages
from aris.tuning.trainable import prepare

# Recipes of the stages, in their order.
STAGES = ("nano", "nano_answers")
# Of the augmentation's strength, for images that questions are about: what is asked must stay visible.
_GENTLE = 0.5
MAX_ANSWER = 160  # tokens


def nano_recipes() -> list[Path]:
    """List the package's recipes, one for each stage."""
    folder = Path(str(resources.files("aris.tuning"))) / "recipes"
    return [folder / f"{stage}.yaml" for stage in STAGES]


def film_bank(films: Tensor, sided: Tensor) -> Tensor:
    """Build an image bank (N, S + 1, S) of films (N, S, S) uint8; the last row is white where `sided` (N,) is true."""
    mark = sided.to(films.dtype)[:, None, None] * 255
    return torch.cat([films, mark.to(films.device).expand(-1, 1, films.shape[-1])], dim=1)


def film_augment(strength: float) -> Augment:
    """Return the tower's own augmentation as the loop takes it: films of a bank to pixels (B, 3, S, S).

    Sided images are varied less and never mirrored.
    """

    def augment(bank: Tensor, generator: torch.Generator) -> Tensor:
        films, sided = bank[:, :-1], bank[:, -1, 0] > 0
        out = torch.empty(films.shape[0], 1, *films.shape[1:], device=films.device)
        for chosen, mirror, amount in ((~sided, True, strength), (sided, False, strength * _GENTLE)):
            if bool(chosen.any()):
                out[chosen] = FilmAugment(generator, strength=amount, mirror=mirror)(films[chosen], films.shape[-1])
        return to_pixels(out)

    return augment


def film_view(bank: Tensor) -> Tensor:
    """Convert films of a bank to pixels as the tower sees them in use."""
    return to_pixels(equalize(bank[:, None, :-1].float() / 255))


def tokenized(examples: list[Example], processor: PromptProcessor, max_tokens: int) -> list[TokenizedExample]:
    """Tokenise examples, less those over the limit. A long answer is cut, without an end of its turn."""
    made = (tokenize(each, processor, max_tokens) for each in examples)
    return [cut_answer(each) for each in made if each is not None]


def cut_answer(example: TokenizedExample, most: int = MAX_ANSWER) -> TokenizedExample:
    """Cut the answer of an example to its first `most` tokens: an answer says first what is asked for most."""
    return replace(example, token_ids=example.token_ids[: example.answer_start + most], answers=())


def build_model(base: GGUFFile, tower: Path, device: str) -> MedGemma:
    """Build Gemma 3 270M in bf16 with the distilled tower and an empty projector."""
    config = MedGemmaConfig(gemma.text_config(base), TOWER, mm_tokens_per_image=TOKENS_PER_SIDE**2)
    with torch.device("meta"):
        model = MedGemma(config)
    for entry in gemma.entries(base):
        parent, _, leaf = entry.name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Parameter(entry.read(torch.bfloat16).to(device)))
    assert model.vision_tower is not None and model.multi_modal_projector is not None
    state = {k.removeprefix("tower."): v.float() for k, v in load_file(tower).items() if k.startswith("tower.")}
    model.vision_tower.load_state_dict(state, assign=True)
    model.multi_modal_projector.to_empty(device=device)
    for parameter in model.multi_modal_projector.parameters():
        nn.init.zeros_(parameter)
    return model.to(device).eval()


def export(model: MedGemma, out: Path) -> int:
    """Write `vision.safetensors` and `adapter/` in bf16; return their bytes."""
    out.mkdir(parents=True, exist_ok=True)
    prefixes = ("vision_tower.", "multi_modal_projector.")
    vision = {
        name: value.detach().to(torch.bfloat16).contiguous().cpu()
        for name, value in model.state_dict().items()
        if name.startswith(prefixes)
    }
    save_file(vision, out / "vision.safetensors", {"format": "pt"})
    save_adapter(model, out / "adapter", dtype=torch.bfloat16)
    return sum(file.stat().st_size for file in [out / "vision.safetensors", *(out / "adapter").iterdir()])


def run_nano_decoder(
    data_root: Path,
    base: GGUFFile,
    tower: Path,
    out: Path,
    recipes: Sequence[Recipe],
    device: str,
    log: Callable[[str], None] = lambda line: print(line, flush=True),
) -> Result:
    """Train, and export `vision.safetensors` and `adapter/` of the last stage's best step to `out`.

    A killed run is resumed.

    Args:
        data_root: holds the data folders.
        base: the Gemma 3 270M file.
        tower: a student's safetensors from `tower.vision`.
        recipes: of the stages; what is trained, and how it starts, follows the first.

    Raises:
        DataError: data is missing or leaks between splits, or training met what is not a number.
    """
    started = time.perf_counter()
    processor = PromptProcessor(Tokenizer.from_gguf(*gemma.vocabulary(base)), None, TOKENS_PER_SIDE**2)
    data = corpus.build(data_root, recipes[0].seed)
    check_groups(data.train, data.validation)
    longest = max(recipe.max_tokens for recipe in recipes)
    train = tokenized(data.train, processor, longest)
    validation = tokenized(data.validation, processor, longest)
    log(
        f"{len(train)} examples ({len(data.train) - len(train)} too long), {len(validation)} for validation, "
        f"{len(data.images)} images in {time.perf_counter() - started:.0f} s"
    )
    model = build_model(base, tower, device)
    trained = prepare(model, recipes[0])
    log(f"training {sum(p.numel() for p in trained.values()) / 1e6:.1f} M parameters on {device}")
    bank = film_bank(data.images, data.sided).to(device)
    for number, recipe in enumerate(recipes, 1):
        images = TrainingImages(bank, film_augment(recipe.augment_strength), film_view)
        folder = out / f"stage{number}"
        # Each stage ends with its best weights in the model, from which the next one starts.
        mixture = Mixture(train, recipe.mixture, frozenset(recipe.balanced))
        buckets = BucketMicroBatching.of(mixture, recipe.batch_size, recipe.seed)
        loop = Loop(model, trained, recipe, train, validation, images, folder, log, graph_microbatching=buckets)
        result = loop.run()
        log(f"stage {number}: best step {result.best_step}, validation loss {result.best_loss:.4f}")
    log(f"exported {export(model, out) / 1e6:.1f} MB to {out}")
    return result
