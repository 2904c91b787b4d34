"""A site's own labels: a CSV of films and findings, and the scores of those films."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aris.backends import Backend
from aris.errors import DataError, ImageError
from aris.imaging import read_film
from aris.prompting import Image, user
from aris.regular import read_regular
from aris.tasks.calibration.answers import read_calibration
from aris.tasks.checks.film import not_a_film
from aris.tasks.findings import require_images
from aris.tasks.scope import outside_scope
from aris.tasks.text.prompts import ANSWERS, FINDING_QUESTION, GATE_QUESTION

_YES, _NO = {"1", "1.0", "yes", "true", "present"}, {"0", "0.0", "no", "false", "absent"}
_UNKNOWN = {"", "-1", "-1.0", "na", "nan", "unknown", "uncertain"}


@dataclass(frozen=True)
class LabelledFilm:
    """A film's path, its patient ("" where there is no such column), its labels (None for not labelled) and line."""

    path: Path
    patient: str
    labels: tuple[bool | None, ...]
    line: int = 0


def read_labels(path: str | Path, root: str | Path | None = None) -> tuple[tuple[str, ...], list[LabelledFilm]]:
    """Findings' names and labelled films of a CSV.

    The header has `file`, optionally `patient`, and one column a finding. A cell is 1 or 0 (also yes/no, true/false),
    or empty for not labelled; CheXpert's -1, uncertain, counts as not labelled.

    Args:
        root: what paths are relative to; by default the CSV's folder.

    Raises:
        DataError: every wrong row, the first named with its line.
    """
    source = Path(path).expanduser()
    try:
        text = read_regular(source).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}; give a CSV file") from None
    reader = csv.reader(text.splitlines())
    header = [name.strip() for name in next(reader, [])]
    if "file" not in header or len(set(header)) < len(header):
        raise DataError(f"{path}:1: the header needs a column file, and each column once")
    names = tuple(name for name in header if name not in ("file", "patient"))
    if not names or not all(names):
        raise DataError(f"{path}:1: no column of a finding; name each after its finding")
    base = Path(root).expanduser() if root is not None else source.parent
    films, wrong = [], []
    for row in reader:
        line = reader.line_num
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(header):
            wrong.append(f"{path}:{line}: {len(row)} cells, the header has {len(header)}")
            continue
        cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
        labels = [_label(cells[name]) for name in names]
        bad = [name for name, label in zip(names, labels, strict=True) if label == "wrong"]
        if bad or not cells["file"]:
            wrong.append(f"{path}:{line}: {bad[0] + ' is neither 1, 0 nor empty' if bad else 'no file'}")
            continue
        known = tuple(label if isinstance(label, bool) else None for label in labels)
        films.append(LabelledFilm(base / cells["file"], cells.get("patient", ""), known, line))
    if wrong:
        raise DataError(f"{wrong[0]} ({len(wrong)} such rows)" if len(wrong) > 1 else wrong[0])
    if not films:
        raise DataError(f"{path}: no films")
    return names, films


def _label(cell: str) -> bool | str:
    cell = cell.lower()
    return True if cell in _YES else False if cell in _NO else "unknown" if cell in _UNKNOWN else "wrong"


def film_logits(
    model: Backend,
    films: Sequence[LabelledFilm],
    names: Sequence[str],
    step: Callable[[], None] = lambda: None,
) -> tuple[list[list[float] | None], list[str]]:
    """Scores of each finding on each film: log p("Yes") - log p("No"), by the questions that `findings` asks.

    Films that cannot be read, or that `findings` would not assess, have None; the second list says why.

    Raises:
        ModelError: the model reads no images, or gives no log-probabilities.
    """
    require_images(model)
    scope = None if model.spec is None else model.spec.scope
    gate = read_calibration(model.calibration).gate
    questions = [(FINDING_QUESTION.format(finding=name), ANSWERS) for name in names]
    out: list[list[float] | None] = []
    reasons = []
    for each in films:
        reason = None
        try:
            film = read_film(each.path)
        except ImageError as error:
            reason = str(error)
        else:
            outside = outside_scope(film, scope) if scope is not None else ()
            reason = outside[0] if outside else not_a_film(film.pixels)
        if reason is None:
            turn = [user(Image(film.pixels))]
            scores = model.score_many(turn, [*([(GATE_QUESTION, ANSWERS)] if gate else []), *questions])
            if gate is not None and not gate.present(gate.probability(scores.pop(0))):
                reason = "the model does not take it for a frontal chest X-ray"
        if reason is None:
            logits = [yes - no for yes, no in scores]
            out.append(logits if all(map(math.isfinite, logits)) else None)
            if out[-1] is None:
                reasons.append(f"line {each.line}: scores that are not numbers")
        else:
            out.append(None)
            # By its line: the file's name may be a patient's.
            reasons.append(f"line {each.line}: {reason.removeprefix(f'{each.path}: ')}")
        step()
    return out, reasons
