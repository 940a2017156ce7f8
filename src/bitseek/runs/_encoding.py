"""Passes over images: batches in, logits or features out, with what could not be read by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from bitseek._checks import whole_number
from bitseek.codes import Codes
from bitseek.images import Images
from bitseek.models import Backbone, Loader, Preprocess, in_batches

BATCH = 64

Progress = Callable[[int, int], None]
"""Called with how many items are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """Logits of items.

    Attributes:
        ids: (m,) int64, indices of the items that could be read, in the order asked for.
        logits: (m, bits) float32.
        unreadable: message of each image that could not be decoded, by its index.
    """

    ids: Int64[np.ndarray, " m"]
    logits: Float32[np.ndarray, "m bits"]
    unreadable: Mapping[int, str]

    @cached_property
    def codes(self) -> Codes:
        """(m, bits) codes."""
        return Codes.from_logits(self.logits)

    def part(self, ids: Int64[np.ndarray, " some"]) -> "Encoded":
        """The rows of some items, in their order, without those that could not be read."""
        order = np.argsort(self.ids, kind="stable")
        place = np.searchsorted(self.ids, ids, sorter=order)
        place = order[np.minimum(place, max(len(order) - 1, 0))] if len(order) else place
        found = self.ids[place] == ids if len(order) else np.zeros(len(ids), np.bool_)
        return Encoded(ids[found], self.logits[place[found]], self.unreadable)


@dataclass(frozen=True, eq=False)
class EncodedFeatures:
    """Outputs of a backbone.

    Attributes:
        ids: (m,) int64, indices of the items that could be read, in the order asked for.
        features: (m, D) float32.
        unreadable: message of each image that could not be decoded, by its index.
    """

    ids: Int64[np.ndarray, " m"]
    features: Float32[np.ndarray, "m D"]
    unreadable: Mapping[int, str]


def encode_features(
    backbone: Backbone,
    images: Images,
    indices: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
) -> EncodedFeatures:
    """Outputs of a backbone in evaluation mode; the arguments are those of `encode`."""
    device = next(backbone.parameters()).device
    backbone.to(memory_format=torch.channels_last).eval()
    run = Pass(images, indices, backbone, device, batch_size, threads, progress)
    parts = [(ids, features_of(backbone, batch).cpu().numpy()) for ids, batch in run]
    ids, features = joined(parts, backbone.features)
    return EncodedFeatures(ids, features, run.loader.unreadable)


class Pass:
    """One pass over items: batches with at least one that could be read, and progress after each."""

    def __init__(
        self,
        images: Images,
        indices: np.ndarray | None,
        backbone: Backbone | None,
        device: torch.device,
        batch_size: int,
        threads: int | None,
        progress: Progress | None,
    ) -> None:
        whole_number(batch_size, "batch_size")
        self.wanted = np.arange(len(images)) if indices is None else np.asarray(indices, np.int64)
        preprocess = Preprocess() if backbone is None else backbone.preprocess
        self.loader = Loader(images, preprocess, device, threads=threads)
        self.batch_size, self.progress = batch_size, progress

    def __iter__(self) -> Iterator[tuple[np.ndarray, Tensor]]:
        done = 0
        order = list(in_batches(self.wanted, self.batch_size))
        for wanted, (kept, batch) in zip(order, self.loader.batches(iter(order)), strict=True):
            if len(kept):
                yield kept, batch
            done += len(wanted)
            if self.progress is not None:
                self.progress(done, len(self.wanted))


@torch.inference_mode()
def features_of(backbone: Backbone, batch: Tensor) -> Tensor:
    """(n, D) float32 outputs of a backbone for (n, 3, s, s) uint8 pixels after `Preprocess.square`."""
    device = next(backbone.parameters()).device
    inputs = backbone.preprocess.normalise(batch.to(device)).contiguous(memory_format=torch.channels_last)
    features: Tensor = backbone(inputs).float()
    return features


def joined(parts: list[tuple[np.ndarray, np.ndarray]], width: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and rows of all batches, each in one array."""
    ids = [np.zeros(0, np.int64), *(part[0] for part in parts)]
    rows = [np.zeros((0, width), np.float32), *(part[1] for part in parts)]
    return np.concatenate(ids), np.concatenate(rows)
