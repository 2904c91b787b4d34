"""The web workspace that a clinician uses: the pages that `web/` is built into.

Their data comes from `service.workspace`.
"""

from __future__ import annotations

from pathlib import Path

STATIC = Path(__file__).parent / "static"
MISSING = (
    "the workspace's pages are not built: with Node 20 or newer installed, run `npm ci && npm run build` in web/ of a "
    "clone, or install a wheel, which carries them"
)


def pages() -> Path | None:
    """Return the folder of the built pages; None where they are not built (`MISSING` says what to do)."""
    return STATIC if (STATIC / "index.html").is_file() else None
