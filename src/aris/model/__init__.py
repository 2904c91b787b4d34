"""The network: what MedGemma is. Tensors only; no files, no text."""

from aris.model.adapter_bank import AdapterBank, LowRank
from aris.model.adapters import LoRALinear, LoRAQuantized, attach_lora, merge_lora
from aris.model.cache import HybridCache
from aris.model.config import MedGemmaConfig, TextConfig, VisionConfig, require_supported_dtype
from aris.model.medgemma import MedGemma
from aris.model.quantized import Codes, QuantizedEmbedding, QuantizedLinear, quantize_matrix

__all__ = [
    "AdapterBank",
    "Codes",
    "HybridCache",
    "LoRALinear",
    "LoRAQuantized",
    "LowRank",
    "MedGemma",
    "MedGemmaConfig",
    "QuantizedEmbedding",
    "QuantizedLinear",
    "TextConfig",
    "VisionConfig",
    "attach_lora",
    "merge_lora",
    "quantize_matrix",
    "require_supported_dtype",
]
