"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aris.cli.options.choices import one_of

DTYPES = ("auto", "bfloat16", "float32")
_DTYPE_NAMES = {"bf16": "bfloat16", "fp32": "float32"}


def _dtype(value: str) -> str:
    value = _DTYPE_NAMES.get(value, value)
    if value in ("float16", "fp16", "half"):
        raise typer.BadParameter("float16 is refused: Gemma 3's residual stream overflows it; use bfloat16 or float32")
    return one_of(value, DTYPES)


def _quantize(value: str | None) -> str | None:
    return value if value is None else one_of(value, ("int8", "int4", "none"))


class DefaultName(str):
    """A model's name that nobody asked for: with `--backend` the endpoint's own model takes its place."""


def _model(context: typer.Context, parameter: typer.CallbackParam, value: str) -> str:
    source = context.get_parameter_source(parameter.name or "")
    return DefaultName(value) if source is not None and source.name == "DEFAULT" else value


def named_adapters(values: list[str] | None) -> tuple[str | None, dict[str, str]]:
    """(the folder of an adapter for all, folders of adapters by name) of an `AdaptersOption`."""
    folders = [value for value in values or () if "=" not in value or Path(value).expanduser().is_dir()]
    named: dict[str, str] = {}
    for value in values or ():
        if value in folders:
            continue
        name, _, folder = value.partition("=")
        if not name.strip() or not folder.strip() or name in named:
            raise typer.BadParameter(f"{value!r}: give NAME=FOLDER, each name once", param_hint="--adapter")
        named[name] = folder
    if len(folders) > 1 or (folders and named):
        raise typer.BadParameter(
            "one folder alone is put on the model for all callers; give each of several a name: NAME=FOLDER",
            param_hint="--adapter",
        )
    return (folders[0] if folders else None), named


_MODEL = "Model"
_WRITING = "Writing"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        envvar="ARIS_MODEL",
        callback=_model,
        help="A name from `aris models list`, a hub id, a folder in Hugging Face layout, or a .gguf file.",
        rich_help_panel=_MODEL,
    ),
]
MmprojOption = Annotated[
    str | None,
    typer.Option(
        "--mmproj",
        metavar="FILE",
        help="The vision tower of a .gguf model; by default the mmproj file beside it.",
        rich_help_panel=_MODEL,
    ),
]
AdapterOption = Annotated[
    str | None,
    typer.Option(
        "--adapter",
        help="Folder of a PEFT LoRA adapter to put on the model; its findings are then uncalibrated.",
        rich_help_panel=_MODEL,
    ),
]
AdaptersOption = Annotated[
    list[str] | None,
    typer.Option(
        "--adapter",
        metavar="NAME=FOLDER",
        help="A PEFT LoRA adapter that callers choose as model NAME; give it several times. A FOLDER alone is put on "
        "the model for all; its findings are then uncalibrated.",
        rich_help_panel=_MODEL,
    ),
]
QuantizeOption = Annotated[
    str | None,
    typer.Option(
        "--quantize",
        metavar="int8|int4|none",
        callback=_quantize,
        help="Round the decoder's weights to 8 or 4 bits (findings are then uncalibrated); none: make them dense.",
        rich_help_panel=_MODEL,
    ),
]
DtypeOption = Annotated[
    str,
    typer.Option(
        "--dtype",
        callback=_dtype,
        metavar="auto|bfloat16|float32",
        help="Precision of weights and arithmetic; auto takes bfloat16 where the processor has it.",
        rich_help_panel=_MODEL,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda[:N]",
        help="Where to run; auto takes CUDA if present.",
        rich_help_panel=_MODEL,
    ),
]
EvidenceOption = Annotated[
    Path | None,
    typer.Option(
        "--evidence",
        metavar="DIR",
        file_okay=False,
        help="Show where each score came from: an image (.png) and a map (.npy) in this folder. Needs the model here.",
    ),
]
BackendOption = Annotated[
    str | None,
    typer.Option(
        "--backend",
        metavar="URL",
        envvar="ARIS_BACKEND",
        help="Run the model at this OpenAI-compatible endpoint instead; its key is taken from ARIS_BACKEND_API_KEY.",
        rich_help_panel=_MODEL,
    ),
]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Length limit of the text.", rich_help_panel=_WRITING)
]
TemperatureOption = Annotated[
    float,
    typer.Option("--temperature", min=0.0, help="0 takes the most probable token each time.", rich_help_panel=_WRITING),
]
TopKOption = Annotated[
    int,
    typer.Option("--top-k", min=0, help="Sample from the K most probable tokens; 0: all.", rich_help_panel=_WRITING),
]
TopPOption = Annotated[
    float,
    typer.Option(
        "--top-p",
        min=0.0,
        max=1.0,
        help="Sample from the most probable tokens that reach this probability together.",
        rich_help_panel=_WRITING,
    ),
]
MinPOption = Annotated[
    float,
    typer.Option(
        "--min-p",
        min=0.0,
        max=1.0,
        help="Sample from tokens at least this probable relative to the most probable.",
        rich_help_panel=_WRITING,
    ),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Makes sampling deterministic.", rich_help_panel=_WRITING)
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Go on outside the model's declared scope; the result is marked as forced.")
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        envvar="ARIS_API_KEY",
        show_envvar=True,
        help="Key that web callers must send. Better in the environment: other users can see a command's options.",
        rich_help_panel="Security",
    ),
]
