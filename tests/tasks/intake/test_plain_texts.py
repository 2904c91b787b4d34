"""Plain sentences of patients and carers: emergencies are found, and what is harmless is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from aris.tasks.intake import LEVELS, triage

TEXTS: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parent / "plain_texts.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize(("kind", "least", "most", "count"), [
    ("emergency", "emergency", "emergency", 250),
    ("urgent", "urgent", "emergency", 6),
    ("harmless", "routine", "urgent", 180),
])  # fmt: skip
def test_levels(kind: str, least: str, most: str, count: int) -> None:
    allowed = LEVELS[LEVELS.index(least) : LEVELS.index(most) + 1]  # type: ignore[arg-type]
    wrong = [
        (level, case["text"])
        for case in TEXTS[kind]
        if (level := triage(case["text"], age=case.get("age")).level) not in allowed
    ]
    assert not wrong and len(TEXTS[kind]) >= count


def test_few_harmless_texts_are_called_urgent() -> None:
    levels = [triage(case["text"], age=case.get("age")).level for case in TEXTS["harmless"]]
    assert levels.count("urgent") <= 0.1 * len(levels)
