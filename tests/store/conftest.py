"""What the store's tests share."""

from __future__ import annotations

import pytest

from cheap_passwords import cheap_passwords
from encrypted_stores import encrypt_new_stores

__all__ = ["cheap_passwords"]


@pytest.fixture(autouse=True)
def _cheap(request: pytest.FixtureRequest) -> None:
    if request.function.__name__ != "test_passwords":
        request.getfixturevalue("cheap_passwords")


# What these ask of a store they ask of an encrypted one too.
_BOTH = ("test_store", "test_backup", "test_kept_private_and_apart")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__ in _BOTH:
        metafunc.parametrize("_files", ["clear", "encrypted"], indirect=True)


@pytest.fixture(autouse=True)
def _files(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if getattr(request, "param", "clear") == "encrypted":
        encrypt_new_stores(monkeypatch, tmp_path_factory.mktemp("key") / "store.key")
