"""Runs this package's CUDA C++ kernels on a CPU, for tests without a GPU.

Every thread is a fiber of its own that runs until it has to wait for others, so a missing barrier shows; a product of
the matrix units is done at once, so a missing wait or fence for those does not. The source is compiled by a C++
compiler, the few instructions that it uses replaced: the matrix units' products, shuffles, barriers, asynchronous
copies (done as late as they may be), a cluster's shared memory. Only what the kernels need is there.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

import torch

_ATTRIBUTES = re.compile(r"__restrict__|const __grid_constant__")
_FOLDER = Path(__file__).parents[2] / "src/aris/kernels/gpu"

_PRELUDE = Path(__file__).with_suffix(".h").read_text()

# What the sources define by instructions, defined in C++ instead.
_REPLACED = {
    "pack": "u32 pack(float a, float b) { return bf16(a) | bf16(b) << 16; }",
    "multiply": r"""void multiply(float (&sum)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
        const u32 own[6] = {a0, a1, a2, a3, b0, b1};
        memcpy(me->slot, own, sizeof own);
        meet_warp();
        const Fiber *warp = &fibers[warp_from()];
        const int lane = me->id % 32, g = lane / 4, t = lane % 4;
        for (int i = 0; i < 4; i++) {
            const int row = g + i / 2 * 8, column = 2 * t + i % 2;
            for (int k = 0; k < 16; k++) {
                const u32 a = warp[row % 8 * 4 + k % 8 / 2].slot[row / 8 + k / 8 * 2];
                const u32 b = warp[column * 4 + k % 8 / 2].slot[4 + k / 8];
                sum[i] += (k % 2 ? high_of(a) : low_of(a)) * (k % 2 ? high_of(b) : low_of(b));
            }
        }
        meet_warp();
    }""",
    "codes_of": "u32 codes_of(u32 word, u32 one) { return (word & 0x000f000fu) | one; }",
    "shared_address": "u32 shared_address(const void *p) { return address_of(p); }",
    "fetch": "void fetch(u32 to, const void *from) { me->begun.push_back({shared_at(to), from}); }",
    "fetched": "void fetched() { me->flights.push_back(me->begun); me->begun.clear(); }",
    "await": "template <int LEFT> void await() { land(LEFT); }",
    "fetch_if": """void fetch_if(u32 to, const void *from, bool there) {
        static const unsigned char zeros[16] = {};
        me->begun.push_back({shared_at(to), there ? from : zeros});
    }""",
    "remote": """float remote(const float *own, int rank) {
        const Fiber &there = fibers[rank * per_block];
        float value;
        memcpy(&value, there.fixed + ((const unsigned char *)own - me->fixed), 4);
        return value;
    }""",
}

_HOPPER = Path(__file__).with_name("emulated_hopper.h").read_text()
_LAUNCH = Path(__file__).with_name("emulated_launch.h").read_text()


def compiler() -> str | None:
    return next((name for name in ("c++", "g++", "clang++") if shutil.which(name)), None)


def _without(text: str, name: str, new: str) -> str:
    """The source with a function's definition replaced."""
    found = re.search(
        rf"^(?:template <[^>]*> )?__device__ __forceinline__ \w+ {name}\([^)]*(?:\(&\w+\)[^)]*\))?[^{{;]*\{{",
        text,
        re.M,
    )
    if found is None:
        return text
    depth, end = 1, found.end()
    while depth:
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        end += 1
    return text[: found.start()] + new + text[end:]


