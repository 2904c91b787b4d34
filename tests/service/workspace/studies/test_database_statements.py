"""The number of SQL statements of each request: it does not grow with rows, versions or earlier studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from office import Office
from sqlalchemy import event


class Statements:
    """What the database was asked, pings and settings of connections left out."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def __len__(self) -> int:
        return len(self.said)


@contextmanager
def counted(office: Office) -> Iterator[Statements]:
    made = Statements()
    office.ana("GET", "/session")  # signed in before
    engine: Any = office.clinic.house.store.sessions._engine

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN")):
            made.said.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield made
    finally:
        event.remove(engine, "before_cursor_execute", note)


def arrive(office: Office, numbers: range, **more: Any) -> list[str]:
    uids = [office.clinic.receive(number, study=number, **more) for number in numbers]
    office.clinic.settle()
    return uids


@pytest.mark.parametrize("query", ["", "?sort=patient", "?sort=modality", "?state=final"])
def test_a_page_of_the_worklist_takes_as_many_statements_with_one_row_as_with_many(office: Office, query: str) -> None:
    arrive(office, range(1, 2))
    with counted(office) as one:
        office.ana("GET", f"/worklist{query}")
    arrive(office, range(2, 12))
    with counted(office) as many:
        assert office.ana("GET", f"/worklist{query}")["total"] == (0 if "final" in query else 11)
    assert len(many) == len(one) <= 6, "\n".join(many.said)


def test_a_search_takes_one_statement_more(office: Office) -> None:
    arrive(office, range(1, 6), PatientName="MÜLLER^Zoë")
    with counted(office) as plain:
        office.ana("GET", "/worklist")
    with counted(office) as searched:
        found = office.ana("GET", "/worklist", params={"text": "müller zoË"})
    assert found["total"] == 5 and len(searched) == len(plain) + 1
    assert not any("lower(" in each.lower() for each in searched.said), "called by the database for each row"


def test_a_study_takes_as_many_statements_with_many_earlier_ones_as_with_one(office: Office) -> None:
    uids = arrive(office, range(1, 3), PatientID="P1")
    with counted(office) as one:
        assert len(office.ana.study(uids[0])["priors"]) == 1
    arrive(office, range(3, 15), PatientID="P1")
    with counted(office) as many:
        assert len(office.ana.study(uids[0])["priors"]) == 13
    assert len(many) == len(one) <= 22, "\n".join(many.said)
    with counted(office) as opened:
        office.ana.study(uids[0], "/open", "POST")
    assert len(opened) <= len(many) + 2, "\n".join(opened.said)


def test_a_study_takes_as_many_statements_with_many_texts_as_with_one(office: Office) -> None:
    uid = arrive(office, range(1, 2))[0]
    office.ana.study(uid, "/text", "PUT", json={"sections": {"impression": "First."}, "base": 0})
    with counted(office) as one:
        office.ana.study(uid)
    for number in range(1, 8):
        body = {"sections": {"impression": f"Text {number}."}, "base": number}
        with counted(office) as saved:
            office.ana.study(uid, "/text", "PUT", json=body)
    with counted(office) as many:
        assert office.ana.study(uid)["text"]["number"] == 8
    assert len(many) == len(one), "\n".join(many.said)
    assert len(saved) <= 9, "\n".join(saved.said)
