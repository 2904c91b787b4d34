"""Sample studies for who tries the workspace, as `aris demo` makes them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from aris.flow.demo import add_samples
from aris.service.workspace.context import Caller, Workspace, allow, here
from aris.service.workspace.errors import not_found
from aris.service.workspace.schemas.worklist import Uploaded

router = APIRouter(prefix="/api", tags=["uploads"])


@router.post("/demo", status_code=201)
def demo(
    caller: Annotated[Caller, allow("reader", scope="write")], workspace: Annotated[Workspace, here]
) -> Uploaded:
    """Put the sample studies into the store, where they are not there."""
    if not workspace.demo_available:
        raise not_found("there are no sample studies here")
    done = add_samples(workspace.house, caller.login)
    return Uploaded(studies=list(done.studies), added=done.added, known=done.known, refused=[])
