"""The pages' Python runs, their commands exist, their links and the README's figures hold."""

from __future__ import annotations

import json
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aris.checkpoints import find
from aris.cli.app import app

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {group.name for group in app.registered_groups}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@cache
def help_of(*path: str) -> str:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, path
    return result.output.replace("\n", " ")


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda p: p.name)
def test_python_on_the_pages_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for code in blocks(page, "python"):
        exec(compile(code, str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_on_the_pages_exist(page: Path) -> None:
    for line in "\n".join(blocks(page, "bash")).splitlines():
        for command in re.findall(r"(?:^|&& )(?:\.venv/bin/)?aris ([^#&>]*)", line):
            words = shlex.split(command)
            name = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
            path = name if words[0] in GROUPS else name[:1]
            shown = help_of(*path)
            for option in (word for word in words if word.startswith("--")):
                assert option in shown or option == "--json", (command, option)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_index_lists_every_page() -> None:
    listed = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert page.name == "index.md" or f"({page.name})" in listed, page.name
        assert f": {page.name}\n" in menu, page.name


def test_contributing_shows_every_package() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").split("src/aris/\n")[1].split("```")[0]
    shown: dict[str, str] = {}  # a package's lines, by its name
    for line in tree.splitlines():
        first = re.match(r"  (\w+)/", line)
        name = first[1] if first else name  # noqa: F821  (of the lines before)
        shown[name] = shown.get(name, "") + line + "\n"
    for init in sorted((ROOT / "src" / "aris").glob("*/__init__.py")):
        package = init.parent
        assert package.name in shown, package.name
        for inner in package.glob("*/__init__.py"):
            assert f"{inner.parent.name}/" in shown[package.name], inner
        for word in re.findall(r"(\w+\.py)", shown[package.name]):
            assert list(package.rglob(word)), f"{package.name}: {word} is not there"


def test_the_figures_are_those_that_were_measured() -> None:
    measured = json.loads((ROOT / "benchmarks" / "results" / "nano_heldout.json").read_text())
    chest = measured["chest_pediatric test, normal against pneumonia"]
    area = chest["AUC"]["aris-nano"]
    spec = find("aris-nano")
    assert spec is not None and area.split()[0] in spec.scope.findings[0].evidence
    for page in (ROOT / "README.md", ROOT / "docs" / "nano.md"):
        assert area in page.read_text(encoding="utf-8")
    card = (ROOT / "src/aris/checkpoints/nano/MODEL_CARD.md").read_text(encoding="utf-8")
    assert area.split()[0] in card and chest["accuracy"].split()[0] in card and chest["specificity"] in card


def test_the_shipped_model_is_small_and_carries_its_terms() -> None:
    folder = ROOT / "src/aris/checkpoints/nano"
    weights = [folder / "vision.safetensors", folder / "adapter/adapter_model.safetensors"]
    assert sum(path.stat().st_size for path in weights) < 24_000_000
    assert "Gemma is provided under and subject to the Gemma Terms of Use" in (folder / "NOTICE").read_text()
    assert "3.2 Use Restrictions" in (folder / "GEMMA_TERMS.txt").read_text()


def test_the_list_of_slow_tests_names_tests_that_are_there() -> None:
    for line in (ROOT / "tests" / "slow_tests.txt").read_text().splitlines():
        if not line.startswith("#"):
            file, _, name = line.split()[0].partition("::")
            source = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {name.rstrip('*')}" in source or name == "*", line
