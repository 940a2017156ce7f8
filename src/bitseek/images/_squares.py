"""The one way from images to what a backbone takes: batches of squares, by threads, without torch.

Files, pictures, arrays and stored pixels are decoded and resized ahead of the consumer; features are picked by index.
What cannot be decoded is left out of its batch and kept by name.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice, tee

import numpy as np

from bitseek._checks import whole_number
from bitseek.errors import ImageError
from bitseek.images._decode import decode_many
from bitseek.images._preprocess import Preprocess, central
from bitseek.images._sources import Features, Images, Pixels

BATCH = 64
"""How many items go through a network at once, if nothing else is said."""

Progress = Callable[[int, int], None]
"""Called with how many items are done, and of how many."""


def squares(
    images: Images,
    preprocess: Preprocess,
    order: Iterable[np.ndarray],
    *,
    threads: int | None = None,
    unreadable: dict[int, str],
    cut: bool = True,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each array of indices: those that could be read (none, perhaps), and their squares or features.

    Args:
        images: what to read from.
        preprocess: of the backbone; says nothing about features.
        order: (m,) int64 arrays of indices, read lazily; there may be no end of them.
        threads: how many decode and resize; by default one a processor, 8 at most.
        unreadable: gets the message of each image that cannot be decoded, by its index.
        cut: whether the square has the `size` of the preprocessing; else it is left at `resized`, of which training
            takes other parts.

    Yields:
        (m,) int64 indices, and (m, s, s, 3) uint8 squares or (m, D) float32 features.
    """
    if isinstance(images, Features):
        return ((ids, images.rows(ids)) for ids in order)
    side = preprocess.size if cut else preprocess.resized
    if isinstance(images, Pixels) and are_ready(images, preprocess):
        part = central(preprocess.resized, side)
        return ((ids, _coloured(images.rows(ids)[:, part, part])) for ids in order)
    prepare = preprocess.square if cut else preprocess.resize
    return _decoded(images, order, threads, unreadable, preprocess.min_side, side, prepare)


def are_ready(images: Images, preprocess: Preprocess) -> bool:
    """Whether items are features, or pixels of the resized side, so that nothing must be decoded."""
    resized = (preprocess.resized,) * 2
    return isinstance(images, Features) or (isinstance(images, Pixels) and images.array.shape[1:3] == resized)


def batches(
    images: Images,
    preprocess: Preprocess,
    ids: np.ndarray | None = None,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
    unreadable: dict[int, str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over items: the batches of `squares` in which something could be read, and progress after each.

    Args:
        images: what to read from.
        preprocess: of the backbone; says nothing about features.
        ids: (m,) int64, which items; all of them if not given.
        batch_size: items in one batch, 1 or more.
        threads: how many decode and resize; by default one a processor, 8 at most.
        progress: called after each batch, once its consumer is done with it.
        unreadable: gets the message of each image that cannot be decoded, by its index.

    Raises:
        ShapeError: `batch_size` or `threads` is not a whole number of 1 or more.
    """
    whole_number(batch_size, "batch_size")
    wanted = np.arange(len(images)) if ids is None else np.asarray(ids, np.int64)
    return _one_pass(images, preprocess, wanted, batch_size, threads, progress, unreadable)


def _one_pass(
    images: Images,
    preprocess: Preprocess,
    wanted: np.ndarray,
    size: int,
    threads: int | None,
    progress: Progress | None,
    unreadable: dict[int, str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    starts = range(0, len(wanted), size)
    order = (wanted[start : start + size] for start in starts)
    read = squares(images, preprocess, order, threads=threads, unreadable=unreadable)
    for start, (ids, batch) in zip(starts, read, strict=True):
        if len(ids):
            yield ids, batch
        if progress is not None:
            progress(min(start + size, len(wanted)), len(wanted))


def _decoded(
    images: Images,
    order: Iterable[np.ndarray],
    threads: int | None,
    unreadable: dict[int, str],
    min_side: int,
    side: int,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    ahead, runs = tee(order)
    sources = (source for ids in ahead for source in images.rows(ids))
    prepared = decode_many(sources, threads, min_side=min_side, then=prepare, ahead=BATCH)
    for ids in runs:
        kept: list[int] = []
        pixels: list[np.ndarray] = []
        for index, (_, image) in zip(ids.tolist(), islice(prepared, len(ids)), strict=True):
            if isinstance(image, ImageError):
                unreadable[index] = str(image)
            else:
                kept.append(index)
                pixels.append(image)
        yield np.asarray(kept, np.int64), np.stack(pixels) if pixels else np.zeros((0, side, side, 3), np.uint8)


def _coloured(pixels: np.ndarray) -> np.ndarray:
    """(m, H, W) or (m, H, W, 3) as (m, H, W, 3), in one piece; grey is repeated in three colours."""
    if pixels.ndim == 3:
        pixels = np.broadcast_to(pixels[..., None], (*pixels.shape, 3))
    return np.ascontiguousarray(pixels)
