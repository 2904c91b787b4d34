"""Builds the workspace's pages (`web/`) into the package when it is made from a clone; never fails an install."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
SKIP = "ARIS_SKIP_PAGES"
# Beside the pages: the digest of what they were built from.
STAMP = "sources.sha256"
_SECONDS = 900


class PagesHook(BuildHookInterface[Any]):
    """Hook of wheels, source distributions and editable installs."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the pages if they are not there or older than their sources, or say in one line what is missing."""
        said = build_pages(Path(self.root))
        if said:
            self.app.display_warning(f"aris: the workspace's pages are not built: {said}")


def build_pages(root: Path) -> str:
    """Build `root`/web into the package; return "" if the pages are there or are not wanted, else what is missing."""
    web, static = root / "web", root / "src" / "aris" / "workspace" / "static"
    if os.environ.get(SKIP, "").lower() in {"1", "true", "yes"} or not (web / "package.json").is_file():
        return ""
    try:
        digest = sources_digest(web)
        stamp = static / STAMP
        if (static / "index.html").is_file() and stamp.is_file() and stamp.read_text().strip() == digest:
            return ""
        npm, lacking = find_npm()
        if npm is None:
            return lacking
        if not installed(web):
            said = _run([npm, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1"], web)
            if said:
                return f"`npm ci` failed: {said}"
        said = _run([npm, "run", "build"], web)
        if said:
            return f"`npm run build` failed: {said}"
        stamp.write_text(digest + "\n")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def sources_digest(web: Path) -> str:
    """Return the SHA-256 over names and contents of all that the pages are made of; tests are left out."""
    result = hashlib.sha256()
    for folder, folders, names in os.walk(web):
        folders[:] = sorted(set(folders) - {"node_modules", "dist", ".vite"})
        for name in sorted(names):
            if ".test." in name:
                continue
            path = Path(folder, name)
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            result.update(f"{path.relative_to(web).as_posix()} {content}\n".encode())
    return result.hexdigest()


def find_npm() -> tuple[str | None, str]:
    """Return npm where Node is new enough; else None and what is lacking."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None, f"Node {OLDEST_NODE} or newer with npm is not installed; install it and install Aris again"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    major = version.removeprefix("v").split(".")[0]
    if not major.isdigit() or int(major) < OLDEST_NODE:
        return None, f"Node {version} is too old: {OLDEST_NODE} or newer is needed"
    return npm, ""


def installed(web: Path) -> bool:
    """Return whether `node_modules` holds what the lock file asks for; one that is a link is left as it is."""
    modules = web / "node_modules"
    if modules.is_symlink():
        return True
    try:
        wanted = json.loads((web / "package-lock.json").read_text("utf-8"))["packages"]
        there = json.loads((modules / ".package-lock.json").read_text("utf-8"))["packages"]
    except (OSError, ValueError, KeyError):
        return False
    return all(
        there[name].get("version") == entry.get("version") if name in there else entry.get("optional", False)
        for name, entry in wanted.items()
        if name
    )


def _run(command: list[str], folder: Path) -> str:
    """Run a command; return "" if it succeeded, else the last line that says anything."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [line for line in lines if "error" in line.lower() and "log of this run" not in line]
    return (telling or lines or [f"exit status {done.returncode}"])[0][:300]
