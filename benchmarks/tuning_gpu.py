"""Price of one tuning step on a GPU, under a hard cap of its memory: our QLoRA and LoRA, and transformers + peft.

    python benchmarks/tuning_gpu.py [--only 4b-qlora 27b-qlora 4b-lora 4b-lora-peft] [--profile]

Each technique is a case of its own beside one without it. "-cached": the tower's features come from the disk (a real
`TowerCache`, read and checked in every step). "-offload": layer inputs wait in pinned host memory. Needs torch, numpy, safetensors, tokenizers and pillow; the peer also transformers and peft, in 4 bits bitsandbytes. Weights are random, in the
shapes of MedGemma, made on the GPU (NF4 directly, no dense copy). Every case runs in a process of its own and prints one
JSON line: peak memory of the allocator, tokens a second over whole optimizer steps, loss.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import torch
from torch import nn

from aris.model import MedGemma, MedGemmaConfig, TextConfig, VisionConfig
from aris.tuning.data.collate import StaticBatch, static_batch
from aris.tuning.data.examples import TokenizedExample
from aris.tuning.data.tower_cache import TowerCache
from aris.tuning.layers import cross_entropy
from aris.tuning.layers.nf4 import NF4Linear
from aris.tuning.layers.offload import HostStore
from aris.tuning.recipe import Recipe
from aris.tuning.steps.graphs import GraphedSteps, static_loss
from aris.tuning.steps.microbatches import round_up
from aris.tuning.trainable import make_optimizer, prepare

IMAGE, BEGIN, END = 262_144, 255_999, 256_000
GIB = 2**30
# name: shape, method, with an image, tokens, answer tokens, allocator cap in GiB (None: the card's)
CASES: dict[str, tuple[str, str, bool, int, int, float | None]] = {
    "4b-qlora": ("4b", "qlora", True, 1024, 256, 7.2),
    "27b-qlora": ("27b", "qlora", False, 2048, 512, 22.0),
    "4b-lora": ("4b", "lora", True, 1024, 256, None),
    "4b-lora-keep": ("4b", "lora-keep", True, 1024, 256, None),
    "4b-lora-launched": ("4b", "lora-launched", True, 1024, 256, None),
    "4b-lora-adamw32": ("4b", "lora-adamw32", True, 1024, 256, None),
    "4b-lora-whole-logits": ("4b", "lora-wholelogits", True, 1024, 256, None),
    "4b-lora-offload": ("4b", "lora-offload", True, 1024, 256, None),
    "4b-lora-cached": ("4b", "lora-cached", True, 1024, 256, None),
    "4b-qlora-8k": ("4b", "qlora", True, 8192, 256, None),
    "4b-qlora-8k-offload": ("4b", "qlora-offload", True, 8192, 256, None),
    "27b-qlora-offload": ("27b", "qlora-offload", False, 2048, 512, 22.0),
    "4b-lora-peft": ("4b", "peft", True, 1024, 256, None),
    "4b-qlora-peft": ("4b", "peft4", True, 1024, 256, None),
    "27b-qlora-peft": ("27b", "peft4", False, 2048, 512, None),
    "tiny-qlora": ("tiny", "qlora", True, 300, 20, None),
    "tiny-lora-peft": ("tiny", "peft", True, 300, 20, None),
    "tiny-lora-cached": ("tiny", "lora-cached", True, 300, 20, None),
    "tiny-qlora-offload": ("tiny", "qlora-offload", True, 300, 20, None),
    "tiny-qlora-peft": ("tiny", "peft4", False, 300, 20, None),
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
    """Make random weights on the device, decoder layers in NF4 if asked, without a dense copy at any time."""
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


def row(image: bool, tokens: int, answer: int) -> TokenizedExample:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1000, 200_000, (tokens,), generator=generator).tolist()
    if image:
        ids[4:262] = [BEGIN, *[IMAGE] * 256, END]
    return TokenizedExample("t", ids, tokens - answer, 0 if image else None)


def round_both_up(tokens: int, answers: int) -> tuple[int, int]:
    return round_up(tokens), round_up(answers)


def cached_features(model: MedGemma, pixels: torch.Tensor, folder: Path) -> TowerCache:
    """Cache the image's features on the disk."""
    tower, projector = model.vision_tower, model.multi_modal_projector
    assert tower is not None and projector is not None

    def see(films: torch.Tensor) -> torch.Tensor:
        with torch.autocast(model.device.type, torch.bfloat16):
            return projector.pool(tower(pixels.expand(len(films), -1, -1, -1)))

    cache = TowerCache(folder, model, ["0" * 64], lambda index: torch.zeros(1, dtype=torch.uint8), see, {})
    cache.fill(lambda line: print(line, file=sys.stderr))
    return cache


