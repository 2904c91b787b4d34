"""`aris bench`: how fast a model runs here, and how close that is to the limit."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from aris.cli.options import shared as o
from aris.cli.outcome import interruptible
from aris.cli.session import Session
from aris.cli.terminal import working, write, write_json


def bench(
    model: o.ModelOption = "aris-nano",
    mmproj: o.MmprojOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
    prompt_tokens: Annotated[int, typer.Option(min=2, help="Tokens of the prompt that is read.")] = 512,
    new_tokens: Annotated[int, typer.Option(min=4, help="Tokens of each answer.")] = 64,
    streams: Annotated[int, typer.Option(min=1, help="Answers side by side.")] = 8,
    adapter: o.AdapterOption = None,
    quantize: o.QuantizeOption = None,
    dtype: o.DtypeOption = "auto",
    device: o.DeviceOption = "auto",
) -> None:
    """Measure decoding, prompts, images and memory on this machine, with the bandwidth that bounds decoding.

    Close other programs first; figures of a busy machine say little.
    """
    session = Session(
        model, dtype=dtype, device=device, adapter=adapter, quantize=quantize, mmproj=mmproj, here=True
    )
    with interruptible("nothing was measured", text=False):
        backend = session.backend
        with working("measuring"):
            from aris.backends.native import NativeBackend
            from aris.engine.bench import measure
            from aris.kernels.cpu.library import why_not

            assert isinstance(backend, NativeBackend)
            figures = measure(backend.engine, prompt_tokens=prompt_tokens, new_tokens=new_tokens, streams=streams)
    if json:
        write_json({"model": session.name, **asdict(figures)})
        return
    where = figures.device if figures.threads is None else f"{figures.device}, {figures.threads} threads"
    rows = [
        ("model", f"{session.name}, {figures.dtype}, {figures.runner}"),
        ("device", where),
        ("bandwidth", f"{figures.bandwidth / 1e9:,.1f} GB/s (a copy, read and written)"),
        ("weights", f"{figures.weight_bytes / 1e6:,.0f} MB read for each token"),
        (
            "decode",
            f"{figures.decode_rate:,.1f} tokens/s after {figures.context} tokens: {figures.decode_share:.0%} of the "
            f"bandwidth, whose limit is {figures.bandwidth / figures.step_bytes:,.0f}",
        ),
        (f"{figures.streams} streams", f"{figures.streams_rate:,.1f} tokens/s together"),
        (
            "prompt",
            f"{figures.prefill_rate:,.0f} tokens/s: {figures.first_token_s * 1e3:,.0f} ms to the first token of "
            f"{figures.prompt_tokens}",
        ),
    ]
    if figures.image_s is not None and figures.image_first_token_s is not None:
        rows.append(
            (
                "image",
                f"{figures.image_s * 1e3:,.0f} ms to encode; {figures.image_first_token_s * 1e3:,.0f} ms from an image "
                "and a short question to the first token",
            )
        )
    rows.append(("memory", f"{figures.memory_bytes / 1e6:,.0f} MB"))
    if backend.engine.model.device.type == "cpu" and why_not():
        rows.append(("slow path", f"{why_not()}; the compiled kernels would be faster"))
    for name, text in rows:
        write(f"{name:<11}{text}\n")
