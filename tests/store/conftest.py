"""What the store's tests share."""

from __future__ import annotations

import pytest

from cheap_passwords import cheap_passwords

__all__ = ["cheap_passwords"]


@pytest.fixture(autouse=True)
def _cheap(request: pytest.FixtureRequest) -> None:
    if request.function.__name__ != "test_passwords":
        request.getfixturevalue("cheap_passwords")
