"""`aris tune`: training."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.options import shared as o
from aris.cli.outcome import FAILED, Group
from aris.cli.terminal import heading, note, one_line, plain, working, write, write_json
from aris.errors import DataError

if TYPE_CHECKING:
    from aris.tuning.check import DataReport


class RecipeGroup(Group):
    """Command group in which any other word is a recipe: `aris tune records` runs it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            self._refuse_misspelt(args[0])
            args = ["run", *args]
        return super().resolve_command(ctx, args)

    def _refuse_misspelt(self, word: str) -> None:
        """Raise a usage error for a word that is no recipe and nearly a command."""
        from aris.tuning.run import find_recipe

        near = difflib.get_close_matches(word, list(self.commands), n=1, cutoff=0.75)
        if not near:
            return
        try:
            find_recipe(word)
        except DataError:
            raise typer.BadParameter(f"no command and no recipe {word!r:.40}; did you mean {near[0]}?") from None


app = typer.Typer(cls=RecipeGroup, no_args_is_help=True, help="Train models.")


@app.callback()
def tune() -> None:
    """Train models."""


@app.command()
def nano(
    data: Annotated[
        Path,
        typer.Option(help="Folder of chest_pediatric, chest_nih64, vqa_rad, medquad and pubmedqa (see the card)."),
    ],
    out: Annotated[
        Path, typer.Option(help="Where everything goes; a stopped run goes on from there.")
    ] = Path("runs/nano"),
    teacher_steps: Annotated[int, typer.Option(min=1, help="Steps of 256 films for each of the four teachers.")] = 450,
    tower_seconds: Annotated[float, typer.Option(min=1, help="Time for distilling the vision tower.")] = 200,
    decoder_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps for projector and adapters, instead of the recipe's.")
    ] = None,
    device: o.DeviceOption = "auto",
) -> None:
    """Make aris-nano again: teachers, vision tower, projector and adapters, calibration.

    Takes about 15 minutes on an H100; a CPU is enough for a trial with small numbers. The teacher's weights are in the
    package's extra "nano".

    Example:

        aris tune nano --data data --out runs/nano
    """
    from aris.backends.loading import resolve_device
    from aris.tuning.nano.build import make_nano

    made = make_nano(
        data,
        out,
        device=str(resolve_device(device)),
        teacher_steps=teacher_steps,
        tower_seconds=tower_seconds,
        decoder_steps=decoder_steps,
    )
    write(f"{made}\n", raw=True)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe of the package, or a YAML file.")],
    data: Annotated[Path, typer.Option(help="A .jsonl or .parquet file, or a folder with train and validation.")],
    out: Annotated[Path, typer.Option(help="Where everything goes; a stopped run goes on from there.")],
    model: o.ModelOption = "aris-nano",
    steps: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.")] = None,
    tower_cache: Annotated[
        Path | None,
        typer.Option(help="Folder for the frozen tower's features, shared by runs; OUT/tower-cache otherwise."),
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write OUT/tensorboard too.")] = False,
    device: o.DeviceOption = "auto",
) -> None:
    """Tune a model by a recipe; the word "run" may be left out.

    Example:

        aris tune records --model medgemma-27b-text-it \\
            --data data --out runs/records

    On several GPUs: torchrun --nproc-per-node 2 -m aris.cli tune records ...
    """
    from aris.backends.loading import resolve_device
    from aris.tuning.recipe import Recipe
    from aris.tuning.run import find_recipe, tune

    instead: dict[str, Any] = {} if steps is None else {"steps": steps}
    is_main = os.environ.get("RANK", "0") == "0"  # torchrun's; one of several processes speaks
    settings = Recipe.from_file(find_recipe(recipe), note if is_main else None, **instead)
    result = tune(
        settings,
        str(model),
        data,
        out,
        device=str(resolve_device(device)),
        tower_cache=tower_cache,
        tensorboard=tensorboard,
    )
    if is_main:
        measured = f"validation loss {result.best_loss:.5f}"
        if result.measure != "loss":
            measured = f"{result.measure} {result.best_value:.4f} (before: {result.first_value:.4f}), {measured}"
        write(f"best step {result.best_step}, {measured}: {out}\n")


