"""Rules from YAML files: those that ship with Aris, and a site's own beside or instead of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from aris.errors import ArisError
from aris.tasks.monitor.rule import Rule

_SHIPPED = "shipped with Aris"
_TESTS = ".tests.yaml"
_LARGEST = 1 << 20
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class RuleError(ArisError):
    """A rule's file cannot be read, or says what a rule cannot."""


@dataclass(frozen=True)
class RuleSet:
    """Rules in use.

    Attributes:
        rules: one version of each, by id.
        others: versions that are not used: withdrawn, or older.
        origins: where each rule in use comes from, by id.
    """

    rules: dict[str, Rule]
    others: tuple[Rule, ...] = ()
    origins: dict[str, str] | None = None

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules.values())

    def __len__(self) -> int:
        return len(self.rules)


@lru_cache(maxsize=1)
def shipped_rules() -> RuleSet:
    """Return the rules that ship with Aris."""
    return rule_set(_shipped())


def load_rules(folder: str | Path | None = None) -> RuleSet:
    """Read the rules that ship with Aris, and a site's own.

    Args:
        folder: of YAML files, one rule each; files that end in .tests.yaml hold tests. A site's rule with the id of a
            shipped one is used instead of it if its version is higher. A version that is withdrawn is not used: the
            highest other one is, so that withdrawing is rolling back; where all are withdrawn, none is used.

    Raises:
        RuleError: names the file, the line and the field.
    """
    if folder is None:
        return shipped_rules()
    return rule_set([*_shipped(), *_in_folder(Path(folder))])


def rule_set(found: Iterable[tuple[Rule, str]]) -> RuleSet:
    """Choose the version of each rule that is in use.

    Raises:
        RuleError: two files have one id and one version, and do not say the same.
    """
    versions: dict[tuple[str, int], tuple[Rule, str]] = {}
    for rule, where in found:
        known = versions.get((rule.id, rule.version))
        if known is not None and known[0].digest != rule.digest and not _withdraws(known[0], rule):
            raise RuleError(
                f"{where}: rule {rule.id} version {rule.version} is in {known[1]} too, and says otherwise; a change "
                "takes a higher version"
            )
        versions[rule.id, rule.version] = rule, where
    chosen: dict[str, tuple[Rule, str]] = {}
    for (name, version), (rule, where) in sorted(versions.items()):
        if rule.withdrawn is None and (name not in chosen or chosen[name][0].version < version):
            chosen[name] = rule, where
    used = {(rule.id, rule.version) for rule, _ in chosen.values()}
    others = tuple(rule for key, (rule, _) in sorted(versions.items()) if key not in used)
    return RuleSet(
        {name: rule for name, (rule, _) in chosen.items()}, others, {name: where for name, (_, where) in chosen.items()}
    )


def read_rule(text: str, where: str) -> Rule:
    """Read one rule from YAML.

    Args:
        text: of the file.
        where: the file's name, for errors.

    Raises:
        RuleError: names the file, the line and the field.
    """
    data, lines = read_yaml(text, where)
    try:
        return Rule.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(part for part in first["loc"] if not _is_arm(part))
        field = ".".join(map(str, path)) or "rule"
        message = str(first["msg"]).removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
        raise RuleError(f"{where}:{line_of(lines, path)}: {field}: {message}") from None


def read_yaml(text: str, where: str) -> tuple[Any, dict[tuple[Any, ...], int]]:
    """Read YAML without tags of its own; refuse a key that is there twice.

    Returns:
        The value, and the line (from 1) at which each part of it stands, by path.

    Raises:
        RuleError: it is no YAML.
    """
    lines: dict[tuple[Any, ...], int] = {}
    try:
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise RuleError(f"{where}:1: the file is empty")
        _walk(node, (), lines, where, 0)
        return yaml.load(text, Loader=_LOADER), lines
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = 1 if mark is None else mark.line + 1
        problem = getattr(error, "problem", None) or "it cannot be parsed"
        raise RuleError(f"{where}:{line}: not valid YAML: {problem}") from None


def line_of(lines: dict[tuple[Any, ...], int], path: tuple[Any, ...]) -> int:
    """The line of a part, or of what it should be in."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def tests_beside(folder: str | Path | None = None) -> list[tuple[str, str]]:
    """Return the files of tests, as (name, text): those that ship with Aris, or a folder's."""
    if folder is None:
        return [(name, text) for name, text in _shipped_files() if name.endswith(_TESTS)]
    return [(str(path), _read(path)) for path in sorted(Path(folder).glob(f"*{_TESTS}"))]


def _walk(node: yaml.Node, path: tuple[Any, ...], lines: dict[tuple[Any, ...], int], where: str, depth: int) -> None:
    if depth > 30:
        raise RuleError(f"{where}:{node.start_mark.line + 1}: nested too deep")
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, each in enumerate(node.value):
            _walk(each, (*path, index), lines, where, depth + 1)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            if name in seen:
                raise RuleError(f"{where}:{key.start_mark.line + 1}: {name}: is there twice")
            seen.add(name)
            _walk(value, (*path, name), lines, where, depth + 1)
            lines[(*path, name)] = key.start_mark.line + 1


def _withdraws(first: Rule, second: Rule) -> bool:
    """Tell whether two files of one version differ in the withdrawal alone."""
    return first.model_copy(update={"withdrawn": None}) == second.model_copy(update={"withdrawn": None})


def _is_arm(part: Any) -> bool:
    """Tell whether a part of an error's path names a kind of check, not a field."""
    return isinstance(part, str) and (" " in part or part in _KINDS)


_KINDS = frozenset(("limits", "change", "score", "percentile", "ranges", "slope", "overdue", "together"))


def _shipped_files() -> list[tuple[str, str]]:
    folder = resources.files("aris.tasks").joinpath("monitor", "rules")
    return [(each.name, each.read_text(encoding="utf-8")) for each in sorted(folder.iterdir(), key=lambda f: f.name)]


@lru_cache(maxsize=1)
def _shipped() -> tuple[tuple[Rule, str], ...]:
    return tuple(
        (read_rule(text, name), f"{name} ({_SHIPPED})")
        for name, text in _shipped_files() if name.endswith(".yaml") and not name.endswith(_TESTS)
    )  # fmt: skip


def _in_folder(folder: Path) -> list[tuple[Rule, str]]:
    if not folder.is_dir():
        raise RuleError(f"{folder}: no such folder of rules")
    paths = sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))
    rules = [path for path in paths if not path.name.endswith(_TESTS)]
    if not rules:
        raise RuleError(f"{folder}: no rules in it; a rule is a .yaml file")
    return [(read_rule(_read(path), str(path)), str(path)) for path in rules]


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise RuleError(f"{path}: larger than a rule can be (1 MiB)")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RuleError(f"{path}: cannot be read ({type(error).__name__})") from None
