"""PEFT LoRA adapters, read onto our modules and written from them.

The format: `adapter_config.json` and `adapter_model.safetensors`, whose keys are
`base_model.model.<module>.lora_A.weight` (r, in) and `.lora_B.weight` (out, r); of DoRA also
`.lora_magnitude_vector` (out,). Modules that were trained whole (`modules_to_save`), adapters of the embedding and
rows of it (`trainable_token_indices`) are in `tables`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from aris.checkpoints.names import is_dropped, our_name
from aris.checkpoints.peft import tables
from aris.checkpoints.peft.tables import TABLES
from aris.checkpoints.writing import write_whole
from aris.errors import CheckpointError
from aris.model import AdapterBank, LoRALinear, LoRAQuantized, LowRank, MedGemma, QuantizedLinear

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
# Beside an adapter's folder: what else `aris tune` has trained with it (projector, tower), by our names.
TRAINED = "trained.safetensors"
_PREFIX = "base_model.model."
_MATRIX = re.compile(
    re.escape(_PREFIX) + r"(.+)\.lora_(A|B|embedding_A|embedding_B|magnitude_vector)(?:\.default)?(?:\.weight)?"
)
# Settings that change the arithmetic in ways that we do not do: refused unless they are off.
_UNSUPPORTED = (
    "use_qalora",
    "use_bdlora",
    "layer_replication",
    "lora_bias",
    "fan_in_fan_out",
    "target_parameters",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
)
# Ways to start an adapter that leave the base layers as they were; the others (PiSSA, OLoRA, ...) move a part of them
# into the adapter, which then belongs to a base that nobody has.
_PLAIN_STARTS = (True, False, None, "true", "false", "gaussian", "orthogonal", "eva", "mica")


@dataclass(frozen=True)
class AdapterReport:
    """Counts of an adapter's parts (pairs of matrices, whole modules, rows) that were loaded.

    Always all of them, or loading fails.
    """

    applied: int
    total: int


@dataclass(frozen=True)
class LoRAMatrices:
    """Matrices of one layer's adapter as the file has it: A (r, in), B (out, r), and the scale of `LoRALinear`.

    `magnitude` (out,) is DoRA's: the length that each row of the adapted weight has (arXiv 2402.09353).
    """

    r: int
    alpha: float
    rslora: bool
    low: Tensor
    high: Tensor
    magnitude: Tensor | None = None

    @property
    def scale(self) -> float:
        """The factor of B A."""
        return self.alpha / (self.r**0.5 if self.rslora else self.r)

    def merged(self, weight: Tensor) -> Tensor:
        """The weight (out, in) with the adapter folded in: the arithmetic of `LoRALinear.merged`."""
        # DoRA's lengths are of the adapter as it was trained; without, the sum is rounded as the layer's is.
        dtype = weight.dtype if self.magnitude is None else torch.float32
        low, high = self.low.to(weight.device, dtype), self.high.to(weight.device, dtype)
        whole = weight.float() + self.scale * (high.float() @ low.float())
        if self.magnitude is not None:
            whole *= (self.magnitude.to(weight.device).float() / whole.norm(dim=1))[:, None]
        return whole.to(weight.dtype)


@dataclass(frozen=True)
class AdapterParts:
    """All that an adapter changes.

    Attributes:
        matrices: low-rank changes by our names of linear layers, of the embedding and of the head.
        saved: values of modules that were trained whole beside their frozen originals, by our parameters' names.
        base: values of the embedding or head themselves, where the file repeats them.
        rows: new rows of the embedding, and their ids.
    """

    matrices: dict[str, LoRAMatrices]
    saved: dict[str, Tensor]
    base: dict[str, Tensor]
    rows: tuple[list[int], Tensor] | None = None


def read_adapter(model: MedGemma, folder: Path, *, alone: bool = True) -> dict[str, LoRAMatrices]:
    """A PEFT LoRA adapter's matrices by the names of a model's layers; the model, which may be on meta, stays as it is.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.
        alone: nothing else is put on the model; false where the caller sees to what was trained beside the adapter.

    Raises:
        CheckpointError: as `read_parts`, or the adapter changes more than linear layers.
    """
    parts = read_parts(model, folder, alone=alone)
    more = [*parts.saved, *parts.base, *(name for name in parts.matrices if name in TABLES)]
    if parts.rows is not None:
        more.append("rows of the embedding")
    if more:
        raise CheckpointError(
            f"{folder}: beside low-rank matrices it holds {more[0]}, trained whole, and cannot take turns with other "
            "adapters; put it on the model alone, or merge it"
        )
    return parts.matrices


def read_parts(model: MedGemma, folder: Path, *, alone: bool = True) -> AdapterParts:
    """All that a PEFT LoRA adapter holds, by the names of a model's parts; the model stays as it is.

    Args:
        folder, alone: as for `read_adapter`.

    Raises:
        CheckpointError: files are missing or damaged, a key matches no part of the model, half of a pair is missing, a
            shape does not fit, the adapter is of a kind that is not supported, or it is no whole without what lies
            beside it.
    """
    if alone:
        require_whole(folder)
    config = _config(folder)
    pairs: dict[str, dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for key, tensor in _weights(folder).items():
        if is_dropped(key.removeprefix(_PREFIX)):
            continue  # "all-linear" takes in SigLIP's pooling head, which nothing reads
        if not tensor.isfinite().all():
            raise CheckpointError(f"{folder}: {key!r:.120} holds values that are no numbers; its training failed")
        match = _MATRIX.fullmatch(key)
        if match is None:
            others[key] = tensor
        else:
            part = "magnitude" if match[2] == "magnitude_vector" else match[2][-1]
            value = tensor.T if match[2].startswith("embedding") else tensor
            # An embedding looks rows up where a layer multiplies: its A and B are the other way round.
            part = {"A": "B", "B": "A"}[part] if match[2].startswith("embedding") else part
            if part in pairs.setdefault(match[1], {}):
                raise CheckpointError(f"{folder}: {match[1]} has lora_{part} twice; export it again")
            pairs[match[1]][part] = value
    if not pairs and not others:
        raise CheckpointError(f"{folder}: the adapter holds no matrices; export it again")
    saved, base, rows = tables.sort_out(model, folder, config, others)
    layers = dict(model.named_modules())
    plan: dict[str, LoRAMatrices] = {}
    for module, pair in pairs.items():
        name = our_name(f"{module}.weight").removesuffix(".weight")
        layer = layers.get(name)
        if isinstance(layer, LoRALinear | LoRAQuantized):
            raise CheckpointError(f"{folder}: {name} has an adapter already; merge it first")
        if name in TABLES:
            text = model.config.text
            wanted = (text.hidden_size, text.vocab_size)
        elif isinstance(layer, nn.Linear | QuantizedLinear):
            wanted = (layer.in_features, layer.out_features)
        else:
            raise CheckpointError(
                f"{folder}: {module} matches no linear layer here ({len(plan)} of {len(pairs)} before it did); "
                "use the base model that the adapter was trained on"
            )
        if name in plan:
            raise CheckpointError(f"{folder}: {name} has two adapters in this file; export it again")
        if not pair.keys() >= {"A", "B"}:
            raise CheckpointError(f"{folder}: {module} lacks lora_{'B' if 'A' in pair else 'A'}; export it again")
        magnitude = pair.get("magnitude")
        if (magnitude is not None) != bool(config.get("use_dora")) or (magnitude is not None and name in TABLES):
            raise CheckpointError(f"{folder}: {module} and use_dora do not go together; export it again")
        r, alpha = _rank_and_alpha(folder, config, module)
        if pair["A"].shape != (r, wanted[0]) or pair["B"].shape != (wanted[1], r):
            raise CheckpointError(
                f"{folder}: {module} has shapes {tuple(pair['A'].shape)} and {tuple(pair['B'].shape)}, "
                f"the layer needs {(r, wanted[0])} and {(wanted[1], r)}; use the base model it was trained on"
            )
        if magnitude is not None and magnitude.shape != wanted[1:]:
            raise CheckpointError(f"{folder}: {module} has {tuple(magnitude.shape)} lengths of rows; export it again")
        plan[name] = LoRAMatrices(r, alpha, bool(config.get("use_rslora")), pair["A"], pair["B"], magnitude)
    return AdapterParts(plan, saved, base, rows)


def require_whole(folder: Path) -> None:
    """Raise `CheckpointError` if a run has trained more than the adapter in `folder`: alone it is another model."""
    beside = folder.absolute().parent / TRAINED
    if beside.is_file():
        raise CheckpointError(
            f"{folder}: {beside} was trained with it, and answers would be wrong without; fold both into the base "
            "(aris tune merge RUN), or tune with projector: false and tower_learning_rate: 0"
        )


def load_adapter(model: MedGemma, folder: Path, *, alone: bool = True) -> AdapterReport:
    """Put a PEFT LoRA adapter on a model's linear layers, quantised ones included, and its other parts in their places.

    Matrices of linear layers are not merged, unless they are DoRA's. A new embedding or head takes the old one's place,
    and where the two then differ the head is no longer tied.

    Args:
        folder: holds `adapter_config.json` and `adapter_model.safetensors`.
        alone: as for `read_adapter`.

    Raises:
        CheckpointError: as `read_adapter`; the model is then as it was.
    """
    parts = read_parts(model, folder, alone=alone)
    plan = parts.matrices
    for name, matrices in plan.items():
        if matrices.magnitude is not None and isinstance(model.get_submodule(name), QuantizedLinear):
            raise CheckpointError(f"{folder}: DoRA needs dense weights and {name} is quantised; merge it into its base")
    low_rank = {name: plan[name].merged for name in TABLES & plan.keys()}
    tables.put(model, parts.saved, parts.base, parts.rows, low_rank)
    for name, matrices in plan.items():
        if name in TABLES:
            continue
        layer = model.get_submodule(name)
        adapted: LoRALinear | LoRAQuantized
        if isinstance(layer, QuantizedLinear):
            adapted = LoRAQuantized(layer, matrices.r, matrices.alpha, rslora=matrices.rslora, dtype=model.dtype)
        else:
            assert isinstance(layer, nn.Linear)
            if matrices.magnitude is not None:  # its lengths need the whole weight, so it is folded in
                layer.weight = nn.Parameter(matrices.merged(layer.weight.detach()), requires_grad=False)
                continue
            adapted = LoRALinear(layer, matrices.r, matrices.alpha, rslora=matrices.rslora)
        for value, linear in ((matrices.low, adapted.lora_A), (matrices.high, adapted.lora_B)):
            weight = value.to(linear.weight.device, linear.weight.dtype)
            linear.weight = nn.Parameter(weight, requires_grad=False)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, adapted)
    count = len(plan) + len(parts.saved) + len(parts.base) + (parts.rows is not None)
    return AdapterReport(count, count)


def read_adapters(model: MedGemma, folders: Mapping[str, Path]) -> AdapterBank:
    """Named PEFT LoRA adapters beside a model, which stays as it is (see `model.AdapterBank`).

    Args:
        folders: of each adapter by its name.

    Raises:
        CheckpointError: as `read_adapter`.
        ModelError: an adapter's name or layers cannot be (the vision tower's).
    """
    bank = AdapterBank()
    for name, folder in folders.items():
        device, dtype = model.device, model.dtype
        matrices = read_adapter(model, folder)
        if any(each.magnitude is not None for each in matrices.values()):
            raise CheckpointError(f"{folder}: a DoRA adapter cannot take turns; put it on the model alone, or merge it")
        bank.add(name, {
            layer: LowRank(each.low.to(device, dtype), each.high.to(device, dtype), each.scale)
            for layer, each in matrices.items()
        })  # fmt: skip
    return bank


def save_adapter(model: MedGemma, folder: Path, *, dtype: torch.dtype | None = None, base: str = "") -> int:
    """Write a model's adapters as PEFT does; return how many layers have one.

    Args:
        dtype: of the file; the matrices' own by default.
        base: name of the base model, kept in the configuration.

    Raises:
        CheckpointError: the model has no adapter, or adapters of different ranks or scales.
        OSError: the files cannot be written; those that were there stay.
    """
    adapted = {name: layer for name, layer in model.named_modules() if isinstance(layer, LoRALinear | LoRAQuantized)}
    shapes = {(layer.r, layer.scale) for layer in adapted.values()}
    if len(shapes) != 1:
        raise CheckpointError(f"{folder}: cannot save adapters of {len(shapes)} different ranks or scales as one")
    ((r, scale),) = shapes
    tensors = {}
    for name, layer in adapted.items():
        for part in ("A", "B"):
            weight = getattr(layer, f"lora_{part}").weight.detach()
            key = f"{_PREFIX}{_their_name(name, model)}.lora_{part}.weight"
            tensors[key] = weight.to(dtype or weight.dtype).contiguous().cpu()
        magnitude = getattr(layer, "lora_magnitude_vector", None)
        if magnitude is not None:
            key = f"{_PREFIX}{_their_name(name, model)}.lora_magnitude_vector"
            tensors[key] = magnitude.detach().to(dtype or magnitude.dtype).contiguous().cpu()
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": r,
        "lora_alpha": scale * r,
        "lora_dropout": 0.0,
        "bias": "none",
        "use_rslora": False,
        "use_dora": any(key.endswith(".lora_magnitude_vector") for key in tensors),
        # Whole names: a bare "q_proj" would match the vision tower's too.
        "target_modules": sorted(_their_name(name, model) for name in adapted),
        "inference_mode": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    data, settings = save(tensors, {"format": "pt"}), (json.dumps(config, indent=2) + "\n").encode()
    write_whole(folder / WEIGHTS, lambda file: file.write(data))
    write_whole(folder / CONFIG, lambda file: file.write(settings))
    return len(adapted)


def _their_name(name: str, model: MedGemma) -> str:
    """Our module's name in transformers' model: text alone, or with a tower."""
    return f"model.{name}" if model.config.vision is not None else name.replace("language_model.", "model.", 1)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; give the folder of a PEFT adapter") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise CheckpointError(f"{path}: not readable as JSON; export the adapter again") from None
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise CheckpointError(f"{path}: not a LoRA adapter; only LoRA is supported")
    for setting in _UNSUPPORTED:
        if config.get(setting):
            raise CheckpointError(f"{path}: {setting} is set, which is not supported; train without it")
    if config.get("bias", "none") != "none":
        raise CheckpointError(f"{path}: trained biases are not supported; train with bias 'none'")
    start = config.get("init_lora_weights")
    if start not in _PLAIN_STARTS:
        raise CheckpointError(
            f"{path}: initialised by {start!r:.40}, which changes the base weights; convert it to a plain LoRA "
            "(path_initial_model_for_weight_conversion of PEFT's save_pretrained)"
        )
    return config


def adapter_digest(folder: Path) -> str:
    """Identify a folder's adapter by its weights and settings: 12 hexadecimal digits.

    Raises:
        CheckpointError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        for name in (CONFIG, WEIGHTS):
            digest.update((folder / name).read_bytes())
    except OSError as error:
        raise CheckpointError(f"{folder}: cannot be read ({error.strerror}); export the adapter again") from None
    return digest.hexdigest()[:12]


def _weights(folder: Path) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        return load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: missing; only safetensors adapters are read") from None
    except (SafetensorError, OSError, ValueError):
        raise CheckpointError(f"{path}: damaged; export or download the adapter again") from None


def _pattern(patterns: dict[str, Any] | None, module: str) -> Any:
    """A value of `rank_pattern` or `alpha_pattern` for a module: keys match the end of its name, as in PEFT."""
    for key, value in (patterns or {}).items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return None


def _rank_and_alpha(folder: Path, config: dict[str, Any], module: str) -> tuple[int, float]:
    try:
        rank = int(_pattern(config.get("rank_pattern"), module) or config.get("r", 8))
        alpha = float(_pattern(config.get("alpha_pattern"), module) or config.get("lora_alpha", 8))
    except (AttributeError, OverflowError, TypeError, ValueError, re.error):
        raise CheckpointError(f"{folder / CONFIG}: its rank or alpha is no number; export the adapter again") from None
    if rank < 1:
        raise CheckpointError(f"{folder / CONFIG}: rank {rank} cannot be; export the adapter again")
    return rank, alpha
