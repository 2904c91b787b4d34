"""The workspace's application: everything a browser asks at /api, and the pages at all other paths."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.types import Lifespan

from aris import __version__
from aris.flow.house import House
from aris.service.http.access_log import AccessLog
from aris.service.oidc.provider import Provider
from aris.service.workspace.access import accounts, keys, openid, session
from aris.service.workspace.attempts import Attempts
from aris.service.workspace.audit import routes as audit
from aris.service.workspace.context import Workspace, require_rules
from aris.service.workspace.drafts import asking, evidence, models, stream, templates
from aris.service.workspace.errors import add_handlers
from aris.service.workspace.guarding import WebGuard
from aris.service.workspace.headers import SecurityHeaders
from aris.service.workspace.images import routes as images
from aris.service.workspace.intake import routes as intake
from aris.service.workspace.literature import asking as literature_asking
from aris.service.workspace.literature import managing as literature
from aris.service.workspace.pages import pages_router
from aris.service.workspace.patients import routes as patients
from aris.service.workspace.schemas.common import Problem
from aris.service.workspace.settings import WorkspaceSettings
from aris.service.workspace.studies import routes as studies
from aris.workspace import pages

if TYPE_CHECKING:
    from aris.backends import NativeBackend

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text}
    for status, text in {
        400: "the request is refused",
        401: "nobody is signed in",
        403: "not for this role or token, or from a foreign page",
        413: "the body is too large",
        422: "the request is malformed",
        503: "the database is busy",
    }.items()
}


def create_workspace(
    house: House,
    *,
    model: NativeBackend | None = None,
    settings: WorkspaceSettings | None = None,
    drafts: Any = None,
    folder: Path | None = None,
    lifespan: Lifespan[FastAPI] | None = None,
) -> FastAPI:
    """The workspace as an ASGI application; its `Workspace` is at `app.state.workspace`.

    Args:
        house: the store, its trail and the site's settings. The application closes nothing of it.
        model: that drafts; None: the workspace still reads and signs.
        settings: of the server, on loopback by default; the site's file fills up what they leave as it is.
        drafts: live drafts of this process.
        folder: of the built pages; those of this package by default.
        lifespan: what runs beside the application from its start to its end.

    Raises:
        ArisError: the site's settings ask for what cannot be, as an OpenID client without its secret.
    """
    settings = (settings or WorkspaceSettings()).with_site(house.settings)
    oidc = house.settings.workspace.oidc
    app = FastAPI(
        title="Aris workspace", version=__version__, docs_url=None, redoc_url=None, openapi_url=None,
        description="What the workspace's pages ask, and programs with an API token.", responses=_ERRORS,
        lifespan=lifespan,
    )  # fmt: skip
    app.state.workspace = Workspace(
        house, settings, Attempts(settings, house.store.sessions), None if oidc is None else Provider(oidc),
        model=model, drafts=drafts,
    )
    # One line each; the pages last, which take every other path.
    app.include_router(session.router)
    app.include_router(openid.router)
    app.include_router(accounts.router)
    app.include_router(keys.router)
    app.include_router(audit.router)
    app.include_router(studies.router)
    app.include_router(patients.router)
    app.include_router(images.router)
    app.include_router(stream.router)
    app.include_router(evidence.router)
    app.include_router(asking.router)
    app.include_router(templates.router)
    app.include_router(models.router)
    app.include_router(intake.router)
    app.include_router(literature.router)
    app.include_router(literature_asking.router)
    app.include_router(pages_router(folder or pages()))
    require_rules(app)
    add_handlers(app)
    # The last one added is the outermost.
    app.add_middleware(WebGuard, settings=settings)
    app.add_middleware(SecurityHeaders, secure=settings.secure)
    app.add_middleware(AccessLog)
    return app
