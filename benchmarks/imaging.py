"""A CT series and a film from disk to what a model reads: ours, plain pydicom with NumPy, and the bytes alone.

    OMP_NUM_THREADS=2 python benchmarks/imaging.py [--slices 300] [--rounds 5] [--compressed JPEGLSLossless ...]

Ours is what `aris draft` does before the model runs: sorting a folder into series, Hounsfield units in the order of
positions, windows of the sampled slices, pixel values of the default model. The peer reads the same files with pydicom,
does the same arithmetic plainly, slice by slice, and checks nothing; its result must be the same to the bit. The limit is
reading the files into memory (they are in the page cache) and one copy of that. Time of the clock, and of the processor,
which is what to go by on a busy machine; the best of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import torch
from PIL import Image as Picture
from pydicom.pixels import apply_voi_lut

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import bad_files
from aris.checkpoints import open_nano
from aris.imaging.synthetic.series import Geometry, write_series
from aris.imaging.volumes.sampling import slice_indices
from aris.imaging.volumes.windows import CT_WINDOWS
from aris.prompting import ImageProcessor
from aris.prompting.messages import as_part
from aris.prompting.normalize import equalize
from aris.tasks import read_cases

SYNTAXES = ("RLELossless", "JPEGLSLossless", "JPEG2000Lossless")


def ours(path: Path, processor: ImageProcessor) -> torch.Tensor:
    """(images, 3, size, size), as a draft's prompt has them."""
    (case,) = read_cases(path)
    images = [as_part(part) for part in case.parts() if not isinstance(part, str)]
    return torch.cat(processor.many(images))


def plain_series(folder: Path, processor: ImageProcessor) -> torch.Tensor:
    slices = []
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        values = dataset.pixel_array.astype(np.int32) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
        slices.append((float(dataset.ImagePositionPatient[2]), values))
    slices.sort(key=lambda one: one[0])
    shown = []
    for index in slice_indices(len(slices)):
        hu = slices[index][1].astype(np.float32)
        channels = [np.rint((np.clip(hu, low, high) - np.float32(low)) / np.float32(high - low) * np.float32(255)) for low, high in CT_WINDOWS["1.5"]]
        shown.append(plain_values(np.stack(channels, axis=-1).astype(np.uint8), processor))
    return torch.from_numpy(np.stack(shown))


def plain_film(path: Path, processor: ImageProcessor) -> torch.Tensor:
    dataset = pydicom.dcmread(path)
    shown = apply_voi_lut(dataset.pixel_array.astype(np.float64), dataset)
    top = (1 << dataset.BitsStored) - 1
    return torch.from_numpy(plain_values(np.rint(np.clip(shown / top, 0, 1) * 255).astype(np.uint8), processor)[None])


def plain_values(pixels: np.ndarray, processor: ImageProcessor) -> np.ndarray:
    picture = Picture.fromarray(pixels)
    if processor.grayscale:
        picture = picture.convert("L")
    values = np.asarray(picture.resize((processor.size, processor.size), resample=processor.resample))
    if processor.equalize != "none":
        values = equalize(values, processor.equalize)
    if values.ndim == 2:
        values = np.repeat(values[:, :, None], 3, axis=2)
    scaled = (values.astype(np.float64) * processor.rescale_factor).astype(np.float32)
    return ((scaled - np.float32(0.5)) / np.float32(0.5)).transpose(2, 0, 1)


def bytes_alone(paths: list[Path]) -> int:
    return sum(len(bytearray(path.read_bytes())) for path in paths)


def best(rounds: int, call: Callable[[], Any]) -> tuple[Any, float, float]:
    """The result, and the least time of clock and processor."""
    clock, used, result = float("inf"), float("inf"), None
    for _ in range(rounds):
        result = None
        wall, cpu = time.perf_counter(), time.process_time()
        result = call()
        clock, used = min(clock, time.perf_counter() - wall), min(used, time.process_time() - cpu)
    return result, clock, used


def compare(what: str, path: Path, plain: Callable[..., torch.Tensor], processor: ImageProcessor, rounds: int) -> None:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    size, *limit = best(rounds, lambda: bytes_alone(files))
    made, *mine = best(rounds, lambda: ours(path, processor))
    peer, *theirs = best(rounds, lambda: plain(path, processor))
    different = int((np.abs(made.numpy() - peer.numpy()) > 0).sum())
    print(f"{what}, {size / 1e6:.0f} MB -> {tuple(made.shape)}: {'equal to the bit' if not different else f'{different} values differ'}")
    for name, (clock, used) in (("ours", mine), ("pydicom and NumPy", theirs), ("bytes alone", limit)):
        print(f"  {name:18} {clock:7.3f} s of the clock, {used:7.3f} s of the processor", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compressed", nargs="*", choices=SYNTAXES, default=[])
    asked = parser.parse_args()
    checkpoint = open_nano()
    for name, processor in (("aris-nano", ImageProcessor.from_dict(checkpoint.processor)), ("MedGemma's 896", ImageProcessor())):
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            if name == "aris-nano":
                nano = processor
            y, x = np.mgrid[0:2500, 0:2048]
            stored = 2000 + 1500 * np.sin(x / 300) * np.cos(y / 400) + np.random.default_rng(0).normal(0, 30, x.shape)
            film = bad_files.dicom(folder, stored.clip(0, 4095).astype(np.uint16), WindowCenter=2000, WindowWidth=3500)
            compare(f"film of 2,500 x 2,048 for {name}", film, plain_film, processor, asked.rounds)
    geometry = Geometry(asked.slices, 512, 512, (1.0, 0.7, 0.7))
    with tempfile.TemporaryDirectory() as made:
        series = Path(made)
        paths = write_series(series, geometry)
        compare(f"CT of {asked.slices} slices of 512 x 512 for aris-nano", series, plain_series, nano, asked.rounds)
        compare(f"CT of {asked.slices} slices of 512 x 512 for MedGemma's 896", series, plain_series, ImageProcessor(), 1)
        for syntax in asked.compressed:
            for path in paths:
                dataset = pydicom.dcmread(path)
                if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
                    dataset.decompress(generate_instance_uid=False)
                dataset.compress(getattr(pydicom.uid, syntax), generate_instance_uid=False)
                dataset.save_as(path)
            compare(f"the same as {syntax}", series, plain_series, nano, 1)


if __name__ == "__main__":
    main()
