"""A cache of a frozen tower's features on the disk, so that the tower sees each image once.

One file an image, named by the SHA-256 of the bytes that the tower sees, in a folder named by the digest of the tower's
weights, its shape, the processor's scale and the precision. A file is written under another name and renamed, and ends
with its own checksum: a file that a kill or a power cut left half is made again. The files hold features of patients'
images and are as private as those.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aris.errors import DataError, is_full_disk
from aris.model import MedGemma
from aris.tuning.distributed import ProcessGroup

FORMAT = 1
# Free space that filling the cache leaves on the disk.
SPARE_BYTES = 1 << 30
_HEADER, _CHECKSUM = 64, 4


class TowerCache:
    """The features of a data set's images, pooled as the projector takes them: (P, M, V) for P images by index.

    Args:
        root: of all caches; may be shared between runs, at the same time too.
        model: on its device, its tower frozen.
        digests: SHA-256 of each image's bytes as the tower sees them, in hex.
        image: an image by its index, (S, S, 3) uint8.
        see: images (B, S, S, 3) uint8 to features (B, M, V).
        settings: of the processor and the precision, plain values.

    Attributes:
        seen: images that the tower has seen in this process.
    """

    def __init__(
        self,
        root: Path,
        model: MedGemma,
        digests: Sequence[str],
        image: Callable[[int], Tensor],
        see: Callable[[Tensor], Tensor],
        settings: dict[str, Any],
    ) -> None:
        assert model.config.vision is not None
        self.digests, self._image, self._see, self._device = list(digests), image, see, model.device
        self.folder = root / tower_digest(model, settings)
        self._shape = (model.config.mm_tokens_per_image, model.config.vision.hidden_size)
        self.seen = 0

    def __len__(self) -> int:
        return len(self.digests)

    def fill(self, log: Callable[[str], None], process_group: ProcessGroup | None = None, batch: int = 8) -> None:
        """Write every image's file that is missing; nothing is written unless the disk has room for all.

        Args:
            process_group: the processes that share the work.
            batch: images at a time.

        Raises:
            DataError: the disk lacks room, or fills up meanwhile.
        """
        process_group = process_group or ProcessGroup()
        self.folder.mkdir(parents=True, exist_ok=True)
        if process_group.is_main:
            self._sweep()
        indices = {digest: index for index, digest in reversed(list(enumerate(self.digests)))}
        missing = sorted(index for digest, index in indices.items() if not self._path(digest).is_file())
        process_group.barrier()  # all have the same list before anyone adds to the folder
        there = len(indices) - len(missing)
        if not missing:
            log(f"tower cache: all {there} images are in {self.folder}")
            return
        with torch.no_grad():
            each = self._see(self._image(missing[0])[None]).nbytes + _HEADER + _CHECKSUM
        needed, free = -(-each // 4096) * 4096 * len(missing), shutil.disk_usage(self.folder).free
        if needed + SPARE_BYTES > free:
            raise DataError(
                f"tower cache: {len(missing)} images need {needed / 1e9:.2f} GB in {self.folder}, where "
                f"{free / 1e9:.2f} GB are free (1 GB is left alone); make room, give another --tower-cache, or set "
                "cache_tower: false"
            )
        log(f"tower cache: {there} images are there, {len(missing)} to compute; {needed / 1e9:.2f} GB in {self.folder}")
        own = missing[process_group.rank :: process_group.world_size]
        for start in range(0, len(own), batch):
            self._make(own[start : start + batch])
        process_group.barrier()

    @torch.no_grad()
    def _make(self, indices: list[int]) -> Tensor:
        """Compute the features of images by index, and write them."""
        with ThreadPoolExecutor(len(indices)) as pool:  # decoding takes as long as a tower does
            images = list(pool.map(self._image, indices))
        made = self._see(torch.stack(images)).cpu()
        self.seen += len(indices)
        for index, features in zip(indices, made, strict=True):
            self._write(self._path(self.digests[index]), features)
        return made

    def __call__(self, chosen: Tensor) -> Tensor:
        """Return features (P, M, V) on the model's device of images by index (P,); a damaged file is made again."""
        found = []
        for index in chosen.tolist():
            features = self._read(self._path(self.digests[index]))
            found.append(self._make([index])[0] if features is None else features)
        stacked = torch.stack(found)
        if self._device.type == "cuda":
            return stacked.pin_memory().to(self._device, non_blocking=True)
        return stacked

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / f"{digest}.features"

    def _write(self, path: Path, features: Tensor) -> None:
        header = json.dumps({"dtype": str(features.dtype).removeprefix("torch."), "shape": list(features.shape)})
        body = header.encode().ljust(_HEADER) + features.contiguous().view(torch.uint8).numpy().tobytes()
        fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            path.parent.mkdir(exist_ok=True)
            # Without waiting for the disk: after a power cut the checksum tells.
            fresh.write_bytes(body + zlib.crc32(body).to_bytes(_CHECKSUM, "little"))
            fresh.replace(path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            if not is_full_disk(error):
                raise
            raise DataError(
                f"tower cache: the disk is full; make room in {self.folder}, give another --tower-cache, or set "
                "cache_tower: false, and start the same command again: what is there stays"
            ) from None

    def _read(self, path: Path) -> Tensor | None:
        """Read an image's features; None if they are not there whole."""
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        body = memoryview(data)[:-_CHECKSUM]
        if len(body) <= _HEADER or zlib.crc32(body).to_bytes(_CHECKSUM, "little") != data[-_CHECKSUM:]:
            return None
        header = json.loads(data[:_HEADER])
        values = torch.from_numpy(np.frombuffer(body, np.uint8, offset=_HEADER).copy())
        features = values.view(getattr(torch, header["dtype"])).view(header["shape"])
        return features if tuple(features.shape) == self._shape else None

    def _sweep(self) -> None:
        """Remove the files of writes that were killed; another run may be writing younger ones."""
        for fresh in self.folder.glob("*/.*.new"):
            if time.time() - fresh.stat().st_mtime > 3600:
                fresh.unlink(missing_ok=True)


def tower_digest(model: MedGemma, settings: dict[str, Any]) -> str:
    """Compute a digest of a tower: its weights, its shape, and the scaling of bytes to pixel values."""
    assert model.vision_tower is not None and model.config.vision is not None
    shape = {"format": FORMAT, "vision": asdict(model.config.vision), "tokens": model.config.mm_tokens_per_image}
    digest = hashlib.sha256(json.dumps(shape | settings, sort_keys=True).encode())
    for name, value in sorted(model.vision_tower.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
