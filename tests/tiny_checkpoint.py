"""A tiny MedGemma with random weights and a tokenizer of a few hundred tokens, as a Hugging Face folder.

It takes the way of a real checkpoint from the files to the text, in milliseconds. What it writes is gibberish.
"""

from __future__ import annotations

import json
from pathlib import Path

import tokenizers
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig

WORDS = ("Yes", "No", "pneumonia", "lungs")
IMAGE_SIZE = 32


def tokenizer() -> tokenizers.Tokenizer:
    """Byte fallback, printable ASCII and a few words, with Gemma's control tokens at their own places where low."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    vocab: dict[str, int] = {}

    def add(token: str) -> None:
        vocab.setdefault(token, len(vocab))

    for token in special:
        add(token)
    for index in range(100):
        add(f"<unused{index}>")
    add("<start_of_turn>")
    add("<end_of_turn>")
    assert vocab["<start_of_turn>"] == 105 and vocab["<end_of_turn>"] == 106
    for count in (1, 2, 3):
        add("\n" * count)
    for value in range(256):
        add(f"<0x{value:02X}>")
    add("▁")
    for code in range(0x21, 0x7F):
        add(chr(code))
    merges = []
    for word in WORDS:
        made = word[0]
        for letter in word[1:]:
            pair = (made, letter)
            if pair not in merges:
                merges.append(pair)
            made += letter
            add(made)
    for token in ("<start_of_image>", "<end_of_image>", "<image_soft_token>"):
        add(token)
    inner = tokenizers.Tokenizer(
        models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    inner.normalizer = normalizers.Replace(" ", "▁")
    inner.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    named = [*special, "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>"]
    inner.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in named])
    plain = [token for token in vocab if token.startswith("<unused")] + ["\n\n\n", "\n\n", "\n"]
    inner.add_tokens([AddedToken(token, normalized=False, special=False) for token in plain])
    return inner


def config(vision: bool = True, max_position_embeddings: int = 4096, layers: int = 6) -> MedGemmaConfig:
    """Six layers, one of them global, windows of 32 tokens; 4 soft tokens an image."""
    inner = tokenizer()
    text = TextConfig(
        vocab_size=inner.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        query_pre_attn_scalar=16,
        sliding_window=32,
        layer_types=tuple("sliding_attention" if (i + 1) % 6 else "full_attention" for i in range(layers)),
        max_position_embeddings=max_position_embeddings,
    )
    tower = VisionConfig(16, 32, 1, 2, image_size=IMAGE_SIZE, patch_size=8) if vision else None

    def index(token: str) -> int:
        found = inner.token_to_id(token)
        assert found is not None
        return int(found)

    return MedGemmaConfig(
        text,
        tower,
        mm_tokens_per_image=4,
        boi_token_index=index("<start_of_image>"),
        eoi_token_index=index("<end_of_image>"),
        image_token_index=index("<image_soft_token>"),
    )


def network(
    vision: bool = True, seed: int = 3, max_position_embeddings: int = 4096, layers: int = 6
) -> MedGemma:
    """The network with random weights, in float32 and eval mode."""
    torch.manual_seed(seed)
    model = MedGemma(config(vision, max_position_embeddings, layers))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(std=0.05 if "norm" in name else 0.3)
    return model.eval()


def save(
    folder: Path, *, vision: bool = True, seed: int = 3, max_position_embeddings: int = 4096, layers: int = 6
) -> Path:
    """Write the checkpoint into `folder` and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = network(vision, seed, max_position_embeddings, layers)
    prefix = "language_model.model." if vision else "model."
    state = {
        name.replace("language_model.", prefix, 1) if name.startswith("language_model.") else name: value.contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()))
    tokenizer().save(str(folder / "tokenizer.json"))
    if vision:
        processor = {"size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE}, "do_resize": True}
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder
