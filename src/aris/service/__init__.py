"""The server: OpenAI's API over a backend of this process. `create_app` makes it, `serve` runs it.

Names are imported when they are first used: `service.dicomweb` needs no model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aris.service.app import create_app
    from aris.service.server import serve
    from aris.service.settings import CdsHooksSettings, Limits, Settings

__all__ = ["CdsHooksSettings", "Limits", "Settings", "create_app", "serve"]

_HOMES = {
    "CdsHooksSettings": "settings",
    "Limits": "settings",
    "Settings": "settings",
    "create_app": "app",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"aris.service.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
