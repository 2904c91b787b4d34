"""The choice of a runner, by where a model is and what the machine can do."""

from __future__ import annotations

import torch

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.adapted import AdapterRunner
from aris.engine.runners.plain import TorchRunner
from aris.engine.runners.protocol import Runner
from aris.model import AdapterBank, MedGemma

# Rows of a product on a CPU without compiled kernels. On a Zen 3, MKL takes for 4 rows about what it takes for 16.
CPU_GROUP = 16


def make_runner(model: MedGemma, pool: KVPool, adapters: AdapterBank | None = None) -> Runner:
    """The fastest runner for a model where it is, and for the adapters that its sequences may ask for."""
    if model.device.type == "cuda":
        if torch.cuda.get_device_capability(model.device) < (8, 0):  # no bfloat16, and too little shared memory
            return TorchRunner(model, pool, adapters=adapters)
        try:
            from aris.engine.runners.cuda import CudaRunner
        except ImportError as error:  # no Triton, or an old one
            if (error.name or "").partition(".")[0] != "triton":
                raise
            return TorchRunner(model, pool, adapters=adapters)
        fast: Runner | None = CudaRunner.wrap(model, pool)
        if fast is not None:
            return fast if adapters is None else AdapterRunner(fast, TorchRunner(model, pool, adapters=adapters))
    elif model.device.type == "cpu":
        from aris.engine.runners.cpu import CpuRunner
        from aris.engine.runners.cpu_dense import DenseRunner

        fast = CpuRunner.wrap(model, pool, adapters) or DenseRunner.wrap(model, pool, adapters)
        return fast or TorchRunner(model, pool, group=CPU_GROUP, adapters=adapters)
    return TorchRunner(model, pool, adapters=adapters)
