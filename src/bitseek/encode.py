"""Codes of a whole pool."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64
from torch import nn

from bitseek.codes import Codes
from bitseek.data.pool import Images
from bitseek.feed import Feed, in_batches
from bitseek.models.backbone import Backbone
from bitseek.models.batch_norm import estimate_batch_norm
from bitseek.models.hasher import BATCH, Hasher

Progress = Callable[[int, int], None]
"""Called with how many items are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What encoding gave.

    Attributes:
        ids: (m,) int64, pool indices of the items that could be read, in the order asked for.
        logits: (m, bits) float32, real-valued outputs.
        unreadable: message of each file that could not be decoded, by pool index.
    """

    ids: Int64[np.ndarray, " m"]
    logits: Float32[np.ndarray, "m bits"]
    unreadable: dict[int, str]

    @property
    def codes(self) -> Codes:
        """(m, bits) codes."""
        return Codes.from_logits(self.logits)


def encode(
    hasher: Hasher,
    images: Images,
    indices: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Encode items of a pool.

    Args:
        hasher: images → logits.
        images: of a pool.
        indices: which of them, (m,) int64; all if not given.
        batch_size: items that go through the network at once.
        threads: how many decode files.
        progress: told after each batch.
    """
    wanted = np.arange(len(images)) if indices is None else np.asarray(indices, np.int64)
    feed = Feed(images, hasher.backbone.transform, hasher.device, threads=threads)
    ids: list[np.ndarray] = [np.zeros(0, np.int64)]
    logits: list[np.ndarray] = [np.zeros((0, hasher.bits), np.float32)]
    for kept, batch in _batches(feed, wanted, batch_size, progress):
        logits.append(hasher.logits_of(batch))
        ids.append(kept)
    return Encoded(np.concatenate(ids), np.concatenate(logits), feed.unreadable)


def encode_features(
    backbone: Backbone,
    images: Images,
    indices: np.ndarray | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Encoded:
    """Features instead of logits: the output of the backbone, (m, D) float32; the arguments are those of `encode`."""
    device = next(backbone.parameters(), torch.zeros(0)).device
    hasher = Hasher(backbone, nn.Identity(), backbone.features, device)
    return encode(hasher, images, indices, threads=threads, progress=progress)


def adapt(
    hasher: Hasher,
    images: Images,
    indices: np.ndarray,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Hasher:
    """A copy of a hasher whose batch norm is estimated on the images that are searched, not on those of the training.

    Args:
        hasher: one whose head ends in batch norm.
        images: of a pool.
        indices: of the database.
        batch_size: items that go through the network at once.
        threads: how many decode files.
        progress: told after each batch.
    """
    adapted = copy.deepcopy(hasher)
    feed = Feed(images, adapted.backbone.transform, adapted.device, threads=threads)
    batches = _batches(feed, np.asarray(indices, np.int64), batch_size, progress)
    estimate_batch_norm(adapted.head, (adapted.features_of(batch) for _, batch in batches))
    return adapted.eval()


def _batches(
    feed: Feed, wanted: np.ndarray, size: int, progress: Progress | None
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Batches with at least one image that could be read."""
    done = 0
    for asked, (kept, batch) in zip(in_batches(wanted, size), feed.batches(in_batches(wanted, size)), strict=True):
        if len(kept):
            yield kept, batch
        done += len(asked)
        if progress is not None:
            progress(done, len(wanted))
