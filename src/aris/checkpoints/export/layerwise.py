"""Calibrated rounding layer by layer: one layer's weights are in memory, and what the texts are on their way into it.

Each layer sees what the rounded layers before it put out, so later layers make up for earlier ones' errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from aris.checkpoints.names import EMBEDDING
from aris.errors import ModelError
from aris.model import Codes, MedGemmaConfig, QuantizedEmbedding, quantize_matrix
from aris.model.attention import visible_ranges
from aris.model.config import LOCAL
from aris.model.decoder import DecoderLayer
from aris.model.gptq import InputMoments, compensated
from aris.model.rope import rope_tables

# Matrices that share their input, by the one whose input is watched.
_SHARING = {
    "self_attn.q_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attn.o_proj": ("self_attn.o_proj",),
    "mlp.gate_proj": ("mlp.gate_proj", "mlp.up_proj"),
    "mlp.down_proj": ("mlp.down_proj",),
}
_TOKENS = 4096  # run through a layer at once


def calibrated_layers(
    config: MedGemmaConfig,
    read: Callable[[str], Tensor],
    rounding: Callable[[str], tuple[str, int | None] | None],
    sequences: Sequence[Sequence[int]],
    device: torch.device | str = "cpu",
) -> Iterator[tuple[str, Codes | Tensor]]:
    """The embedding and every layer's tensors by name: matrices as codes, norms (and a kept embedding) as they are.

    Args:
        read: gives a parameter by its name; called once for each.
        rounding: format and group size of a matrix.
        sequences: token ids, all of one length.

    Raises:
        ModelError: no sequences, unequal lengths, or ids beyond the vocabulary.
    """
    ids = _ids(config, sequences)
    text, location = config.text, torch.device(device)
    embedding, form = read(EMBEDDING), rounding(EMBEDDING)
    if form is None:
        hidden = embedding[ids]
        yield EMBEDDING, embedding
    else:
        codes = quantize_matrix(embedding, *form, location)
        hidden = QuantizedEmbedding.from_codes(codes).lookup(ids.to(location), torch.float32)
        yield EMBEDDING, codes
        del codes
    del embedding
    # Rounded as the model does it in bfloat16.
    factor = torch.tensor(text.hidden_size**0.5).bfloat16().float()
    hidden = (hidden.float() * factor).cpu()

    count, length = ids.shape
    batch = max(1, _TOKENS // length)  # sequences
    for index in range(text.num_hidden_layers):
        prefix = f"language_model.layers.{index}."
        with torch.device("meta"):
            layer = DecoderLayer(text, index)
        for name, _ in list(layer.named_parameters()):
            value = read(prefix + name)
            parent, _, leaf = name.rpartition(".")
            weight = nn.Parameter(value.to(location, torch.float32), requires_grad=False)
            setattr(layer.get_submodule(parent), leaf, weight)
            if value.dim() == 1:
                yield prefix + name, value
        base, stretch = (text.rope_local_base_freq, 1.0)
        if text.layer_types[index] != LOCAL:
            base, stretch = (text.rope_theta, text.rope_factor)

        @torch.no_grad()
        def run(
            watched: str | None, layer: DecoderLayer = layer, base: float = base, stretch: float = stretch
        ) -> InputMoments | None:
            """Run all sequences; gather a matrix's inputs, or put the outputs in the place of the inputs."""
            moments = None
            if watched is not None:
                module = layer.get_submodule(watched)
                assert isinstance(module, nn.Linear)
                moments = InputMoments(module.in_features, location)
                hook = module.register_forward_pre_hook(lambda _, args: moments.add(args[0]))
            for start in range(0, count, batch):
                x = hidden[start : start + batch].to(location)
                positions = torch.arange(length, device=location).expand(len(x), length)
                is_image = torch.zeros_like(positions, dtype=torch.bool)
                visible = visible_ranges(positions, is_image, text.sliding_window, 0)
                tables = rope_tables(positions, text.head_dim, base, stretch, torch.float32)
                out = layer(x, tables, visible, positions, None, [length] * len(x))
                if watched is None:
                    hidden[start : start + batch] = out.cpu()
            if watched is not None:
                hook.remove()
            return moments

        # One after the other: o_proj sees the attention of rounded q, k, v.
        for watched, names in _SHARING.items():
            moments = run(watched)
            assert moments is not None
            for name in names:
                module = layer.get_submodule(name)
                assert isinstance(module, nn.Linear)
                form = rounding(prefix + name + ".weight")
                assert form is not None
                rounded = compensated(module.weight, moments, *form)
                module.weight = nn.Parameter(rounded.dequantized(), requires_grad=False)
                yield prefix + name + ".weight", rounded
        run(None)


def _ids(config: MedGemmaConfig, sequences: Sequence[Sequence[int]]) -> Tensor:
    if not sequences or len({len(sequence) for sequence in sequences}) != 1 or not sequences[0]:
        raise ModelError("quantisation: calibration needs sequences of one length; give more or longer texts")
    ids = torch.tensor([list(sequence) for sequence in sequences])
    if int(ids.min()) < 0 or int(ids.max()) >= config.text.vocab_size:
        raise ModelError("quantisation: the calibration texts hold tokens that the model does not have")
    return ids
