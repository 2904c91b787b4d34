"""Stages of a draft up to its first piece, in CPU and wall seconds: the first one after the model was loaded, and later ones.

    python benchmarks/first_token_stages.py [--films 4]

The film is a sample that is made a little darker each time, so that nothing is kept of the one before. CPU time depends
less on what else the machine does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import PIL.Image
import PIL.ImageEnhance

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--films", type=int, default=4)
    given = parser.parse_args()
    from aris.backends import load
    from aris.tasks import DraftStream, read_cases

    began, spent = time.perf_counter(), time.process_time()
    model = load("aris-nano")
    print(f"loaded     {time.perf_counter() - began:6.2f} s wall, {time.process_time() - spent:6.2f} s CPU")
    film = PIL.Image.open(ROOT / "samples" / "child-pneumonia.jpg")
    with tempfile.TemporaryDirectory() as name:
        for number in range(given.films):
            path = Path(name) / f"{number}.png"
            PIL.ImageEnhance.Brightness(film).enhance(1 - number * 0.01).save(path)
            marks = [("start", time.perf_counter(), time.process_time())]

            def mark(what: str, marks: list[tuple[str, float, float]] = marks) -> None:
                marks.append((what, time.perf_counter(), time.process_time()))

            case = next(iter(read_cases(path, spec=model.spec)))
            mark("image read")
            stream = DraftStream(model, case)
            mark("findings")
            next(stream)
            mark("first piece")
            pieces = 1 + sum(1 for _ in stream)
            mark(f"{pieces} pieces")
            steps = [
                f"{what} {later - earlier:.2f} s wall, {cpu - before:.2f} s CPU"
                for (_, earlier, before), (what, later, cpu) in pairwise(marks)
            ]
            print(f"film {number}: {'; '.join(steps)}; {stream.draft.timings}", flush=True)


if __name__ == "__main__":
    main()
