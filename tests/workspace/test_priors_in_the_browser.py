"""Earlier studies on the page: what is here, and what a real Orthanc has, by C-MOVE and by DICOMweb."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import studies_to_view as views
from orthanc import Orthanc, running
from real_process import Screen, Served, chromium, require_browser, send, serving, set_up, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def site(orthanc: Orthanc, way: str) -> str:
    how = (
        {"kind": "dicom", "at": orthanc.peer, "retrieve": "move"} if way == "move"
        else {"kind": "dicomweb", "url": orthanc.dicomweb}
    )  # fmt: skip
    return json.dumps({"quiet_s": 0, "archives": [{"name": "pacs", **how}]})


def fill(orthanc: Orthanc, served: Served, way: str) -> None:
    for each in views.files(views.prior()[:6], views.possible()[:3]):
        orthanc.post("/instances", each)
    if way == "move":
        orthanc.put("/modalities/aris", {"AET": "ARIS", "Host": "127.0.0.1", "Port": served.node})


@pytest.mark.parametrize("way", ["move", "dicomweb"])
def test_earlier_studies_of_an_archive_come_to_the_page_that_waits(tmp_path: Path, way: str) -> None:
    require_browser()
    with running(tmp_path) as orthanc:
        if way == "dicomweb" and not orthanc.web:
            pytest.skip("Orthanc has no DICOMweb here (Debian: orthanc-dicomweb)")
        with serving(tmp_path, "--no-model", site=site(orthanc, way)) as served, chromium() as browser:
            fill(orthanc, served, way)
            set_up(served)
            send(served, views.files(views.current()[:6]))
            screen = Screen(browser, served.url)
            page = screen.page
            sign_in(screen)
            page.goto(f"/study/{views.CURRENT}")
            # Found in the background; the page that is open is told.
            page.get_by_role("button", name="1 other, 1 possible").click()
            listed = page.get_by_role("dialog", name="Priors")
            sure = listed.get_by_role("listitem").filter(has_text="2025-01-05")
            unsure = listed.get_by_role("listitem").filter(has_text="2024-03-01")
            sure.get_by_text("In pacs").wait_for()
            assert "Not surely the same patient" in unsure.inner_text()
            sure.get_by_role("button", name="Fetch").click()
            # Nobody touches the page: it is told when the study is there.
            sure.get_by_role("button", name="Show beside").wait_for()
            sure.get_by_role("button", name="Show beside").click()
            panes = page.locator("[data-pane]")
            page.wait_for_function("() => document.querySelectorAll('[data-pane]').length === 2")
            panes.nth(1).and_(page.locator("[aria-label*='Prior 2025-01-05']")).wait_for()
            assert page.get_by_text("Prior 2025-01-05").count() > 0

            page.get_by_role("button", name="1 other, 1 possible").click()
            unsure.get_by_role("button", name="Fetch").click()
            unsure.get_by_role("button", name="Show it nevertheless").click()
            # On the image itself, not in the list alone.
            panes.nth(1).and_(page.locator("[aria-label*='Possible prior 2024-03-01']")).wait_for()
            screen.settled()
            screen.context.close()


def test_an_archive_that_is_away_is_said_and_tried_again(tmp_path: Path) -> None:
    require_browser()
    with (
        running(tmp_path) as orthanc,
        serving(tmp_path, "--no-model", site=site(orthanc, "move")) as served,
        chromium() as browser,
    ):
        for each in views.files(views.prior()[:4]):
            orthanc.post("/instances", each)
        # It does not know our node yet: C-MOVE is refused.
        set_up(served)
        send(served, views.files(views.current()[:4]))
        screen = Screen(browser, served.url)
        page = screen.page
        sign_in(screen)
        page.goto(f"/study/{views.CURRENT}")
        page.get_by_role("button", name="1 other study").click()
        listed = page.get_by_role("dialog", name="Priors")
        listed.get_by_role("button", name="Fetch").click()
        listed.get_by_text("it is tried again").wait_for()
        assert "the last attempt failed (ORTHANC@" in listed.inner_text()
        orthanc.put("/modalities/aris", {"AET": "ARIS", "Host": "127.0.0.1", "Port": served.node})
        listed.get_by_role("button", name="Show beside").wait_for(timeout=60_000)
        listed.get_by_role("button", name="Look again").click()
        listed.get_by_text("Asked just now").wait_for()
        orthanc.stop()
        listed.get_by_role("button", name="Look again").click()
        listed.get_by_text("cannot be reached").wait_for()
        screen.settled()
        screen.context.close()
