"""Signatures: of a text, of a correction, of an addendum. Only a person signs, who shows now who he is."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from sqlalchemy.orm import Session

from aris.flow.reading.signing import Desk, Proof
from aris.flow.reading.signing import Signed as Done
from aris.service.workspace.context import Caller, Workspace, allow
from aris.service.workspace.errors import RefusedError
from aris.service.workspace.schemas.acts import AddendumRequest, Signed, SignRequest
from aris.service.workspace.studies.looking import Here, StudyUid
from aris.store.reading.access import web_sessions
from aris.store.reading.users import AuthenticationError

router = APIRouter(prefix="/api/studies/{study}", tags=["signing"])
# No token signs.
Signer = Annotated[Caller, allow("reader", scope=None)]


@router.post("/sign")
def sign(study: StudyUid, body: SignRequest, caller: Signer, workspace: Here) -> Signed:
    """Sign a text. With two signatures by the site's settings the first makes a preliminary report."""
    seen = None if body.seen is None else body.seen.model_dump()
    try:
        done = _desk(workspace).sign(
            caller.login, _proof(workspace, caller, body.password), study, body.text, correction=body.correction,
            seen=seen,
        )  # fmt: skip
    except AuthenticationError as error:
        raise _denied(caller, error) from None
    return _shown(done)


@router.post("/addendum")
def addend(study: StudyUid, body: AddendumRequest, caller: Signer, workspace: Here) -> Signed:
    """Add a text to a signed report, and sign it."""
    try:
        done = _desk(workspace).addend(caller.login, _proof(workspace, caller, body.password), study, body.text)
    except AuthenticationError as error:
        raise _denied(caller, error) from None
    return _shown(done)


def _desk(workspace: Workspace) -> Desk:
    return Desk(workspace.house, workspace.now)


def _proof(workspace: Workspace, caller: Caller, password: str) -> str | Proof:
    """The password; of somebody who signed in at a provider, that he did so a moment ago for this signature."""
    held = caller.session
    if held is None or held.method != "oidc" or password:
        return password
    number = held.number

    def proved(session: Session) -> bool:
        at = web_sessions.take_proof(session, number)
        return at is not None and at + workspace.settings.proof > workspace.now()

    return proved


def _denied(caller: Caller, error: AuthenticationError) -> RefusedError:
    if caller.session is not None and caller.session.method == "oidc":
        return RefusedError(401, "proof_needed", "sign in at the provider once more to sign; nothing was signed")
    return RefusedError(401, "wrong_password", str(error))


def _shown(done: Done) -> Signed:
    return Signed(number=done.number, state=done.state, digest=done.digest,  # type: ignore[arg-type]
                  destinations=list(done.destinations), warnings=list(done.warnings))  # fmt: skip
