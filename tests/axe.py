"""Accessibility of a page as axe-core sees it, for tests that drive a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXE = Path(__file__).parents[1] / "web" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """() => axe.run(document, {resultTypes: ["violations"],
runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})
.then(found => found.violations.filter(one => ["serious", "critical"].includes(one.impact))
.flatMap(one => one.nodes.map(node =>
`${one.id} (${one.impact}): ${node.target.join(" ")}: ${node.failureSummary}`)))"""


def violations(page: Any) -> list[str]:
    """Return what is seriously or critically wrong on a Playwright page, one line each: rule, place, what to mend.

    The script is evaluated by the debugger: the page's content security policy need not allow it.
    """
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(_RUN)
    return found
