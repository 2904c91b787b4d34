"""What documents need is loaded ahead, and all that is named can be loaded."""

from __future__ import annotations

import sys

from aris.service.process.warming import load_documents, load_documents_later


def test_what_is_loaded_ahead_is_what_documents_need() -> None:
    assert load_documents() == []
    assert {"fpdf", "fontTools.subset", "pydicom.sr.codedict"} <= set(sys.modules)


def test_it_is_loaded_after_a_while_and_not_after_the_end() -> None:
    waiting = load_documents_later(3600)
    assert waiting.daemon and waiting.is_alive()
    waiting.cancel()
    waiting.join(60)
    assert not waiting.is_alive()
    done = load_documents_later(0)
    done.join(300)
    assert not done.is_alive()
