"""The viewer, its second window and the viewer's role as a person meets them: a real server, Debian's Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import studies_to_view as views
from real_process import PASSWORD, Screen, Served, chromium, require_browser, send, serving, set_up, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
MARKS = "[...document.querySelectorAll('svg text')].map(each => each.textContent)"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    require_browser()
    with serving(tmp_path_factory.mktemp("images"), "--no-model", site="quiet_s: 0\n") as made:
        first = set_up(made)
        user = {"login": "vic", "password": PASSWORD, "name": "Roe^Vic", "role": "viewer", "organization": "St. Élan",
                "identifier": ""}  # fmt: skip
        assert first.post("/api/users", json=user).status_code == 201
        send(made, views.files(views.current()[:20], views.current()[40:], views.prior()[:8], views.possible()[:3],
                               views.ultrasound(), views.films(), views.mixed()))  # fmt: skip
        yield made


@pytest.fixture(scope="module")
def browser(served: Served) -> Iterator[Any]:
    with chromium() as made:
        yield made


def shown(page: Any, pane: int, words: str) -> None:
    """Wait until a pane says of itself what it shows."""
    page.wait_for_function(
        "([pane, words]) => (document.querySelector(`[data-pane='${pane}']`)?.ariaLabel ?? '').includes(words)",
        arg=[pane, words],
    )


def marked(page: Any, pattern: str) -> None:
    page.wait_for_function(f"pattern => {MARKS}.some(each => new RegExp(pattern).test(each))", arg=pattern)


def test_images_are_looked_at_measured_and_compared(served: Served, browser: Any) -> None:
    screen = Screen(browser, served.url)
    page = screen.page
    sign_in(screen)
    page.goto(f"/study/{views.CURRENT}")
    shown(page, 0, "image 1 of 20, window 400, level 40")
    stage, corner = page.locator("[data-pane='0']"), page.locator("[class*=bottomLeft]").first
    stage.focus()
    for key, words in (("2", "window 1500, level -600"), ("3", "window 1800"), ("4", "window 80"), ("5", "window 160"),
                       ("1", "window 400"), ("End", "image 20 of"), ("Home", "image 1 of"),
                       ("PageDown", "image 11 of"), ("ArrowUp", "image 10 of"), ("Home", "image 1 of")):  # fmt: skip
        page.keyboard.press(key)
        shown(page, 0, words)
    fitted = corner.inner_text()
    for key, word in (("i", "inverted"), ("r", "turned 90°"), ("h", "flipped")):
        page.keyboard.press(key)
        corner.filter(has_text=word).wait_for()
    page.keyboard.press("+")
    page.keyboard.press("x")
    page.wait_for_function("([text]) => document.querySelector('[class*=bottomLeft]').innerText === text", arg=[fitted])
    # What others drew is shown as they wrote it.
    marked(page, "lesion 1; Area 12.5 mm2")
    marked(page, "<b>compare</b> with 2025")
    # Drawn with keys alone, saved at once, taken back and put again.
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    for _ in range(6):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    marked(page, r"mm · calibrated$")
    page.keyboard.press("Control+z")
    page.wait_for_function(f"() => !{MARKS}.some(each => each.endsWith('calibrated'))")
    with page.expect_response(lambda answer: answer.url.endswith("/measurements") and answer.ok):
        page.keyboard.press("Control+Shift+z")
    page.reload()
    marked(page, r"mm · calibrated$")
    # An earlier study beside it: not one that was made later; windows in common on wish.
    page.get_by_role("button", name="Prior 2025-01-05").click()
    shown(page, 1, "Prior 2025-01-05, CT")
    stage.focus()
    page.keyboard.press("Shift+K")
    page.keyboard.press("2")
    shown(page, 1, "window 1500")
    page.keyboard.press("End")
    shown(page, 1, "image 8 of 8")
    series = page.get_by_role("navigation", name="Series")
    series.get_by_role("button", name="Lung 5 mm").drag_to(page.locator("[data-pane='1']"))
    shown(page, 1, "Lung 5 mm")
    page.get_by_role("button", name=re.compile("other, 1 possible")).click()
    page.get_by_role("button", name="Show it nevertheless").click()
    shown(page, 1, "Possible prior 2024-03-01")
    # Documents of the study are read, and a PDF is what it says.
    page.get_by_role("button", name=re.compile("Series 90")).click()
    page.get_by_role("dialog").get_by_text("Tracking Identifier").wait_for()
    assert screen.accessible() == []
    page.keyboard.press("Escape")
    pdf = page.request.get(f"/api/images/{views.CURRENT}.80.1/pdf")
    assert pdf.ok and pdf.headers["content-type"] == "application/pdf" and pdf.body().startswith(b"%PDF-")
    page.get_by_role("button", name="More image commands").click()
    page.get_by_role("menuitem").first.wait_for()
    assert screen.accessible() == []
    page.keyboard.press("i")  # a letter in a menu is no command
    page.keyboard.press("Escape")
    assert "inverted" not in corner.inner_text()
    screen.settled()
    screen.context.close()


def test_what_an_image_is_worth_is_said(served: Served, browser: Any) -> None:
    """Calibration by kind of image, colour, cine, slices that are missing, and what cannot be shown."""
    screen = Screen(browser, served.url)
    page = screen.page
    sign_in(screen)

    def measure(words: str, across: float) -> None:
        box = page.locator("[data-pane='0']").bounding_box()
        assert box is not None
        page.locator("[data-pane='0']").focus()
        page.keyboard.press("l")
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + across, y + 10, steps=3)
        page.mouse.up()
        marked(page, words)

    page.goto(f"/study/{views.ULTRASOUND}")
    shown(page, 0, "image 1 of 16")
    measure(r"mm · calibrated", 60)
    page.locator("[data-pane='0']").focus()
    page.keyboard.press("Space")
    page.wait_for_function("() => !/image 1 of/.test(document.querySelector(\"[data-pane='0']\").ariaLabel)")
    page.keyboard.press("Space")
    page.goto(f"/study/{views.FILMS}")
    series = page.get_by_role("navigation", name="Series")
    shown(page, 0, "MONOCHROME1")
    measure(r"mm · at detector", 80)
    series.get_by_role("button", name="Screen").click()
    shown(page, 0, "Screen")
    measure(r"px · pixels only", 70)
    series.get_by_role("button", name="R MLO").click()
    shown(page, 0, "MLO")
    page.goto(f"/study/{views.MIXED}")
    page.get_by_text("about 2 slices are missing, between images 4 and 5").wait_for()
    page.locator("[data-pane='0']").focus()
    for _ in range(2):
        page.keyboard.press("ArrowDown")
    page.get_by_text("Image 3 cannot be shown: its pixels are damaged").wait_for()
    page.keyboard.press("ArrowDown")
    shown(page, 0, "image 4 of 10, window 400")
    screen.settled()
    screen.context.close()


def test_two_windows_and_a_viewers_role(served: Served, browser: Any) -> None:
    screen = Screen(browser, served.url)
    page = screen.page
    sign_in(screen)
    page.get_by_role("row").filter(has_text="Echocardiography").click()
    with screen.context.expect_page() as opened:
        page.get_by_role("button", name="Second window").click()
    second = opened.value
    shown(second, 0, "US")
    assert second.locator("[data-context=editor]").count() == 0  # images alone
    page.get_by_role("row").filter(has_text="CT, damaged").dblclick()
    page.wait_for_url(f"**/study/{views.MIXED}")
    # The images follow to the study that is read here.
    second.wait_for_url(f"**/study/{views.MIXED}?window=images")
    shown(second, 0, "image 1 of 10")
    second.close()
    page.locator("[data-context=editor] .cm-content").wait_for()
    screen.settled()
    screen.context.close()

    screen = Screen(browser, served.url, "light")
    page = screen.page
    sign_in(screen, "vic")
    page.goto(f"/study/{views.CURRENT}")
    shown(page, 0, "image 1 of 20")
    page.get_by_text("You may read, not write").wait_for()
    for name in ("Measure a length", "Measure an ellipse's area"):
        assert page.get_by_role("button", name=name).is_disabled()
    assert page.get_by_role("button", name=re.compile("^Sign")).count() == 0
    page.goto("/audit")
    page.get_by_text("This page is not for your role").wait_for()
    page.get_by_role("link", name="Back to the first page").click()
    page.wait_for_url("**/worklist*")
    screen.settled()
    screen.context.close()
