"""A patient who knows the hidden facts of a case, and answers what is asked, no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aris.backends import Backend
from aris.tasks.intake import IntakeState, Question, answer, question, start

HERE = Path(__file__).parent / "tasks" / "intake"


def cases() -> list[dict[str, Any]]:
    return yaml.safe_load((HERE / "simulated_patients.yaml").read_text(encoding="utf-8"))


@dataclass
class Patient:
    """Answers by number; `asked` holds what was put to the patient."""

    case: dict[str, Any]
    asked: list[Question] = field(default_factory=list)

    def __call__(self, asked: Question) -> str:
        self.asked.append(asked)
        case, item = self.case, asked.id.partition(".")[0]
        if asked.type == "list":
            there = {*case.get("present", ()), *case.get("history", ())}
            return ", ".join(str(n) for n, option in enumerate(asked.options, 1) if option.code in there) or "0"
        given = {
            "consent": "1",
            "who": "2" if case.get("carer") else "1",
            "age": case.get("age_text", str(case.get("age", 40))),
            "sex": case.get("sex", "female"),
            "pregnancy": case.get("pregnancy", "neither"),
            "complaint": case["text"],
            "onset": case.get("onset", "days"),
            "duration": case.get("duration", "3 days"),
            "place": "here, in the middle",
            "quality": "1",
            "area": case.get("area", "8"),
            "severity": str(case.get("severity", 5)),
            "course": "2",
            "medications": "none",
            "allergies": "none",
            "more": "no",
        }
        return str(given[item])


def talk(patient: Callable[[Question], str], model: Backend | None = None, **keywords: Any) -> IntakeState:
    state = start()
    while (asked := question(state)) is not None:
        state = answer(state, patient(asked), model=model, **keywords)
    return state