def ours(case: str, device: torch.device) -> Callable[[], float]:
    name, method, image, tokens, answer, _ = CASES[case]
    if method.endswith("-wholelogits"):
        cross_entropy.CHUNK_BYTES = 1 << 40
    recipe = Recipe(
        seed=0, steps=100, batch_size=1, max_tokens_per_microbatch=tokens, max_tokens=tokens, learning_rate=1e-4,
        tower_learning_rate=0, warmup_steps=1, weight_decay=0.0, clip_norm=1.0, lora_r=16, lora_alpha=16,
        augment_strength=0, evaluate_every=100, save_every=100, mixture={}, method=method.split("-")[0],
        projector=False, checkpointing=not method.endswith("-keep"), optimizer="adamw" if method.endswith("-adamw32") else "adamw8bit",
    )  # fmt: skip
    model = random_model(shape(name), recipe.method == "qlora", device)
    trained = prepare(model, recipe, device)
    optimizer = make_optimizer(trained, recipe)
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    pixels = torch.rand(1, 3, 896, 896, device=device) * 2 - 1 if image else None
    cache = None
    if method.endswith("-cached"):
        assert pixels is not None
        cache = cached_features(model, pixels, Path(tempfile.mkdtemp()))
    if method.endswith("-offload"):
        HostStore(model.language_model)

    def batch() -> StaticBatch:
        seen = pixels if cache is None else cache(torch.zeros(1, dtype=torch.int64))
        return static_batch([row(image, tokens, answer)], 1.0, round_both_up, packed=False, image_token=IMAGE, pixels=seen)

    def loss(batch: StaticBatch) -> torch.Tensor:
        with torch.autocast(device.type, torch.bfloat16):
            return static_loss(model, batch, train_tower=False)

    steps = GraphedSteps(trained, loss, lambda line: print(line, file=sys.stderr))
    steps.records = device.type == "cuda" and not method.endswith("-launched")

    def step() -> float:
        steps.zero()
        total = steps.add(batch())
        nn.utils.clip_grad_norm_(list(trained.values()), 1.0)
        optimizer.step()
        return total.item()

    return step


