"""What a command does before PyTorch is needed: it changes nothing but the time."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from aris.backends.early import without_collector

_OPENED = """
import sys, threading
from aris.backends.early import open_torch_library
open_torch_library()
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
opened = "libtorch_cpu" in open("/proc/self/maps").read()
assert not any(name.split(".")[0] == "torch" for name in sys.modules)
import torch
open_torch_library()
assert threading.active_count() == 1
ones = torch.nn.functional.conv2d(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 2, 2))
print(opened, torch.version.cuda is None, ones.sum())
"""
_NOT_THERE = """
import importlib.util, sys, threading
sys.path[:] = [each for each in sys.path if "site-packages" not in each]
from aris.backends.early import open_torch_library
open_torch_library()
print(importlib.util.find_spec("torch"), threading.active_count())
"""


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="only there")
def test_the_library_is_open_before_torch_is_imported_which_then_works() -> None:
    opened, without_cuda, total = _run(_OPENED).split(" ", 2)
    assert opened == without_cuda
    assert total == "tensor(36.)"


def test_without_torch_nothing_is_opened() -> None:
    assert _run(_NOT_THERE) == "None 1"


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_as_it_was_also_after_an_error(on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    with without_collector():  # there is nothing to wait for
        assert gc.isenabled()
    monkeypatch.delitem(sys.modules, "torch")
    was = gc.isenabled()
    (gc.enable if on else gc.disable)()
    try:
        with pytest.raises(ImportError), without_collector():
            assert not gc.isenabled()
            raise ImportError
        assert gc.isenabled() is on
    finally:
        gc.unfreeze()
        (gc.enable if was else gc.disable)()
