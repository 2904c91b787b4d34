"""What the tests of studies on the screen share."""

from __future__ import annotations

from pathlib import Path

import pytest
from office import Office

from cheap_passwords import cheap_passwords

__all__ = ["cheap_passwords"]


@pytest.fixture
def office(tmp_path: Path, cheap_passwords: None) -> Office:
    """An office on SQLite."""
    return Office(tmp_path)


@pytest.fixture
def any_office(tmp_path: Path, cheap_passwords: None, database_url: str | None) -> Office:
    """An office on each database."""
    return Office(tmp_path, database_url)
