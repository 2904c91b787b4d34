"""The end of a command: done 0, failed 1, misused 2, interrupted 130; a traceback only with `--debug`."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup

from aris.cli.helptext import readable
from aris.cli.terminal import note, write
from aris.errors import ArisError
from aris.faults import locations

FAILED, INTERRUPTED = 1, 130
DEBUG = "--debug"
NO_SERVER = "--no-server"


class _State:
    debug = False
    interrupted = False
    no_server = False


class Group(TyperGroup):
    """The `aris` command, which turns every exception of a subcommand into one line and an exit code."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # These may stand anywhere before "--": whoever needs one has just seen a command fail, and appends it.
        end = args.index("--") if "--" in args else len(args)
        _State.debug = DEBUG in args[:end] or bool(os.environ.get("ARIS_DEBUG"))
        _State.interrupted = False
        _State.no_server = NO_SERVER in args[:end]
        args = [arg for arg in args[:end] if arg not in (DEBUG, NO_SERVER)] + args[end:]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return readable(super().get_command(ctx, cmd_name))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        readable(self)
        super().format_help(ctx, formatter)

    def make_context(self, *args: Any, **keywords: Any) -> Any:
        with one_line_endings():
            return super().make_context(*args, **keywords)

    def invoke(self, ctx: Any) -> Any:
        with one_line_endings():
            return super().invoke(ctx)


def servers_are_off() -> bool:
    """Return whether the command was told to use no resident server."""
    return _State.no_server


@contextmanager
def one_line_endings() -> Iterator[None]:
    """Turn every exception but Typer's own into one line and an exit code."""
    try:
        yield
    except BrokenPipeError:
        raise  # Typer ends quietly with 1
    except KeyboardInterrupt:
        note("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except ArisError as error:
        report(error)
        raise typer.Exit(FAILED) from None
    except Exception as error:
        # Typer's own: usage errors, Exit, Abort.
        if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
            raise
        # An interrupt inside an import or native code can come out as another exception.
        if _State.interrupted:
            note("stopped")
            raise typer.Exit(INTERRUPTED) from None
        defect(error)
        raise typer.Exit(FAILED) from None


def report(error: ArisError) -> None:
    """Print an expected error as one line."""
    _trace()
    note(f"error: {error}")


def defect(error: BaseException) -> None:
    """Print an unexpected error as one line: its kind and place. Its words may quote a header or a name."""
    _trace()
    found = locations(error)
    where = f" in {found[0].rpartition('(')[2].rstrip(')')}" if found else ""
    note(f"error: {type(error).__name__}{where}; this is a defect; run with {DEBUG}")


def _trace() -> None:
    if _State.debug:
        traceback.print_exc()


@contextmanager
def interruptible(what: str, *, text: bool) -> Iterator[None]:
    """End on Ctrl-C inside the block: end the line on stdout if it holds `text`, print `what`, exit with 130."""
    try:
        yield
    except KeyboardInterrupt:
        if text:
            write("\n")
        note(f"stopped: {what}")
        raise typer.Exit(INTERRUPTED) from None


def forget_interrupt() -> None:
    """After an interrupt that was dealt with: the next one is a first one again."""
    _State.interrupted = False


def _on_interrupt(_signal: int, _frame: FrameType | None) -> None:
    if _State.interrupted:  # already stopping, and it takes too long
        os._exit(INTERRUPTED)
    _State.interrupted = True
    raise KeyboardInterrupt


def run(app: typer.Typer) -> None:
    """Run the command line as a process, and exit."""
    signal.signal(signal.SIGINT, _on_interrupt)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 gets "?" and no error
    try:
        app()
    except KeyboardInterrupt:  # before the first command ran
        code: object = INTERRUPTED
    except SystemExit as ended:
        code = ended.code
    else:
        code = 0
    # Half-imported libraries complain while the interpreter shuts down after an interrupt. In one of several processes
    # that torchrun started, a thread of gloo may still let go of its last tensors then, for which it wants Python's
    # lock: that ends the process with SIGABRT after all its work was done (pytorch issue 190489).
    if code == INTERRUPTED or os.environ.get("WORLD_SIZE", "1") != "1":
        leave_at_once(code)
    raise SystemExit(code)


def leave_at_once(code: object) -> None:
    """End the process without the interpreter's shutdown; `code` as `SystemExit` takes it."""
    if isinstance(code, str):
        note(code)
    with suppress(OSError):  # nobody reads any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0 if code is None else code if isinstance(code, int) else FAILED)
