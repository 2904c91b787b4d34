"""Failures after a request was accepted: what the caller is told, and what the log is, without the caller's words."""

from __future__ import annotations

import logging
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from aris.errors import ArisError
from aris.service.errors import ApiError, internal

if TYPE_CHECKING:
    from aris.service.metrics import Metrics

log = logging.getLogger("aris.service")


def failure(error: BaseException, metrics: Metrics | None = None) -> ApiError:
    """The error as the caller gets it. What is not an `ApiError` is a defect or a lack of memory, and is logged."""
    if isinstance(error, ApiError):
        return error
    if metrics is not None:
        metrics.failed()
    request_id = uuid.uuid4().hex[:12]
    # Our own messages are fit for a log; another exception's may quote the prompt, so type and frames must do.
    what = f"{type(error).__name__}: {error}" if isinstance(error, ArisError) else type(error).__name__
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "aris" in Path(each.filename).parts][-8:]
    where = " < ".join(f"{frame.name} ({Path(frame.filename).name}:{frame.lineno})" for frame in frames[::-1])
    log.error("request %s failed: %s in %s", request_id, what, where)
    return internal(request_id)
