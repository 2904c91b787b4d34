"""`aris literature`: a library of papers, searched and asked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options.choices import one_of
from aris.cli.outcome import FAILED, Group, interruptible
from aris.cli.terminal import note, one_line, working, write, write_json

if TYPE_CHECKING:
    from aris.literature import Filters, Hit, Library, StoredPaper
    from aris.tasks.literature import LiteratureAnswer

app = typer.Typer(
    name="literature",
    cls=Group,
    help="A library of papers: add, search and ask.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_FILTERS = "Filters"
_TITLE = 100  # characters of a title in a list

LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library", envvar="ARIS_LIBRARY", help="Folder of the library; by default in the user's data folder."
    ),
]
EncoderOption = Annotated[
    Path | None,
    typer.Option(
        "--encoder", envvar="ARIS_ENCODER", metavar="DIR",
        help="Folder of a BERT sentence encoder in Hugging Face layout; by default all-MiniLM-L6-v2, where installed.",
    ),
]  # fmt: skip
LexicalOption = Annotated[bool, typer.Option("--lexical", help="By words alone, without sentence vectors.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON document a line on stdout.")]
SinceOption = Annotated[
    int | None, typer.Option("--since", metavar="YEAR", help="From this year on.", rich_help_panel=_FILTERS)
]
UntilOption = Annotated[
    int | None, typer.Option("--until", metavar="YEAR", help="Up to this year.", rich_help_panel=_FILTERS)
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--type", help='Study type, as "randomized controlled trial"; may be repeated.', rich_help_panel=_FILTERS
    ),
]
JournalOption = Annotated[
    str, typer.Option("--journal", help="A part of the journal's name.", rich_help_panel=_FILTERS)
]


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files, or folders of them.")],
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    lexical: LexicalOption = False,
    json: JsonLinesOption = False,
) -> None:
    """Add papers: PubMed XML, MEDLINE text, JATS, PDF with a text layer, HTML, Markdown, JSON Lines; .gz of them too.

    A paper that is there already (by PMID, DOI or its text) is not added twice; what it lacked is filled in. A
    file that cannot be read costs nothing that was added before. Stopped or killed, the command goes
    on where it was when it is given again.

    Examples:

        aris literature add pubmed.xml papers/

        aris literature add guideline.pdf --library /srv/aris/library
    """
    from aris.literature import add_files

    failed = False
    with _opened(library, encoder, lexical) as kept:
        with interruptible("what was added before is kept", text=False):
            for told in add_files(kept, paths):
                failed = failed or told.error is not None or told.faulty > 0
                if json:
                    write_json(
                        {
                            "file": str(told.path), "added": told.added, "updated": told.updated, "known": told.known,
                            "faulty": told.faulty, "faults": told.faults, "error": told.error,
                            "unchanged": told.unchanged,
                        }
                    )  # fmt: skip
                else:
                    what = (
                        "added before"
                        if told.unchanged
                        else f"{told.added} added, {told.updated} updated, {told.known} known"
                    )
                    write(f"{one_line(str(told.path))}: {what}\n")
                for fault in told.faults:
                    note(f"! {fault}")
                if told.faulty > len(told.faults):
                    note(f"! {told.path}: {told.faulty - len(told.faults)} more records could not be used")
                if told.error is not None:
                    note(f"error: {told.error}")
        with interruptible("the vectors that are missing are made the next time", text=False):
            _make_vectors(kept)
        counts = kept.counts()
        note(f"the library holds {counts['papers']} papers in {counts['passages']} passages")
        if kept.without_vectors and not lexical:
            _say_lexical(kept)
    if failed:
        raise typer.Exit(FAILED)


@app.command()
@with_groups
def search(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='Any words; "-" reads them from stdin.')],
    model: ModelOptions,
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1000, help="Passages at most.")] = 10,
    mode: Annotated[
        str, typer.Option("--by", metavar="hybrid|lexical|dense", help="By words, by meaning, or both.")
    ] = "hybrid",
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Let the model rank the best ones again; takes a while.")
    ] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    types: TypeOption = None,
    journal: JournalOption = "",
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    json: JsonOption = False,
) -> None:
    """Find passages. Retracted papers are marked.

    Examples:

        aris literature search "metformin lactic acidosis" --since 2015

        aris literature search "statins after stroke" --type "randomized controlled trial" --json
    """
    from aris.literature.retrieval import search as find

    chosen: Any = one_of(mode, ("hybrid", "lexical", "dense"), param="--by")
    query = sys.stdin.read() if query == "-" else query
    filters = _filters(since, until, types, journal)
    with _opened(library, encoder, chosen == "lexical", ready=True) as kept:
        scorer = _scorer(model) if rerank else None
        with working("searching"):
            hits = find(kept, query, count=count, mode=chosen, filters=filters, scorer=scorer)
        if kept.without_vectors and chosen == "hybrid":
            _say_lexical(kept)
    if json:
        write_json({"query": query, "hits": [_hit(each) for each in hits]})
        return
    for number, each in enumerate(hits, 1):
        paper = each.paper
        marks = [mark for mark in (paper.study_type, str(paper.year or ""), paper.journal) if mark]
        write(f"{number}. {one_line(paper.title)}\n")
        write(f"   {one_line('; '.join(marks))}{_warned(paper)}\n" if marks or _warned(paper) else "")
        location = ", ".join(
            filter(None, (each.passage.heading, f"page {each.passage.page}" if each.passage.page else ""))
        )
        write(f"   {f'({one_line(location)}) ' if location else ''}{one_line(each.passage.text)}\n\n")
    if not hits:
        note("nothing was found")


@app.command()
@with_groups
def ask(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help='The question; "-" reads it from stdin.')],
    model: ModelOptions,
    no_model: Annotated[
        bool, typer.Option("--no-model", help="The passages' own words alone; no model is loaded.")
    ] = False,
    rerank: Annotated[
        bool, typer.Option("--rerank", help="Let the model rank the passages again; takes a while.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write the references to a .ris or .bib file.")
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    types: TypeOption = None,
    journal: JournalOption = "",
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    lexical: LexicalOption = False,
    json: JsonOption = False,
) -> None:
    """Answer a question from the library; each sentence carries references to passages.

    The answer opens with a passage's own words. A sentence that the model writes is shown only if a passage
    supports its numbers, names, direction and words. Where the library does not hold enough, the command says so, and
    exits with 1.
    Retracted papers never support an answer.

    Examples:

        aris literature ask "Does vitamin D lower the risk of respiratory infection?"

        aris literature ask "..." --type meta-analysis --export references.ris

        aris literature ask "..." --no-model --json
    """
    from aris.tasks.literature import LiteratureStream

    writer = _exporter(export)
    session = model.session()
    question = sys.stdin.read() if question == "-" else question
    filters = _filters(since, until, types, journal)
    with (
        _opened(library, encoder, lexical, ready=True) as kept,
        interruptible("the answer is not complete", text=not json),
    ):
        with working("searching"):
            stream = LiteratureStream(
                kept, question, None if no_model else lambda: session.backend, filters=filters, rerank=rerank
            )
        for piece in stream:
            if not json:
                write(one_line(piece))
        answer = stream.answer
        if writer is not None:
            writer([kept.paper(each.paper) for each in answer.passages])
        if kept.without_vectors and not lexical:
            _say_lexical(kept)
    if json:
        write_json(answer.model_dump(mode="json"))
    else:
        _print_answer(answer)
    if not answer.answered:
        raise typer.Exit(FAILED)


@app.command(name="list")
def list_papers(
    library: LibraryOption = None,
    retracted: Annotated[bool, typer.Option("--retracted", help="Retracted papers alone.")] = False,
    json: JsonLinesOption = False,
) -> None:
    """List the papers of the library.

    Examples:

        aris literature list

        aris literature list --retracted --json
    """
    with _opened(library, None, True, ready=True) as kept:
        for paper in kept.papers():
            if retracted and paper.retraction != "retracted":
                continue
            if json:
                write_json(_paper(paper))
            else:
                names = ", ".join(filter(None, (f"PMID {paper.pmid}" if paper.pmid else "", paper.doi or "")))
                title = one_line(paper.title)
                title = title if len(title) <= _TITLE else f"{title[: _TITLE - 1]}…"
                write(
                    f"{paper.id:>6}  {paper.year or '    '}  {title}"
                    f"{f'  {one_line(names)}' if names else ''}{_warned(paper)}\n"
                )
        counts = kept.counts()
        note(f"{counts['papers']} papers, {counts['retracted']} of them retracted; {counts['passages']} passages, "
             f"{counts['vectors']} with vectors")  # fmt: skip


@app.command()
def remove(
    papers: Annotated[list[str], typer.Argument(metavar="PAPER...", help="Number from `list`, PMID or DOI.")],
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Remove papers from the library. Their files are not touched.

    Examples:

        aris literature remove 12 10.1000/xyz123
    """
    removed, missing = 0, []
    with _opened(library, None, True, ready=True) as kept:
        for name in papers:
            if found := kept.find(name):
                removed += kept.remove(found)
            else:
                missing.append(name)
    if json:
        write_json({"removed": removed, "missing": missing})
    else:
        write(f"{removed} removed\n")
    for name in missing:
        note(f"error: {name}: no paper of this number, PMID or DOI in the library")
    if missing:
        raise typer.Exit(FAILED)


