"""The model that words a summary: whether it may, how much it reads at once, and its replies under the check."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aris.backends import Backend, GenerationOptions
from aris.checkpoints.registry import ModelSpec
from aris.errors import ArisError, ModelError, PromptError
from aris.prompting import user
from aris.tasks.scope import FORCED, not_for_patients
from aris.tasks.summary.prompts import sentences_of
from aris.tasks.summary.results import Statement, Struck

if TYPE_CHECKING:
    from aris.records import Timeline
    from aris.tasks.support import Evidence

MAX_TOKENS = 400
_CHARACTERS = 3  # a token of clinical text, at least
_MOST = 48_000  # characters of facts that are read at once, however much a model could
TASK = "summarize"


def declined(spec: ModelSpec) -> str | None:
    """Say why a model is not asked to word records, or `None` where it may be.

    A model whose declared scope has neither records nor free answers to text would see its words struck one by one; the
    facts stand without it.
    """
    if TASK in spec.scope.tasks or not spec.scope.tasks:
        return None
    return f"{spec.name} is not made to read records: the facts are laid out by rule; choose another with --model"


def allowed(model: Backend, *, force: bool) -> tuple[bool, list[str]]:
    """(whether a model is asked to word records, what must be said of that)."""
    if model.spec is None:
        return True, [f"{model.name} declares no scope: nothing is known of how well it reads records"]
    reason = declined(model.spec)
    if reason is None:
        return True, []
    return (True, [FORCED, f"{model.spec.name} is not made to read records"]) if force else (False, [reason])


def caution_of(model: Backend | None) -> str:
    """Return the caution of a model that is not for patients; empty for others and for none."""
    return "" if model is None else not_for_patients(model.spec)


@dataclass
class Writer:
    """Asks a model, and checks each of its statements against the resources that it cites.

    Attributes:
        model: to ask.
        evidence: the record's facts for the check.
        options: how to generate; greedy by default.
        struck: statements that were not supported, so far.
        warnings: what went wrong, so far.
        broken: whether the model failed: it is not asked again.
    """

    model: Backend
    evidence: Evidence
    options: GenerationOptions = field(default_factory=lambda: GenerationOptions(max_tokens=MAX_TOKENS))
    struck: list[Struck] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    broken: bool = False

    @property
    def budget(self) -> int:
        """The number of characters of facts that fit into a prompt."""
        context = 8192 if self.model.spec is None else self.model.spec.context
        return min(_MOST, max(2000, (context - self.options.max_tokens - 600) * _CHARACTERS))

    def ask(self, prompt: str) -> str:
        """The model's reply; empty where it fails, which is said once."""
        if self.broken:
            return ""
        try:
            return self.model.generate([user(prompt)], self.options).text
        except PromptError:
            raise
        except ArisError as error:
            self._fail(str(error))
        except Exception as error:  # a backend of others may raise anything; the facts stand without it
            self._fail(type(error).__name__)
        return ""

    def ask_in_parts(
        self, facts: Sequence[Statement], prompt: Callable[[Sequence[Statement]], str]
    ) -> list[tuple[str, int]]:
        """The replies to a prompt of facts, in as many parts as it takes, each with the place of its first fact."""
        replies: list[tuple[str, int]] = []
        budget = self.budget
        start = 0
        while start < len(facts) and not self.broken:
            end = _fitting(facts, start, budget)
            try:
                replies.append((self.ask(prompt(facts[start:end])), start))
            except (PromptError, ModelError) as error:
                if budget <= 2000:
                    self._fail(str(error))
                    break
                budget //= 2
                continue
            start = end
        return replies

    def _fail(self, why: str) -> None:
        self.broken = True
        self.warnings.append(f"the model failed ({' '.join(why.split())[:200]}); the facts are laid out by rule")

    def checked(self, reply: str, facts: Sequence[Statement], section: str) -> tuple[list[Statement], bool]:
        """(the statements that the resources support, whether another contradicts them); all others are struck."""
        from aris.tasks.support import check

        kept: list[Statement] = []
        contradicted = False
        for text, numbers in sentences_of(reply):
            cites = tuple(dict.fromkeys(c for n in numbers if 1 <= n <= len(facts) for c in facts[n - 1].cites))
            if not cites:
                self.struck.append(Struck(section=section, text=text, reason="it cites no fact"))
                continue
            verdict = check(text, list(cites), self.evidence)
            if verdict.ok:
                kept.append(Statement(text=text, cites=cites, by="model"))
                continue
            contradicted |= verdict.outcome == "contradicted"
            reason = verdict.message or verdict.outcome
            self.struck.append(Struck(section=section, text=text, cites=cites, reason=reason))
        return list(dict.fromkeys(kept)), contradicted


def _fitting(facts: Sequence[Statement], start: int, budget: int) -> int:
    """Return the end of the facts that fit into a prompt; at least one."""
    size, end = 0, start
    while end < len(facts) and (end == start or size + len(facts[end].text) + 8 <= budget):
        size += len(facts[end].text) + 8
        end += 1
    return end


def writer_of(
    model: Backend | None, timeline: Timeline, options: GenerationOptions | None, *, force: bool
) -> tuple[Writer | None, list[str]]:
    """Make the writer of a record's words; (None where there is no model or it is not asked, what must be said)."""
    if model is None:
        return None, []
    may, said = allowed(model, force=force)
    if not may:
        return None, said
    from aris.tasks.support.records import evidence_of

    return Writer(model, evidence_of(timeline), options or GenerationOptions(max_tokens=MAX_TOKENS)), said
