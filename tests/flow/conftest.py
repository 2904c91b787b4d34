"""What the flow's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from clinic import Clinic

from cheap_passwords import cheap_passwords

__all__ = ["cheap_passwords"]


@pytest.fixture
def clinic(tmp_path: Path, cheap_passwords: None) -> Clinic:
    """A clinic on SQLite."""
    return Clinic(tmp_path)


@pytest.fixture
def any_clinic(tmp_path: Path, cheap_passwords: None, database_url: str | None) -> Clinic:
    """A clinic on each database."""
    return Clinic(tmp_path, database_url)
