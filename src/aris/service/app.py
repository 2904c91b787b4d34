"""The application: routes, and what lies around them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from aris import __version__
from aris.backends import NativeBackend
from aris.backends.memory import give_back_freed
from aris.service.cds_hooks.app import CdsHooks, guard
from aris.service.errors import ApiError, from_validation
from aris.service.http.access_log import AccessLog
from aris.service.http.body import ClientLeftError
from aris.service.http.security import Guard
from aris.service.metrics import CONTENT_TYPE
from aris.service.openai.api import Api
from aris.service.openai.chat import answer_chat
from aris.service.openai.completions import answer_completion
from aris.service.schemas import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    ErrorResponse,
    ModelCard,
    ModelList,
)
from aris.service.settings import Settings

# nginx' status for a caller that has left before the response; nobody reads it but the log.
_CLIENT_LEFT = 499
_GIVE_BACK_S = 60.0
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorResponse, "description": text}
    for status, text in {
        400: "the request is malformed or asks for what the model cannot do",
        401: "the key is missing or wrong",
        403: "a web page of another origin, on a server without a key",
        404: "no such model",
        408: "the body was too long on its way",
        413: "the body, its images or its schema are too large",
        415: "the body is not declared as JSON",
        429: "busy; Retry-After says when to try again",
        500: "the server failed",
    }.items()
}
_STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


def create_app(
    backend: NativeBackend, settings: Settings | None = None, admission: Callable[..., ASGIApp] | None = None
) -> FastAPI:
    """The API of a model, as an ASGI application.

    Args:
        backend: the model. The application uses it alone, and closes nothing of it.
        settings: limits and key; the application listens nowhere by itself.
        admission: the middleware that keeps others out, made with the application, `origins` and `open_under`; the
            key's `Guard` by default.
    """
    settings = settings or Settings()
    admission = admission or partial(Guard, api_key=settings.api_key)
    api = Api(backend, settings)
    hooks = None if settings.cds_hooks is None else CdsHooks(settings.cds_hooks)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        backend.engine.start()  # answers go on together, however fast each is read
        tidying = asyncio.create_task(_give_back(_GIVE_BACK_S))
        try:
            yield
        finally:
            tidying.cancel()
            api.close()
            if hooks is not None:
                hooks.close()
            backend.engine.stop()

    # No pages at /docs: they load scripts from elsewhere.
    app = FastAPI(
        title="Aris", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="OpenAI's API over a model of the MedGemma family.",
    )  # fmt: skip
    app.state.api = api
    _routes(app, api)
    if hooks is not None:
        app.include_router(hooks.router)
    _describe_bodies(app)
    _error_handlers(app)
    # The last one added is the outermost.
    if hooks is None:
        app.add_middleware(admission)
    else:
        guard(app, hooks, admission)
    app.add_middleware(AccessLog, metrics=api.metrics)
    return app


async def _give_back(every_s: float) -> None:
    """Give freed memory back to the system now and then: what the busiest moment took is else held for ever."""
    while True:
        await asyncio.sleep(every_s)
        await asyncio.to_thread(give_back_freed)


def _routes(app: FastAPI, api: Api) -> None:
    # Bodies are read by ours (see `body`): FastAPI would read and parse them whole, on the event loop.
    @app.post(
        "/v1/chat/completions",
        response_model=None,
        responses={200: {"model": ChatCompletion, "content": _STREAM}, **_ERRORS},
        openapi_extra=_takes(ChatRequest),
    )
    async def chat_completions(request: Request) -> Response:
        """Answer a conversation."""
        return await answer_chat(api, request)

    @app.post(
        "/v1/completions",
        response_model=None,
        responses={200: {"model": Completion, "content": _STREAM}, **_ERRORS},
        openapi_extra=_takes(CompletionRequest),
    )
    async def completions(request: Request) -> Response:
        """Continue a prompt (legacy)."""
        return await answer_completion(api, request)

    reading: dict[int | str, dict[str, Any]] = {status: _ERRORS[status] for status in (401, 403, 404)}

    @app.get("/v1/models", responses=reading)
    async def models() -> ModelList:
        """The models that can be named."""
        return ModelList(data=api.cards())

    @app.get("/v1/models/{name:path}", responses=reading)
    async def model(name: str) -> ModelCard:
        """Return a model's card."""
        return api.card(api.adapter(name))

    @app.get("/healthz", responses={403: _ERRORS[403]})
    async def healthz() -> dict[str, str]:
        """Return whether the server answers; needs no key."""
        return {"status": "ok"}

    @app.get("/metrics", response_model=None, responses={
        200: {"content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}, 401: _ERRORS[401], 403: _ERRORS[403]
    })  # fmt: skip
    async def metrics() -> Response:
        """Prometheus' text format."""
        return Response(api.metrics.exposition(), media_type=CONTENT_TYPE)


_REFERENCE = "#/components/schemas/{model}"


def _takes(kind: type[BaseModel]) -> dict[str, Any]:
    """The description of a route's body."""
    schema = {"$ref": _REFERENCE.format(model=kind.__name__)}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _describe_bodies(app: FastAPI) -> None:
    """Add the schemas of bodies to the application's description, which FastAPI does for those that it reads."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        made = described()
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for kind in (ChatRequest, CompletionRequest):
            if kind.__name__ not in schemas:
                own = kind.model_json_schema(ref_template=_REFERENCE)
                schemas |= own.pop("$defs", {}) | {kind.__name__: own}
        return made

    app.openapi = openapi  # type: ignore[method-assign]


def _error_handlers(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refuse(_: Request, error: ApiError) -> Response:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        return from_validation(error.errors()).response()

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code)
        found = ApiError(error.status_code, str(error.detail), code=code, headers=error.headers)
        return found.response()

    @app.exception_handler(ClientLeftError)
    async def left(_: Request, __: ClientLeftError) -> Response:
        return JSONResponse(None, _CLIENT_LEFT)
