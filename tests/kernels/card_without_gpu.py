"""Compiles what a step and a prompt launch on an NVIDIA card, without one: python card_without_gpu.py CAPABILITY MEMORY

Triton is given a driver that compiles for the card and launches nothing. Prints each kernel's name and its bytes of
shared memory as JSON. The layer has the widths of MedGemma 4B: those and the rows make a kernel's size.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.pop("TRITON_INTERPRET", None)

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import compiler
from triton.runtime import driver

from aris.engine.cache.kv_pool import KVPool
from aris.engine.runners.cuda import CudaRunner
from aris.engine.runners.protocol import PrefillChunk, Rows
from aris.kernels.gpu import prefill_attention
from aris.model import MedGemma, MedGemmaConfig, TextConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from quantized_models import quantize_model

CAPABILITY = int(sys.argv[1])
MEMORY = int(sys.argv[2])


class Driver:
    """As much of Triton's driver as compiling needs."""

    class utils:  # noqa: N801 - Triton's name
        @staticmethod
        def load_binary(*_: Any) -> tuple[int, ...]:
            return 0, 0, 0, 0, 1024

        @staticmethod
        def get_device_properties(_: int) -> dict[str, int]:
            return {"max_shared_mem": 1 << 30, "multiprocessor_count": 64, "warpSize": 32}

    @staticmethod
    def launcher_cls(*_: Any) -> Any:
        return lambda *arguments, **options: None

    @staticmethod
    def get_current_target() -> GPUTarget:
        return GPUTarget("cuda", CAPABILITY, 32)

    @staticmethod
    def get_current_device() -> int:
        return 0

    @staticmethod
    def get_current_stream(_: int = 0) -> int:
        return 0


def model() -> MedGemma:
    text = TextConfig(
        vocab_size=1024, hidden_size=2560, intermediate_size=10240, num_hidden_layers=1, num_attention_heads=8,
        num_key_value_heads=4, head_dim=256, query_pre_attn_scalar=256, sliding_window=1024,
        layer_types=("full_attention",), rope_factor=8.0, max_position_embeddings=8192,
    )  # fmt: skip
    config = MedGemmaConfig(text, None, boi_token_index=1000, eoi_token_index=1001, image_token_index=1002)
    with torch.device("meta"):
        made = MedGemma(config)
    made = made.to_empty(device="cpu").to(torch.bfloat16).eval()
    for parameter in made.parameters():
        parameter.data.zero_()
    return made


def main() -> None:
    driver.set_active(Driver())  # type: ignore[arg-type]
    sizes: dict[str, int] = {}
    handles = compiler.CompiledKernel._init_handles

    def noted(self: Any) -> None:
        handles(self)
        sizes[f"{self.name} {self.hash[:8]}"] = self.metadata.shared

    compiler.CompiledKernel._init_handles = noted  # type: ignore[method-assign]
    prefill_attention.block_memory = lambda device: MEMORY  # a CPU's tensors stand for the card's
    for kind in ("", "int4"):
        made = model()
        if kind:
            quantize_model(made, kind, head="int8")
        pool = KVPool(made.config.text, 100, 70, torch.device("cpu"), torch.bfloat16)
        runner = CudaRunner.wrap(made, pool)
        assert runner is not None
        with torch.inference_mode():
            runner.prefill(PrefillChunk(list(range(2, 302)), 0, 1, list(range(1, 30))))
            for rows in (1, 64):
                slots = list(range(1, rows + 1))
                runner.decode(Rows([7] * rows, [310] * rows, slots, [[1 + row] * 30 for row in range(rows)]))
    print(json.dumps(sizes))


main()
