"""The house: a store with its audit trail and its site's settings, on which every step of the flow works."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from aris.flow.settings import FILE, SiteSettings, read_settings
from aris.store.reading.audit import Trail, open_trail
from aris.store.store import Store

KEY = "audit.key"


@dataclass(frozen=True)
class House:
    """A store, its audit trail and its site's settings.

    Attributes:
        store: of studies and reports.
        trail: the audit trail, with its key.
        settings: the site's.
    """

    store: Store
    trail: Trail
    settings: SiteSettings


def open_house(store: Store, *, key: Path | None = None, settings: SiteSettings | Path | None = None) -> House:
    """A house on a store.

    Args:
        key: file of the audit trail's key, outside the store and the database; the user's own by default.
        settings: or their file; `site.yaml` in the store's folder by default.

    Raises:
        StoreError: the key is missing.
        SettingsError: the settings are wrong.
    """
    if not isinstance(settings, SiteSettings):
        named = settings is not None
        settings = read_settings(settings if settings is not None else store.folder / FILE, needed=named)
    return House(store, open_trail(store.sessions, key or default_key()), settings)


def default_key() -> Path:
    """Return the path of the audit trail's key: `ARIS_AUDIT_KEY`, or `keys/audit.key` in the user's data folder."""
    from platformdirs import user_data_dir

    if named := os.environ.get("ARIS_AUDIT_KEY"):
        return Path(named)
    return Path(os.environ.get("ARIS_HOME") or user_data_dir("aris")) / "keys" / KEY