def peer(case: str, device: torch.device) -> Callable[[], float]:
    """Set up transformers + peft with gradient checkpointing, labels on the answer, PyTorch's fused AdamW.

    In bf16, or the decoder in bitsandbytes' NF4 with double quantisation, bf16 to compute in.
    """
    import accelerate
    import peft
    import transformers

    name, method, image, tokens, answer, _ = CASES[case]
    ours_config = shape(name).to_dict()
    text = {key: value for key, value in ours_config.get("text_config", ours_config).items() if key not in ("rope_theta", "rope_scaling", "rope_local_base_freq")}
    base: Any
    if image:
        config = transformers.Gemma3Config(text_config=text, vision_config=ours_config["vision_config"],
                                           image_token_index=262_144, attn_implementation="sdpa")  # fmt: skip
        kind: Any = transformers.Gemma3ForConditionalGeneration
    else:
        config, kind = transformers.Gemma3TextConfig(**text, attn_implementation="sdpa"), transformers.Gemma3ForCausalLM
    with accelerate.init_empty_weights(include_buffers=False):
        base = kind(config)
    fill(base, device, in_4_bits=method == "peft4")
    targets = r"(?!.*vision).*layers.*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    model = peft.get_peft_model(base, peft.LoraConfig(r=16, lora_alpha=16, target_modules=targets))
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.enable_input_require_grads()
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4, fused=device.type == "cuda")
    ids = torch.tensor([row(image, tokens, answer).token_ids], device=device)
    labels = ids.clone()
    labels[:, : tokens - answer] = -100
    with_image = {}
    if image:
        pixels = (torch.rand(1, 3, 896, 896, device=device) * 2 - 1).bfloat16()
        with_image = {"pixel_values": pixels, "token_type_ids": (ids == IMAGE).long()}

    def step() -> float:
        with torch.autocast(device.type, torch.bfloat16):
            loss = model(input_ids=ids, labels=labels, attention_mask=torch.ones_like(ids), **with_image).loss
        loss.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def fill(model: nn.Module, device: torch.device, *, in_4_bits: bool) -> None:
    """Fill a model with random weights on the device; the decoder's in bitsandbytes' 4 bits if asked.

    Each matrix is drawn in bfloat16 where it is to stay and quantised there, so that no more than one is dense.
    """
    for name, module in list(model.named_modules()):
        if in_4_bits and type(module) is nn.Linear and ".layers." in name and "vision" not in name:
            import bitsandbytes

            layer = bitsandbytes.nn.Linear4bit(module.in_features, module.out_features, bias=False, quant_type="nf4",
                                               compute_dtype=torch.bfloat16, compress_statistics=True, device="meta")  # fmt: skip
            dense = torch.randn(module.weight.shape, dtype=torch.bfloat16, device=device) * module.in_features**-0.5
            layer.weight = bitsandbytes.nn.Params4bit(
                dense, requires_grad=False, quant_type="nf4", compress_statistics=True
            ).to(device)
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, layer)
    for name, parameter in list(model.named_parameters()):
        if parameter.is_meta:
            std = 0.0 if parameter.dim() == 1 else parameter.shape[-1] ** -0.5
            value = torch.empty(parameter.shape, dtype=torch.bfloat16, device=device).normal_(std=1.0).mul_(std)
            parent, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(parent), leaf, nn.Parameter(value, requires_grad=False))
    model.tie_weights()  # type: ignore[operator]
    for module in model.modules():
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = buffer.to(device)


def profile(step: Callable[[], float]) -> None:
    """Print one step's kernels by their time, to stderr."""
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as seen:
        step()
        torch.cuda.synchronize()
    table = seen.key_averages().table(sort_by="self_cuda_time_total", row_limit=32, max_name_column_width=70)
    print("\n".join(line[:72] + line[-100:] for line in table.splitlines()), file=sys.stderr)


def measure(case: str, seconds: float, profiled: bool) -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    device = torch.device("cuda" if cuda else "cpu")
    cap = CASES[case][5]
    if cuda and cap is not None:
        torch.cuda.set_per_process_memory_fraction(cap * GIB / torch.cuda.get_device_properties(0).total_memory)
    torch.manual_seed(0)
    step = (peer if CASES[case][1].startswith("peft") else ours)(case, device)
    for _ in range(3):
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
    if profiled:
        profile(step)
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
    parser.add_argument("--limit", type=float, default=300, help="seconds for a case, its start included")
    parser.add_argument("--child", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--profile", action="store_true", help="print the kernels of a step")
    args = parser.parse_args()
    if args.child:
        print(json.dumps(measure(args.child, args.seconds, args.profile)), flush=True)
        return
    for case in args.only:
        command = [sys.executable, __file__, "--child", case, "--seconds", str(args.seconds)]
        try:
            done = subprocess.run(command + ["--profile"] * args.profile, capture_output=True, text=True,
                                  timeout=args.limit)  # fmt: skip
        except subprocess.TimeoutExpired:
            print(json.dumps({"case": case, "failed": f"not done within {args.limit:g} s"}), flush=True)
            continue
        if args.profile:
            print(done.stderr[-9000:])
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        print(done.stdout.strip() or json.dumps({"case": case, "failed": last[:300]}), flush=True)


if __name__ == "__main__":
    main()
