"""A real `aris serve` of its own store for tests, and Debian's Chromium before it."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from aris.workspace import pages

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
PICTURES = os.environ.get("ARIS_PICTURES")  # a folder: each step's picture is put there, as docs/images
ARGUMENTS = [
    "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-background-networking",
    "--disable-component-update", "--no-first-run",
]  # fmt: skip
# Whatever is planted in a text field sets this when it is run.
PLANTED = "<img src=x onerror=\"window.planted=1\"><script>window.planted=1</script><b>bold</b>"


def require_browser() -> None:
    """Skip where there is no Chromium, no Playwright, or the pages are not built."""
    pytest.importorskip("playwright", reason="no playwright here (extra dev)")
    if CHROMIUM is None:
        pytest.skip("no Chromium here (Debian: chromium)")
    if pages() is None:
        pytest.skip("the pages are not built here (npm ci && npm run build in web/)")


@dataclass
class Served:
    """A process that serves.

    Attributes:
        url: of the workspace; `code`: of its first set-up.
        node: the port of its DICOM node.
        home: the folder of its store.
    """

    url: str
    code: str
    node: int
    home: Path
    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def wait_for_model(self) -> None:
        until = time.monotonic() + 240
        while (state := httpx2.get(f"{self.url}/healthz", timeout=60).json()["model"]) != "ready":
            assert state == "loading" and time.monotonic() < until, state
            time.sleep(0.1)


@contextmanager
def serving(home: Path, *arguments: str, site: str = "") -> Iterator[Served]:
    """Run `aris serve` on free ports with a fresh store in a folder."""
    store = home / "store"
    if site:
        store.mkdir(parents=True, mode=0o700)
        (store / "site.yaml").write_text(site)
    environment = os.environ | {"ARIS_HOME": str(home), "OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-m", "aris.cli", "serve", "--port", "0", "--dicom-port", "0", "--no-browser"]
    log = (home / "log.txt").open("w")
    process = subprocess.Popen(
        [*command, *arguments], env=environment, stderr=log, stdout=subprocess.DEVNULL, text=True
    )
    try:
        until = time.monotonic() + 120
        while "stop with Ctrl" not in (told := (home / "log.txt").read_text()):
            assert process.poll() is None and time.monotonic() < until, told
            time.sleep(0.05)
        url, code = re.findall(r"(http://127\.0\.0\.1:\d+)(?:/setup#(\S+))?", told)[0]
        node = re.findall(r"DICOM node: ARIS@127\.0\.0\.1:(\d+)", told)
        served = Served(url, code, int(node[0]) if node else 0, home, process)
        while True:
            try:
                httpx2.get(f"{url}/healthz", timeout=60)
                break
            except httpx2.TransportError:
                assert process.poll() is None and time.monotonic() < until
                time.sleep(0.05)
        yield served
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        log.close()


PASSWORD = "a long enough password"


def set_up(served: Served, login: str = "ana") -> httpx2.Client:
    """The first user (admin and reader) of a fresh store, signed in."""
    browser = httpx2.Client(base_url=served.url, timeout=120)
    user = {"code": served.code, "login": login, "password": PASSWORD, "name": "Müller^Ana", "organization": "St. Élan",
            "identifier": ""}  # fmt: skip
    made = browser.post("/api/setup", json=user)
    assert made.status_code == 200, made.text
    browser.headers["X-CSRF-Token"] = made.json()["csrf"]
    return browser


def sign_in(screen: Screen, login: str = "ana", password: str = PASSWORD) -> None:
    """Sign in by the page's form."""
    page = screen.page
    page.goto("/signin")
    page.get_by_label("User name").fill(login)
    page.get_by_label("Password").fill(password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/signin" not in url)


def send(served: Served, objects: list[bytes]) -> None:
    """Send objects to the node by C-STORE."""
    import pydicom
    from pynetdicom import AE

    read = [pydicom.dcmread(io.BytesIO(each)) for each in objects]
    entity = AE(ae_title="TESTS")
    for each in {str(one.SOPClassUID) for one in read}:
        entity.add_requested_context(each)
    association = entity.associate("127.0.0.1", served.node, ae_title="ARIS")
    assert association.is_established
    assert {int(association.send_c_store(each).Status) for each in read} == {0}
    association.release()


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Screen:
    """A page whose faults are kept: violations of the policy, errors, and planted script that ran."""

    def __init__(self, browser: Browser, url: str, theme: str = "dark") -> None:
        self.context = browser.new_context(
            viewport={"width": 1440, "height": 900}, color_scheme=theme, base_url=url, accept_downloads=True,
        )  # type: ignore[arg-type]  # fmt: skip
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(30_000)
        self.faults: list[str] = []
        self.page.on("console", lambda said: self._console(said.type, said.text))
        self.page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        self.page.add_init_script(
            "window.violations=[];document.addEventListener('securitypolicyviolation',"
            "each=>window.violations.push(each.violatedDirective+' '+each.blockedURI))"
        )

    def _console(self, kind: str, text: str) -> None:
        if "Content Security Policy" in text:
            self.faults.append(f"{kind}: {text}")

    def picture(self, name: str) -> None:
        """Keep the screen as it is, where pictures are asked for."""
        if PICTURES:
            Path(PICTURES).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))

    def settled(self) -> None:
        """Wait until nothing is on its way, and hold that nothing went wrong."""
        assert self.page.evaluate("window.violations") == []
        assert self.page.evaluate("window.planted") is None, "planted script ran"
        assert self.faults == []

    def accessible(self) -> list[Any]:
        """Return axe's serious and critical violations of the page as it is."""
        from axe_playwright_python.sync_playwright import Axe

        # Its script would break the pages' policy if it were put into them: it runs in the tool's own world.
        found = Axe().run(self.page, options={"resultTypes": ["violations"]}).response["violations"]
        return [
            (each["id"], [node["html"][:160] for node in each["nodes"][:4]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]
