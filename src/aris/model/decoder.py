"""The Gemma 3 text decoder (report, section 2): grouped-query attention with QK-norm, GeGLU, norms on both sides.

B sequences of T tokens, width W (hidden_size), H query heads sharing K key-value heads of D dimensions, feed-forward F.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor, nn

from aris.model.attention import Visible, attend
from aris.model.cache import Cache
from aris.model.config import LOCAL, TextConfig
from aris.model.embedding import embedding
from aris.model.norms import RMSNorm
from aris.model.quantized import CodedEmbedding
from aris.model.rope import rope_tables, rotate

Tables = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Self-attention of one layer, local or global."""

    rotate = staticmethod(rotate)  # training puts a fused one here

    def __init__(self, config: TextConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.is_local = config.layer_types[index] == LOCAL
        self.window = config.sliding_window if self.is_local else None
        self.head_dim = config.head_dim
        # Not always head_dim: 27B scales by 168 with heads of 128.
        self.scale = config.query_pre_attn_scalar**-0.5
        width, heads, kv_heads = config.hidden_size, config.num_attention_heads, config.num_key_value_heads
        self.q_proj = nn.Linear(width, heads * config.head_dim, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * config.head_dim, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * config.head_dim, bias=False)
        self.o_proj = nn.Linear(heads * config.head_dim, width, bias=False)
        self.q_norm = RMSNorm(config.head_dim, config.rms_norm_eps)
        self.k_norm = RMSNorm(config.head_dim, config.rms_norm_eps)

    def forward(
        self, x: Tensor, tables: Tables, visible: Visible, positions: Tensor, cache: Cache | None, real: list[int]
    ) -> Tensor:
        batch, tokens, _ = x.shape  # (B, T, W)
        query = self.q_norm(self.q_proj(x).view(batch, tokens, -1, self.head_dim)).transpose(1, 2)  # (B, H, T, D)
        key = self.k_norm(self.k_proj(x).view(batch, tokens, -1, self.head_dim)).transpose(1, 2)  # (B, K, T, D)
        value = self.v_proj(x).view(batch, tokens, -1, self.head_dim).transpose(1, 2)
        query, key = self.rotate(query, tables), self.rotate(key, tables)
        if cache is not None and cache.attends(tokens):
            out = cache.attend(self.index, query, key, value, self.scale, visible)
        else:
            key_positions = positions
            new_key, new_value = key, value
            if cache is not None:
                old_key, old_value, old_positions = cache.before(self.index)
                key = torch.cat((old_key, key), dim=2)
                value = torch.cat((old_value, value), dim=2)
                key_positions = torch.cat((old_positions, positions), dim=1)
            out = attend(
                query,
                key,
                value,
                scale=self.scale,
                first=visible.local_first if self.is_local else visible.first,
                last=visible.last,
                key_positions=key_positions,
                own=tokens,
                window=self.window,
                reach=visible.reach,
            )
            if cache is not None:
                cache.write(self.index, new_key, new_value, real)
        return self.o_proj(out.transpose(1, 2).reshape(batch, tokens, -1))


class MLP(nn.Module):
    """GeGLU: the gate's tanh-approximated GELU times the up projection, (B, T, W) -> (B, T, W)."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    @staticmethod
    def gated(gate: Tensor, up: Tensor) -> Tensor:
        """Training puts a fused one here."""
        return F.gelu(gate, approximate="tanh") * up

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.gated(self.gate_proj(x), self.up_proj(x)))
        return out


class DecoderLayer(nn.Module):
    """Decoder layer. Gemma 3 normalises the input and the output of attention and of the feed-forward."""

    def __init__(self, config: TextConfig, index: int) -> None:
        super().__init__()
        self.self_attn = Attention(config, index)
        self.mlp = MLP(config)
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.pre_feedforward_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.post_feedforward_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self, x: Tensor, tables: Tables, visible: Visible, positions: Tensor, cache: Cache | None, real: list[int]
    ) -> Tensor:
        attended = self.self_attn(self.input_layernorm(x), tables, visible, positions, cache, real)
        x = x + self.post_attention_layernorm(attended)
        return x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))


def keep_input(layer: nn.Module, x: Tensor, *rest: object) -> Tensor:
    """The layer's output; of what the backward pass needs, its input alone is kept, and the rest computed again."""
    out: Tensor = torch.utils.checkpoint.checkpoint(layer, x, *rest, use_reentrant=False, preserve_rng_state=False)
    return out


class Decoder(nn.Module):
    """Embedding, layers, final norm. The head is the embedding again (tied), or one of its own after some fine-tunes.

    Attributes:
        embed_tokens: (vocab_size, W); a QuantizedEmbedding may stand in its place.
        lm_head: likewise, where the head is not tied; None where it is.
    """

    keep_input = staticmethod(keep_input)  # training may put one here that keeps it elsewhere

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        # Tied: the head scores with it too. a QuantizedEmbedding may stand in its place.
        self.embed_tokens: nn.Embedding | CodedEmbedding = embedding(config.vocab_size, config.hidden_size)
        self.lm_head: nn.Embedding | CodedEmbedding | None = None
        if not config.tie_word_embeddings:
            self.lm_head = embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.gradient_checkpointing = False

    @property
    def head(self) -> nn.Embedding | CodedEmbedding:
        """The matrix (vocab_size, W) that scores words: the embedding, unless the model has a head of its own."""
        return self.embed_tokens if self.lm_head is None else self.lm_head

    def embed(self, token_ids: Tensor) -> Tensor:
        """(B, T) int64 -> (B, T, W), times sqrt(W); the factor is rounded to the weights' dtype first."""
        dtype = self.norm.weight.dtype
        factor = torch.tensor(self.config.hidden_size**0.5, dtype=dtype, device="cpu").item()
        if isinstance(self.embed_tokens, nn.Embedding):
            return F.embedding(token_ids, self.embed_tokens.weight) * factor
        return self.embed_tokens.lookup(token_ids, dtype) * factor

    def forward(
        self, x: Tensor, visible: Visible, positions: Tensor, cache: Cache | None, real: list[int]
    ) -> Tensor:
        """Embeddings (B, T, W) at `positions` (B, T) to final hidden states (B, T, W), filling `cache` if given."""
        config = self.config
        local = rope_tables(positions, config.head_dim, config.rope_local_base_freq, 1.0, x.dtype)
        far = rope_tables(positions, config.head_dim, config.rope_theta, config.rope_factor, x.dtype)
        for layer, kind in zip(self.layers, config.layer_types, strict=True):
            tables = local if kind == LOCAL else far
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = self.keep_input(layer, x, tables, visible, positions, cache, real)
            else:
                x = layer(x, tables, visible, positions, cache, real)
        if cache is not None:
            cache.advance(real)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states (..., W) to scores (..., vocab_size), in the weights' dtype."""
        head = self.head
        if isinstance(head, nn.Embedding):
            return F.linear(hidden, head.weight)
        return head.logits(hidden)
