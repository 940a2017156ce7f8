"""Images of a pool as batches of tensors, in the order asked for, ready for the device.

Pixels and features stay in memory and are picked by index; files are decoded and resized by threads ahead of the step.
A file that cannot be decoded is left out of its batch and counted by name; it never ends an epoch.
"""

from collections.abc import Iterable, Iterator
from itertools import islice, tee

import numpy as np
import torch
from torch import Tensor

from bitseek.data.pool import Features, Images, Paths, Pixels
from bitseek.errors import ImageError
from bitseek.images import decode_many
from bitseek.models.transform import Transform, to_tensor


class Feed:
    """Batches of one pool.

    Args:
        images: of the pool.
        transform: of the backbone.
        device: where the batches shall be; pixels of up to `RESIDENT_BYTES` live there from the start.
        for_training: leave files at `Transform.resized`, so that augmentation can cut from them, and pixels at their
            own size; else make the square that the backbone sees.
        threads: how many decode files; by default one a processor, 8 at most.

    Attributes:
        unreadable: message of each file that could not be decoded, by index into the pool.
    """

    RESIDENT_BYTES = 4 << 30

    def __init__(
        self,
        images: Images,
        transform: Transform,
        device: str | torch.device = "cpu",
        *,
        for_training: bool = False,
        threads: int | None = None,
    ) -> None:
        self.images = images
        self.transform = transform
        self.device = torch.device(device)
        self.for_training = for_training
        self.threads = threads
        self.unreadable: dict[int, str] = {}
        self._resident: Tensor | None = None
        if isinstance(images, Pixels):
            where = self.device if images.array.nbytes <= self.RESIDENT_BYTES else torch.device("cpu")
            self._resident = torch.from_numpy(np.require(images.array, requirements=["C", "W"])).to(where)

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]:
        """For each array of pool indices: those that could be read (none, perhaps), and their images.

        Yields:
            (m,) int64 indices and (m, 3, h, w) uint8 pixels, or (m, D) float32 features.
        """
        if isinstance(self.images, Paths):
            yield from self._decoded(order, self.images)
            return
        for indices in order:
            yield indices, self._picked(indices)

    def _picked(self, indices: np.ndarray) -> Tensor:
        if isinstance(self.images, Features):
            return torch.from_numpy(self.images.rows(indices)).to(self.device)
        assert self._resident is not None
        rows = torch.from_numpy(indices).to(self._resident.device)
        pixels = _colours(self._resident[rows]).to(self.device)
        return pixels if self.for_training else self.transform.square(pixels)

    def _decoded(self, order: Iterable[np.ndarray], paths: Paths) -> Iterator[tuple[np.ndarray, Tensor]]:
        ahead, batches = tee(order)
        side = self.transform.resize if self.for_training else self.transform.square

        def resize(image: np.ndarray) -> Tensor:
            return side(to_tensor(image))

        wanted = (file for indices in ahead for file in paths.rows(indices))
        decoded = decode_many(wanted, self.threads, then=resize)
        for indices in batches:
            images: list[Tensor] = []
            kept: list[int] = []
            for index, (_, image) in zip(indices.tolist(), islice(decoded, len(indices)), strict=True):
                if isinstance(image, ImageError):
                    self.unreadable[index] = str(image)
                else:
                    images.append(image)
                    kept.append(index)
            batch = torch.stack(images) if images else torch.zeros(0, 3, 1, 1, dtype=torch.uint8)
            yield np.asarray(kept, np.int64), batch.to(self.device, non_blocking=True)


def in_batches(indices: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Indices cut into runs of `size`, the last one shorter."""
    return (indices[start : start + size] for start in range(0, len(indices), size))


def _colours(pixels: Tensor) -> Tensor:
    """(m, H, W) or (m, H, W, 3) as (m, 3, H, W)."""
    if pixels.ndim == 4:
        return pixels.permute(0, 3, 1, 2)
    return pixels.unsqueeze(1).expand(-1, 3, -1, -1)
