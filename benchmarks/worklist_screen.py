"""How long the worklist's page takes to answer a hand: sort, filter, search, keys and scrolling, in a real Chromium.

Run it against a workspace that holds many studies:

    python benchmarks/worklist_screen.py http://127.0.0.1:8000 --login adm --password "..." [--studies 10000]

Times are those of the browser's own Event Timing (from the key or the click to the next picture on the screen) and of its long
tasks; frames are counted while the wheel turns. It needs Playwright and a Chromium; it changes nothing on the server.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import pairwise
from typing import Any

WATCH = """
window.__events = []; window.__long = [];
new PerformanceObserver(list => { for (const e of list.getEntries()) if (e.interactionId) window.__events.push([e.name,
  e.duration]); }).observe({type: "event", buffered: true, durationThreshold: 16});
new PerformanceObserver(list => { for (const e of list.getEntries()) window.__long.push(e.duration); })
  .observe({type: "longtask", buffered: false});
"""
FRAMES = """milliseconds => new Promise(done => { const times = []; const begin = performance.now();
const step = now => { times.push(now); if (now - begin < milliseconds) requestAnimationFrame(step); else done(times); };
requestAnimationFrame(step); })"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--login", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    parser.add_argument("--studies", type=int, default=10_000, help="the list must hold at least so many rows")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=asked.chromium, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.add_init_script(WATCH)
        page.goto(f"{asked.url}/worklist")
        if asked.login:
            page.get_by_label("User name").fill(asked.login)
            page.get_by_label("Password").fill(asked.password)
            page.get_by_role("button", name="Sign in", exact=True).click()
        page.wait_for_selector("#row-3 [role=gridcell]", timeout=60_000)
        rows = int(page.locator("[data-grid]").get_attribute("aria-rowcount") or 0) - 1
        if rows < asked.studies:
            print(f"the list holds {rows} studies, not {asked.studies}", file=sys.stderr)
            return 1
        result: dict[str, Any] = {"studies": rows}
        for name, act in acts(page).items():
            page.evaluate("() => { window.__events = []; window.__long = []; }")
            act()
            page.wait_for_timeout(1200)
            events = page.evaluate("() => window.__events")
            # The browser says nothing of events under 16 ms.
            result[name] = {"slowest_ms": max((each[1] for each in events), default=16),
                            "long_task_ms": round(max(page.evaluate("() => window.__long"), default=0))}  # fmt: skip
        result["wheel"] = wheel(page)
        browser.close()
    print(json.dumps(result, indent=1))
    return 0


def acts(page: Any) -> dict[str, Any]:
    """Return what a hand does to the list, by name."""

    def presses(key: str, times: int) -> Any:
        def act() -> None:
            page.locator("[data-grid]").focus()
            for _ in range(times):
                page.keyboard.press(key)

        return act

    def search() -> None:
        page.keyboard.press("/")
        page.keyboard.type("mey", delay=60)

    def clear() -> None:
        page.keyboard.press("Escape")

    return {
        "sort by patient": lambda: page.get_by_role("button", name="Patient").click(),
        "sort by waiting": lambda: page.get_by_role("button", name="Waits").click(),
        "filter a state": lambda: page.get_by_role("button", name="Drafted").click(),
        "back to all": lambda: page.get_by_role("button", name="To read").click(),
        "twenty rows down": presses("ArrowDown", 20),
        "ten pages down": presses("PageDown", 10),
        "to the end": presses("End", 1),
        "to the beginning": presses("Home", 1),
        "search as typed": search,
        "search taken back": clear,
    }


def wheel(page: Any) -> dict[str, float]:
    """Turn the wheel for two seconds; return frames a second and the longest wait for a frame in ms."""
    page.mouse.move(500, 500)
    page.evaluate("() => { window.__long = []; }")
    page.evaluate(f"() => {{ window.__frames = ({FRAMES})(2000); }}")
    for _ in range(40):
        page.mouse.wheel(0, 400)
        page.wait_for_timeout(40)
    times = page.evaluate("() => window.__frames")
    waits = [later - before for before, later in pairwise(times)]
    return {"frames_per_s": round(1000 * len(waits) / (times[-1] - times[0]), 1), "longest_wait_ms": round(max(waits)),
            "long_task_ms": round(max(page.evaluate("() => window.__long"), default=0))}  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