@app.command(name="export")
def export_references(
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="A file; by default stdout.")] = None,
    style: Annotated[
        str, typer.Option("--format", "-f", metavar="ris|bibtex|vancouver", help="Of the references.")
    ] = "ris",
    papers: Annotated[
        list[str] | None, typer.Argument(metavar="[PAPER]...", help="Number, PMID or DOI; all by default.")
    ] = None,
    library: LibraryOption = None,
) -> None:
    """Write the references of papers as RIS, BibTeX or in Vancouver style.

    Examples:

        aris literature export --format bibtex --out library.bib

        aris literature export --format vancouver 12 31452104
    """
    style = one_of(style, ("ris", "bibtex", "vancouver"), param="--format")
    with _opened(library, None, True, ready=True) as kept:
        chosen = [kept.paper(number) for name in papers or () for number in kept.find(name)]
        missing = [name for name in papers or () if not kept.find(name)]
        text = _references(list(kept.papers()) if not papers else chosen, style)
    if out is None:
        write(text if not text or text.endswith("\n") else f"{text}\n")
    else:
        _write_file(out, text)
        note(f"wrote {out}")
    for name in missing:
        note(f"error: {name}: no paper of this number, PMID or DOI in the library")
    if missing:
        raise typer.Exit(FAILED)


