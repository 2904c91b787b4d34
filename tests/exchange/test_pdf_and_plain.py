"""Plain text and PDF: they say all that the report says, and a draft is marked on every page."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from reports import full, states

from aris.errors import ExchangeError
from aris.exchange.documents.pdf import pdf
from aris.exchange.documents.plain import plain_text
from aris.tasks.results import Sections

STATES = states()


@pytest.mark.parametrize("name", STATES)
def test_text_begins_with_its_state(name: str) -> None:
    report = STATES[name]
    lines = plain_text(report).splitlines()
    if report.status == "draft":
        assert lines[0] == lines[-1] == "DRAFT — not signed"
    else:
        assert "Dr Jane Q Doe, St. Élan Hospital, 2026-03-05 01:02" in lines[0] and "DRAFT" not in plain_text(report)


def test_text_says_all() -> None:
    text = plain_text(full(forced=True, complete=False))
    for part in (
        "Opacity on the right – 右.", "pneumonia: present, probability 0.91 (at one centre)", "probability <0.01",
        "not assessed", "edema: no call, probability 0.50",
        "columns 10.125 to 110.5, rows 20 to 220.75", "long axis: 12.3457 mm",
        "cardiothoracic ratio: 0.52", "! the view is not stated", "outside the model's declared scope",
        "aris-nano, revision a1b2c3, prompts p7 with Aris 0.1.0", "cut before its end", "Yamada", "1970-01-02",
    ):  # fmt: skip
        assert part in text, part


def pages(data: bytes, folder: Path) -> list[str]:
    """The text of each page, by poppler: not by what wrote it."""
    if shutil.which("pdftotext") is None:
        pytest.skip("poppler is not installed")
    path = folder / "report.pdf"
    path.write_bytes(data)
    done = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, check=True)
    return done.stdout.decode().split("\f")[:-1]


def test_a_draft_pdf_is_marked_on_every_page(tmp_path: Path) -> None:
    report = full(sections=Sections(findings="A line of findings.\n" * 120, impression="Pneumonia."))
    found = pages(pdf(report), tmp_path)
    assert len(found) >= 3
    assert all("DRAFT — not signed" in page and "must check every word" in " ".join(page.split()) for page in found)
    assert "pneumonia: present" in "".join(found)


def test_a_signed_pdf_names_who_signed(tmp_path: Path) -> None:
    (page, *_) = pages(pdf(STATES["signed"]), tmp_path)
    assert "Dr Jane Q Doe, St. Élan Hospital" in page and "DRAFT" not in page


def test_the_same_report_makes_the_same_pdf_whatever_its_script() -> None:
    report = full(sections=Sections(findings="右 肺炎 \U0001f600 \t tab"))
    assert pdf(report) == pdf(report) and pdf(report).startswith(b"%PDF")


def test_a_font_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    for path in (tmp_path / "none.ttf", tmp_path / "x.ttf"):
        with pytest.raises(ExchangeError, match="font"):
            pdf(full(), font=path)
