"""Price of one tuning step on a GPU, under a hard cap of its memory: our QLoRA and LoRA, and transformers + peft.

    python benchmarks/tuning_gpu.py [--only 4b-qlora 27b-qlora 4b-lora 4b-lora-peft]

Needs torch, numpy, safetensors, tokenizers and pillow; the peer also transformers and peft. Weights are random, in the
shapes of MedGemma, made on the GPU (NF4 directly, no dense copy). Every case runs in a process of its own and prints one
JSON line: peak memory of the allocator, tokens a second over whole optimizer steps, loss.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch
from torch import nn

from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from aris.tuning.collate import collate
from aris.tuning.nf4 import NF4Linear
from aris.tuning.recipe import Recipe
from aris.tuning.rows import TokenRow
from aris.tuning.trainable import answer_losses, make_optimizer, prepare

IMAGE, BEGIN, END = 262_144, 255_999, 256_000
GIB = 2**30
# name: shape, method, with an image, tokens, answer tokens, allocator cap in GiB (None: the card's)
CASES: dict[str, tuple[str, str, bool, int, int, float | None]] = {
    "4b-qlora": ("4b", "qlora", True, 1024, 256, 7.2),
    "27b-qlora": ("27b", "qlora", False, 2048, 512, 22.0),
    "4b-lora": ("4b", "lora", True, 1024, 256, None),
    "4b-lora-keep": ("4b", "lora-keep", True, 1024, 256, None),
    "4b-lora-peft": ("4b", "peft", True, 1024, 256, None),
    "tiny-qlora": ("tiny", "qlora", True, 300, 20, None),
    "tiny-lora-peft": ("tiny", "peft", True, 300, 20, None),
}


def shape(name: str) -> MedGemmaConfig:
    def types(layers: int) -> tuple[str, ...]:
        return tuple("full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(layers))

    common: dict[str, Any] = {"vocab_size": 262_208, "sliding_window": 1024, "rope_factor": 8.0}
    if name == "4b":
        text = TextConfig(hidden_size=2560, intermediate_size=10_240, num_hidden_layers=34, num_attention_heads=8,
                          num_key_value_heads=4, head_dim=256, query_pre_attn_scalar=256, layer_types=types(34), **common)  # fmt: skip
        return MedGemmaConfig(text, VisionConfig(1152, 4304, 27, 16, image_size=896, patch_size=14))
    if name == "27b":
        text = TextConfig(hidden_size=5376, intermediate_size=21_504, num_hidden_layers=62, num_attention_heads=32,
                          num_key_value_heads=16, head_dim=128, query_pre_attn_scalar=168, layer_types=types(62), **common)  # fmt: skip
        return MedGemmaConfig(text, None)
    text = TextConfig(hidden_size=64, intermediate_size=128, num_hidden_layers=6, num_attention_heads=2,
                      num_key_value_heads=1, head_dim=32, query_pre_attn_scalar=32, layer_types=types(6), **common)  # fmt: skip
    return MedGemmaConfig(text, VisionConfig(32, 64, 2, 2, image_size=896, patch_size=14))


def random_model(config: MedGemmaConfig, nf4: bool, device: torch.device) -> MedGemma:
    """Weights on the device, decoder layers in NF4 if asked, without a dense copy at any time."""
    with torch.device("meta"):
        model = MedGemma(config)
    for name, module in list(model.named_modules()):
        if nf4 and type(module) is nn.Linear and name.startswith("language_model."):
            codes = torch.randint(0, 256, (module.out_features, module.in_features // 2), dtype=torch.uint8, device=device)
            scale = torch.rand(module.out_features, module.in_features // 64, device=device) * module.in_features**-0.5
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, NF4Linear(codes, scale))
    for name, parameter in list(model.named_parameters()):
        parent, _, leaf = name.rpartition(".")
        value = torch.empty(parameter.shape, dtype=torch.bfloat16, device=device)
        nn.init.normal_(value, std=0.0 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5)
        setattr(model.get_submodule(parent), leaf, nn.Parameter(value, requires_grad=False))
    return model.eval()


def row(image: bool, tokens: int, answer: int) -> TokenRow:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 200_000, (tokens,), generator=generator).tolist()
    if image:
        ids[4:262] = [BEGIN, *[IMAGE] * 256, END]
    return TokenRow("t", ids, tokens - answer, 0 if image else None)


def ours(case: str, device: torch.device) -> Callable[[], float]:
    name, method, image, tokens, answer, _ = CASES[case]
    recipe = Recipe(
        seed=0, steps=100, rows_per_step=1, most_tokens=tokens, max_tokens=tokens, learning_rate=1e-4,
        tower_learning_rate=0, warmup_steps=1, weight_decay=0.0, clip_norm=1.0, lora_r=16, lora_alpha=16,
        augment_strength=0, evaluate_every=100, save_every=100, mixture={}, method=method.removesuffix("-keep"),
        projector=False, checkpointing=not method.endswith("-keep"), optimizer="adamw8bit",
    )  # fmt: skip
    model = random_model(shape(name), method == "qlora", device)
    trained = prepare(model, recipe, device)
    optimizer = make_optimizer(trained, recipe)
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    batch = collate([row(image, tokens, answer)]).to(device)
    pixels = torch.rand(1, 3, 896, 896, device=device) * 2 - 1 if image else None

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16):
            loss = answer_losses(model, batch, pixels)[0].mean()
        loss.backward()
        nn.utils.clip_grad_norm_(list(trained.values()), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def peer(case: str, device: torch.device) -> Callable[[], float]:
    """transformers + peft in bf16 with gradient checkpointing, labels on the answer, PyTorch's fused AdamW."""
    import peft
    import transformers

    name, _, image, tokens, answer, _ = CASES[case]
    ours_config = shape(name).to_dict()
    text = {key: value for key, value in ours_config["text_config"].items() if key not in ("rope_theta", "rope_scaling", "rope_local_base_freq")}
    config = transformers.Gemma3Config(text_config=text, vision_config=ours_config["vision_config"],
                                       image_token_index=262_144, attn_implementation="sdpa")  # fmt: skip
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            base = transformers.Gemma3ForConditionalGeneration(config)
    finally:
        torch.set_default_dtype(default)
    targets = r".*language_model.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    model = peft.get_peft_model(base, peft.LoraConfig(r=16, lora_alpha=16, target_modules=targets))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device.type == "cuda")
    ids = torch.tensor([row(image, tokens, answer).token_ids], device=device)
    labels = ids.clone()
    labels[:, : tokens - answer] = -100
    pixels = (torch.rand(1, 3, 896, 896, device=device) * 2 - 1).bfloat16()

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(input_ids=ids, pixel_values=pixels, labels=labels, token_type_ids=(ids == IMAGE).long(),
                         attention_mask=torch.ones_like(ids)).loss  # fmt: skip
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def measure(case: str, seconds: float) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    cap = CASES[case][5]
    if cuda and cap is not None:
        torch.cuda.set_per_process_memory_fraction(cap * GIB / torch.cuda.get_device_properties(0).total_memory)
    torch.manual_seed(0)
    step = (peer if CASES[case][1] == "peft" else ours)(case, device)
    for _ in range(2):
        first = step()
    if cuda:
        torch.cuda.synchronize()
    times: list[float] = []
    while sum(times) < seconds and len(times) < 20:
        start = time.perf_counter()
        last = step()  # ends with .item(), which waits for the device
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    middle = sorted(times)[len(times) // 2]
    found: dict[str, Any] = {
        "case": case, "cap_gib": cap, "tokens_per_s": round(CASES[case][3] / middle, 1),
        "step_s": round(middle, 4), "steps": len(times), "loss": [round(first, 4), round(last, 4)],
    }  # fmt: skip
    if cuda:
        found["peak_allocated_gib"] = round(torch.cuda.max_memory_allocated() / GIB, 3)
        found["peak_reserved_gib"] = round(torch.cuda.max_memory_reserved() / GIB, 3)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, default=[c for c in CASES if not c.startswith("tiny")])
    parser.add_argument("--seconds", type=float, default=15, help="of timed steps in a case")
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child, args.seconds)), flush=True)
        return
    for case in args.only:
        command = [sys.executable, __file__, "--child", case, "--seconds", str(args.seconds)]
        done = subprocess.run(command, capture_output=True, text=True)
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(done.stdout.strip() or json.dumps({"case": case, "failed": last[:300]}), flush=True)


if __name__ == "__main__":
    main()
