"""The report as a PDF, to be read and printed. A draft carries its mark on top and across every page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aris.errors import ExchangeError, why_not_imported
from aris.exchange.documents.plain import CAUTION, heading, plain_text
from aris.exchange.documents.report import Report

# Where systems keep fonts that hold more than Latin letters, the widest first.
_FONTS = (
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/Library/Fonts/Arial Unicode.ttf",
    "/System/Library/Fonts/Supplemental/Arial Unicode.ttf",
    "C:/Windows/Fonts/arialuni.ttf",
    "C:/Windows/Fonts/arial.ttf",
)
_FALLBACKS = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
)


def pdf(report: Report, *, font: str | Path | None = None) -> bytes:
    """The report as a PDF of A4 pages. The same report makes the same bytes.

    Args:
        font: a TrueType font; by default one of the system's, else PDF's own Helvetica. Characters that the font
            lacks are printed as their code points, never left out.

    Raises:
        ExchangeError: fpdf2 is not installed, or the font cannot be read.
    """
    try:
        import fpdf
    except ImportError as error:
        why = why_not_imported(error, "fpdf")
        raise ExchangeError(f"PDF needs fpdf2 ({why}); pip install 'aris-medgemma[pdf]'") from None

    class Page(fpdf.FPDF):
        def header(self) -> None:
            self.set_font(family, size=11)
            self.set_text_color(170, 0, 0) if report.is_draft else self.set_text_color(0, 80, 0)
            self.multi_cell(0, 6, fit(report.mark), align="C", new_x="LMARGIN", new_y="NEXT")
            if report.caution:
                self.set_text_color(170, 0, 0)
                self.multi_cell(0, 6, fit(report.caution), align="C", new_x="LMARGIN", new_y="NEXT")
            self.set_text_color(0, 0, 0)
            self.ln(2)
            if report.is_draft:
                with self.local_context(fill_opacity=0.12), self.rotation(50, self.w / 2, self.h / 2):
                    self.set_font(family, size=110)
                    width = self.get_string_width("DRAFT")
                    self.text(self.w / 2 - width / 2, self.h / 2 + 15, "DRAFT")
                self.set_font(family, size=10)

        def footer(self) -> None:
            self.set_y(-15)
            self.set_font(family, size=8)
            state = "".join(f"{each} " for each in (CAUTION if report.is_draft else "", report.caution) if each)
            self.multi_cell(0, 4, fit(f"{state}Page {self.page_no()}"), align="C")

    document = Page(format="A4")
    family, known = _font(document, font)

    def fit(text: str) -> str:
        return "".join(c if c == "\n" or known(ord(c)) else f"[U+{ord(c):04X}]" for c in text.replace("\t", "    "))

    document.set_creation_date(report.created)
    document.set_title(fit(" - ".join(["Draft report" if report.is_draft else "Report", *heading(report)[1:]])))
    document.set_producer("Aris")
    document.set_auto_page_break(True, margin=20)
    document.add_page()
    for line in plain_text(report).split("\n")[len(heading(report)) :]:
        title = line.isupper() and len(line) < 40
        document.set_font(family, size=10.5 if title else 10)
        document.multi_cell(0, 5.2, fit(line) or " ", align="L", new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def _font(document: Any, font: str | Path | None) -> tuple[str, Any]:
    """Add a font; gives its family, and whether it has a character."""
    path = next((each for each in ((font,) if font else _FONTS) if Path(each).is_file()), None)
    if path is None:
        if font is not None:
            raise ExchangeError(f"{font}: no such font file; name a TrueType font")
        # PDF's own fonts have the characters of Windows code page 1252.
        return "Helvetica", lambda code: code < 256 and _encodes(code)
    try:
        document.add_font("report", fname=str(path))
        fonts = [document.fonts["report"]]
        for number, other in enumerate(each for each in _FALLBACKS if font is None and Path(each).is_file()):
            document.add_font(f"fallback{number}", fname=other)
            fonts.append(document.fonts[f"fallback{number}"])
        document.set_fallback_fonts([f"fallback{number}" for number in range(len(fonts) - 1)])
    except Exception:  # fontTools raises many kinds
        raise ExchangeError(f"{path}: not a font that can be read; name a TrueType font") from None
    return "report", lambda code: any(code in each.cmap for each in fonts)


def _encodes(code: int) -> bool:
    try:
        chr(code).encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True
