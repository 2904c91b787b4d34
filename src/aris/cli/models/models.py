"""`aris models`: what can be run, what it is for, and getting it."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.options.choices import one_of
from aris.cli.outcome import Group
from aris.cli.terminal import note, one_line, working, write, write_json
from aris.errors import CheckpointError

if TYPE_CHECKING:
    from aris.checkpoints.registry import ModelSpec

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="""The models that Aris knows by name.

    Any hub id, folder in Hugging Face layout or .gguf file of the Gemma 3 family can be given to --model as well.

    Examples:

        aris models list

        aris models show aris-nano

        aris models pull medgemma-1.5-4b-it

        aris models quantize medgemma-1.5-4b-it medgemma-int4 --format int4

        aris models cache show
    """,
)

kept = typer.Typer(
    no_args_is_help=True,
    help="""Models and tokenizers in the form in which they run, which Aris keeps in the user's cache to start quickly.

    ARIS_CACHE names another folder or is "off"; ARIS_CACHE_GB bounds the size (10).
    """,
)
app.add_typer(kept, name="cache")

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A name from `aris models list`, or a hub id.")]


@app.command("list")
def list_models(json: JsonOption = False) -> None:
    """List the models with their size, whether they are gated and on this machine, and what they are for.

    Example:

        aris models list
    """
    from aris.checkpoints.registry import REGISTRY

    with working("looking for models"):
        facts = [_facts(spec) for spec in REGISTRY]
    if json:
        write_json({"models": facts})
        return
    rows = [("NAME", "SIZE", "GATED", "HERE", "READS", "FOR")]
    for each in facts:
        reads = "images, text" if each["reads_images"] else "text"
        here = "yes" if each["local"] else "no"
        scope = each["scope"]
        tasks = ", ".join(scope["tasks"])
        limits = "; ".join(filter(None, (", ".join(scope["views"]), _ages(scope["age_years"]))))
        gated = "yes" if each["gated"] else "no"
        purpose = f"{tasks} ({limits})" if limits else tasks
        rows.append((each["name"], each["parameters"], gated, here, reads, purpose))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        write("  ".join([*cells, row[-1]]).rstrip() + "\n")


@app.command()
def show(name: NameArgument, json: JsonOption = False) -> None:
    """Show a model's scope, licence, pinned revision and card.

    Example:

        aris models show aris-nano
    """
    from aris.checkpoints.cards import card_of

    spec = _named(name)
    with working("looking for the model"):
        facts = _facts(spec)
        card = card_of(spec)
    if json:
        write_json(facts | {"card": card})
        return
    scope = facts["scope"]
    lines = {
        "name": spec.name,
        "from": spec.repo or "this package, over the Gemma 3 270M package",
        "revision": spec.revision or ("none pinned" if spec.repo else "this package's"),
        "size": spec.parameters,
        "licence": spec.licence + (" (gated: accept it on the hub first)" if spec.gated else ""),
        "here": "yes" if facts["local"] else f"no; run: aris models pull {spec.name}",
        "reads": "images and text" if spec.multimodal else "text",
        "tasks": ", ".join(scope["tasks"]),
        "modalities": ", ".join(scope["modalities"]) or "no declared limit",
        "views": ", ".join(scope["views"]) or "no declared limit",
        "ages": _ages(scope["age_years"]) or "no declared limit",
        "findings": "\n".join(f"{each['name']}: {each['evidence']}" for each in scope["findings"]) or "none declared",
        "note": scope["note"],
    }
    for key, value in lines.items():
        for index, line in enumerate(value.splitlines()):
            write(f"{key if index == 0 else '':<11}{one_line(line)}\n")
    if card:
        write(f"\n{card.rstrip()}\n")


@app.command()
def pull(
    name: NameArgument,
    revision: Annotated[
        str | None, typer.Option("--revision", help="A commit of the hub's; by default the pinned one.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Download a model, check every file, and remember the commit. A download that stopped is completed.

    Example:

        aris models pull medgemma-1.5-4b-it
    """
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from aris.checkpoints.pull import pull as download
    from aris.checkpoints.registry import find

    spec = find(name)
    if spec is not None and not spec.repo:
        note(f"{spec.name} comes with the package; there is nothing to pull")
        folder = None
    else:
        folder = str(download(name, spec, revision=revision))
    if json:
        write_json({"model": spec.name if spec is not None else name, "folder": folder})
    elif folder is not None:
        write(f"{one_line(folder)}\n")


