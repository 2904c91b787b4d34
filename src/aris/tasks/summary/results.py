"""Results of reading a record: statements with their citations, sections of them, omissions, answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aris.tasks.results import Result

Form = Literal["summary", "ipass", "discharge", "referral"]
Author = Literal["rule", "model"]


class Statement(Result):
    """A statement with the resources that it rests on.

    Attributes:
        text: in words, without the citations.
        cites: ids of the resources, such as "Observation/1"; empty only where it says that something is not documented,
            or asks a person for it.
        by: "rule" where it was laid out from the facts, "model" where a model worded it and the check held.
    """

    text: str
    cites: tuple[str, ...] = ()
    by: Author = "rule"


class Section(Result):
    """A section of a summary.

    Attributes:
        title: such as "Active problems".
        statements: in order.
        by: "model" where a model worded it; "rule" where the facts were laid out, also in place of a failed wording.
        note: why it is laid out by rule though a model was asked; may be empty.
    """

    title: str
    statements: tuple[Statement, ...]
    by: Author = "rule"
    note: str = ""


class Struck(Result):
    """A model's statement that was not shown, and why.

    Attributes:
        section: its section's title, or "answer".
        text: the statement, as the model wrote it.
        cites: the resources that it named.
        reason: what the check found.
    """

    section: str
    text: str
    cites: tuple[str, ...] = ()
    reason: str


class Omission(Result):
    """Something that counts and that the sections leave out.

    Attributes:
        kind: "active problem", "current medication", "allergy" or "abnormal result".
        text: the fact, laid out by rule.
        cites: its resources.
    """

    kind: str
    text: str
    cites: tuple[str, ...]


class PatientLine(Result):
    """Person that the record is of, as it says."""

    id: str = ""
    name: str = ""
    birth: str = ""
    gender: str = ""


class Summary(Result):
    """A draft summary of one patient's record.

    Attributes:
        model: the model that was asked to word it; "none" where none was.
        form: "summary", "ipass", "discharge" or "referral".
        patient: whose record it is.
        source: the file or address that was read.
        as_of: the date of the record's last entry, or the date that was asked for; empty where no entry has a date.
        sections: in the form's order.
        omissions: what counts and was left out.
        struck: statements of the model that the check did not find supported.
        excluded: entries kept out of the record, with why, as "Observation/1: entered in error".
        problems: what could not be read as it should.
        warnings: what a reader must know first.
        status: always "draft": a person signs.
        caution: as in all results.
    """

    model: str
    form: Form
    patient: PatientLine
    source: str = ""
    as_of: str = ""
    sections: tuple[Section, ...]
    omissions: tuple[Omission, ...] = ()
    struck: tuple[Struck, ...] = ()
    excluded: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    status: Literal["draft"] = "draft"
    caution: str = ""


class RecordAnswer(Result):
    """An answer to a question about one patient's record.

    Attributes:
        model: the model that was asked; "none" where none was.
        question: as it was asked.
        patient: whose record it is.
        found: False where the record holds nothing on it: the answer then is "Not in the record."
        statements: the answer, each with its citations.
        facts: the record's entries that the question is about (where `found` is False: of the same kind), by rule.
        struck: statements of the model that the check did not find supported.
        problems: what of the record could not be read as it should.
        warnings: what a reader must know first.
        caution: as in all results.
    """

    model: str
    question: str
    patient: PatientLine
    found: bool
    statements: tuple[Statement, ...] = ()
    facts: tuple[Statement, ...] = ()
    struck: tuple[Struck, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = Field(default=())
    caution: str = ""
