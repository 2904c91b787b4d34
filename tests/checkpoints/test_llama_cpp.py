"""Our GGUF files in llama.cpp: the same ids for every text, the same ends of an answer, the same answer.

Runs where node and node-llama-cpp (npm; it brings llama.cpp built) are at hand: ARIS_LLAMA_CPP names the folder with
its node_modules. Elsewhere these are skipped, and `test_gguf_tokenizer.py` holds the file to the official one's.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from test_gguf_tokenizer import real_tokenizer, wide_checkpoint

sys.path.insert(0, str(Path(__file__).parent.parent))
import tiny_checkpoint
from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.export.gguf import save_gguf
from aris.model import MedGemma
from aris.prompting import Tokenizer

NODE = shutil.which("node")
FOLDER = os.environ.get("ARIS_LLAMA_CPP", "")
pytestmark = pytest.mark.skipif(
    NODE is None or not (Path(FOLDER or "/nowhere") / "node_modules" / "node-llama-cpp").is_dir(),
    reason="no node-llama-cpp here (ARIS_LLAMA_CPP)",
)
TEXTS = [
    "  a", " a", "a  b", "   leading", "trailing   ", " ", "  ", " " * 31, " " * 33, " " * 70 + "x", "a\n\n\nb",
    "\n" * 40, "\t\tx\t", "\r\n", "x \n y", "  \n  ",
    "<start_of_turn>user\nHeart?<end_of_turn>\n<start_of_turn>model\n",
    "<unused94>thought\nx<unused95>y", "<table><tr> <td>1</td></tr></table>", "<eos><bos><pad>", "[multimodal] x",
    "<start_of_image> <end_of_image>", "< end_of_turn >", "Herzgröße Größe µ²", "肺炎 がある。", "🫁🫀 \U000e0100",
    "é e\u0301 ﬁ", "1234567.89 % 10^3", "pneumonia Pneumonia PNEUMONIA", "don't  can't", "﷽ ابجد",
    "\u200b\u00a0\u2009x", "",
    "FINDINGS: The lungs are clear.\n\nIMPRESSION:  No acute  disease.",
]  # fmt: skip


def llama(model: Path, texts: list[str], prompt: list[int] | None = None, count: int = 0) -> dict[str, Any]:
    assert NODE is not None
    script = Path(__file__).with_name("llama_cpp.mjs")
    done = subprocess.run(
        [NODE, str(script), str(model)],
        input=json.dumps({"texts": texts, "prompt": prompt, "count": count}),
        capture_output=True, text=True, timeout=250, check=False, env=os.environ | {"ARIS_LLAMA_CPP": FOLDER},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    out: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return out


@pytest.mark.slow
@pytest.mark.parametrize("base", ["folder", "gguf"])
def test_every_text_has_the_same_ids(base: str, tmp_path: Path) -> None:
    source, model = wide_checkpoint(tmp_path, base)
    save_gguf(model, source, tmp_path / "m.gguf")
    ours = real_tokenizer()
    chance = random.Random(3)
    signs = [" ", "  ", "\n", "\t", "a", "The", "x.", "é", "肺", "<", "unused3>", "<b>", "9", "-", "\u0301", "🫁"]
    texts = [*TEXTS, *("".join(chance.choices(signs, k=chance.randrange(1, 30))) for _ in range(300))]
    found = llama(tmp_path / "m.gguf", texts)
    wrong = [text for text, ids in zip(texts, found["ids"], strict=True) if ids != ours.encode(text)]
    assert not wrong
    assert found["ids"][0] == [138, 236746]
    assert (found["bos"], found["eos"], found["eot"], found["ends"]) == (2, 1, 106, [True, True])
    assert "start_of_turn" in found["template"]


@pytest.mark.slow
@pytest.mark.parametrize("tied", [True, False])
def test_it_answers_as_our_model_does(tied: bool, tmp_path: Path) -> None:
    folder = tiny_checkpoint.save(tmp_path / "hf", vision=False)
    source = open_checkpoint(str(folder))
    text = replace(source.config.text, tie_word_embeddings=tied)
    torch.manual_seed(1)
    model = MedGemma(replace(source.config, text=text)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.05 if "norm" in name else 0.3)
    save_gguf(model, source, tmp_path / "m.gguf", torch.float32)
    prompt = Tokenizer.from_file(folder / "tokenizer.json").encode("Is there  pneumonia in the lungs? Yes or No", True)
    expected: list[int] = []
    again = load_model(open_checkpoint(str(tmp_path / "m.gguf")), dtype=torch.float32)
    for _ in range(12):
        with torch.no_grad():
            expected.append(int(again(torch.tensor([[*prompt, *expected]]))[0, -1].argmax()))
    assert llama(tmp_path / "m.gguf", [], prompt, 12)["made"] == expected
