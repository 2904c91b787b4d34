"""Answers of a given form: what it costs to begin, what a step's mask costs, and whether every answer is valid.

    python benchmarks/constrained.py [--model aris-nano] [--runs 500] [--side-by-side 64] [--temperature 1]

Every run is of one of the forms below, each of bounded length, with a seed of its own. The last part cuts the same
answers short: finish_reason must say so, and only so.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections import Counter
from itertools import pairwise
from typing import Any

import jsonschema_rs
import torch

import aris
from aris.backends import NativeBackend
from aris.backends.constraints.masks import GrammarCompiler
from aris.backends.streaming import NativeStream
from aris.engine.sampling import Draws, SamplingParams, choose


def closed(**properties: Any) -> dict[str, Any]:
    """An object of exactly these."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


NOTE = {"type": "string", "maxLength": 24}
SIDES = {"enum": ["left", "right", "both", "none"]}
SCHEMAS: list[Any] = [
    closed(finding={"enum": ["effusion", "pneumothorax", "none"]}, certain={"type": "boolean"}, note=NOTE),
    closed(mm={"type": "integer", "minimum": 0, "maximum": 400}, side=SIDES),
    closed(findings={"type": "array", "maxItems": 3, "items": closed(name=NOTE, side=SIDES)}),
    {"type": "array", "minItems": 1, "maxItems": 4, "items": {"enum": ["edema", "nodule", "mass \"x\"", "µ"]}},
    closed(patient=closed(age={"type": ["integer", "null"], "minimum": 0, "maximum": 120}, id={"type": "string", "pattern": "^[A-Z]{2}[0-9]{4}$"})),
    {"anyOf": [closed(error=NOTE), closed(score={"type": "integer", "minimum": -5, "maximum": 5})]},
    {"type": "object", "properties": {"a": NOTE, "b": {"type": "boolean"}, "c": {"const": "c"}}, "additionalProperties": False},
    closed(date={"type": "string", "format": "date"}, time={"type": "string", "pattern": "^[0-2][0-9]:[0-5][0-9]$"}),
]
REGEXES = [r"(yes|no), because [a-zé ]{5,20}\.", r"[0-9]{1,3} mm", r"([A-Z][a-z]{1,8} ){1,3}[A-Z][a-z]{1,8}"]
CHOICES = [["normal", "abnormal", "not sure"], ["ja", "nein", "weiß nicht"]]
PROMPTS = [
    "Is there a pleural effusion? Text: small right-sided effusion, no pneumothorax.",
    "Write what you see. Text: the heart is not enlarged, the lungs are clear.",
    "Patient AB1234, 71 years, film of 2024-05-01, 10:30. Extract the data.",
]


