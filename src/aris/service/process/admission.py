"""Admission to what lies beside the workspace's pages: the model's API and DICOMweb.

Whoever may do what is known by the workspace: an API token acts for a user within its scopes, and a browser that is
signed in may read over DICOMweb what its user may read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import ASGIApp, Scope

from aris.errors import ArisError
from aris.service.errors import ApiError
from aris.service.http.security import Guard, bearer, no_key
from aris.service.process.settings import DICOMWEB
from aris.service.workspace.context import Caller, Workspace, identified
from aris.store.reading.access.tokens import PREFIX

log = logging.getLogger("aris.serve")
_SAFE = ("GET", "HEAD")
# One event of the audit trail for so long, of one caller and study: a viewer asks for each image.
_NOTED_S = 600.0
_NOTED = 10_000


class ModelAdmission(Guard):
    """Admits to the model's API: by the key, by a token of the scope "model", or, without a key, from this machine.

    Args:
        local: whether only this machine can reach the server.
    """

    def __init__(
        self,
        app: ASGIApp,
        api_key: str | None,
        local: bool,
        origins: Sequence[str] = (),
        open_under: Sequence[str] = (),
    ) -> None:
        super().__init__(app, api_key, origins, open_under)
        self._open = local and api_key is None

    async def admit(self, scope: Scope) -> None:
        key = bearer(scope)
        if self.is_open(scope) or self.has_key(key):
            return
        if key.startswith(PREFIX):
            caller = await asyncio.to_thread(identified, Request(scope))
            if caller is None or "model" not in caller.scopes:
                raise ApiError(403, "the token has no scope model", code="scope")
            return
        if not self._open:
            raise no_key()
        self.require_local(scope)


class DicomwebAdmission(Guard):
    """Admits to DICOMweb: by a token of the scope "dicomweb"; by a session of the workspace, to read."""

    def __init__(self, app: ASGIApp, workspace: Workspace, origins: Sequence[str] = ()) -> None:
        super().__init__(app, None, origins)
        self._workspace = workspace
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def admit(self, scope: Scope) -> None:
        request = Request(scope)
        caller = await asyncio.to_thread(identified, request)
        if caller is None:
            raise no_key()
        safe = request.method in _SAFE
        if caller.token is not None:
            if "dicomweb" not in caller.scopes:
                raise ApiError(403, "the token has no scope dicomweb", code="scope")
        elif not safe:
            raise ApiError(403, "a session reads over DICOMweb; objects are sent with a token", code="token_needed")
        elif request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise ApiError(403, "a web page of another origin sent this", code="forbidden_origin")
        if not caller.roles & ({"reader", "viewer"} if safe else {"reader"}):
            raise ApiError(403, "this user may not do this over DICOMweb", code="forbidden")
        await self._audit(scope, caller, safe)

    async def _audit(self, scope: Scope, caller: Caller, safe: bool) -> None:
        """Note who was given what of a study, before it is."""
        parts = str(scope["path"]).removeprefix(DICOMWEB).strip("/").split("/")
        # Objects may be sent to /studies alone, whatever studies they are of.
        searched = safe and parts in (["studies"], ["series"], ["instances"])
        if not searched and (parts[0] != "studies" or not parts[0]):
            return
        action = "search" if searched else "view" if safe else "store"
        study = "".join(parts[1:2])[:64]
        now = time.monotonic()
        if now - self._noted.get((caller.login, f"{action} {study}"), -_NOTED_S) < _NOTED_S:
            return
        house = self._workspace.house
        try:
            await asyncio.to_thread(
                house.store.sessions.write,
                lambda session: house.trail.add(session, caller.login, action, study, by="DICOMweb"),
            )
        except ArisError as error:
            log.error("DICOMweb: the audit trail cannot be written: %s", error)
            raise ApiError(
                503, "the audit trail cannot be written now", code="database", headers={"Retry-After": "1"}
            ) from None
        self._noted[caller.login, f"{action} {study}"] = now
        if len(self._noted) > _NOTED:
            self._noted.popitem(last=False)
