"""The network: what MedGemma is. Tensors only; no files, no text."""

from aris.model.adapters import LoRALinear, attach_lora, merge_lora
from aris.model.cache import HybridCache
from aris.model.config import MedGemmaConfig, TextConfig, VisionConfig, require_supported_dtype
from aris.model.medgemma import MedGemma

__all__ = [
    "HybridCache",
    "LoRALinear",
    "MedGemma",
    "MedGemmaConfig",
    "TextConfig",
    "VisionConfig",
    "attach_lora",
    "merge_lora",
    "require_supported_dtype",
]
