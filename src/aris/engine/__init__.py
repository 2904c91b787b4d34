"""The engine: takes token ids and image embeddings, yields token ids. Knows no text and no clinic."""

from aris.engine.engine import Engine, Prefix, Step
from aris.engine.sampling import SamplingParams

__all__ = ["Engine", "Prefix", "SamplingParams", "Step"]
