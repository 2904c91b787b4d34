"""`aris node apart` and `aris node resolve`: two patients under one study's UID, and a person's word on whose it is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aris.cli.exchange.node import JsonOption, StoreOption, open_store
from aris.cli.terminal import note, one_line, write, write_json


def apart(store: StoreOption = None, json: JsonOption = False) -> None:
    """List the studies under whose UID objects of another patient came, and all the patients of each.

    The first of a study is whom its search and retrieval give out; the objects of the others are kept apart. With
    --json a document a patient, one a line.

    Example:

        aris node apart
    """
    with open_store(store) as kept:
        from aris.store.search import Query

        others = kept.apart()
        uids = list(dict.fromkeys(row["StudyInstanceUID"] for row in others))
        rows: list[dict[str, Any]] = []
        for uid in uids:
            rows += kept.search("studies", Query({"StudyInstanceUID": uid}, 1))
            rows += [row for row in others if row["StudyInstanceUID"] == uid]
    for row in rows:
        if json:
            write_json(row)
        else:
            write(_line(row), raw=True)
    if not json:
        found = "1 study is" if len(uids) == 1 else f"{len(uids)} studies are"
        note(f"{found} contested" + ("; say whose one is with `aris node resolve`" if uids else ""))


def resolve(
    study: Annotated[str, typer.Argument(metavar="STUDY_UID", help="Study Instance UID, as aris node apart shows it.")],
    patient_id: Annotated[str, typer.Option("--patient-id", help="Patient ID of the patient whose study it is.")],
    patient_name: Annotated[
        str | None, typer.Option("--patient-name", help="Their name as shown, where several have that Patient ID.")
    ] = None,
    store: StoreOption = None,
    json: JsonOption = False,
) -> None:
    """Say which patient's a contested study is: their objects become the study, those of the others are kept apart.

    No object is changed or removed: the same command with the other patient turns it back.

    Example:

        aris node resolve 1.2.840.1.5 --patient-id P2
    """
    with open_store(store) as kept:
        from datetime import UTC, datetime

        from aris.flow.house import open_house
        from aris.store.reading.audit import SYSTEM

        found = open_house(kept)  # before anything is changed: a missing key of the trail is said first
        done = kept.resolve(study, patient_id, patient_name)
        kept.sessions.write(lambda session: found.trail.add(
            session, SYSTEM, "resolve", study, now=datetime.now(UTC), given=done.given, apart=done.apart
        ))  # fmt: skip
    if json:
        write_json({"StudyInstanceUID": study, "given": done.given, "apart": done.apart})
    else:
        write(f"{one_line(study)}: {done.given} objects are the study now, {done.apart} are kept apart\n", raw=True)


def _line(row: dict[str, Any]) -> str:
    """A patient of a study on one line. All in it is a sender's, and may hold anything."""
    where = "kept apart" if row.get("KeptApart") else "the study"
    named = "  ".join(one_line(str(row[key])) or "-" for key in ("PatientID", "PatientName", "PatientBirthDate"))
    uid, count = one_line(row["StudyInstanceUID"]), row["NumberOfStudyRelatedInstances"]
    return f"{uid}  {where:10}  {count:5} objects  {named}\n"
