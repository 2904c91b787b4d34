"""De-identification over many generated images: leaks in headers, and how much burned-in text is found and blanked.

    python benchmarks/deidentify.py --objects 1000 --burned 200

Prints one JSON object. A leak is the planted word anywhere in the output file's bytes. Burned-in text counts as blanked
where its letters, and a pixel about them, have the fill value afterwards; a refused image is not given out and counts
apart.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from pathlib import Path

import numpy as np
import pydicom

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "tests" / part) for part in ("", "exchange")]

from planted import burn_in, planted  # noqa: E402

from aris.exchange.deidentify.burned_in import find_text  # noqa: E402
from aris.exchange.deidentify.checks import RefusedError  # noqa: E402
from aris.exchange.deidentify.images import Deidentifier, Options  # noqa: E402
from dicom_objects import as_bytes  # noqa: E402


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--objects", type=int, default=1000)
    arguments.add_argument("--burned", type=int, default=200)
    arguments.add_argument("--side", type=int, default=512)
    asked = arguments.parse_args()
    headers = Deidentifier(bytes(range(32)), Options(pixels="reviewed"))
    leaked = control = refused = 0
    started = time.perf_counter()
    for seed in range(asked.objects):
        made, secret, _ = planted(seed)
        data = as_bytes(made)
        control += secret.encode() in data
        try:
            leaked += secret.lower().encode() in headers.clean(data).data.lower()
        except RefusedError:
            refused += 1
    took = time.perf_counter() - started
    pixels = Deidentifier(bytes(range(32)), Options(pixels="ocr"))
    whole = nearly = missed = refused_pixels = seen = 0
    started = time.perf_counter()
    for seed in range(asked.burned):
        made, _, _ = planted(100_000 + seed, side=asked.side)
        _, mask = burn_in(made, random.Random(seed))
        seen += bool(find_text(made.pixel_array))
        try:
            result = pixels.clean(as_bytes(made))
        except RefusedError:
            refused_pixels += 1
            continue
        rest = pydicom.dcmread(io.BytesIO(result.data)).pixel_array
        share = gone(mask, rest)
        whole += share > 0.98
        nearly += 0.9 < share <= 0.98
        missed += share <= 0.9
    print(json.dumps({
        "objects": asked.objects, "planted words found before (control)": control, "leaked": leaked, "refused": refused,
        "ms an object": round(1000 * took / max(1, asked.objects), 1),
        "burned": asked.burned, "side": asked.side, "seen by OCR before": seen, "blanked whole": whole,
        "blanked but for 2 to 10 % of the letters": nearly, "missed in whole or part": missed, "refused for their pixels": refused_pixels,
        "ms an image": round(1000 * (time.perf_counter() - started) / max(1, asked.burned), 1),
    }, indent=1))  # fmt: skip


def gone(mask: np.ndarray, rest: np.ndarray) -> float:
    """The share of the letters' neighbourhood (1 pixel) that has the fill value."""
    near = mask.copy()
    for axis in (0, 1):
        for shift in (-1, 1):
            near |= np.roll(mask, shift, axis)
    return float((rest[near] == rest.min()).mean())


if __name__ == "__main__":
    main()
