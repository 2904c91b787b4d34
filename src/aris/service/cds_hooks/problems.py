"""Refusals of the CDS Hooks service, as FHIR OperationOutcomes: what was wrong, without what was sent."""

from __future__ import annotations

from starlette.responses import JSONResponse

_CODES = {400: "invalid", 401: "login", 404: "not-found", 408: "timeout", 412: "incomplete", 413: "too-long",
          415: "not-supported", 429: "throttled"}  # fmt: skip


class HookError(Exception):
    """A call that is refused. The message goes to the caller, never to a log."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> JSONResponse:
        """The refusal as a response."""
        issue = {"severity": "error", "code": _CODES.get(self.status, "exception"), "diagnostics": self.message}
        headers = {"WWW-Authenticate": "Bearer"} if self.status == 401 else {}
        if self.status == 429:
            headers["Retry-After"] = "1"
        return JSONResponse({"resourceType": "OperationOutcome", "issue": [issue]}, self.status, headers)
