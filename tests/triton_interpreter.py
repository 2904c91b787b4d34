"""Import this before anything that imports Triton: without a GPU its kernels then run in Triton's interpreter."""

from __future__ import annotations

import dataclasses
import os

import pytest
import torch

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu":
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is first imported; tests/conftest.py sets it too
pytest.importorskip("triton", reason="needs Triton, which is for Linux only")
from triton.language import core  # noqa: E402 - after the check above
from triton.runtime import interpreter  # noqa: E402

_patch = interpreter._patch_lang_tensor


def _patch_for_new_numpy(tensor: type, scope: object) -> None:
    """Triton 3.6's interpreter turns arrays of one element into loop bounds in a way that NumPy 2.4 refuses."""
    _patch(tensor, scope)
    scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())  # type: ignore[attr-defined]


interpreter._patch_lang_tensor = _patch_for_new_numpy


def _describe_shapes_once() -> None:
    """Let the interpreter, which makes a new type for each value, look what is always the same up instead.

    Nothing that it computes changes. Four fifths of its time went there.
    """
    plain = core.block_type.__init__
    blocks: dict[tuple[str, tuple[int, ...]], dict[str, object]] = {}

    def make_block(self: core.block_type, element_ty: core.dtype, shape: list[int]) -> None:
        key = element_ty.name, tuple(core._unwrap_if_constexpr(size) for size in shape)
        if key in blocks:
            self.__dict__.update(blocks[key])
        else:
            plain(self, element_ty, shape)
            blocks[key] = dict(self.__dict__)

    shapes: dict[tuple[int, ...], tuple[object, core.constexpr]] = {}

    def make_tensor(self: core.tensor, handle: object, type: core.dtype) -> None:
        self.handle, self.type, self.dtype = handle, type, type.scalar
        key = tuple(type.shape) if type.is_block() else ()
        if key not in shapes:
            numel = 1
            for size in key:
                numel *= size
            shapes[key] = core.tuple([core.constexpr(size) for size in key]), core.constexpr(numel)
        self.shape, self.numel = shapes[key]

    core.block_type.__init__ = make_block
    core.tensor.__init__ = make_tensor
    find = interpreter._get_np_dtype
    dtypes: dict[str, object] = {}

    def find_dtype(dtype: core.dtype) -> object:
        if dtype.name not in dtypes:
            dtypes[dtype.name] = find(dtype)
        return dtypes[dtype.name]

    interpreter._get_np_dtype = find_dtype
    # A function that a kernel calls patched the language again, which the kernel's start has patched: once is enough.
    patched: set[int] = set()

    def call(self: interpreter.InterpretedFunction, *args: object, **kwargs: object) -> object:
        if id(self.fn.__globals__) not in patched:
            patched.add(id(self.fn.__globals__))
            interpreter._patch_lang(self.fn)
        try:
            return self.rewrite()(*args, **kwargs)
        except Exception as error:
            raise interpreter.InterpreterError(repr(error)) from error

    interpreter.InterpretedFunction.__call__ = call
    # Sums of integers were made in 64 bits too and compared, and the finding dropped, as `debug` is off.
    builder = interpreter.interpreter_builder
    if not builder.options.debug:
        builder.options = dataclasses.replace(builder.options, sanitize_overflow=False)


if DEVICE == "cpu":
    _describe_shapes_once()
