"""Hugging Face folders: `config.json`, `tokenizer.json` and safetensors, single or in shards, mapped and not read.

Prequantised bitsandbytes checkpoints are dequantised on the way (see `bnb.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from aris.checkpoints.configs import read_config
from aris.checkpoints.entries import Entry
from aris.checkpoints.names import EMBEDDING, HEAD, is_dropped, is_head, our_name
from aris.checkpoints.quantized import bnb, packed
from aris.checkpoints.registry import TUNED_FROM
from aris.checkpoints.safetensors_file import SafetensorsFile
from aris.errors import CheckpointError


class HFFolder:
    """A folder as transformers saves it.

    Attributes:
        config: the model's shape.
        processor: how images are prepared: `image_processor` of `processor_config.json` (transformers 5), else the
            contents of `preprocessor_config.json`; empty if neither is there.
        tokenizer_path: where `tokenizer.json` is or should be.
        quantization: `quantization_config` of `config.json`, empty if there is none.
        tuned_from: the named model that a tuned one says it was made of; None if it says none.

    Raises:
        CheckpointError: files are missing or damaged, the weights are pickles, or the model is of another family.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        raw = self._json("config.json", required=True)
        # Fine-tunes may stop on tokens that only the second file names.
        stops = [*_ids(self._json("generation_config.json")), *_ids(raw)]
        if not stops and isinstance(raw.get("text_config"), dict):
            stops = _ids(raw["text_config"])
        raw["eos_token_id"] = list(dict.fromkeys(stops)) or None
        self.config = read_config(raw, str(path))
        quantization = raw.get("quantization_config")
        _require_readable(quantization, path)
        self.quantization: dict[str, Any] = quantization if isinstance(quantization, dict) else {}
        self.tuned_from: object = raw.get(TUNED_FROM)
        self._packed = self.quantization.get("quant_method") == packed.METHOD
        self.processor = self._processor()
        self.tokenizer_path = path / "tokenizer.json"
        self._files = self._open()
        self._tied = self._is_tied()
        if not self._tied:
            text = replace(self.config.text, tie_word_embeddings=False)
            self.config = replace(self.config, text=text)
        elif not self.config.text.tie_word_embeddings:
            if not any(is_head(name) for name in self._files):
                raise CheckpointError(
                    f"{path}: its head is not the embedding (tie_word_embeddings is false) and lm_head.weight is "
                    "missing; get it again"
                )
            self.config = replace(self.config, text=replace(self.config.text, tie_word_embeddings=True))

    def _processor(self) -> dict[str, Any]:
        whole = self._json("processor_config.json")
        inner = whole.get("image_processor")
        if not isinstance(inner, dict):
            inner = self._json("preprocessor_config.json")
        for name, part in (("processor_config.json", whole), ("its image processor", inner)):
            tokens = part.get("image_seq_length")
            if tokens is not None and self.config.vision is not None and tokens != self.config.mm_tokens_per_image:
                raise CheckpointError(
                    f"{self.path}: {name} gives {tokens!r:.20} tokens an image, config.json "
                    f"{self.config.mm_tokens_per_image}; use the checkpoint's own files"
                )
        return inner

    def _json(self, name: str, *, required: bool = False) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            if required:
                raise CheckpointError(f"{self.path}: no {name}; give a folder in Hugging Face layout, or a .gguf file")
            return {}
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
            raise CheckpointError(f"{path}: not readable as JSON; the file is damaged, get it again") from None
        if not isinstance(value, dict):
            raise CheckpointError(f"{path}: not a JSON object; the file is damaged, get it again")
        return value

    def _open(self) -> dict[str, SafetensorsFile]:
        """Map each tensor to the file that holds it."""
        index = self.path / "model.safetensors.index.json"
        if index.is_file():
            wanted = self._json(index.name).get("weight_map")
            if not isinstance(wanted, dict) or not wanted:
                raise CheckpointError(f"{index}: no weight_map; the file is damaged, get it again")
            files: dict[str, SafetensorsFile] = {}
            for name, file in wanted.items():
                if not isinstance(file, str) or Path(file).name != file:
                    raise CheckpointError(f"{index}: {file!r:.60} is not the name of a file beside it; get it again")
                if file not in files:
                    files[file] = SafetensorsFile(self.path / file)
                if name not in files[file]:
                    raise CheckpointError(f"{self.path / file}: lacks {name!r:.100}, which the index promises")
            return {name: files[file] for name, file in wanted.items()}
        single = self.path / "model.safetensors"
        if not single.is_file():
            if any(self.path.glob("*.bin")) or any(self.path.glob("*.pt*")):
                raise CheckpointError(
                    f"{self.path}: the weights are pickles, which can run code when read; convert them to safetensors"
                )
            raise CheckpointError(f"{self.path}: no model.safetensors; the checkpoint is incomplete, get it again")
        file = SafetensorsFile(single)
        return dict.fromkeys(file, file)

    def entries(self) -> Iterator[Entry]:
        """Every parameter of the model under our name, dequantised where the file is quantised.

        Raises:
            CheckpointError: a quantised tensor's statistics are missing or of another kind.
        """
        for name, file in self._files.items():
            if is_dropped(name) or bnb.is_statistic(name):
                continue
            if self._packed:
                if packed.is_codes(name):
                    yield packed.entry(name, self._files)
                    continue
                if packed.is_statistic(name, self._files):
                    continue
            if self._tied and is_head(name):
                continue
            four_bit = bnb.find(name, self._files)
            ours, release = our_name(name), partial(file.release, name)
            if four_bit is None:
                yield Entry(ours, file.shape(name), file.reader(name), file.dtype(name), release=release)
            else:
                codes = four_bit.codes_reader()
                yield Entry(ours, four_bit.shape, four_bit.read, codes=codes, release=release)

    def _is_tied(self) -> bool:
        """Return whether there is no head, or only the embedding written out again."""
        heads = [name for name in self._files if our_name(name).startswith(HEAD.removesuffix("weight"))]
        if not heads:
            return True
        if not all(is_head(name) for name in heads):
            return False  # quantised: of our own folders, which write it only where it differs
        embeddings = [name for name in self._files if our_name(name) == EMBEDDING]
        return any(self._files[head].equals(head, self._files[name], name) for head in heads for name in embeddings)


def _ids(config: dict[str, Any]) -> list[Any]:
    """Token ids that end an answer, in a configuration's `eos_token_id`."""
    ids = config.get("eos_token_id")
    return [] if ids is None else ids if isinstance(ids, list) else [ids]


def _require_readable(quantization: Any, path: Path) -> None:
    """Refuse a way of quantising that we do not undo."""
    if quantization is None:
        return
    method = quantization.get("quant_method") if isinstance(quantization, dict) else quantization
    if method == packed.METHOD:
        return
    if method != "bitsandbytes":
        raise CheckpointError(f"{path}: quantised by {method!r:.40}, which is not supported; bitsandbytes is")
    if quantization.get("load_in_8bit") or quantization.get("_load_in_8bit"):
        raise CheckpointError(f"{path}: quantised to 8 bits by bitsandbytes; only its nf4 and fp4 are supported")