@app.command()
def retractions(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Retraction Watch's CSV, a CSV with pmid or doi, or one of them a line."),
    ],
    library: LibraryOption = None,
    json: JsonOption = False,
) -> None:
    """Import a list of retracted papers, by PMID or DOI. It holds for papers that are added later, too.

    Without a list the state of a paper is unknown, unless its own record says that it was retracted.

    Examples:

        aris literature retractions retraction_watch.csv
    """
    from aris.literature.adding import read_retractions

    rows = read_retractions(file)
    with _opened(library, None, True) as kept:
        retracted = kept.list_retractions(rows)
    if json:
        write_json({"identifiers": len(rows), "retracted": retracted})
    else:
        write(f"{len(rows)} identifiers; {retracted} papers of the library are retracted\n")


# What the commands share


def _opened(folder: Path | None, encoder: Path | None, lexical: bool, *, ready: bool = False) -> Library:
    """The library; where `ready`, one that is there already."""
    from aris.errors import LiteratureError
    from aris.flow.libraries import own_folder
    from aris.literature import Library
    from aris.literature.library import NAME

    folder = own_folder() if folder is None else folder
    if ready and not (folder / NAME).is_file():
        raise LiteratureError(f"{folder}: there is no library; make one with `aris literature add FILE...`")
    return Library(folder, encoder=encoder, lexical=lexical)


