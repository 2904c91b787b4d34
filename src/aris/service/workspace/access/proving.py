"""Proof of who signs: the password that was typed for it, or a sign-in at the provider a moment ago."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aris.flow.reading.signing import FreshSignIn
from aris.service.workspace.context import Caller, Workspace
from aris.service.workspace.errors import RefusedError
from aris.store.reading.access import web_sessions


@contextmanager
def proof_of(workspace: Workspace, caller: Caller, password: str) -> Iterator[str | FreshSignIn]:
    """Give the proof that `Desk` takes; the provider's is used up by one signature, and kept where none came of it.

    Args:
        password: as it was typed; "" where the user has signed in anew at the provider.

    Raises:
        RefusedError: 403 proof_needed, there is neither, or the sign-in is too long ago.
    """
    if password:
        yield password
        return
    sessions, held = workspace.house.store.sessions, caller.session
    number = None if held is None else held.number
    at = None if number is None else sessions.write(lambda session: web_sessions.take_proof(session, number))
    if at is None or workspace.now() - at > workspace.settings.proof:
        how = "" if workspace.provider is None else f", or sign in anew at {workspace.provider.settings.name}"
        raise RefusedError(403, "proof_needed", f"show who you are: give your password{how}")
    assert number is not None
    try:
        yield FreshSignIn(caller.login, at, workspace.settings.proof)
    except BaseException:
        sessions.write(lambda session: web_sessions.give_proof_back(session, number, at))
        raise
