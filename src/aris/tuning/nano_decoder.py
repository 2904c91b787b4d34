"""How `aris-nano`'s projector and adapters are made: `python -m aris.tuning.nano_decoder --data FOLDER --tower FILE`.

Reads Gemma 3 270M from its package (or `--base`, its parts in order), the tower that `nano_vision` distilled, and the
data folders; writes `vision.safetensors` and `adapter/` as the package ships them.
"""

from __future__ import annotations

import argparse
import time
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from aris.checkpoints import embedded, gguf_gemma
from aris.checkpoints.gguf import GGUFFile
from aris.checkpoints.peft import save_adapter
from aris.model import MedGemma, MedGemmaConfig
from aris.prompting import PromptProcessor, Tokenizer
from aris.tuning import nano_corpus
from aris.tuning.decoder_training import Recipe, Trainer, prepare
from aris.tuning.nano_vision import TOKENS_PER_SIDE, TOWER
from aris.tuning.rows import Row, TokenRow, check_groups, tokenize

# Tasks with a few short answers, which are drawn evenly.
BALANCED = frozenset({"pneumonia", "normal", "gate", "findings nih", "normal nih"})


def build_model(base: GGUFFile, tower: Path, device: str) -> MedGemma:
    """Gemma 3 270M in bf16 with the distilled tower and an empty projector."""
    text = gguf_gemma.text_config(base)
    config = MedGemmaConfig(text, TOWER, mm_tokens_per_image=TOKENS_PER_SIDE**2)
    with torch.device("meta"):
        model = MedGemma(config)
    for entry in gguf_gemma.entries(base):
        parent, _, leaf = entry.name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, nn.Parameter(entry.read(torch.bfloat16).to(device)))
    assert model.vision_tower is not None and model.multi_modal_projector is not None
    state = {k.removeprefix("tower."): v.float() for k, v in load_file(tower).items() if k.startswith("tower.")}
    model.vision_tower.load_state_dict(state, assign=True)
    model.multi_modal_projector.to_empty(device=device)
    for parameter in model.multi_modal_projector.parameters():
        nn.init.zeros_(parameter)
    return model.to(device).eval()


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="student*.safetensors from nano_vision")
    parser.add_argument("--base", type=Path, nargs="*", help="parts of the GGUF file; default: the installed package")
    parser.add_argument("--out", type=Path, default=Path("runs/nano"))
    parser.add_argument("--recipe", type=Path, help="default: the package's recipes/nano_decoder.yaml")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    import yaml

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    source = a.recipe or Path(str(resources.files("aris.tuning"))) / "recipes" / "nano_decoder.yaml"
    values = yaml.safe_load(source.read_text())
    recipe = Recipe.from_dict(values | ({"steps": a.steps} if a.steps else {}))

    started = time.perf_counter()
    base = GGUFFile(*a.base) if a.base else embedded.language_weights()
    processor = PromptProcessor(Tokenizer.from_gguf(*gguf_gemma.vocabulary(base)), None, TOKENS_PER_SIDE**2)
    corpus = nano_corpus.build(a.data, recipe.seed)
    check_groups(corpus.train, corpus.validation)

    def ready(rows: list[Row]) -> list[TokenRow]:
        made = [tokenize(row, processor, recipe.max_tokens) for row in rows]
        return [row for row in made if row is not None]

    train, validation = ready(corpus.train), ready(corpus.validation)
    left_out = len(corpus.train) - len(train)
    print(f"{len(train)} rows ({left_out} too long), {len(validation)} for validation, "
          f"{len(corpus.pictures)} pictures in {time.perf_counter() - started:.0f} s", flush=True)  # fmt: skip
    model = build_model(base, a.tower, a.device)
    groups = prepare(model, recipe)
    count = sum(p.numel() for group in groups for p in group["params"])
    print(f"training {count / 1e6:.1f} M parameters on {a.device}", flush=True)
    pictures = corpus.pictures.to(a.device)
    Trainer(model, groups, recipe, train, validation, pictures, a.out, BALANCED).run()
    export(model, a.out, recipe)


def export(model: MedGemma, out: Path, recipe: Recipe) -> None:
    """Write `vision.safetensors` and `adapter/` in bf16."""
    out.mkdir(parents=True, exist_ok=True)
    parts = ("vision_tower.", "multi_modal_projector.")
    vision = {
        name: value.detach().to(torch.bfloat16).contiguous().cpu()
        for name, value in model.state_dict().items()
        if name.startswith(parts)
    }
    save_file(vision, out / "vision.safetensors", {"format": "pt"})
    save_adapter(model, out / "adapter", dtype=torch.bfloat16)
    size = sum(file.stat().st_size for file in [out / "vision.safetensors", *(out / "adapter").iterdir()])
    print(f"exported {size / 1e6:.1f} MB to {out}", flush=True)


if __name__ == "__main__":
    main()
