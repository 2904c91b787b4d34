"""Failures after a request was accepted: what the caller is told, and what the log is, without the caller's words."""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING

from aris.faults import described
from aris.service.errors import ApiError, internal

if TYPE_CHECKING:
    from aris.service.metrics import Metrics

log = logging.getLogger("aris.service")


def failure(error: BaseException, metrics: Metrics | None = None) -> ApiError:
    """The error as the caller gets it. What is not its own fault is a defect, or a lack of memory, and logged."""
    if isinstance(error, ApiError):
        return error
    if getattr(error, "callers_fault", False):
        return ApiError(400, str(error))
    if metrics is not None:
        metrics.failed()
    request_id = uuid.uuid4().hex[:12]
    log.error("request %s failed: %s", request_id, described(error))
    return internal(request_id)
