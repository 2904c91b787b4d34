"""A package that is missing is named; a fault of our own is never taken for one."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from aris.errors import ExchangeError, why_not_imported


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'alembic'", name="alembic"), "alembic is not installed"),
        (ModuleNotFoundError("No module named 'mako'", name="mako"), "sqlalchemy cannot be loaded: mako is missing"),
        (ImportError("libsqlite3.so.0: no such file"), "sqlalchemy cannot be loaded: it is damaged or too old"),
        (ImportError("cannot import name", name="sqlalchemy"), "sqlalchemy cannot be loaded: it is damaged or too old"),
    ],
)
def test_what_is_lacking_is_said(error: ImportError, said: str) -> None:
    assert why_not_imported(error, "sqlalchemy", "alembic") == said


@pytest.mark.parametrize("name", ["aris.store.stor", "aris.store"])
def test_a_fault_of_our_own_stays_one(name: str) -> None:
    error = ImportError("cannot import name", name=name)
    with pytest.raises(ImportError) as caught:
        why_not_imported(error, "sqlalchemy")
    assert caught.value is error


def test_the_store_tells_its_own_faults_from_a_missing_package() -> None:
    from aris.cli.reading import house

    with pytest.raises(ExchangeError, match=r"alembic is not installed.*pip install"), house.installed():
        raise ModuleNotFoundError("No module named 'alembic'", name="alembic")
    with pytest.raises(ImportError, match="nowhere"), house.installed():
        import aris.store.nowhere  # type: ignore[import-not-found]  # noqa: F401


class Without:
    """A finder of an environment in which a package is not installed."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("package", ["highdicom", "pynetdicom", "fpdf"])
def test_a_document_names_the_package_that_it_lacks(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from aris.exchange.documents import sr
    from aris.exchange.documents.pdf import pdf
    from aris.exchange.node import peers

    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Without(package), *sys.meta_path])
    wanted: dict[str, Callable[[], object]] = {
        "highdicom": lambda: sr.highdicom("sr"),
        "pynetdicom": peers.network,
        "fpdf": lambda: pdf(None),  # type: ignore[arg-type]
    }
    with pytest.raises(ExchangeError, match=f"{package} is not installed.*pip install 'aris-medgemma"):
        wanted[package]()
