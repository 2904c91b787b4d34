"""Errors at /api: a status and `{"error": {"code", "message"}}`. Messages go to the caller, never to a log."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from aris.errors import ArisError, ConflictError, NotFoundError, UnavailableError
from aris.flow.reading.signing import StaleTextError
from aris.service.errors import ApiError, from_validation
from aris.service.failures import failure
from aris.store.files import StoreFullError
from aris.store.reading.users import AuthenticationError, PermissionDeniedError

_CODES = {400: "bad_request", 401: "not_signed_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
          413: "too_large", 415: "not_json", 429: "busy", 500: "failed"}  # fmt: skip


class RefusedError(ApiError):
    """A request that is refused.

    Args:
        code: for programs, as "stale_text".
        message: for people.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, code=code, headers=headers)
        self.body = {"error": {"code": code, "message": message}}


def not_found(message: str = "there is nothing of this name") -> RefusedError:
    """404: no such thing, or none for this caller."""
    return RefusedError(404, "not_found", message)


def refusal(error: Exception) -> ApiError:
    """An error of a lower layer as the caller gets it."""
    if isinstance(error, RefusedError):
        return error
    if isinstance(error, ApiError):
        said = error.body["error"]
        code = str(said["code"] or _CODES.get(error.status, "refused"))
        return RefusedError(error.status, code, str(said["message"]), error.headers)
    if isinstance(error, PermissionDeniedError):
        return RefusedError(403, "forbidden", str(error))
    if isinstance(error, AuthenticationError):
        return RefusedError(401, "not_signed_in", str(error))
    if isinstance(error, StaleTextError):
        return RefusedError(409, "stale_text", str(error))
    if isinstance(error, StoreFullError):
        return RefusedError(507, "disk_full", str(error))
    if isinstance(error, NotFoundError):
        return RefusedError(404, "not_found", str(error))
    if isinstance(error, ConflictError):
        return RefusedError(409, "conflict", str(error))
    if isinstance(error, UnavailableError):
        return RefusedError(503, "unavailable", str(error), {"Retry-After": "1"})
    if isinstance(error, ArisError):
        return RefusedError(422, "refused", str(error))
    return refusal(failure(error))


def add_handlers(app: FastAPI) -> None:
    """Have all errors of an application answered in the one form."""

    async def answer(_: Request, error: Exception) -> Response:
        return refusal(error).response()

    async def malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        said = from_validation(error.errors()).body["error"]["message"]
        return RefusedError(422, "malformed", str(said)).response()

    async def http_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _CODES.get(error.status_code, "refused")
        return JSONResponse({"error": {"code": code, "message": str(error.detail)}}, error.status_code, error.headers)

    app.add_exception_handler(ArisError, answer)
    app.add_exception_handler(ApiError, answer)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(HTTPException, http_error)
