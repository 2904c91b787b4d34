"""The `aris` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from aris import __version__
from aris.cli.clinical import (
    ask,
    calibrate,
    chat,
    classify,
    compare,
    draft,
    findings,
    intake,
    literature,
    locate,
    monitor,
    summarize,
)
from aris.cli.exchange import apart, deidentify, export, node
from aris.cli.models import bench, models, serve, tune
from aris.cli.outcome import Group, run
from aris.cli.reading import audit, demo, flow, orders, read, users, worklist
from aris.cli.reading import store as store_commands
from aris.cli.terminal import write

app = typer.Typer(
    name="aris",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        write(f"aris {__version__}\n")
        raise typer.Exit


@app.callback()
def aris(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback when something fails; may stand after the command too.")
    ] = False,
    no_server: Annotated[
        bool,
        typer.Option(
            "--no-server",
            help="Load the model here even if `aris serve` runs; may stand after the command too.",
        ),
    ] = False,
) -> None:
    """Aris, the open MedGemma system: drafts, findings and answers from medical images, on your own machine.

    Nothing that a model writes is a diagnosis. Every draft is for a clinician to check and sign.

    Exit codes: 0 done; 1 failed: something could not be read, made or answered; 2 misused; 130 stopped by Ctrl-C. What
    `draft` and `findings` do not assess, as it is outside the model's scope, is a result that says so, and leaves 0.
    """


app.command()(draft.draft)
app.command()(findings.findings)
app.command()(classify.classify)
app.command()(locate.locate)
app.command()(compare.compare)
app.command()(monitor.monitor)
app.command()(calibrate.calibrate)
app.command()(ask.ask)
app.command()(summarize.summarize)
app.command()(export.export)
app.command()(deidentify.deidentify)
app.command()(chat.chat)
app.command()(intake.intake)
app.command()(serve.serve)
app.command()(bench.bench)
app.add_typer(models.app, name="models")
app.add_typer(tune.app, name="tune")
node.app.command()(apart.apart)
node.app.command()(apart.resolve)
app.add_typer(node.app, name="node")
app.command()(worklist.worklist)
app.command()(demo.demo)
app.add_typer(read.app, name="read")
app.add_typer(flow.app, name="flow")
app.add_typer(orders.app, name="orders")
app.add_typer(users.app, name="users")
app.add_typer(audit.app, name="audit")
app.add_typer(store_commands.app, name="store")
app.add_typer(literature.app, name="literature")


def main() -> None:
    """The console script."""
    run(app)
