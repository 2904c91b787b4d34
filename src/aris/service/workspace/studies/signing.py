"""Signatures: of a text, of a correction, of an addendum. Only a person signs, who shows now who he is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from aris.flow.reading.signing import Desk
from aris.flow.reading.signing import Signed as Done
from aris.service.workspace.access.proving import proof_of
from aris.service.workspace.context import Caller, Workspace, allow
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.acts import AddendumRequest, Signed, SignRequest
from aris.service.workspace.studies.looking import Here, StudyUid
from aris.store.reading.users import AuthenticationError

router = APIRouter(prefix="/api/studies/{study}", tags=["signing"])
# No token signs.
Signer = Annotated[Caller, allow("reader", scope=None)]


@router.post("/sign")
def sign(study: StudyUid, body: SignRequest, caller: Signer, workspace: Here) -> Signed:
    """Sign a text. With two signatures by the site's settings the first makes a preliminary report."""
    seen = None if body.seen is None else body.seen.model_dump()
    try:
        with proof_of(workspace, caller, body.password) as proof:
            done = _desk(workspace).sign(
                caller.login, proof, study, body.text, correction=body.correction, seen=seen
            )
    except AuthenticationError as error:
        raise RefusedError(401, "wrong_password", str(error)) from None
    return _shown(done)


@router.post("/addendum")
def addend(study: StudyUid, body: AddendumRequest, caller: Signer, workspace: Here) -> Signed:
    """Add a text to a signed report, and sign it."""
    try:
        with proof_of(workspace, caller, body.password) as proof:
            done = _desk(workspace).addend(caller.login, proof, study, body.text)
    except AuthenticationError as error:
        raise RefusedError(401, "wrong_password", str(error)) from None
    return _shown(done)


def _desk(workspace: Workspace) -> Desk:
    return Desk(workspace.house, workspace.now)


def _shown(done: Done) -> Signed:
    return Signed(number=done.number, state=done.state, digest=done.digest,  # type: ignore[arg-type]
                  destinations=list(done.destinations), warnings=list(done.warnings))  # fmt: skip
