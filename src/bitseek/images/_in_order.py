"""A function applied by threads to one item after the other, ahead of the consumer, with the results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from bitseek._checks import whole_number

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int | None = None, *, ahead: int = 0
) -> Iterator[Result]:
    """Results of a function, in the order of the items, which may be endless.

    The items are taken one by one, by the thread that consumes the results; at most 4 × `threads` of them (or `ahead`,
    if that is more) are in work or wait to be consumed at any time. The threads end with the iterator.

    Args:
        function: called by the threads, several at once; what lets go of the interpreter's lock runs in parallel.
        items: read lazily; their errors come through.
        threads: how many; by default the number of processors, 8 at most.
        ahead: how many results may wait.

    Raises:
        ShapeError: `threads` is not a whole number of 1 or more. What `function` raises for an item is raised in its
            place, and ends the iterator.
    """
    number = min(8, os.cpu_count() or 1) if threads is None else whole_number(threads, "threads")
    return _in_order(function, iter(items), number, max(4 * number, ahead))


def _in_order(function: Callable[[Item], Result], items: Iterator[Item], threads: int, ahead: int) -> Iterator[Result]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix=getattr(function, "__name__", "in_order"))
    waiting: deque[Future[Result]] = deque()
    try:
        waiting.extend(pool.submit(function, item) for item in islice(items, ahead))
        while waiting:
            result = waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(items, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
