"""Errors as OpenAI's API gives them: a status and `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import JSONResponse

from aris.errors import ArisError, CheckpointError
from aris.service.schemas.common import REFUSED_FIELD

INVALID = "invalid_request_error"
# Seconds after which a caller that was refused because of others may try again.
RETRY_AFTER_S = 1


class ApiError(Exception):
    """A request that is refused. The message goes to the caller, never to a log."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = INVALID,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}

    def response(self) -> JSONResponse:
        """The error as a response."""
        return JSONResponse(self.body, self.status, self.headers)


def bad_request(message: str, param: str | None = None, code: str | None = None) -> ApiError:
    """400: the request itself is wrong."""
    return ApiError(400, message, param=param, code=code)


def too_large(message: str, param: str | None = None) -> ApiError:
    """413: more than the server's limits allow."""
    return ApiError(413, message, param=param, code="request_too_large")


def busy(retry_after_s: int) -> ApiError:
    """429: as much is in progress as may be."""
    return ApiError(
        429,
        "the server is busy; try again in a moment",
        kind="rate_limit_error",
        code="engine_busy",
        headers={"Retry-After": str(retry_after_s)},
    )


def internal(request_id: str) -> ApiError:
    """500, without what went wrong: the log has it, under this id."""
    return ApiError(
        500, f"the server failed at this request; its log has the reason under {request_id}", kind="server_error"
    )


def refused(error: ArisError, param: str | None = None) -> ApiError:
    """Turn an error of a lower layer before generation into the caller's fault, unless the model is damaged."""
    if isinstance(error, CheckpointError):
        return ApiError(500, str(error), kind="server_error")
    return bad_request(str(error), param)


def from_validation(errors: Sequence[Mapping[str, Any]]) -> ApiError:
    """Turn pydantic's first error into ours: the field and the fault, without the value that was sent."""
    # Of a union every arm complains; the one that got furthest into the value is the one that was meant.
    field = errors[0]["loc"][:2]
    first = max((each for each in errors if each["loc"][:2] == field), key=lambda each: len(each["loc"]))
    where = [str(part) for part in first["loc"]]
    # Arms name themselves in the path; the reader looks for the field.
    path = ".".join(part for at, part in enumerate(where) if not _is_arm(where, at))
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "model_attributes_type":
        message = "Input should be an object"
    if first["type"] == REFUSED_FIELD:
        name = str(first["ctx"]["field"])
        return bad_request(f"{path}: {message}" if path else message, f"{path}.{name}" if path else name)
    return bad_request(f"{path}: {message}" if path else message, path or None)


def _is_arm(where: Sequence[str], at: int) -> bool:
    """Return whether a part of an error's path names a type of a union, as "list[str]", "constrained-str" or a role."""
    part = where[at]
    if at == 2 and where[0] == "messages":
        return True
    return "[" in part or part in ("str", "int", "bool", "constrained-str", "literal", "NamedTool")
