"""A browser on the desktop, opened at the workspace."""

from __future__ import annotations

import os
import sys
import threading
import time
import webbrowser
from html import escape
from pathlib import Path

from aris.cli.terminal import note
from aris.private import make_folder, write_private

# A browser has read the page by then.
_KEPT_S = 60.0


def has_desktop() -> bool:
    """Return whether somebody sits at this machine who would see a browser."""
    if not sys.stderr.isatty() or os.environ.get("SSH_CONNECTION") or os.environ.get("CI"):
        return False
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def open_workspace(url: str, code: str | None) -> None:
    """Open the browser at the workspace, beside what the caller does; nothing where there is no desktop.

    Other users see a browser's arguments. With the code of the first set-up it gets a page of this user's own that
    leads on.
    """
    if has_desktop():
        threading.Thread(target=_open, args=(url, code), daemon=True).start()


def _open(url: str, code: str | None) -> None:
    location: Path | None = None
    try:
        if code is not None:
            location = _leading_page(f"{url}/setup#{code}")
            url = location.as_uri()
        if not webbrowser.open(url):
            note("no browser could be opened; open the address yourself")
    except (OSError, webbrowser.Error):
        note("no browser could be opened; open the address yourself")
    if location is not None:
        time.sleep(_KEPT_S)
        location.unlink(missing_ok=True)


def _leading_page(target: str) -> Path:
    from platformdirs import user_runtime_dir

    folder = Path(user_runtime_dir("aris"))
    make_folder(folder)
    location = folder / f"workspace-{os.getpid()}.html"
    page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(target)}">'
    write_private(location, page.encode())
    return location