@app.command()
def quantize(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A name, hub id, folder in Hugging Face layout, or .gguf file.")
    ],
    out: Annotated[str, typer.Argument(metavar="OUT", help="A new folder; give it to --model afterwards.")],
    format: Annotated[str, typer.Option("--format", metavar="int8|int4", help="Bits of the decoder's weights.")],
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            metavar="FILE",
            help="Texts (.txt, .jsonl, or gzipped) to round by: slower, loses less. Without, to the nearest.",
        ),
    ] = None,
    group: Annotated[
        int | None, typer.Option("--group", min=2, help="Columns that share a scale; int4: 64, int8: a whole row.")
    ] = None,
    head: Annotated[
        str, typer.Option("--head", metavar="int8|int4|keep", help="Bits of the embedding, which is the head too.")
    ] = "int8",
    device: Annotated[
        str, typer.Option("--device", metavar="cpu|cuda[:N]", help="Where layers are run and rounded.")
    ] = "cpu",
    json: JsonOption = False,
) -> None:
    """Write a model in 8 or 4 bits, one matrix after the other, into a folder that is opened in place.

    Images are read as before: the vision tower keeps its precision. Findings of the copy are uncalibrated.

    Examples:

        aris models quantize medgemma-1.5-4b-it medgemma-int4 --format int4 \\
            --calibrate reports.jsonl

        aris ask --model medgemma-int4 "What is pneumonia?"
    """
    one_of(format, ("int8", "int4"), param="--format")
    one_of(head, ("int8", "int4", "keep"), param="--head")
    from aris.backends.quantizing import quantize as write_quantized

    with working(f"quantising {model}"):
        report = write_quantized(
            model, out, format, group_size=group, head=head, calibrate=calibrate, device=device
        )
    if json:
        sizes = {"dense_bytes": report.dense_bytes, "bytes": report.nbytes, "matrices": report.matrices}
        write_json({"folder": str(report.folder)} | sizes | {"quantization": report.quantization})
        return
    write(f"{one_line(str(report.folder))}\n")
    note(
        f"{report.nbytes / 1e6:.0f} MB of weights instead of {report.dense_bytes / 1e6:.0f}; "
        "findings are uncalibrated in this copy"
    )


@kept.command("show")
def show_cache(json: JsonOption = False) -> None:
    """Show what is kept, last used first, and where.

    Example:

        aris models cache show
    """
    from aris.checkpoints import cache

    location, found = cache.folder(), cache.entries()
    total = sum(each.nbytes for each in found)
    if json:
        listed = [{"what": each.what, "bytes": each.nbytes, "used": _day(each.used)} for each in found]
        write_json({"folder": None if location is None else str(location), "bytes": total, "entries": listed})
        return
    if location is None:
        write("switched off by ARIS_CACHE or ARIS_CACHE_GB\n")
        return
    for each in found:
        write(f"{_day(each.used)}  {each.nbytes / 1e6:>8,.1f} MB  {one_line(each.what)}\n", raw=True)
    limit = cache.limit_bytes() / 1e9
    write(f"{total / 1e6:,.1f} MB of at most {limit:,.1f} GB in {one_line(str(location))}\n", raw=True)


@kept.command("clear")
def clear_cache(json: JsonOption = False) -> None:
    """Remove all of it. The next command that loads a model takes longer, once.

    Example:

        aris models cache clear
    """
    from aris.checkpoints import cache

    freed = cache.clear()
    if json:
        write_json({"freed_bytes": freed})
    else:
        note(f"{freed / 1e6:,.1f} MB freed")


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).date().isoformat()


def _named(name: str) -> ModelSpec:
    from aris.checkpoints.registry import did_you_mean, find

    spec = find(name)
    if spec is None:
        raise CheckpointError(f"{name}: no model of this name; see: aris models list{did_you_mean(name)}")
    return spec


def _facts(spec: ModelSpec) -> dict[str, Any]:
    """Return a model's declared facts, and whether it is on this machine."""
    from dataclasses import asdict

    from aris.checkpoints.pull import is_local

    return {
        "name": spec.name,
        "repo": spec.repo or None,
        "revision": spec.revision,
        "parameters": spec.parameters,
        "gated": spec.gated,
        "licence": spec.licence,
        "reads_images": spec.multimodal,
        "thinking": spec.thinking,
        "context": spec.context,
        "local": is_local(spec),
        "scope": asdict(spec.scope),
    }


def _ages(years: Any) -> str:
    return "" if years is None else f"age {years[0]:g} to {years[1]:g} years"
