"""The server: OpenAI's API over a backend of this process. `create_app` makes it, `serve` runs it."""

from aris.service.app import create_app
from aris.service.server import serve
from aris.service.settings import Limits, Settings

__all__ = ["Limits", "Settings", "create_app", "serve"]