def _source(name: str) -> tuple[str, str]:
    """A kernel's source in C++, and the list of its parameters."""
    text = (_FOLDER / name).read_text().replace('#include "hopper.h"', _HOPPER)
    text = re.sub(r'^#include "([\w.]+)"$', lambda m: (_FOLDER / m[1]).read_text(), text, flags=re.M)
    for function, new in _REPLACED.items():
        text = _without(text, function, new)
    # Clusters' barriers: arriving and waiting together, or in two steps. The other instructions order nothing here.
    end = r'[^;]*;" ::: "memory"\);'
    text = re.sub(rf'asm volatile\("barrier\.cluster\.arrive[^;]*;\\nbarrier{end}', "meet_cluster();", text)
    text = re.sub(rf'asm volatile\("barrier\.cluster\.wait{end}', "meet_cluster();", text)
    text = re.sub(rf'asm volatile\("(?:barrier\.cluster\.arrive|griddepcontrol){end}', "", text)
    assert "asm" not in text, "an instruction has no counterpart here"
    text = re.sub(r"extern __shared__ .*memory\[\];", "unsigned char *memory = me->shared;", text)
    counter = [0]

    def fixed(match: re.Match[str]) -> str:
        out = []
        for item in match[2].split(","):
            name, _, dims = item.strip().partition("[")
            out.append(
                f"auto &{name} = *({match[1]} (*){'[' + dims if dims else ''})(me->fixed + {counter[0] * 8192});"
            )
            counter[0] += 1
        return " ".join(out)

    text = re.sub(r"__shared__ (\w+) ([^;]+);", fixed, text)
    kernel = re.search(r'extern "C" __global__ void (?:__\w+__\([^)]*\) )*(\w+)\(([^{]*)\) \{', text)
    assert kernel is not None
    return text, kernel[1] + "|" + kernel[2]


class EmulatedKernel:
    """A kernel of the package, to be called like `cuda_source.Kernel` with tensors on the CPU."""

    def __init__(self, source: str, **definitions: int) -> None:
        text, signature = _source(source)
        name, parameters = signature.split("|")
        kinds = [" ".join(_ATTRIBUTES.sub("", part).split()) for part in parameters.split(",")]
        names = [re.search(r"(\w+)$", kind)[1] for kind in kinds]  # type: ignore[index]
        types = [kind[: -len(n)].strip() for kind, n in zip(kinds, names, strict=True)]
        held = "".join(f"static {kind} held_{n};\n" for kind, n in zip(types, names, strict=True))
        call = f"static void call() {{ {name}({', '.join('held_' + n for n in names)}); }}\n"
        setters = "".join(
            f'extern "C" void set_{i}({"void *" if "*" in kind or kind == "TensorMap" else kind} v) '
            f"{{ held_{n} = {'*(TensorMap *)v' if kind == 'TensorMap' else f'({kind})v'}; body = call; }}\n"
            for i, (kind, n) in enumerate(zip(types, names, strict=True))
        )
        head = "".join(f"#define {key} {value}\n" for key, value in definitions.items())
        whole = head + _PRELUDE + text + _LAUNCH + held + call + setters
        digest = hashlib.sha256(whole.encode()).hexdigest()[:20]
        built = Path(tempfile.gettempdir()) / f"aris-emulated-{digest}.so"
        if not built.exists():
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "kernel.cpp").write_text(whole)
                made = Path(folder) / "kernel.so"
                command = [str(compiler()), "-std=c++17", "-O1", "-w", "-fno-strict-aliasing", "-shared", "-fPIC"]
                command += [f"{folder}/kernel.cpp", "-o", str(made)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr[:3000]
                shutil.copy(made, built)
        self._library = ctypes.CDLL(str(built))
        self._types = types
        self._cluster = 8 if "__cluster_dims__(8" in (_FOLDER / source).read_text() else 1

    def launch(
        self, grid: tuple[int, int, int], threads: int, shared: int, arguments: tuple[object, ...], *, pdl: bool
    ) -> None:
        for i, (kind, value) in enumerate(zip(self._types, arguments, strict=True)):
            if isinstance(value, bytes):
                given: object = value
            elif isinstance(value, torch.Tensor):
                given = ctypes.c_void_p(value.data_ptr())
            elif value is None:
                given = ctypes.c_void_p(0)
            else:
                given = ctypes.c_float(value) if kind == "float" else ctypes.c_int(value)  # type: ignore[arg-type]
            getattr(self._library, f"set_{i}")(given)
        self._library.launch(grid[0], grid[1], threads, shared, self._cluster)


def kernel(source: str, name: str, device: int, **definitions: int) -> EmulatedKernel:
    return EmulatedKernel(source, **definitions)


def tensor_map(matrix: torch.Tensor, box: tuple[int, int], *, swizzled: bool) -> bytes:
    """What `TensorMap` of emulated_hopper.h holds, in place of the driver's."""
    pitch = matrix.stride(0) * matrix.element_size()
    assert matrix.stride(1) == 1 and pitch % 16 == 0 and matrix.data_ptr() % 16 == 0 and box[1] % 8 == 0
    return struct.pack("QQiiiii4x", matrix.data_ptr(), pitch, *matrix.shape, *box, swizzled)
