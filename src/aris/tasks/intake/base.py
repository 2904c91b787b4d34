"""The symptom base: complaints with what must be asked of each, and the questions that all share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from aris.errors import DataError
from aris.tasks.intake.data_files import load_yaml

VERSION = "1"
QuestionType = Literal["choice", "age", "text", "list", "duration", "scale"]
LISTS = ("red_flags", "associated", "negatives", "history")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """Origin of an entry; `read` says whether its text was read for this version."""

    name: str
    url: str
    read: bool


class Complaint(_Frozen):
    """A complaint and what matters of it. The lists hold names of findings."""

    name: str
    title: str
    kind: str
    level: Literal["emergency", "urgent", "soon", "routine"]
    starts: tuple[str, ...]
    quality: tuple[str, ...] = ()
    red_flags: tuple[str, ...]
    associated: tuple[str, ...]
    negatives: tuple[str, ...]
    history: tuple[str, ...]
    systems: tuple[str, ...]
    source: Source

    def findings(self, item: str) -> tuple[str, ...]:
        """The findings of one of its lists, in order."""
        found: tuple[str, ...] = getattr(self, item)
        return found


class SharedQuestion(_Frozen):
    """A question of every complaint: its words for the patient and, where they differ, for a carer."""

    text: str
    carer: str = ""
    type: QuestionType
    options: Mapping[str, str] = {}
    findings: tuple[str, ...] = ()


class Base(_Frozen):
    """Everything that can be asked.

    Attributes:
        complaints: by name; "other" is for what none of them fits.
        kinds: what must be asked, by kind of complaint, in the clinician's order.
        systems: checklists by part of the body.
        questions: the shared ones.
        texts: what patients are told.
    """

    complaints: Mapping[str, Complaint]
    kinds: Mapping[str, tuple[str, ...]]
    systems: Mapping[str, tuple[str, ...]]
    questions: Mapping[str, SharedQuestion]
    texts: Mapping[str, str]

    def must_ask(self, complaint: Complaint) -> tuple[str, ...]:
        """The items that must be asked of a complaint."""
        items = self.kinds[complaint.kind]
        return tuple(item for item in items if item != "quality" or complaint.quality)

    def complaint_for(self, findings: Mapping[str, int]) -> str:
        """The complaint that findings named in the patient's words speak for; "other" if none.

        Args:
            findings: by name, where in the text each is first named.
        """
        best: tuple[float, str] | None = None
        for name, complaint in self.complaints.items():
            for rank, start in enumerate(complaint.starts):
                if start in findings:
                    # What is said first counts most; of what is said at one place, the complaint's own first sign.
                    key = (findings[start] + rank / 100, name)
                    best = key if best is None or key < best else best
        return "other" if best is None else best[1]


@cache
def base() -> Base:
    """The symptom base that comes with Aris; read once.

    Raises:
        DataError: a file of it is malformed.
    """
    here = files(__package__)
    complaints: dict[str, Any] = {}
    for path in sorted((here / "symptoms").iterdir(), key=lambda each: each.name):
        if path.name.endswith(".yaml"):
            for name, entry in load_yaml(path).items():
                if name in complaints:
                    raise DataError(f"{path.name}: complaint {name} is there twice")
                complaints[name] = {"name": name} | entry
    parts = {key: load_yaml(here / f"{key}.yaml") for key in ("kinds", "systems", "questions", "texts")}
    try:
        return Base.model_validate({"complaints": complaints} | parts)
    except ValidationError as error:
        raise DataError(f"symptom base: {error.errors()[0]['loc']}: {error.errors()[0]['msg']}") from None
