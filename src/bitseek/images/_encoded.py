"""Items to what a network makes of them: each thread decodes some and runs the network on them, by itself.

Threads that decode beside threads that compute are more than there are processors. They take turns, find the caches
full of what the others read, and wait for the interpreter's lock, which costs more than decoding a small image does.
Two that decode small images wait for it most of all, so that one does while the others run the network.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from bitseek._checks import whole_number
from bitseek.errors import ImageError, ShapeError
from bitseek.images._decode import upright
from bitseek.images._in_order import in_order
from bitseek.images._preprocess import Preprocess
from bitseek.images._sources import Images
from bitseek.images._squares import BATCH, Progress, are_ready, batches
from bitseek.kernels.threads import alone, thread_count

LEAST = 16
"""Squares that a network runs on at once, at least, where there are so many: of fewer it makes less of a processor."""

_PIXELS = 800_000
"""Of more squares than have so many pixels together, what the layers give leaves the caches: of 16 at 224 × 224."""

_PATIENCE = 0.01
"""Seconds that a thread waits until no other decodes. To decode so many large images takes longer, and they hold the
interpreter's lock for little of it, so that waiting for longer would gain nothing."""

_FEW = 4
"""Pieces for each thread, below which all threads decode image by image, so that none waits for the slowest."""

Item = TypeVar("Item")
Found = TypeVar("Found")
Piece = list[tuple[Found, Any]]


