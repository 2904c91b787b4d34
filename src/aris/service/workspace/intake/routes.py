"""Routes of intakes: the list, links for patients, results for clinicians, and emergencies that are acknowledged."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse, Response

from aris.flow.intakes.answering import tidy
from aris.flow.intakes.desk import Desk
from aris.flow.intakes.landing import landed
from aris.flow.subjects import study_row
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import not_found
from aris.service.workspace.intake import shown
from aris.service.workspace.schemas.intake import (
    Acknowledge,
    Birth,
    Intake,
    IntakeBadge,
    IntakeLine,
    IntakeLink,
    IntakeList,
    NewIntake,
    RenewIntake,
    View,
)
from aris.service.workspace.viewing import audit_view, require_study
from aris.store.intakes import intakes
from aris.store.intakes.intakes import Who
from aris.store.intakes.tables import IntakeRow
from aris.store.reading.orders import patient_of

router = APIRouter(prefix="/api", tags=["intake"])
Looker = Annotated[Caller, allow("reader", "viewer", scope="read")]
Reader = Annotated[Caller, allow("reader", scope="write")]
Here = Annotated[Workspace, here]
Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{16}$")]
Part = Literal["all", "questionnaire", "response", "resources"]
Identity = Annotated[str, Query(max_length=256)]
START = "/intake/start/"
_DEFAULT: tuple[View, ...] = ("to see", "running")


@router.get("/intakes")
def listed(
    caller: Looker,
    workspace: Here,
    view: Annotated[list[View] | None, Query(max_length=4)] = None,
    patient_id: Identity = "",
    issuer: Identity = "",
    birth_date: Annotated[Birth, Query()] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    offset: Annotated[int, Query(ge=0, lt=1 << 31)] = 0,
) -> IntakeList:
    """List intakes by level, then by waiting. Without a view those that wait to be seen, and those that run.

    With a patient's number those of that patient, in all views.
    """
    now = workspace.now()
    tidy(workspace.house, now)
    who = None if not patient_id else Who(_plain(patient_id), _plain(issuer), "", birth_date)
    views = view or (_DEFAULT if who is None else ("to see", "running", "seen", "without answers"))
    with workspace.house.store.sessions.reading() as session:
        rows, total = intakes.listed(session, views, who=who, limit=limit, offset=offset)
        lines, counts = shown.lines_of(session, rows), intakes.counts(session)
    return IntakeList(
        intakes=lines, total=total, counts=counts, page=workspace.house.settings.intake.page and workspace.asks,
        address=workspace.settings.origin, now=now.isoformat(),
    )  # fmt: skip


@router.get("/intakes/emergencies")
def emergencies(caller: Looker, workspace: Here) -> list[IntakeLine]:
    """Emergencies that nobody has acknowledged, the oldest first."""
    with workspace.house.store.sessions.reading() as session:
        return shown.lines_of(session, intakes.emergencies(session))


@router.post("/intakes", status_code=201)
def make(body: NewIntake, caller: Reader, workspace: Here) -> IntakeLink:
    """Make a one-time link for a patient. It is told here alone."""
    who = Who(body.identifier, body.issuer, body.name, body.birth_date, body.sex)
    row, ticket = _desk(workspace).make(caller.login, who, note=body.note, hours=body.hours)
    return _link(workspace, row, ticket)


@router.get("/intakes/{name}")
def one(name: Name, caller: Looker, workspace: Here) -> Intake:
    """Return an intake as a clinician reads it; looking is audited, and marks nothing as seen."""
    with workspace.house.store.sessions.reading() as session:
        row = _found(session, name)
        made = shown.whole(workspace, session, row)
    audit_view(workspace, caller, name, "intake")
    return made


@router.post("/intakes/{name}/link")
def renew(name: Name, body: RenewIntake, caller: Reader, workspace: Here) -> IntakeLink:
    """Make a new link for an intake that runs: it goes on at the same question; older links and phones are out."""
    row, ticket = _desk(workspace).renew(caller.login, name, hours=body.hours)
    return _link(workspace, row, ticket)


@router.post("/intakes/{name}/revoke")
def revoke(name: Name, caller: Reader, workspace: Here) -> IntakeLine:
    """Take an intake that runs back; nothing that was answered is kept."""
    return _line(workspace, _desk(workspace).revoke(caller.login, name))


@router.post("/intakes/{name}/seen")
def see(name: Name, caller: Reader, workspace: Here) -> IntakeLine:
    """Mark an ended intake as seen."""
    return _line(workspace, _desk(workspace).see(caller.login, name))


@router.post("/intakes/{name}/acknowledge")
def acknowledge(name: Name, body: Acknowledge, caller: Reader, workspace: Here) -> IntakeLine:
    """Acknowledge an emergency, with what was done about it."""
    return _line(workspace, _desk(workspace).acknowledge(caller.login, name, how=body.how, note=body.note))


@router.get(
    "/intakes/{name}/fhir", response_class=Response, responses={200: {"content": {"application/fhir+json": {}}}}
)
def fhir(name: Name, caller: Looker, workspace: Here, part: Part = "all") -> Response:
    """Return an intake as FHIR R4: the whole Bundle, its Questionnaire, its answers, or its provisional resources."""
    house = workspace.house
    with house.store.sessions.reading() as session:
        row = _found(session, name)
        made = shown.result(workspace, row)
    bundle = None if made is None else made["bundle"]
    if bundle is None:
        raise not_found("there are no FHIR resources of this intake")
    house.store.sessions.write(
        lambda session: house.trail.add(session, caller.login, "export", name, now=workspace.now(), what="intake FHIR",
                                        part=part)
    )  # fmt: skip
    return JSONResponse(_part(bundle, part), media_type="application/fhir+json")


@router.get("/studies/{study}/intakes")
def of_study(
    study: Annotated[str, Path(max_length=64, pattern=r"^[0-9.]+$")], caller: Looker, workspace: Here
) -> list[IntakeBadge]:
    """The ended intakes of a study's patient, the newest first."""
    require_study(workspace, study)
    with workspace.house.store.sessions.reading() as session:
        row = study_row(session, study)
        own = [] if row is None else landed(session, [patient_of(row)])[0]
        marks = intakes.marks_of(session, [each for each, _ in own])
        return [shown.badge_of(each, marks.get(each.id, []), certain=certain) for each, certain in own]


def _desk(workspace: Workspace) -> Desk:
    return Desk(workspace.house, workspace.now)


def _found(session: Any, name: str) -> IntakeRow:
    row = intakes.get(session, name)
    if row is None:
        raise not_found("there is no such intake")
    return row


def _line(workspace: Workspace, row: IntakeRow) -> IntakeLine:
    with workspace.house.store.sessions.reading() as session:
        return shown.lines_of(session, [row])[0]


def _link(workspace: Workspace, row: IntakeRow, ticket: str) -> IntakeLink:
    origin = workspace.settings.public_url.rstrip("/")
    path = f"{START}{ticket}"
    return IntakeLink(line=_line(workspace, row), path=path, url=f"{origin}{path}" if origin else "")


def _part(bundle: dict[str, Any], part: Part) -> dict[str, Any]:
    wanted = {"questionnaire": "Questionnaire", "response": "QuestionnaireResponse"}.get(part)
    if wanted is not None:
        found = [each["resource"] for each in bundle["entry"] if each["resource"]["resourceType"] == wanted]
        return dict(found[0])
    if part == "resources":
        kept = [each for each in bundle["entry"]
                if each["resource"]["resourceType"] not in ("Questionnaire", "QuestionnaireResponse")]  # fmt: skip
        return {**bundle, "entry": kept}
    return bundle


def _plain(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
