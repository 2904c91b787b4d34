"""The YAML files of the symptom base."""

from __future__ import annotations

from importlib.resources.abc import Traversable
from typing import Any

import yaml

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: Traversable) -> Any:
    """The content of a YAML file that comes with Aris."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