def in_pieces(
    decode: Callable[[Item], tuple[Found, np.ndarray | None]],
    network: Callable[[np.ndarray], Iterable[Any]],
    items: Iterable[Item],
    total: int,
    *,
    batch_size: int = BATCH,
    threads: int | None = None,
    by_caller: Callable[[], bool] = lambda: False,
) -> Iterator[Piece[Found]]:
    """What was found out about each item, and its row of what the network gives, in the order of the items.

    The threads end with the iterator.

    Args:
        decode: an item to what is found out about it, and its square; None if it has none. Called by the threads.
        network: (n, s, s, 3) uint8 squares, n ≥ 1, to n rows. Called by several threads at once, each `alone`; where
            there are too few items for that, or `by_caller`, by the caller, whom all threads of the network may help.
        items: read lazily, by the caller.
        total: how many there are; if that is wrong, the pieces are less even.
        batch_size: items whose squares are in the network at a time, by all threads together, where that is no fewer
            than `LEAST` for each.
        threads: how many; by default one a processor.
        by_caller: whether the network is one that no two threads shall run, as on a GPU: the threads decode, and it
            gets `batch_size` squares at a time. Asked by the threads, once there is a square.

    Yields:
        some items: of each what was found out, and its row, or None.

    Raises:
        ShapeError: `batch_size` or `threads` is not a whole number of 1 or more. What `decode` or `network` raises ends
            the iterator.
    """
    size = whole_number(batch_size, "batch_size")
    number = thread_count() if threads is None else whole_number(threads, "threads")
    length = max(min(size, LEAST), size // number)
    if number == 1 or total < _FEW * number * length:
        return _decoded_ahead(decode, network, items, size, number)
    parts = total // length // number * number  # of at least that length, and as many for each thread
    lengths = (total // parts + (i < total % parts) for i in range(parts))
    waiting = iter(items)
    pieces = iter(lambda: list(islice(waiting, next(lengths, length))), [])

    decoding = threading.Lock()

    def piece(some: list[Item]) -> tuple[Piece[Found], bool]:
        is_only = decoding.acquire(timeout=_PATIENCE)
        try:
            decoded = [decode(item) for item in some]
        finally:
            if is_only:
                decoding.release()
        if any(square is not None for _, square in decoded) and by_caller():
            return decoded, False
        with alone():
            return _with_rows(decoded, by_parts), True

    def by_parts(squares: np.ndarray) -> Iterator[Any]:
        most = max(LEAST, _PIXELS // (squares.shape[1] * squares.shape[2]))
        return chain.from_iterable(map(network, np.array_split(squares, max(1, len(squares) // most))))

    return _completed(in_order(piece, pieces, number), network, size)


def _completed(
    pieces: Iterator[tuple[Piece[Found], bool]], network: Callable[[np.ndarray], Iterable[Any]], size: int
) -> Iterator[Piece[Found]]:
    """The pieces; of those that have squares, not rows yet, so many together that the network gets `size` items."""
    threads: Any = pieces  # which end when it is closed
    waiting: Piece[Found] = []
    with closing(threads):
        for piece, has_rows in pieces:
            if has_rows and not waiting:
                yield piece
                continue
            waiting += piece
            while len(waiting) >= size:
                yield _with_rows(waiting[:size], network)
                waiting = waiting[size:]
        if waiting:
            yield _with_rows(waiting, network)


def _decoded_ahead(
    decode: Callable[[Item], tuple[Found, np.ndarray | None]],
    network: Callable[[np.ndarray], Iterable[Any]],
    items: Iterable[Item],
    size: int,
    threads: int,
) -> Iterator[Piece[Found]]:
    decoded: Any = in_order(decode, items, threads, ahead=2 * size)
    with closing(decoded):
        while some := list(islice(decoded, size)):
            yield _with_rows(some, network)


def _with_rows(
    decoded: list[tuple[Found, np.ndarray | None]], network: Callable[[np.ndarray], Iterable[Any]]
) -> Piece[Found]:
    squares = [square for _, square in decoded if square is not None]
    rows = iter(_checked(list(network(np.stack(squares))), len(squares)) if squares else ())
    return [(found, None if square is None else next(rows)) for found, square in decoded]


def _checked(rows: list[Any], squares: int) -> list[Any]:
    if len(rows) != squares:
        raise ShapeError(f"the network gives {len(rows)} rows for {squares} squares; it must give one for each")
    return rows


class Turns:
    """A network that so many threads may run at a time, and others wait.

    Args:
        network: called with squares.
        at_once: how many threads.
    """

    def __init__(self, network: Callable[[np.ndarray], np.ndarray], at_once: int) -> None:
        self._network, self._free = network, threading.Semaphore(at_once)

    def __call__(self, squares: np.ndarray) -> np.ndarray:
        with self._free:
            return self._network(squares)


def encoded(
    images: Images,
    preprocess: Preprocess,
    network: Callable[[np.ndarray], np.ndarray],
    ids: np.ndarray | None = None,
    *,
    at_once: int,
    batch_size: int = BATCH,
    threads: int | None = None,
    progress: Progress | None = None,
    unreadable: dict[int, str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One pass over items: their indices and what a network makes of them.

    Args:
        images: what to read from.
        preprocess: of the network; says nothing about features.
        network: squares, or features as they are, (n, …), to (n, …).
        ids: (m,) int64, which items; all of them if not given.
        at_once: how many threads may run the network at a time; of 1, the caller does, with what was decoded ahead.
        batch_size: items that go through the network at once.
        threads: how many decode and encode; by default one a processor.
        progress: called after some items, once their consumer is done with them.
        unreadable: gets the message of each image that cannot be decoded, by its index.

    Raises:
        ShapeError: `batch_size` or `threads` is not a whole number of 1 or more.
    """
    if at_once == 1 or are_ready(images, preprocess):
        read = batches(
            images, preprocess, ids, batch_size=batch_size, threads=threads, progress=progress, unreadable=unreadable
        )
        return ((some, network(batch)) for some, batch in read)
    wanted = np.arange(len(images)) if ids is None else np.asarray(ids, np.int64)

    def decode(image: tuple[int, Any]) -> tuple[tuple[int, str | None], np.ndarray | None]:
        index, source = image
        try:
            picture, _ = upright(source, min_side=preprocess.min_side)
        except ImageError as error:
            return (index, str(error)), None
        return (index, None), np.ascontiguousarray(preprocess.square(picture))

    parts = (wanted[start : start + BATCH] for start in range(0, len(wanted), BATCH))
    items = (pair for part in parts for pair in zip(part.tolist(), images.rows(part), strict=True))
    pieces = in_pieces(decode, Turns(network, at_once), items, len(wanted), batch_size=batch_size, threads=threads)
    return _told(pieces, len(wanted), progress, unreadable)


def _told(
    pieces: Iterator[Piece[tuple[int, str | None]]],
    total: int,
    progress: Progress | None,
    unreadable: dict[int, str],
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    done = 0
    threads: Any = pieces  # which end when it is closed, also where `progress` raises
    with closing(threads):
        for piece in pieces:
            unreadable.update({index: reason for (index, reason), _ in piece if reason is not None})
            kept = [(index, row) for (index, _), row in piece if row is not None]
            if kept:
                yield np.array([index for index, _ in kept], np.int64), np.stack([row for _, row in kept])
            done += len(piece)
            if progress is not None:
                progress(done, total)
