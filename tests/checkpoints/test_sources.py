"""The files of a model, found by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from aris.checkpoints.sources import files_beside, source_files
from aris.errors import CheckpointError


def test_a_gguf_file_with_its_tower_by_any_usual_name(tmp_path: Path) -> None:
    for name in ("m.gguf", "Model-MMPROJ-f16.GGUF", "mmproj-m.gguf", "other.gguf", "readme.md"):
        (tmp_path / name).touch()
    found = source_files(str(tmp_path / "m.gguf"))
    assert [path.name for path in found] == ["m.gguf", "Model-MMPROJ-f16.GGUF", "mmproj-m.gguf"]
    assert [path.name for path in files_beside(str(tmp_path / "m.gguf"))][-1] == "other.gguf"
    assert source_files(str(tmp_path / "m.gguf"), mmproj=tmp_path / "other.gguf")[1].name == "other.gguf"


def test_a_folder_and_the_embedded_model(tmp_path: Path) -> None:
    for name in ("config.json", "model-2.safetensors", "model-1.safetensors", "notes.txt", "weights.bin"):
        (tmp_path / name).touch()
    names = [path.name for path in source_files(str(tmp_path))]
    assert names == ["config.json", "model-1.safetensors", "model-2.safetensors"]
    own = {path.name for path in source_files("aris-nano")}
    assert {"vision.safetensors", "adapter_model.safetensors", "calibration.json"} < own and len(own) >= 8
    with pytest.raises(CheckpointError, match="no such model"):
        source_files(str(tmp_path / "none"))
