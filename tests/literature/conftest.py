import pytest

pytest.importorskip("lxml")
