"""What the tests of the workspace's server share."""

from __future__ import annotations

from pathlib import Path

import pytest

from cheap_passwords import cheap_passwords
from workspace_house import WorkspaceHouse

__all__ = ["cheap_passwords"]


@pytest.fixture
def room(tmp_path: Path, cheap_passwords: None) -> WorkspaceHouse:
    """A house with one user of each role, on SQLite."""
    return WorkspaceHouse(tmp_path)


@pytest.fixture
def any_room(tmp_path: Path, cheap_passwords: None, database_url: str | None) -> WorkspaceHouse:
    """A house with one user of each role, on each database."""
    return WorkspaceHouse(tmp_path, database_url)
