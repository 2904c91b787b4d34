"""Full-size shapes with random weights in bf16 on a GPU: our logits against transformers', sharing one copy of weights.

    python benchmarks/parity_gpu.py [--size 4b|27b|tiny]

4b: an 896 x 896 image with text through tower, projector and decoder. 27b: text alone, to show that it loads and runs
on one 80 GB card. Prints, for every position, the cosine between the two logit vectors and whether the argmax is
equal where the margin between the two best tokens exceeds the noise, taken as the largest difference of any logit.
How far bf16 itself strays is shown twice: by transformers' own two attention paths against each other, and (4b only) by
transformers in float32 against either side.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
import transformers

from aris.engine import Engine, SamplingParams
from aris.model import MedGemma, MedGemmaConfig

ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 10_000.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
}
VISION_4B = {
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_hidden_layers": 27,
    "num_attention_heads": 16,
    "image_size": 896,
    "patch_size": 14,
}
SHAPES: dict[str, dict[str, Any]] = {
    "4b": {
        "text": {
            "vocab_size": 262_208, "hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 34,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "query_pre_attn_scalar": 256,
            "sliding_window": 1024, "rope_parameters": ROPE,
        },
        "vision": VISION_4B,
        "tokens_per_image": 256,
    },
    "27b": {
        "text": {
            "vocab_size": 262_208, "hidden_size": 5376, "intermediate_size": 21_504, "num_hidden_layers": 62,
            "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128, "query_pre_attn_scalar": 168,
            "sliding_window": 1024, "rope_parameters": ROPE,
        },
        "vision": None,
    },
    "tiny": {
        "text": {
            "vocab_size": 262_208, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 7,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "query_pre_attn_scalar": 16,
            "sliding_window": 64, "rope_parameters": ROPE,
        },
        "vision": VISION_4B | {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "image_size": 56},
        "tokens_per_image": 4,
    },
}  # fmt: skip


def build(shape: dict[str, Any], device: str) -> tuple[Any, MedGemma]:
    """transformers' model with random bf16 weights, and ours on the same tensors."""
    if shape["vision"]:
        config = transformers.Gemma3Config(
            text_config=shape["text"], vision_config=shape["vision"], mm_tokens_per_image=shape["tokens_per_image"]
        )
        kind = transformers.Gemma3ForConditionalGeneration
    else:
        config, kind = transformers.Gemma3TextConfig(**shape["text"]), transformers.Gemma3ForCausalLM
    config._attn_implementation = "sdpa"
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        torch.manual_seed(0)
        theirs = kind(config).eval()
    torch.set_default_dtype(torch.float32)
    theirs.tie_weights()
    with torch.no_grad():  # norms start at 0, which would hide a forgotten (1 + w)
        for name, parameter in theirs.named_parameters():
            if parameter.dim() == 1 and "layer_norm" not in name and "layernorm" not in name.split(".")[-2]:
                parameter.normal_(std=0.1)
            elif name.endswith("mm_input_projection_weight"):
                parameter.normal_(std=parameter.shape[0] ** -0.5)
    with torch.device("meta"):
        ours = MedGemma(MedGemmaConfig.from_dict(theirs.config.to_dict()))
    state = {}
    for name, tensor in theirs.state_dict().items():
        if name == "lm_head.weight" or ".vision_tower.head." in name or ".vision_model.head." in name:
            continue
        name = name.removeprefix("model.").replace("vision_tower.vision_model.", "vision_tower.")
        known = name.startswith(("language_model", "vision_tower", "multi_modal"))
        state[name if known else f"language_model.{name}"] = tensor
    ours.load_state_dict(state, assign=True)
    return theirs, ours.eval()


def compare(name: str, a: torch.Tensor, b: torch.Tensor) -> None:
    """Print cosine per position, and argmax where the margin exceeds the noise. a, b: (T, vocab_size)."""
    a, b = a.float(), b.float()
    cosine = torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=-1)
    noise = (a - b).abs().amax(-1)
    best = a.topk(2, dim=-1).values
    clear = best[:, 0] - best[:, 1] > noise
    equal = (a.argmax(-1) == b.argmax(-1))[clear]
    print(
        f"{name}: positions {len(a)}, cosine least {cosine.min():.6f}, median {cosine.median():.6f}, "
        f"over 0.9999 in {int((cosine > 0.9999).sum())}; "
        f"largest difference {noise.max():.4f}; "
        f"argmax equal in {int(equal.sum())} of {int(clear.sum())} clear positions",
        flush=True,
    )


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SHAPES, default="4b")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--tokens", type=int, default=1500, help="text tokens around the image: over one window")
    a = parser.parse_args()
    shape = SHAPES[a.size]
    started = time.perf_counter()
    theirs, ours = build(shape, a.device)
    parameters = sum(p.numel() for p in ours.parameters())
    print(f"{a.size}: {parameters / 1e9:.2f} B parameters on {a.device} in {time.perf_counter() - started:.0f} s")
    generator = torch.Generator().manual_seed(1)
    text = torch.randint(3, 255_000, (a.tokens,), generator=generator)
    if shape["vision"]:
        config = ours.config
        image = torch.full((config.mm_tokens_per_image,), config.image_token_index)
        begin, end = torch.tensor([config.boi_token_index]), torch.tensor([config.eoi_token_index])
        ids = torch.cat([text[:40], begin, image, end, text[40:]])[None].to(a.device)
        size = shape["vision"]["image_size"]
        pixels = (torch.rand(1, 3, size, size, generator=generator) * 2 - 1).to(a.device, torch.bfloat16)
        types = (ids == config.image_token_index).long()
        reference = theirs(input_ids=ids, pixel_values=pixels, token_type_ids=types).logits[0]
        soft = ours.encode_images(pixels)
        logits = ours(ids, soft)[0]
    else:
        ids, soft = text[None].to(a.device), None
        reference = theirs(input_ids=ids).logits[0]
        logits = ours(ids)[0]
    compare("ours bf16 and transformers bf16", reference, logits)
    theirs.set_attn_implementation("eager")
    kwargs = {"pixel_values": pixels, "token_type_ids": types} if shape["vision"] else {}
    eager = theirs(input_ids=ids, **kwargs).logits[0]
    compare("transformers' own two attention paths, sdpa and eager", reference, eager)
    compare("ours bf16 and transformers eager bf16", eager, logits)
    engine = Engine(ours)
    started = time.perf_counter()
    params = SamplingParams(max_tokens=32, stop_token_ids=())
    steps = list(engine.stream(ids[0].tolist(), soft, params))
    seconds = time.perf_counter() - started
    print(f"prefill of {ids.shape[1]} tokens and {len(steps)} decoded in {seconds:.2f} s (the plain path)")
    if a.device == "cuda":
        print(f"peak GPU memory {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")
    if a.size != "27b":
        theirs.set_attn_implementation("sdpa")
        theirs.float()
        kwargs = {"pixel_values": pixels.float(), "token_type_ids": types} if shape["vision"] else {}
        truth = theirs(input_ids=ids, **kwargs).logits[0]
        compare("transformers bf16 and its float32", truth, reference)
        compare("ours bf16 and transformers float32", truth, logits)


if __name__ == "__main__":
    main()
