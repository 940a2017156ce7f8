"""Logits or features of items, with what could not be read by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float32, Int64

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.images import BATCH, Features, Images, Preprocess, Progress, batches, encoded
from bitseek.models import Backbone, features_of, gathered_array, gathered_objects, rows_of_rank, threads_on

if TYPE_CHECKING:
    from bitseek.runs._hasher import Hasher


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

    def prefix(self, bits: int) -> "Encoded":
        """The first logits of each item."""
        return Encoded(self.ids, self.logits[:, :bits], self.unreadable)

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


def encode(
    hasher: "Hasher",
    images: Images,
    indices: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Logits of items; what cannot be read is reported, not raised.

    Args:
        hasher: images → logits.
        images: where the items are.
        indices: which of them, (m,) int64; all if not given.
        batch_size: items that go through the network at once.
        threads: how many decode and encode.
        progress: called after each batch.

    Raises:
        BitseekError: images for a hasher that takes features only, or features of another length.
    """
    unreadable: dict[int, str] = {}
    wanted = of_rank(images, indices)
    read = encoded(
        images,
        _preprocess_for(hasher, images),
        hasher.logits_of,
        wanted,
        at_once=hasher.at_once,
        batch_size=batch_size,
        threads=threads,
        progress=progress,
        unreadable=unreadable,
    )
    ids, logits = joined(list(read), hasher.bits, hasher.device)
    return Encoded(ids, logits, from_all_ranks(unreadable))


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
    backbone.to(memory_format=torch.channels_last).eval()
    unreadable: dict[int, str] = {}
    device = next(backbone.parameters()).device
    read = encoded(
        images,
        backbone.preprocess,
        lambda batch: features_of(backbone, batch).cpu().numpy(),
        of_rank(images, indices),
        at_once=threads_on(device),
        batch_size=batch_size,
        threads=threads,
        progress=progress,
        unreadable=unreadable,
    )
    ids, features = joined(list(read), backbone.features, device)
    return EncodedFeatures(ids, features, from_all_ranks(unreadable))


def batches_for(
    hasher: "Hasher", images: Images, indices: np.ndarray, *, unreadable: dict[int, str], **how: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of items that the hasher takes, as `images.batches` gives them with the same options.

    Raises:
        BitseekError: images for a hasher that takes features only, or features of another length.
    """
    return batches(images, _preprocess_for(hasher, images), indices, unreadable=unreadable, **how)


def _preprocess_for(hasher: "Hasher", images: Images) -> Preprocess:
    """That of the hasher; of features, which it says nothing about, any."""
    if not isinstance(images, Features):
        return hasher.preprocess
    if hasher.features not in (None, images.dimensions):
        raise ShapeError(f"{hasher!r} takes features of length {hasher.features}, got {images.dimensions}")
    return Preprocess()


def of_rank(images: Images, indices: np.ndarray | None) -> Int64[np.ndarray, " m"]:
    """The items that this rank computes, of those at `indices`, or of all."""
    wanted = np.arange(len(images)) if indices is None else np.asarray(indices, np.int64)
    return wanted[rows_of_rank(len(wanted))]


def joined(
    parts: list[tuple[np.ndarray, np.ndarray]], width: int, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Ids and rows of all batches of all ranks, each in one array; ranks exchange them on a device."""
    ids = [np.zeros(0, np.int64), *(part[0] for part in parts)]
    rows = [np.zeros((0, width), np.float32), *(part[1] for part in parts)]
    return gathered_array(np.concatenate(ids), device), gathered_array(np.concatenate(rows), device)


def from_all_ranks(unreadable: Mapping[int, str]) -> dict[int, str]:
    """Messages about images that any rank could not read."""
    return {index: message for part in gathered_objects(dict(unreadable)) for index, message in part.items()}
