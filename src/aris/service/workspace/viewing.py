"""Views that no act of the flow writes down: of images, drafts and evidence. Each is audited once in a while.

A reader who scrolls asks for thousands of frames. The trail says that somebody looked at a study's images, not how
often: again after so many minutes, or where it is another person or another study.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

from sqlalchemy import select

from aris.service.workspace.context import Caller, Workspace
from aris.service.workspace.errors import not_found
from aris.store.schema import StudyRow

_AGAIN_S = 15 * 60.0
_MOST = 4096


class Views:
    """Views that were written down lately, of one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[str, int | None, str, str, str], float] = OrderedDict()

    def is_new(self, house: str, caller: Caller, study: str, what: str) -> bool:
        """Return whether this view is to be written down, and take it as written."""
        key, now = (house, caller.token, caller.login, study, what), time.monotonic()
        with self._lock:
            known = self._known.get(key)
            if known is not None and now - known < _AGAIN_S:
                return False
            self._known[key] = now
            self._known.move_to_end(key)
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return True


_VIEWS = Views()


def audit_view(workspace: Workspace, caller: Caller, study: str, what: str) -> None:
    """Write down that somebody looks at something of a study, unless that was written lately.

    Args:
        what: "images", "draft", "evidence", ...
    """
    house = workspace.house
    if not _VIEWS.is_new(str(house.store.folder.absolute()), caller, study, what):
        return
    house.store.sessions.write(
        lambda session: house.trail.add(session, caller.login, "view", study, now=workspace.now(), what=what)
    )


def require_study(workspace: Workspace, study: str) -> None:
    """Raise `RefusedError` 404 unless the store has the study."""
    with workspace.house.store.sessions.reading() as session:
        if session.scalar(select(StudyRow.id).where(StudyRow.uid == study)) is None:
            raise not_found("there is no such study")
