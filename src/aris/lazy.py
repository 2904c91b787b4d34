"""Names of a package that are imported when they are first used, so that whoever needs one does not load the others."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Make a package's `__getattr__`.

    Args:
        package: its full name.
        homes: for each module inside it, the names that the package gives from there.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def give(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home_of[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return give
