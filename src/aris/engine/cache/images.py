"""Images by content: each is encoded once, however many prompts it stands in."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import torch
from torch import Tensor

# Images that go through the tower at once: enough to fill a GPU, few enough to bound activations.
TOWER_BATCH = 8


@dataclass(frozen=True, eq=False)
class ImageInput:
    """Image of a prompt, as pixels or as soft tokens already.

    Attributes:
        digest: SHA-256 of its content; prompts share what was read of an image only if this is equal.
        pixels: (3, S, S) as the tower reads them, or None.
        embedding: (mm_tokens_per_image, W), or None.
    """

    digest: bytes
    pixels: Tensor | None = None
    embedding: Tensor | None = None

    @classmethod
    def from_pixels(cls, pixels: Tensor) -> tuple[ImageInput, ...]:
        """Images of a batch (N, 3, S, S)."""
        return tuple(cls(_digest(b"pixels", image), pixels=image) for image in pixels)

    @classmethod
    def from_embeddings(cls, embeddings: Tensor) -> tuple[ImageInput, ...]:
        """Images of a batch of soft tokens (N, mm_tokens_per_image, W)."""
        return tuple(cls(_digest(b"soft", image), embedding=image) for image in embeddings)


def _digest(kind: bytes, values: Tensor) -> bytes:
    held = values.detach().contiguous().cpu()
    digest = hashlib.sha256(kind + str((held.dtype, tuple(held.shape))).encode())
    digest.update(held.view(-1).view(torch.uint8).numpy().data)
    return digest.digest()


class VisionCache:
    """Embeddings of the images last seen, least recently used out first. Safe for several threads.

    Args:
        encode: pixels (N, 3, S, S) to embeddings (N, mm_tokens_per_image, W).
        max_bytes: of the embeddings together; what one prompt needs is given all the same.
    """

    def __init__(self, encode: Callable[[Tensor], Tensor], max_bytes: int) -> None:
        self._encode = encode
        self._max_bytes = max_bytes
        self._held: OrderedDict[bytes, Tensor] = OrderedDict()
        self._lock = Lock()
        self.nbytes = 0
        self.hits = 0
        self.encoded = 0

    def embeddings(self, images: Sequence[ImageInput]) -> Tensor:
        """Soft tokens (N, mm_tokens_per_image, W) of images, encoding those that are not here."""
        found: dict[bytes, Tensor] = {}
        missing: dict[bytes, Tensor] = {}
        with self._lock:
            for image in images:
                if image.embedding is not None:
                    found[image.digest] = image.embedding
                elif image.digest in self._held:
                    self._held.move_to_end(image.digest)
                    found[image.digest] = self._held[image.digest]
                    self.hits += 1
                elif image.pixels is not None:
                    missing[image.digest] = image.pixels
        names = list(missing)
        for start in range(0, len(names), TOWER_BATCH):
            batch = names[start : start + TOWER_BATCH]
            # Rows of their own: a view would keep the whole batch in memory as long as one of it is held.
            for name, encoded in zip(batch, self._encode(torch.stack([missing[n] for n in batch])), strict=True):
                found[name] = encoded.clone()
                self._hold(name, found[name])
        return torch.stack([found[image.digest] for image in images])

    def holds(self, image: ImageInput) -> bool:
        """Return whether an image's embedding is at hand."""
        return image.embedding is not None or image.digest in self._held

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._held.clear()
            self.nbytes = 0

    def _hold(self, name: bytes, embedding: Tensor) -> None:
        with self._lock:
            self.encoded += 1
            if name not in self._held:
                self._held[name] = embedding
                self.nbytes += embedding.nbytes
            while self.nbytes > self._max_bytes and self._held:
                _, old = self._held.popitem(last=False)
                self.nbytes -= old.nbytes
