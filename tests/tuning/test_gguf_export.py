"""A tuned model as GGUF: our reader gives the same logits and tokens, and the gguf package's reads the file too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from test_run import base, data, run  # noqa: F401

from aris.checkpoints import load_model, open_checkpoint
from aris.checkpoints.export.quantize import Rounding, quantize_checkpoint
from aris.tuning.base import open_base
from aris.tuning.merge import export_gguf, merge, merged_model

gguf: Any = pytest.importorskip("gguf")


def test_the_export_gives_the_same_logits_and_tokens(base: Path, data: Path, tmp_path: Path) -> None:  # noqa: F811
    run(base, data, tmp_path / "run")
    path = tmp_path / "tuned.gguf"
    export_gguf(str(base), tmp_path / "run", path, dtype=torch.float32)
    tuned = merged_model(str(base), tmp_path / "run", torch.float32)
    again = load_model(open_checkpoint(str(path)), dtype=torch.float32)
    assert again.vision_tower is None
    ids = torch.arange(2, 150)[None]
    with torch.no_grad():
        assert (tuned(ids) - again(ids)).abs().max() < 1e-4
        assert (load_model(open_checkpoint(str(base)), dtype=torch.float32)(ids) - again(ids)).abs().max() > 1e-2
    ours, theirs = open_base(str(base)).processor.tokenizer, open_base(str(path)).processor.tokenizer
    for text in ("Yes, pneumonia in both lungs.\n\nNo é", "<start_of_turn>user\nlungs<end_of_turn>"):
        assert ours.encode(text) == theirs.encode(text)
    reader = gguf.GGUFReader(path)
    names = {tensor.name: tuple(tensor.shape) for tensor in reader.tensors}
    assert names["blk.0.ffn_up.weight"] == (32, 48) and len(names) == 2 + 13 * 6
    norm = next(tensor for tensor in reader.tensors if tensor.name == "output_norm.weight")
    torch.testing.assert_close(torch.from_numpy(norm.data.copy()), tuned.language_model.norm.weight.detach() + 1)


def test_a_base_from_gguf_merges_into_a_folder_that_opens(base: Path, data: Path, tmp_path: Path) -> None:  # noqa: F811
    run(base, data, tmp_path / "run")
    path = tmp_path / "base.gguf"
    export_gguf(str(base), tmp_path / "run", path, dtype=torch.float32)
    merge(str(path), tmp_path / "run", tmp_path / "merged", dtype=torch.float32)
    ids = torch.arange(2, 150)[None]
    with torch.no_grad():
        merged = load_model(open_checkpoint(str(tmp_path / "merged")), dtype=torch.float32)
        assert (merged_model(str(path), tmp_path / "run", torch.float32)(ids) - merged(ids)).abs().max() < 1e-4
    for text in ("Yes, pneumonia in both lungs.\n\nNo é", "<start_of_turn>user\nlungs<end_of_turn>"):
        tokenizers = [open_base(str(each)).processor.tokenizer for each in (path, tmp_path / "merged")]
        assert tokenizers[0].encode(text) == tokenizers[1].encode(text)


@pytest.mark.parametrize("name", ["aris-nano", "gemma-3-270m-it", "medgemma-4b-it", "unheard-of", 3])
def test_what_is_made_of_a_model_that_is_not_for_patients_is_not_either(
    base: Path, data: Path, tmp_path: Path, name: Any  # noqa: F811
) -> None:
    config = json.loads((base / "config.json").read_text()) | {"_aris_tuned_from": name}
    (base / "config.json").write_text(json.dumps(config))
    run(base, data, tmp_path / "run")
    merge(str(base), tmp_path / "run", tmp_path / "merged")
    export_gguf(str(base), tmp_path / "run", tmp_path / "tuned.gguf")
    quantize_checkpoint(open_checkpoint(str(tmp_path / "merged")), tmp_path / "coarse", Rounding("int8"))
    kept = name in ("aris-nano", "gemma-3-270m-it")
    for made in ("merged", "tuned.gguf", "coarse"):
        opened = open_checkpoint(str(tmp_path / made))
        assert opened.tuned == kept
        assert (opened.spec is not None and opened.spec.name == name and not opened.spec.patient_care) == kept
