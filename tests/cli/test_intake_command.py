"""`aris intake` as a user and as a script meet it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from cli_runner import Aris  # type: ignore[import-not-found]
