"""`aris calibrate`: probabilities that hold on a site's own films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from aris.cli.groups import ModelOptions, with_groups
from aris.cli.options.choices import one_of
from aris.cli.terminal import counting, note, one_line, write, write_json
from aris.errors import DataError

_METHODS = "platt|temperature|isotonic"


@with_groups
def calibrate(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="CSV: file, optionally patient, and a column of 0 and 1 a finding.")
    ],
    model: ModelOptions,
    out: Annotated[Path, typer.Option("--out", help="The calibration to write.")] = Path("calibration.json"),
    plot: Annotated[Path | None, typer.Option("--plot", metavar="PNG", help="Draw the reliability diagram.")] = None,
    root: Annotated[
        Path | None, typer.Option("--root", metavar="DIR", help="What paths are relative to; default: the CSV's.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="METHOD", help="How to calibrate: platt, temperature or isotonic.")
    ] = "platt",
    sensitivity: Annotated[
        float | None, typer.Option("--sensitivity", min=0.0, max=1.0, help="The operating point reaches at least this.")
    ] = None,
    specificity: Annotated[
        float | None, typer.Option("--specificity", min=0.0, max=1.0, help="As --sensitivity, of specificity.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="The calibration as one JSON document on stdout too.")] = False,
) -> None:
    """Calibrate findings on films that a site has labelled, judged on held-out folds by patient.

    Findings whose AUC could be chance (interval not over 0.5) are written, and stay "not assessed" when it is used.

    Examples:

        aris calibrate labels.csv --out site.json --sensitivity 0.95

        aris findings film.dcm --calibration site.json
    """
    one_of(method, _METHODS.split("|"), param="--method")
    if sensitivity is not None and specificity is not None:
        raise typer.BadParameter("give one of --sensitivity and --specificity", param_hint="--specificity")
    from aris.tasks.label_files import film_logits, read_labels

    names, films = read_labels(labels, root)
    session = model.session()
    backend = session.backend
    with counting("scoring films", len(films)) as step:
        logits, left_out = film_logits(backend, films, names, step)
    for reason in left_out[:20]:
        note(f"left out: {reason}")
    if len(left_out) > 20:
        note(f"left out: {len(left_out) - 20} more")
    import numpy as np

    from aris.tasks.calibration.reliability_plot import reliability_png
    from aris.tasks.calibration.site import Method, fit_finding, save_calibration
    from aris.tasks.text.prompts import FINDING_QUESTION

    fitted = []
    for column, name in enumerate(names):
        rows = [
            (scores[column], film.labels[column], film.patient or str(film.path))
            for scores, film in zip(logits, films, strict=True)
            if scores is not None and film.labels[column] is not None
        ]
        try:
            fitted.append(
                fit_finding(
                    name,
                    np.array([row[0] for row in rows]),
                    np.array([row[1] for row in rows], dtype=bool),
                    [row[2] for row in rows],
                    method=cast("Method", method),
                    at_sensitivity=sensitivity,
                    at_specificity=specificity,
                )
            )
        except DataError as error:
            note(f"not calibrated: {error}")
    if not fitted:
        raise DataError(f"{labels}: no finding could be calibrated; nothing was written")
    save_calibration(
        out, fitted, model=backend.name, changes=backend.changes, question=FINDING_QUESTION,
        extra={"left_out": len(left_out)},
    )  # fmt: skip
    if plot is not None:
        try:
            plot.write_bytes(reliability_png(fitted))
        except OSError as error:
            raise DataError(f"{plot}: cannot be written ({error.strerror})") from None
    if json:
        import json as jsonlib

        write_json(jsonlib.loads(out.read_text(encoding="utf-8")))
        return
    for each in fitted:
        write(f"{one_line(each.name)}: {each.films} films, {each.positives} with it, {each.method}\n")
        write(f"  AUC {each.auc}; ECE {each.ece}, before {each.ece_before}; Brier {each.brier}\n")
        point = f"{each.calibration.threshold:.3f}"
        write(f"  at {point}: sensitivity {each.sensitivity}, specificity {each.specificity}\n")
        if not each.better_than_chance:
            write("  ! no better than chance: it stays not assessed\n")
    write(f"{one_line(str(out))}\n")
