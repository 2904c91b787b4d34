"""The model's own view of the level. It can raise a level and never lower one; the site turns it on."""

from __future__ import annotations

from aris.backends import Backend, GenerationOptions, Grammar
from aris.errors import ArisError
from aris.prompting import user
from aris.tasks.intake.base import base
from aris.tasks.intake.lexicon import lexicon
from aris.tasks.intake.measures import DAYS
from aris.tasks.intake.state import LEVELS, IntakeState, Level, Reason, Risk


def raised_by_model(state: IntakeState, model: Backend) -> Risk:
    """The level that a model gives to the structured findings; routine if it fails.

    It is shown findings by their labels, not the patient's words.
    """
    findings = lexicon().findings
    here = ", ".join(sorted(findings[name].label for name in state.present())) or "none"
    age = f"{min(state.ages) / DAYS['year']:.1f} years" if state.ages else "unknown"
    prompt = (
        f"Complaint: {base().complaints[state.complaint or 'other'].title}. Age: {age}. Present: {here}.\n"
        "How soon does a clinician have to see this patient? Answer with one word: emergency (now), urgent (today), "
        "soon (this week) or routine."
    )
    try:
        options = GenerationOptions(max_tokens=8, grammar=Grammar.choice(list(LEVELS)))
        said = model.generate([user(prompt)], options).text.strip()
    except ArisError:
        return Risk()
    level: Level = next((each for each in LEVELS if each == said), "routine")
    reason = Reason(rule="model", level=level, text=f"the model {model.name} gave this level", source=model.name)
    return Risk(level=level, reasons=[reason])
