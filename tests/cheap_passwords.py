"""Passwords that cost little to check: tests make many. One test (`test_passwords`) uses those of every day."""

from __future__ import annotations

import argon2
import pytest

from aris.store.reading import users


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    make_cheap(monkeypatch)


def make_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the patch ends."""
    hasher = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(users, "_hasher", lambda: hasher)
    users._nobody.cache_clear()
