"""Schemas of the audit trail and of the site."""

from __future__ import annotations

from typing import Any

from aris.service.workspace.schemas.common import Sent


class AuditEvent(Sent):
    """An event of the trail. `study` is a Study Instance UID, or the login that the event is about."""

    number: int
    at: str
    user: str
    action: str
    study: str
    outcome: str
    detail: dict[str, Any]


class AuditPage(Sent):
    """Events, the newest first; `next` is the `before` of the next page."""

    events: list[AuditEvent]
    next: int | None
    actions: list[str]


class Verified(Sent):
    """The outcome of a check of the whole trail; `heads`: exported seals that it was held against."""

    ok: bool
    events: int
    problems: list[str]
    heads: int = 0


class Service(Sent):
    """A part of this process, or beside it, as it stands."""

    name: str
    address: str
    state: str


class Site(Sent):
    """The site's settings as they hold, and where they come from."""

    settings: dict[str, Any]
    file: str
    store: str
    database: str
    services: list[Service]
