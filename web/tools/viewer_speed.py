"""Measure the viewer in a real browser: frames a second of a scroll through a study, and its heap.

    python web/tools/viewer_speed.py http://127.0.0.1:8000/study/1.2.3 --login reader --password ... [--gpu]

Needs a running `aris serve` that holds the study (a CT of 1,000 slices, say), Playwright and Chromium. Without `--gpu`
Chromium composites in software (`--disable-gpu`) and the viewer draws on a plain canvas; with it Cornerstone draws by
WebGL, which is SwiftShader where there is no graphics card. Beside the frame rate, which depends on what else runs, it
prints the processor time of the main thread for each image.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from playwright.sync_api import Page, sync_playwright

SCROLL = """async (seconds) => {
  const stage = document.querySelector('[role=application][data-pane="0"]');
  const index = () => Number(/image (\\d+) of/.exec(stage.getAttribute('aria-label'))[1]);
  const gaps = []; let shown = 0, before = index(), last = performance.now(); const start = last;
  while (performance.now() - start < seconds * 1000) {
    stage.dispatchEvent(new WheelEvent('wheel', {deltaY: 120, bubbles: true, cancelable: true}));
    await new Promise((done) => requestAnimationFrame(done));
    const now = performance.now(); gaps.push(now - last); last = now;
    const at = index(); if (at !== before) { shown++; before = at; }
  }
  gaps.sort((a, b) => a - b);
  return {images_per_s: shown / seconds, shown, median_ms: gaps[gaps.length >> 1],
          p95_ms: gaps[Math.floor(gaps.length * 0.95)], worst_ms: gaps[gaps.length - 1]};
}"""
# Blank frames of the same browser: what the machine gives at this moment.
BLANK = """async () => { let n = 0; const start = performance.now();
  while (performance.now() - start < 3000) { await new Promise((done) => requestAnimationFrame(done)); n++; }
  return n / 3; }"""
LOADED = """() => { const pane = document.querySelector('[data-pane="0"]').parentElement;
  const track = pane.querySelector('canvas[width="6"]');
  const data = track.getContext('2d').getImageData(3, 0, 1, track.height).data; let done = 0;
  for (let i = 0; i < track.height; i++) if (data[4 * i] > 70) done++; return done / track.height; }"""


def heap(page: Page) -> dict[str, float]:
    """Return the page's heap and buffers in MB, after a collection."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("HeapProfiler.collectGarbage")
    usage = devtools.send("Runtime.getHeapUsage")
    return {"objects": round(usage["usedSize"] / 2**20, 1), "buffers": round(usage["backingStorageSize"] / 2**20, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("address")
    parser.add_argument("--login", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--gpu", action="store_true")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    flags = ["--no-sandbox", "--disable-background-networking"]
    flags += ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"] if given.gpu else ["--disable-gpu"]
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=given.browser, args=flags)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        violations: list[str] = []
        page.on("console", lambda said: violations.append(said.text) if "Security Policy" in said.text else None)
        if given.gpu:
            page.add_init_script("localStorage.setItem('aris.renderer', 'gpu')")
        blank = page.evaluate(BLANK)
        page.goto(given.address)
        if given.login:
            page.get_by_label("Login", exact=False).first.fill(given.login)
            page.get_by_label("Password", exact=False).first.fill(given.password)
            page.keyboard.press("Enter")
            page.wait_for_timeout(1500)
            page.goto(given.address)
        page.wait_for_selector('[data-pane="0"][aria-label*="image 1 of"]', timeout=60_000)
        for _ in range(600):
            if page.evaluate(LOADED) >= 0.99:
                break
            page.wait_for_timeout(500)
        devtools = page.context.new_cdp_session(page)
        devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

        def spent() -> float:
            metrics = devtools.send("Performance.getMetrics")["metrics"]
            return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))

        loaded = heap(page)
        before = spent()
        scroll: dict[str, Any] = page.evaluate(SCROLL, given.seconds)
        scroll["main_thread_ms_per_image"] = round((spent() - before) * 1000 / max(1, scroll["shown"]), 2)
        found = {
            "blank_frames_per_s": round(blank, 1), "scroll": scroll, "heap_mb_loaded": loaded,
            "heap_mb_after": heap(page), "csp_violations": violations,
        }  # fmt: skip
        print(json.dumps(found, indent=2))
        browser.close()


if __name__ == "__main__":
    main()
