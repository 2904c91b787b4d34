"""`aris chat`: a conversation in the terminal, or line by line from a pipe."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from aris.cli.clinical.ask import tell
from aris.cli.groups import FilmOptions, ModelOptions, WritingOptions, with_groups
from aris.cli.options import shared as o
from aris.cli.options.kinds import KindOption, kind
from aris.cli.outcome import INTERRUPTED, forget_interrupt, report
from aris.cli.session import Session
from aris.cli.terminal import note, write, write_json
from aris.errors import ArisError

if TYPE_CHECKING:
    from aris.backends import GenerationOptions
    from aris.prompting import Message
    from aris.tasks import Case
    from aris.tasks.film_facts import Facts
    from aris.tasks.scope import Kind

HELP = "/image FILE adds an image to the next question, /clear starts anew, /quit ends (or Ctrl-D)"


@with_groups
def chat(
    model: ModelOptions,
    writing: WritingOptions,
    film: FilmOptions,
    image: Annotated[
        list[str] | None,
        typer.Option("--image", "-i", metavar="FILE", help="An image of the first question; may be repeated."),
    ] = None,
    image_kind: KindOption = None,
    force: o.ForceOption = False,
    json: Annotated[bool, typer.Option("--json", help="JSON Lines on stdout, one an answer.")] = False,
    system: Annotated[str | None, typer.Option("--system", help="Instructions before the conversation.")] = None,
) -> None:
    """Talk with a model: one line, one question. In the conversation: /image FILE, /clear, /help, /quit.

    Images are asked about inside the model's declared scope only, those of earlier questions too: what it cannot answer
    it says, with the reason. --age and --view hold for all images of the conversation whose files say neither.

    Examples:

        aris chat -i chest.dcm

        printf 'What is a pleural effusion?\\nHow is it treated?\\n' | aris chat
    """
    session = model.session()
    generation = writing.generation()
    conversation = Conversation(
        session, generation, system, json=json, kind=kind(image_kind), facts=film.facts(), force=force
    )
    for file in image or ():
        conversation.add_image(file)
    typing = sys.stdin.isatty()
    note(session.caution)
    if typing:
        note(HELP)
    while (line := _read_line(typing)) is not None:
        if line.strip() in ("/quit", "/exit"):
            break
        try:
            conversation.take(line.strip())
        except ArisError as error:
            report(error)
            if not typing:
                raise typer.Exit(1) from None
        except KeyboardInterrupt:
            # The answer ends here; at a keyboard the conversation goes on without it.
            write("" if json else "\n")
            note("stopped: the answer is not complete")
            if not typing:
                raise typer.Exit(INTERRUPTED) from None
            forget_interrupt()


class Conversation:
    """Conversation so far, and the images that wait for the next question."""

    def __init__(
        self,
        session: Session,
        options: GenerationOptions,
        system: str | None,
        *,
        json: bool,
        kind: Kind | None,
        facts: Facts,
        force: bool,
    ) -> None:
        self._session = session
        self._options = options
        self._system = system
        self._json = json
        self._kind, self._facts, self._force = kind, facts, force
        self._cases: list[Case] = []
        self._shown: tuple[Case, ...] = ()
        self._history: list[Message] = []
        self.clear()

    def clear(self) -> None:
        """Forget what was said."""
        self._cases, self._shown = [], ()
        self._history = []
        if self._system:
            from aris.prompting import system

            self._history = [system(self._system)]

    def add_image(self, file: str) -> None:
        """Read an image for the next question.

        Raises:
            ImageError: it cannot be read.
        """
        from aris.tasks.cases import as_case
        from aris.tasks.film_facts import with_facts

        case = with_facts(as_case(file, self._kind), self._facts)
        for warning in case.warnings:
            note(f"! {warning}")
        self._cases.append(case)

    def take(self, line: str) -> None:
        """Do what a line says: a command or a question."""
        command, _, rest = line.partition(" ")
        if command == "/image":
            self.add_image(rest.strip())
        elif command == "/clear":
            self.clear()
        elif command == "/help":
            note(HELP)
        elif line.startswith("/"):
            note(f"no command {command}: {HELP}")
        elif line:
            self._answer(line)

    def _answer(self, question: str) -> None:
        from aris.tasks import AnswerStream

        stream = AnswerStream(
            self._session.backend, question, self._cases, self._history, options=self._options, force=self._force,
            earlier=self._shown,
        )  # fmt: skip
        if not self._json:
            tell(stream)
        for piece in stream:
            if not self._json:
                write(piece)
        answer = stream.answer
        if self._json:
            write_json(answer.model_dump(mode="json"))
        else:
            write("" if answer.answer.endswith("\n") else "\n")
            for warning in answer.warnings:
                if warning not in stream.warnings:
                    note(f"! {warning}")
        self._history, self._cases, self._shown = stream.history, [], stream.shown


def _read_line(typing: bool) -> str | None:
    """The next line, with a prompt and line editing at a keyboard; None at the end."""
    try:
        if typing and sys.stdout.isatty():
            with suppress(ImportError):
                import readline  # noqa: F401  (gives input() its editing and history)
            return input("> ")
        if typing:
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        return line or None
    except EOFError:
        return None
