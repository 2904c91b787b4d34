"""A request that is answered with a status and a reason."""

from __future__ import annotations

from aris.errors import ExchangeError


class WebError(ExchangeError):
    """Error of a request, or the reason why it cannot be served now. The message quotes nothing of an object.

    Attributes:
        status: of HTTP.
        retry_after_s: when to try again; None where that would not help.
    """

    def __init__(self, status: int, message: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


def not_found() -> WebError:
    """404: the store has no such study, series, instance, frame or element."""
    return WebError(404, "the store has no such object")


def not_acceptable(what: str) -> WebError:
    """406: it is there, but in none of the forms that the request accepts."""
    return WebError(406, what)
