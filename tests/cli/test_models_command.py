"""`aris models`: the list, the facts of one, and pulling without a network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aris.checkpoints import REGISTRY

Aris = Callable[..., Any]


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No model of the hub is here, and the network is off."""
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("ARIS_HOME", str(tmp_path / "aris"))


def test_the_list_names_every_model_with_what_matters(aris: Aris) -> None:
    result = aris("models", "list")
    assert result.exit_code == 0, result.output
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["NAME", "SIZE", "GATED", "HERE", "READS", "FOR"]
    assert [row.split()[0] for row in rows] == [spec.name for spec in REGISTRY]
    nano = rows[0]
    assert nano.startswith("aris-nano") and " yes " in nano and "findings" in nano and "AP, PA" in nano


def test_the_list_as_json(aris: Aris) -> None:
    models = json.loads(aris("models", "list", "--json").stdout)["models"]
    nano = next(each for each in models if each["name"] == "aris-nano")
    assert nano["local"] is True and nano["gated"] is False and nano["repo"] is None
    assert [each["name"] for each in nano["scope"]["findings"]] == ["pneumonia"]
    assert all(each["evidence"] for each in nano["scope"]["findings"])
    big = next(each for each in models if each["name"] == "medgemma-4b-it")
    assert big["gated"] is True and big["local"] is False and big["revision"]


def test_show_gives_scope_licence_and_revision(aris: Aris) -> None:
    text = aris("models", "show", "medgemma-4b-it").stdout
    spec = next(each for each in REGISTRY if each.name == "medgemma-4b-it")
    assert spec.revision is not None and spec.revision in text and spec.licence in text and "gated" in text
    assert "run: aris models pull medgemma-4b-it" in text
    nano = aris("models", "show", "aris-nano").stdout
    assert "pneumonia:" in nano and "never for patient care" in nano
    assert json.loads(aris("models", "show", "google/medgemma-4b-it", "--json").stdout)["name"] == "medgemma-4b-it"


def test_show_prints_the_card_that_ships(aris: Aris, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("aris.checkpoints.embedded.files", lambda: tmp_path)
    assert aris("models", "show", "aris-nano").exit_code == 0  # without one too
    (tmp_path / "MODEL_CARD.md").write_text("# The card\nIts \x1b[1mlimits.\n", encoding="utf-8")
    text = aris("models", "show", "aris-nano").stdout
    assert text.endswith("# The card\nIts ␛[1mlimits.\n")
    assert json.loads(aris("models", "show", "aris-nano", "--json").stdout)["card"].startswith("# The card")


@pytest.mark.parametrize("args", [("show", "no-such-model"), ("pull", "no-such-model"), ("pull", "medgemma-4b-it")])
def test_failures_are_one_line(aris: Aris, args: tuple[str, ...]) -> None:
    result = aris("models", *args)
    assert result.exit_code == 1 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("error: ")
    assert "defect" not in result.stderr


def test_a_model_that_was_not_pulled_says_how_to_get_it(aris: Aris) -> None:
    result = aris("ask", "Q?", "--model", "medgemma-4b-it")
    assert result.exit_code == 1 and "aris models pull medgemma-4b-it" in result.stderr


def test_the_embedded_model_needs_no_pulling(aris: Aris) -> None:
    result = aris("models", "pull", "aris-nano", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout) == {"model": "aris-nano", "folder": None}


def test_pull_prints_the_folder(aris: Aris, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[Any] = []

    def download(name: str, spec: Any, *, revision: str | None = None) -> Path:
        asked.append((name, spec.name, revision))
        return tmp_path

    monkeypatch.setattr("aris.checkpoints.pull.pull", download)
    result = aris("models", "pull", "medgemma-4b-it", "--revision", "abc")
    assert result.stdout == f"{tmp_path}\n" and asked == [("medgemma-4b-it", "medgemma-4b-it", "abc")]


def test_the_cache_is_shown_and_cleared(aris: Aris, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from aris.checkpoints import cache

    monkeypatch.setenv("ARIS_CACHE", str(tmp_path))
    monkeypatch.setenv("ARIS_CACHE_GB", "2")
    data = np.zeros(2_000_000, dtype=np.uint8)
    assert cache.write("a", {"what": "a-model"}, {"one": cache.Array(data, "uint8", data.shape)})
    shown = json.loads(aris("models", "cache", "show", "--json").stdout)
    assert shown["folder"] == str(tmp_path / "models")
    assert [(each["what"], each["bytes"] >= 2_000_000) for each in shown["entries"]] == [("a-model", True)]
    lines = aris("models", "cache", "show").stdout.splitlines()
    assert lines[0].endswith("2.0 MB  a-model") and lines[1] == f"2.0 MB of at most 2.1 GB in {tmp_path / 'models'}"
    freed = json.loads(aris("models", "cache", "clear", "--json").stdout)["freed_bytes"]
    assert freed > 2_000_000 and cache.entries() == []
    monkeypatch.setenv("ARIS_CACHE", "off")
    assert aris("models", "cache", "show").stdout == "switched off by ARIS_CACHE or ARIS_CACHE_GB\n"