def _make_vectors(library: Library) -> None:
    if library.without_vectors:
        return
    total = library.missing_vectors()
    if not total:
        return
    if not sys.stderr.isatty():
        for _ in library.add_vectors():
            pass
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("vectors of the passages", total=total)
        for made in library.add_vectors():
            progress.advance(task, made)


def _say_lexical(library: Library) -> None:
    from aris.literature.encoder import INSTALL

    note(f"! searched by words alone: {library.without_vectors}; `{INSTALL}` adds the search by meaning")


def _filters(since: int | None, until: int | None, types: list[str] | None, journal: str) -> Filters:
    from aris.literature import Filters

    if since is not None and until is not None and since > until:
        raise typer.BadParameter(f"{since} is after {until}", param_hint="--since")
    return Filters(since, until, tuple(types or ()), journal)


def _scorer(model: ModelOptions) -> Callable[[str, Any], list[float]]:
    from aris.tasks.literature.answering import relevance

    session = model.session()
    return lambda query, texts: relevance(session.backend, query, texts)


def _exporter(path: Path | None) -> Callable[[list[StoredPaper]], None] | None:
    if path is None:
        return None
    style = {".ris": "ris", ".bib": "bibtex"}.get(path.suffix.lower())
    if style is None:
        raise typer.BadParameter(f"{path.name}: name it .ris or .bib", param_hint="--export")
    return lambda papers: _write_file(path, _references(list({each.id: each for each in papers}.values()), style))


def _references(papers: list[StoredPaper], style: str) -> str:
    from aris.literature import bibtex, ris, vancouver

    if style == "vancouver":
        return "".join(f"{number}. {vancouver(each)}\n" for number, each in enumerate(papers, 1))
    return ris(papers) if style == "ris" else bibtex(papers)


def _write_file(path: Path, text: str) -> None:
    from aris.errors import LiteratureError

    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise LiteratureError(f"{path}: cannot be written ({error.strerror or type(error).__name__})") from None


def _warned(paper: StoredPaper) -> str:
    return {"retracted": "  RETRACTED", "concern": "  EXPRESSION OF CONCERN"}.get(paper.retraction, "")


def _paper(paper: StoredPaper) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(paper)


def _hit(hit: Hit) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "score": hit.score, "bm25": hit.bm25, "similarity": hit.similarity, "passage": asdict(hit.passage),
        "paper": asdict(hit.paper),
    }  # fmt: skip


def _print_answer(answer: LiteratureAnswer) -> None:
    if not answer.answered:
        write("Not enough in this library to answer the question.\n")
    else:
        write("\n")
        verbatim = sum(each.kind == "verbatim" for each in answer.sentences)
        note(f"{verbatim} of {len(answer.sentences)} sentences are the passages' own words")
        if answer.conflicts:
            write("\nThe papers disagree:\n")
        for clash in answer.conflicts:
            write(f"  [{clash.numbers[0]}] {one_line(clash.first)}\n  [{clash.numbers[1]}] {one_line(clash.second)}\n")
        write("\nEvidence:\n")
        for row in answer.evidence:
            what = ", ".join((row.study_type or "type not known", str(row.year or "year not known")))
            write(f"  [{row.number}] {what}: {one_line(row.finding)}\n")
        write("\nReferences:\n")
        for each in answer.passages:
            location = ", ".join(filter(None, (each.heading, f"page {each.page}" if each.page else "")))
            state = "" if each.retraction == "not listed" else f" Retraction status: {each.retraction}."
            shown = f" ({one_line(location)})." if location else ""
            write(f"  {each.number}. {one_line(each.vancouver)}{shown}{state}\n")
    for warning in answer.warnings:
        note(f"! {warning}")
    note(answer.caution)
