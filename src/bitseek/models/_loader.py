"""From images to batches of tensors for training; evaluation takes `images.squares`, on which this stands.

Files are decoded and resized by threads ahead of the step; pixels and features in memory are picked by index. What
cannot be decoded is left out of its batch and kept by name; it never ends an epoch.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from bitseek.images import Images, Pixels, Preprocess, squares
from bitseek.models._pixels import as_tensor, colours


class Loader:
    """Batches of images that augmentation cuts from.

    Args:
        images: what to load from.
        preprocess: of the backbone.
        device: where the batches shall be; pixels of up to `RESIDENT_BYTES` live there from the start.
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
        threads: int | None = None,
    ) -> None:
        self.images = images
        self.preprocess = preprocess
        self.device = torch.device(device)
        self.threads = threads
        self.unreadable: dict[int, str] = {}
        self._pixels: Tensor | None = None
        if isinstance(images, Pixels):
            resident = images.array.nbytes <= self.RESIDENT_BYTES
            self._pixels = as_tensor(images.array).to(self.device if resident else "cpu")

    def batches(self, order: Iterable[np.ndarray]) -> Iterator[tuple[np.ndarray, Tensor]]:
        """For each array of indices: those that could be read (none, perhaps), and their images.

        Yields:
            (m,) int64 indices and (m, 3, h, w) uint8 pixels, at `Preprocess.resized` if they were decoded and at their
            own size if they are stored; or (m, D) float32 features.
        """
        if self._pixels is not None:
            for indices in order:
                rows = torch.from_numpy(indices).to(self._pixels.device)
                yield indices, colours(self._pixels[rows]).to(self.device)
            return
        read = squares(self.images, self.preprocess, order, threads=self.threads, unreadable=self.unreadable, cut=False)
        for indices, batch in read:
            tensor = as_tensor(batch).to(self.device, non_blocking=True)
            yield indices, colours(tensor) if tensor.ndim == 4 else tensor
