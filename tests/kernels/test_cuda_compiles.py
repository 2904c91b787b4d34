"""The CUDA C++ kernels are compiled for every generation that they are for, where NVRTC is; no GPU is needed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from aris.kernels.gpu import cuda_source, tiles
from aris.kernels.gpu.cuda_source import CudaSourceError, machine_code
from aris.kernels.gpu.device import block_memory
from aris.kernels.gpu.tiles import plan

PRODUCT = {"SPLIT": 0, "WARPS": 8, "DEPTH": 3, "GS": 2, "WIDE": 0}
ONE_ROW = PRODUCT | {"ONE": 1, "NORM": 1, "BRANCH": 3, "PAIRS": 5, "GATED": 0}
FEW_ROWS = PRODUCT | {"ONE": 0, "NORM": 0, "BRANCH": 0, "PAIRS": 1, "GATED": 1}
MANY_ROWS = {"NT": 8, "TILES": 1, "WARPS": 4, "DEPTH": 4, "GS": 2, "WIDE": 0, "GATED": 0}
# Of GeForce and laptop cards too: 8.6 (RTX 30), 8.9 (RTX 40), 12.0 (RTX 50).
INT4 = [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0)]


@pytest.fixture
def nvrtc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # nothing that was compiled before counts
    try:
        cuda_source._nvrtc()
    except OSError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("capability", INT4)
def test_int4_products(capability: tuple[int, int]) -> None:
    for source, definitions in (("tiles.cu", ONE_ROW), ("tiles.cu", FEW_ROWS), ("tiles_many.cu", MANY_ROWS)):
        assert machine_code(source, capability, tuple(definitions.items()))[:4] == b"\x7fELF"


@pytest.mark.usefixtures("nvrtc")
@pytest.mark.parametrize("capability", [(9, 0), (10, 0), (12, 0)])
def test_attention_of_one_row(capability: tuple[int, int]) -> None:
    for dim in (128, 256):
        definitions = {"D": dim, "G": 2, "CLUSTERS": 4, "WARPS": 8, "GS": 1}
        assert machine_code("decode_attention.cu", capability, tuple(definitions.items()))[:4] == b"\x7fELF"


@pytest.mark.usefixtures("nvrtc")
def test_attention_of_a_tower() -> None:
    assert machine_code("tower_attention.cu", (9, 0), ())[:4] == b"\x7fELF"


@pytest.mark.usefixtures("nvrtc")
def test_what_does_not_compile_says_why() -> None:
    with pytest.raises(CudaSourceError, match=r"tower_attention\.cu does not compile: .*error: expected an identifier"):
        machine_code("tower_attention.cu", (9, 0), (("STAGES", 2),))


# Rows and columns of the products of 4B and 27B, and of a head.
SHAPES = [(4096, 2560), (2560, 2048), (20480, 2560), (2560, 10240), (43008, 5376), (5376, 21504),
          (262208, 2560)]  # fmt: skip
# Compute capability, processors and KiB for a block: A100, H100, RTX 3060 laptop, 4090, 4060 laptop, 5090 and 5060.
CARDS = [((8, 0), 108, 163), ((9, 0), 132, 227), ((8, 6), 30, 99), ((8, 9), 128, 99), ((8, 9), 24, 99),
         ((12, 0), 170, 99), ((12, 0), 30, 99)]  # fmt: skip


@pytest.mark.parametrize(("capability", "processors", "kib"), CARDS)
def test_a_block_takes_no_more_shared_memory_than_the_card_has(
    capability: tuple[int, int], processors: int, kib: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(tiles, "block_memory", block_memory.__wrapped__)
    depth, room = tiles._depth(0), tiles.block_memory(0)
    assert room == kib << 10
    for rows, columns in SHAPES:
        for groups, one, split in itertools.product((1, 2, 4), (True, False), (True, False)):
            cut = plan(rows // 32, columns // 128, groups, split, one, processors, depth, room)
            assert cut is not None and cut.shared <= room, (rows, columns, groups, one, split)
            assert cut.blocks <= processors or kib < 227  # one wave where there is room for it
    assert plan(1, 4096, 4, False, True, 1, depth, room) is None
