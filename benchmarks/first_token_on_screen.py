"""How long after opening an undrafted film its draft's first words stand on the screen: `aris serve`, nano, Chromium.

    python benchmarks/first_token_on_screen.py [films]

Each film is another one to the model (its pixels are turned round or changed a little), so that nothing is kept of the
one before. The time is from pressing Enter on the worklist to the first piece of the draft in the page's editor. The
worker is left out (`--no-worker`), so that nobody drafts before.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / "workspace"), str(ROOT / "tests")]

import PIL.Image  # noqa: E402
import PIL.ImageEnhance  # noqa: E402
from real_process import Screen, chromium, serving  # noqa: E402

PASSWORD = "a long enough password"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    home = Path(tempfile.mkdtemp())
    film = PIL.Image.open(ROOT / "samples" / "child-pneumonia.jpg")
    took = []
    with serving(home, "--no-worker", "--no-node") as served, chromium() as browser:
        screen = Screen(browser, served.url)
        page = screen.page
        page.goto(f"/setup#{served.code}")
        for label, value in (("Family name", "A"), ("Organization", "B"), ("User name", "ana")):
            page.get_by_label(label).fill(value)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("The same again").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/worklist")
        served.wait_for_model()
        for number in range(count):
            path = home / f"{number}.png"
            PIL.ImageEnhance.Brightness(film).enhance(1 - number * 0.01).save(path)
            page.set_input_files("input[type=file]", str(path))
            about = page.get_by_role("dialog")
            about.get_by_label("Name").fill(f"Film^N{number}")
            about.get_by_label("Patient ID").fill(f"F{number}")
            about.get_by_label("Age in years").fill("4")
            about.get_by_role("button", name="Upload").click()
            page.get_by_text("1 image added").wait_for()
            page.get_by_role("button", name="Close").last.click()
            page.get_by_role("row").filter(has_text=f"N{number}").click()
            began = time.perf_counter()
            page.keyboard.press("Enter")
            page.wait_for_function(
                "() => (document.querySelector('[data-context=editor] .cm-content')?.innerText ?? '').includes('lungs')"
                " || (document.querySelector('[data-context=editor] .cm-content')?.innerText ?? '').includes('chest')",
                polling=10,
            )
            took.append(time.perf_counter() - began)
            print(f"film {number}: {took[-1]:.2f} s", flush=True)
            page.get_by_text("The draft is being written").wait_for(state="hidden")
            page.goto("/worklist")
    later = took[1:] or took
    print(f"median of {len(later)} after the first: {statistics.median(later):.2f} s; slowest {max(later):.2f} s")


if __name__ == "__main__":
    main()
