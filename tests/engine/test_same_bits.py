"""The same bits alone, in company, over a prefix and after being sent back: on every instruction set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import same_bits
import torch

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.choice import make_runner
from aris.engine.runners.plain import TorchRunner
from aris.kernels.cpu import library as lib

PROGRAM = Path(same_bits.__file__)
# Libraries held to less than the processor has.
ISAS = {
    "all": (),
    "avx512": ("AVX512_CORE", "AVX512", "avx512"),
    "avx2": ("AVX2", "AVX2", "avx2"),
    "sse4": ("SSE41", "SSE4_2", "default"),
}
_VARIABLES = ("ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "ATEN_CPU_CAPABILITY")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_every_way_gives_the_same_bits(dtype: str) -> None:
    """With what this machine has; `test_on_every_instruction_set` holds it to less."""
    threads = torch.get_num_threads()
    try:
        with torch.inference_mode():
            assert same_bits.differences(getattr(torch, dtype)) == []
    finally:
        torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("kernels", ["plain", *lib.variants()])
def test_on_every_instruction_set(kernels: str, isa: str) -> None:
    """In float32 and bfloat16."""
    if isa == "avx512" and "avx512f" not in lib._processor_flags():
        pytest.skip("this processor has no AVX512")
    if kernels != "plain" and isa not in ("all", "sse4"):
        pytest.skip("the compiled kernels do not ask the libraries: the widest and the narrowest say enough")
    own = {"ARIS_PLAIN_CPU": "1"} if kernels == "plain" else {"ARIS_CPU_KERNELS": kernels}
    environment = os.environ | dict(zip(_VARIABLES, ISAS[isa], strict=False)) | own
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert not done.returncode, done.stderr
    assert done.stdout.strip() == ("TorchRunner" if kernels == "plain" else "DenseRunner")


def test_the_plain_runner_is_the_same_in_company_where_nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARIS_PLAIN_CPU", "1")
    lib._opened.cache_clear()
    try:
        model = same_bits.network(torch.float32)
        runner = make_runner(model, KVPool(model.config.text, 3, 4, "cpu", model.dtype))
        assert isinstance(runner, TorchRunner) and runner.group
        cases = [(same_bits.em.text(70 + 9 * seed, seed), None) for seed in range(3)]
        engine = same_bits.fresh(model)
        together = [same_bits.read(each) for each in [same_bits.ask(engine, *case, 4) for case in cases]]
        again = [same_bits.read(same_bits.ask(engine, *case, 4)) for case in cases]
        alone = [same_bits.read(same_bits.ask(same_bits.fresh(model), *case, 4)) for case in cases]
    finally:
        monkeypatch.undo()
        lib._opened.cache_clear()
    assert together == alone == again