def main() -> None:
    """Print what was measured; exit with 1 if an answer is not valid."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="aris-nano")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--side-by-side", type=int, default=64)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--max-tokens", type=int, default=400)
    a = parser.parse_args()
    model = aris.load(a.model, device=a.device)
    print(f"{model!r}, {torch.get_num_threads()} threads, {model.tokenizer.vocab_size:,} tokens")
    costs(model)
    wrong = validity(model, a.runs, a.side_by_side, a.temperature, a.max_tokens)
    wrong += cut(model, min(a.runs, 64), a.temperature)
    raise SystemExit(1 if wrong else 0)


def grammars() -> list[aris.Grammar]:
    """All forms."""
    made = [aris.Grammar.json_schema(schema) for schema in SCHEMAS]
    return [*made, *map(aris.Grammar.regex, REGEXES), *map(aris.Grammar.choice, CHOICES)]


def costs(model: NativeBackend) -> None:
    """Start-up, and what masks take."""
    began = time.perf_counter()
    compiler = GrammarCompiler(model.tokenizer, model.model.config.eos_token_ids)
    compiler.prepare()
    print(f"tables for the vocabulary, once for a model: {time.perf_counter() - began:.2f} s")
    first, again, alone, masked, plain = [], [], [], [], []
    params, draws = SamplingParams(temperature=1.0), Draws(0)
    for grammar in grammars():
        for times in (first, again):
            began = time.perf_counter()
            mask = compiler.mask(grammar)
            times.append(time.perf_counter() - began)
        while not mask.finished:
            scores = torch.randn(1, model.model.config.text.vocab_size)
            clock = [time.perf_counter()]
            allowed = mask.allowed()
            clock.append(time.perf_counter())
            token = choose(scores, [params], [draws], [allowed])[0].token
            clock.append(time.perf_counter())
            mask.accept(token)
            clock.append(time.perf_counter())
            choose(scores, [params], [draws])
            clock.append(time.perf_counter())
            spent = [after - before for before, after in pairwise(clock)]
            alone.append(spent[0] + spent[2])
            masked.append(spent[1])
            plain.append(spent[3])
    print(f"a grammar: {statistics.median(first) * 1e3:.2f} ms at first (most {max(first) * 1e3:.2f}), {statistics.median(again) * 1e6:.0f} µs from then on")
    print(f"a step's mask: median {statistics.median(alone) * 1e6:.0f} µs, most {max(alone) * 1e3:.2f} ms, {len(alone)} steps")
    print(f"choosing a token: {statistics.median(masked) * 1e3:.2f} ms with a mask, {statistics.median(plain) * 1e3:.2f} ms without")


def validity(model: NativeBackend, runs: int, width: int, temperature: float, max_tokens: int) -> int:
    """Answers side by side; how many are not valid."""
    forms = grammars()
    began = time.perf_counter()
    reasons: Counter[str] = Counter()
    tokens = wrong = 0
    for start in range(0, runs, width):
        group = range(start, min(start + width, runs))
        for run, reply in zip(group, answers(model, list(group), forms, temperature, max_tokens), strict=True):
            reasons[reply.finish_reason] += 1
            tokens += reply.usage.completion_tokens
            if not valid(run % len(forms), reply.text) or reply.finish_reason != "stop":
                wrong += 1
                print(f"run {run} ({forms[run % len(forms)]!r}), {reply.finish_reason}: {reply.text!r}")
        print(f"  {group.stop} of {runs} runs, {time.perf_counter() - began:.0f} s", flush=True)
    print(f"valid: {runs - wrong} of {runs} at temperature {temperature:g}; {dict(reasons)}; {tokens:,} tokens")
    return wrong


def cut(model: NativeBackend, runs: int, temperature: float) -> int:
    """Answers of three tokens at most; how many say wrongly whether they were cut."""
    forms = grammars()
    replies = answers(model, list(range(runs)), forms, temperature, 3)
    wrong = 0
    for run, reply in enumerate(replies):
        complete = valid(run % len(forms), reply.text)
        wrong += (reply.finish_reason == "stop") != complete and not (complete and reply.finish_reason == "length")
    print(f"cut at 3 tokens: {Counter(reply.finish_reason for reply in replies)}, {wrong} say it wrongly")
    return wrong


def answers(model: NativeBackend, runs: list[int], forms: list[aris.Grammar], temperature: float, most: int) -> list[aris.Reply]:
    """Replies of some runs, made side by side."""
    streams: list[NativeStream] = []
    for run in runs:
        options = aris.GenerationOptions(temperature=temperature, seed=run, max_tokens=most, grammar=forms[run % len(forms)])
        streams.append(model.stream([aris.user(PROMPTS[run % len(PROMPTS)])], options))
    for stream in streams:
        for _ in stream:
            pass
    return [stream.reply for stream in streams]


def valid(form: int, text: str) -> bool:
    """Whether a text is of a form, by judges of their own: jsonschema, re, and equality."""
    if form < len(SCHEMAS):
        try:
            return jsonschema_rs.is_valid(SCHEMAS[form], json.loads(text))
        except ValueError:
            return False
    form -= len(SCHEMAS)
    if form < len(REGEXES):
        return re.fullmatch(REGEXES[form], text) is not None
    return text in CHOICES[form - len(REGEXES)]


if __name__ == "__main__":
    main()
