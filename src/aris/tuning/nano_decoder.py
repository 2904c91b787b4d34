"""How `aris-nano`'s projector and adapters are made: `python -m aris.tuning.nano_decoder --data FOLDER --tower FILE`.

Reads Gemma 3 270M from its package (or `--base`, its parts in order), the tower that `nano_vision` distilled, and the
data folders; writes `vision.safetensors` and `adapter/` as the package ships them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from aris.checkpoints import embedded
from aris.checkpoints.gguf import GGUFFile
from aris.tuning.decoder_run import nano_recipe, run_nano_decoder
from aris.tuning.recipe import Recipe


def main() -> None:
    """Parse the command line, train, export."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tower", type=Path, required=True, help="student*.safetensors from nano_vision")
    parser.add_argument("--base", type=Path, nargs="*", help="parts of the GGUF file; default: the installed package")
    parser.add_argument("--out", type=Path, default=Path("runs/nano"))
    parser.add_argument("--recipe", type=Path, help="default: the package's recipes/nano.yaml")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    recipe = Recipe.from_file(a.recipe or nano_recipe(), **({"steps": a.steps} if a.steps else {}))
    base = GGUFFile(*a.base) if a.base else embedded.language_weights()
    run_nano_decoder(a.data, base, a.tower, a.out, recipe, a.device)


if __name__ == "__main__":
    main()