@app.command()
def check(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A .jsonl or .parquet file, or a folder of them, one a split.")
    ],
    model: o.ModelOption = "aris-nano",
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Name every row that is longer.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help="Whose max_tokens and kind of rows hold, and whose question is asked of images in folders."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Check tuning data before the first step: every wrong row, lengths, leaks between splits, and one example.

    Reasons to refuse the whole are listed too, such as a split that leaves no row to validate on: by the recipe that
    is named, or by the settings that the package's recipes have in common.

    Exits with 1 if anything is wrong. Tokens that carry loss are green where the terminal has colours.

    Example:

        aris tune check data/train.jsonl --model medgemma-4b-it

        aris tune check NCT-CRC-HE-100K --recipe histopathology \\
            --model medgemma-4b-it
    """
    from aris.tuning.base import open_base
    from aris.tuning.check import check_data
    from aris.tuning.recipe import Recipe
    from aris.tuning.run import find_recipe

    settings = None if recipe is None else Recipe.from_file(find_recipe(recipe), note)
    if settings is not None and max_tokens is None:
        max_tokens = settings.max_tokens
    labels = None if settings is None else settings.labels
    pairs = None if settings is None else settings.objective == "preference"
    with working(f"reading {data}"):
        report = check_data(
            data, open_base(str(model)).processor, max_tokens=max_tokens, labels=labels, pairs=pairs, recipe=settings,
            whole=True,
        )  # fmt: skip
    if json:
        write_json(report.to_dict())
    else:
        _print_report(report)
    if not report.good:
        raise typer.Exit(FAILED)


def _print_report(report: DataReport) -> None:
    for name, rows in report.rows.items():
        split = f" ({report.splits[name]})" if len(report.rows) > 1 else ""
        write(f"{one_line(name)}: {rows} good rows{split}\n")
    facts = report.to_dict()
    tasks = ", ".join(f"{one_line(task)} {count}" for task, count in facts["tasks"].items())
    write(f"tasks: {tasks or 'none'}\n")
    by_row = ", ".join(f"{rows} rows with {count}" for count, rows in facts["images_by_row"].items())
    write(f"groups: {facts['groups']}; preference pairs: {report.pairs}\n")
    write(f"images: {report.images} ({by_row or 'no rows'})\n")
    for name in ("tokens", "answer_tokens"):
        if (lengths := facts[name]) is not None:
            said = ", ".join(f"{key} {value}" for key, value in lengths.items())
            write(f"{name.replace('_', ' ')}: {said}\n")
    if report.example:
        coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        heading("Example (what is learned is green)" if coloured else "Example (what is learned stands in [[ ]])")
        for piece in report.example:
            text = plain(piece.text)
            marked = f"\x1b[32m{text}\x1b[0m" if coloured else f"[[{text}]]"
            write(marked if piece.learned else text, raw=True)
        write("\n")
    wrong = [*report.bad, *report.too_long]
    if wrong:
        heading(f"{len(wrong)} wrong rows")
        for row in wrong:
            write(f"{one_line(str(row))}\n")
    elif not sum(report.rows.values()):
        heading("there are no rows")
    for each in report.refused:
        heading(f"a run would refuse this: {one_line(each)}")
    if report.leaks:
        heading(f"{report.leaks} groups lie in more than one split; split by patient")
    for count, kind in ((report.shared_images, "images"), (report.shared_rows, "conversations")):
        if count:
            heading(f"{count} {kind} lie in more than one split; what is measured on them may be memory")


def _tell_of_another_base(run_folder: Path, model: str) -> None:
    """Warn if the run names another base: its adapters fit a base of the same shape, and answer worse."""
    from aris.tuning.merge import base_named

    named = base_named(run_folder)
    if named and named != model and Path(named).absolute() != Path(model).absolute():
        note(f"note: the run's base was {one_line(named)}; this folds it into {one_line(model)}")


@app.command("merge")
def merge_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a run, or an adapter's folder.")],
    out: Annotated[Path, typer.Option(help="Folder for the merged checkpoint.")],
    model: o.ModelOption = "aris-nano",
) -> None:
    """Fold a run into its base and write a Hugging Face checkpoint, vision tower included, in bfloat16.

    Example:

        aris tune merge runs/chest --model medgemma-4b-it --out chest-4b
    """
    from aris.tuning.merge import merge

    _tell_of_another_base(run_folder, str(model))
    with working("merging"):
        merge(str(model), run_folder, out)
    write(f"{one_line(str(out))}\n")


@app.command("export")
def export_command(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The --out of a run, or an adapter's folder.")],
    gguf: Annotated[Path, typer.Option(help="The .gguf file to write: the text part in bfloat16.")],
    model: o.ModelOption = "aris-nano",
) -> None:
    """Fold a run into its base and write the text part as GGUF, for llama.cpp and what is built on it.

    Example:

        aris tune export runs/records --model medgemma-27b-text-it \\
            --gguf records.gguf
    """
    from aris.tuning.merge import export_gguf

    _tell_of_another_base(run_folder, str(model))
    with working("exporting"):
        export_gguf(str(model), run_folder, gguf)
    write(f"{one_line(str(gguf))}\n")
