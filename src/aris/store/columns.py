"""Column types that both databases keep alike: moments in UTC, and JSON as the very text that was written."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Text
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """A moment with its offset; in UTC when it is read. SQLite keeps no offset."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs its offset")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A value that JSON can hold, as text: the same value is the same text in every database, so that digests hold."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str:
        return canonical(value)

    def process_result_value(self, value: str | None, dialect: Any) -> Any:
        return None if value is None else json.loads(value)


def canonical(value: Any) -> str:
    """A value's one JSON text: keys in order, no spaces, ASCII (RFC 8785 but for numbers).

    NUL, which PostgreSQL keeps in no text, stands escaped in JSON.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
