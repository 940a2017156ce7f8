"""Python threads over compiled loops that have let go of the interpreter's lock.

Safe where numba's own threads are not: several threads of a program may search at once, and a process may be forked.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count


def thread_count() -> int:
    """Threads that a kernel uses by default: `BITSEEK_THREADS`, or the processors this process may run on."""
    given = os.environ.get("BITSEEK_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def alone() -> Iterator[None]:
    """In the block, the calling thread has no helpers: it is itself one of several that share the processors."""
    before, _calling.alone = is_alone(), True
    try:
        yield
    finally:
        _calling.alone = before


def is_alone() -> bool:
    """Whether the calling thread is in a block of `alone`."""
    return getattr(_calling, "alone", False)


def spread(work: Callable[[int, int], object], size: int, *, threads: int | None = None, grain: int = 1) -> None:
    """Run `work(start, stop)` over pieces that make up 0 … size, on several threads; the caller is one of them.

    Where it is `alone`, or no thread can be started, it does all of them.

    Args:
        work: must not depend on the order or the thread of the pieces; should spend its time in a kernel (`jit.njit`).
        size: what there is to share out (queries or codes).
        threads: how many at most; `thread_count()` if None.
        grain: pieces are at least this large, except the last.

    Raises:
        Exception: the first that a piece raised, after all threads have stopped.

    >>> import numpy as np
    >>> squares = np.arange(10)
    >>> def square(start: int, stop: int) -> None:
    ...     squares[start:stop] **= 2
    >>> spread(square, 10, grain=3)
    >>> squares
    array([ 0,  1,  4,  9, 16, 25, 36, 49, 64, 81])
    """
    threads = 1 if is_alone() else thread_count() if threads is None else threads
    # A few pieces for each thread: the fast ones take from the slow ones, and little is lost at the end.
    length = max(grain, -(-size // (4 * threads)), 1) if threads > 1 else max(size, 1)
    pieces = -(-size // length)
    if pieces <= 1 or threads == 1:
        if size > 0:
            work(0, size)
        return
    ticket = count()

    def worker() -> None:
        while (piece := next(ticket)) < pieces:
            work(piece * length, min((piece + 1) * length, size))

    helpers: list[Future[None]] = []
    try:
        for _ in range(min(threads, pieces) - 1):
            helpers.append(_pool().submit(worker))
    except RuntimeError:  # the system has no further thread, or the interpreter is about to end
        pass
    try:
        worker()
    finally:
        wait([helper for helper in helpers if not helper.cancel()])  # one that has not begun finds nothing left
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


_calling = threading.local()
_executors: list[ThreadPoolExecutor] = []


def _pool() -> ThreadPoolExecutor:
    """The threads of this process, started when first needed."""
    if not _executors:
        _executors.append(ThreadPoolExecutor(max_workers=max(1, 4 * thread_count()), thread_name_prefix="bitseek"))
    return _executors[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_executors.clear)  # a forked child has none of its parent's threads
