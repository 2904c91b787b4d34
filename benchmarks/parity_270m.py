"""The real Gemma 3 270M weights against transformers, float32 on the CPU: python benchmarks/parity_270m.py [--data DIR]

Greedy tokens of 20 medical prompts, 64 each; and with the data folder the perplexity of `chest_reports` (evaluation
only). Our own dequantised tensors are put into transformers' model, so that the network alone is compared; their
dequantisation is compared value by value in the tests.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
from pathlib import Path

import torch
import transformers

from aris.checkpoints import embedded, load_model
from aris.checkpoints.checkpoint import Checkpoint
from aris.checkpoints.entries import TokenizerSource
from aris.checkpoints.gguf import gemma
from aris.engine import Engine, SamplingParams
from aris.prompting import Tokenizer

PROMPTS = (
    "The chest X-ray shows", "Pneumonia is usually treated with", "The most common cause of stroke is",
    "Symptoms of diabetes include", "A patient with fever and cough should", "The function of the kidneys is",
    "Question: What is hypertension?\nAnswer:", "The left ventricle of the heart", "Aspirin works by",
    "In children, asthma often", "The radiologist reported that the lungs", "Side effects of chemotherapy are",
    "An MRI of the brain can show", "The liver produces", "Vaccination protects against",
    "FINDINGS: The heart size is normal.", "Blood pressure is measured in", "A fracture of the femur",
    "The immune system recognises", "Sepsis is a condition in which",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--reports", type=int, default=200)
    a = parser.parse_args()
    file = embedded.language_weights()
    tokenizer = Tokenizer.from_gguf(*gemma.vocabulary(file))
    checkpoint = Checkpoint(
        "Gemma 3 270M", gemma.config(file, None), lambda: gemma.entries(file), TokenizerSource()
    )
    ours = load_model(checkpoint, dtype=torch.float32)
    config = ours.config.to_dict() | {"rope_parameters": None}
    del config["rope_parameters"]
    with torch.device("meta"):
        theirs = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig.from_dict(config))
    state = {name.replace("language_model.", "model.", 1): value for name, value in ours.state_dict().items()}
    theirs.load_state_dict(state | {"lm_head.weight": state["model.embed_tokens.weight"]}, assign=True)
    theirs.model.rotary_emb = type(theirs.model.rotary_emb)(theirs.config)  # its tables were on the meta device
    theirs.model.embed_tokens.embed_scale = torch.tensor(theirs.config.hidden_size**0.5)
    theirs.eval()
    engine, equal = Engine(ours), 0
    params = SamplingParams(max_tokens=a.tokens, stop_token_ids=())
    for prompt in PROMPTS[: a.prompts]:
        ids = tokenizer.encode(prompt, add_bos=True)
        mine = [step.token_id for step in engine.stream(ids, None, params)]
        with torch.no_grad():
            out = theirs.generate(
                torch.tensor([ids]), max_new_tokens=a.tokens, min_new_tokens=a.tokens, do_sample=False
            )[0, len(ids) :].tolist()
        # transformers forbids <eos> before the least length; we let it through: compare up to one.
        end = next((i for i, token in enumerate(mine) if token == 1), len(mine))
        equal += mine[:end] == out[:end]
    print(f"greedy tokens equal for {equal} of {a.prompts} prompts of {a.tokens} tokens", flush=True)
    if a.data:
        with gzip.open(a.data / "chest_reports" / "indiana_reports.csv.gz", "rt", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle))
        texts = [" ".join(filter(None, (r.get("findings", ""), r.get("impression", "")))).strip() for r in rows]
        texts = [text for text in texts if text]
        texts = texts[:: max(1, len(texts) // a.reports)][: a.reports]
        total = [0.0, 0.0]
        count = 0
        for text in texts:
            ids = tokenizer.encode(text, add_bos=True)
            total[0] -= float(engine.logprobs(ids).sum())
            with torch.no_grad():
                scores = theirs(torch.tensor([ids])).logits[0].log_softmax(-1)
            total[1] -= float(scores[:-1].gather(1, torch.tensor(ids[1:])[:, None]).sum())
            count += len(ids) - 1
        a_ppl, b_ppl = (math.exp(t / count) for t in total)
        print(f"perplexity of {len(texts)} chest reports ({count} tokens): ours {a_ppl:.4f}, transformers {b_ppl:.4f}, "
              f"apart by {abs(a_ppl / b_ppl - 1):.2e}")  # fmt: skip


if __name__ == "__main__":
    main()
