"""`aris.load`: from a model's name to a backend that runs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from aris.backends import kept_models
from aris.backends.memory import give_back_freed, memory_errors
from aris.backends.native import NativeBackend
from aris.checkpoints.checkpoint import load_model, open_checkpoint, require_gguf
from aris.checkpoints.entries import TokenizerSource
from aris.checkpoints.peft.adapters import adapter_digest, load_adapter, read_adapters
from aris.engine import EngineLimits
from aris.engine.draft_model import DraftModel
from aris.errors import CheckpointError, ModelError
from aris.kernels.cpu.library import library as cpu_kernels
from aris.model import MedGemmaConfig, require_supported_dtype
from aris.prompting import ImageProcessor, Tokenizer

DEFAULT_MODEL = "aris-nano"
_DTYPES = {
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float32": torch.float32,
    "fp32": torch.float32,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def load(
    name: str | Path = DEFAULT_MODEL,
    *,
    dtype: str | torch.dtype = "auto",
    device: str | torch.device = "auto",
    adapter: str | Path | None = None,
    adapters: Mapping[str, str | Path] | None = None,
    revision: str | None = None,
    limits: EngineLimits | None = None,
    speculation: str | Path | None = None,
    quantize: str | None = None,
    mmproj: str | Path | None = None,
) -> NativeBackend:
    """Load a model and make it ready to run.

    Args:
        name: "aris-nano" (the default, embedded), a name of the registry, a hub id, a folder in Hugging Face layout,
            or a `.gguf` file.
        dtype: "bfloat16", "float32", or "auto": bfloat16 on a GPU that computes in it and on a CPU with AVX512-BF16
            or AMX, else float32. float16 is refused: Gemma 3 overflows it.
        device: "cpu", "cuda", "cuda:1", ..., or "auto": CUDA if there is any, else the CPU.
        adapter: folder of a PEFT LoRA adapter to put on the model.
        adapters: folders of PEFT LoRA adapters by names of your choice, loaded beside the model, which stays as it is.
            Each request asks for one of them, or for none (`GenerationOptions.adapter`, `NativeBackend.with_adapter`).
            Adapters of the vision tower cannot take turns. Not together with `adapter`.
        revision: of a hub id; by default the registry's.
        quantize: "int8" or "int4" stores the decoder's weights in so many bits, the head in 8, as they are read: there
            is no dense copy at any time. A checkpoint that is quantised already (`aris models quantize`, bitsandbytes'
            NF4) stays as it is, unless this is "none", which makes it dense. int4 pays on CUDA; a CPU has no product
            for it, so it saves memory there and costs time. Calibrated probabilities hold for the dense weights only.
        mmproj: of a `.gguf` file, the file of its vision tower; by default the one that lies beside it.
        limits: what the engine may take; by default 64 answers at once, and half of the free memory for their cache.
        speculation: "prompt" drafts how an answer goes on where it or its prompt repeats itself, as far as that pays;
            "off" drafts nothing; any other name is that of a small model of the same vocabulary, which drafts. None
            does as `limits` says. Greedy answers stay the same where arithmetic does not depend on the rows of a
            step (on a CPU); sampled ones keep their distribution.

    Raises:
        CheckpointError: the model or an adapter is missing, gated, damaged, or of another family.
        ModelError: the dtype or the device cannot be used, an adapter cannot take turns, or memory runs out.
    """
    started = time.perf_counter()
    location = resolve_device(device)
    kind = resolve_dtype(dtype, location)
    if quantize in ("int8", "int4") and dtype == "auto":
        kind = torch.bfloat16  # also where float32 would be faster: quantised weights go with nothing else
    folder = None if adapter is None else Path(adapter).expanduser()
    named = {name: Path(each).expanduser() for name, each in (adapters or {}).items()}
    if folder is not None and named:
        raise ModelError("adapters: give either one that is put on the model, or named ones that take turns")
    if speculation in ("prompt", "off"):
        limits = replace(limits or EngineLimits(), speculation=speculation == "prompt")
        speculation = None
    for each in (*named.values(), *(() if folder is None else (folder,))):
        if not each.is_dir():
            raise CheckpointError(f"{each}: no such folder; an adapter is a folder with adapter_config.json")
    if mmproj is not None:
        require_gguf(str(name))  # also of a model that the cache holds
    if quantize is not None:
        _check_quantize(quantize, kind)
    rounding = None if quantize == "none" else quantize
    # Where a CPU has kernels for it, quantised GGUF weights keep their codes; who names a dtype gets numbers of it.
    compiled = location.type == "cpu" and cpu_kernels() is not None
    blocks = quantize is None and dtype == "auto" and compiled
    settings = {"dtype": str(kind), "quantize": quantize, "blocks": blocks, "compiled": compiled}
    weights = location.type == "cpu" and folder is None and not named
    kept_as = kept_models.keys(str(name), revision=revision, settings=settings, weights=weights, mmproj=mmproj)
    kept = kept_models.find_model(kept_as.model)
    tokenizer = kept_models.find_tokenizer(kept_as.tokenizer)
    checkpoint = None
    if kept is None or tokenizer is None:
        checkpoint = open_checkpoint(str(name), revision=revision, mmproj=mmproj)
    bank = None
    changes = [] if rounding is None else [rounding]
    if kept is not None:
        model = kept.model
    else:
        assert checkpoint is not None
        with memory_errors(location):
            model = load_model(
                checkpoint, dtype=kind, device=location, quantize=rounding, packed=quantize is None, blocks=blocks
            )
            if folder is not None:
                load_adapter(model, folder)
                changes.append(f"adapter {adapter_digest(folder)}")
            bank = read_adapters(model, named) if named else None
    about = kept or checkpoint
    assert about is not None
    if about.tuned:
        changes.append("adapter merged")
    vision = model.config.vision
    processor = None
    if vision is not None:
        # A checkpoint without a processor file (GGUF) means Gemma 3's numbers at its own tower's size.
        processor = ImageProcessor.from_dict({"size": vision.image_size} | about.processor)
        if processor.size != vision.image_size:
            raise CheckpointError(
                f"{about.name}: preprocessor_config.json says {processor.size} pixels, the tower reads "
                f"{vision.image_size}; use the checkpoint's own files"
            )
    if tokenizer is None:
        assert checkpoint is not None
        tokenizer = tokenizer_of(checkpoint.tokenizer)
        kept_models.keep_tokenizer(kept_as.tokenizer, tokenizer, about.name)
    proposer = None if speculation is None else _draft_model(speculation, tokenizer, model.config, kind, location)
    with memory_errors(location):
        backend = NativeBackend(
            about.name,
            model,
            tokenizer,
            processor,
            spec=about.spec,
            # An adapter or quantised weights change the scores, so what was calibrated without it holds no more.
            calibration=about.calibration if folder is None and rounding is None else {},
            changes=" ".join(changes),
            load_s=time.perf_counter() - started,
            limits=limits,
            proposer=proposer,
            adapters=bank,
        )
    if checkpoint is not None and kept is None:
        kept_models.keep_model(kept_as.model, checkpoint, model)
    del checkpoint, kept, about  # with the vocabulary
    give_back_freed()
    return backend


def _draft_model(
    name: str | Path, tokenizer: Tokenizer, config: MedGemmaConfig, dtype: torch.dtype, device: torch.device
) -> DraftModel:
    """Load a small model that drafts for a large one."""
    small = load(name, dtype=dtype, device=device)
    if small.tokenizer.token_bytes() != tokenizer.token_bytes():
        raise ModelError(f"speculation: {small.name} has another vocabulary; a draft model must share the large one's")
    frames = (config.boi_token_index, config.eoi_token_index, config.image_token_index)
    return DraftModel(small.engine, config.text.vocab_size, image_tokens=frames)


def _check_quantize(quantize: str, dtype: torch.dtype) -> None:
    if quantize not in ("int8", "int4", "none"):
        raise ModelError(f"quantize {quantize!r:.20}: not known; use int8, int4 or none")
    if quantize != "none" and dtype != torch.bfloat16:
        raise ModelError(f"quantize: it goes with bfloat16, not {str(dtype).removeprefix('torch.')}; use bfloat16")


def tokenizer_of(source: TokenizerSource) -> Tokenizer:
    """The tokenizer that a checkpoint names.

    Raises:
        CheckpointError: it names none, or one that is damaged.
    """
    if source.path is not None:
        return Tokenizer.from_file(source.path)
    if source.vocabulary is not None:
        return Tokenizer.from_gguf(*source.vocabulary)
    raise CheckpointError("tokenizer: the checkpoint names none; it needs a tokenizer.json or a GGUF vocabulary")


def resolve_device(device: str | torch.device) -> torch.device:
    """The device meant, checked to be there.

    Raises:
        ModelError: no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        location = torch.device(device)
    except RuntimeError:
        raise ModelError(f"device {str(device)!r:.40}: not known; use auto, cpu, cuda or cuda:N") from None
    if location.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (location.index or 0) >= count:
            raise ModelError(f"device {location}: this machine has {count} CUDA devices that PyTorch can use; use cpu")
    elif location.type not in ("cpu", "mps"):
        raise ModelError(f"device {location}: not supported; use auto, cpu, cuda or cuda:N")
    return location


def resolve_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype:
    """The dtype meant; "auto" takes bfloat16 where the device computes in it.

    Raises:
        ModelError: not one that Gemma 3 runs in.
    """
    if isinstance(dtype, str) and dtype != "auto":
        if dtype not in _DTYPES:
            raise ModelError(f"dtype {dtype!r:.40}: not known; use auto, bfloat16 or float32")
        dtype = _DTYPES[dtype]
    if isinstance(dtype, str):
        if device.type == "cuda":
            fast = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            fast = device.type == "cpu" and _cpu_computes_bfloat16()
        return torch.bfloat16 if fast else torch.float32
    require_supported_dtype(dtype)
    return dtype


def _cpu_computes_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16 (AVX512-BF16 or AMX); without either, float32 is faster."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # private, so they may move
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)
