"""The one way from images to batches of tensors, for training, encoding and search alike.

Files, PIL images and arrays are decoded and resized by threads ahead of the step; pixels and features in memory are
picked by index. What cannot be decoded is left out of its batch and kept by name; it never ends an epoch.
"""

from collections.abc import Iterable, Iterator
from itertools import islice, tee

import numpy as np
import torch
from torch import Tensor

from bitseek.errors import ImageError
from bitseek.images import Features, Images, Loose, Paths, Pixels, decode_many
from bitseek.models._preprocess import Preprocess


class Loader:
    """Batches of images.

    Args:
        images: what to load from.
        preprocess: of the backbone.
        device: where the batches shall be.
        training: leave decoded images at `Preprocess.resized` and pixels at their own size, for augmentation to cut
            from, instead of making the square that the backbone sees. Pixels of up to `RESIDENT_BYTES` then live on the
            device from the start.
        threads: how many decode; by default one a processor, 8 at most.

    Attributes:
        unreadable: message of each image that could not be decoded, by its index.
    """

    RESIDENT_BYTES = 4 << 30

    def __init__(
        self,
        images: Images,
        preprocess: Preprocess,
        device: str | torch.device = "cpu",
        *,
        training: bool = False,
        threads: int | None = None,
    ) -> None:
        self.images = images
        self.preprocess = preprocess
        self.device = torch.device(device)
        self.training = training
        self.threads = threads
        self.unreadable: dict[int, str] = {}
        self._pixels: Tensor | None = None
        if isinstance(images, Pixels):
            # Evaluation resizes on the CPU whatever the device: another one would round otherwise.
            resident = training and images.array.nbytes <= self.RESIDENT_BYTES
            self._pixels = _tensor(images.array).to(self.device if resident else "cpu")

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]:
        """For each array of indices: those that could be read (none, perhaps), and their images.

        Yields:
            (m,) int64 indices and (m, 3, h, w) uint8 pixels, or (m, D) float32 features.
        """
        if isinstance(self.images, Paths | Loose):
            yield from self._decoded(order, self.images)
            return
        for indices in order:
            yield indices, self._picked(indices)

    def _picked(self, indices: np.ndarray) -> Tensor:
        if isinstance(self.images, Features):
            return torch.from_numpy(self.images.rows(indices)).to(self.device)
        assert self._pixels is not None
        pixels = colours(self._pixels[torch.from_numpy(indices).to(self._pixels.device)])
        return (pixels if self.training else self.preprocess.square(pixels)).to(self.device)

    def _decoded(self, order: Iterable[np.ndarray], images: Paths | Loose) -> Iterator[tuple[np.ndarray, Tensor]]:
        ahead, batches = tee(order)
        resize = self.preprocess.resize if self.training else self.preprocess.square

        def prepare(image: np.ndarray) -> Tensor:
            return resize(colours(_tensor(image[None])))[0]

        sources = (source for indices in ahead for source in images.rows(indices))
        decoded = decode_many(sources, self.threads, min_side=self.preprocess.min_side, then=prepare)
        for indices in batches:
            pixels: list[Tensor] = []
            kept: list[int] = []
            for index, (_, image) in zip(indices.tolist(), islice(decoded, len(indices)), strict=True):
                if isinstance(image, ImageError):
                    self.unreadable[index] = str(image)
                else:
                    pixels.append(image)
                    kept.append(index)
            batch = torch.stack(pixels) if pixels else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
            yield np.asarray(kept, np.int64), batch.to(self.device, non_blocking=True)


def in_batches(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Indices cut into runs of `size`, the last one shorter."""
    return (indices[start : start + size] for start in range(0, len(indices), size))


def colours(pixels: Tensor) -> Tensor:
    """(m, H, W) or (m, H, W, 3) as (m, 3, H, W); grey is repeated in three colours."""
    if pixels.ndim == 4:
        return pixels.permute(0, 3, 1, 2)
    return pixels.unsqueeze(1).expand(-1, 3, -1, -1)


def _tensor(array: np.ndarray) -> Tensor:
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))  # torch wants memory that it may write to
