"""Several heads measured at a time, each by a process of its own."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any

from bitseek.errors import BitseekError

Measure = Callable[[str, dict[str, Any], int], float]
"""The score of a method with a recipe on a fold; larger is better."""
Attempt = Future[float | str]
"""The score that comes, or the reason why there is none."""
Attempts = Callable[[str, dict[str, Any], int], Attempt]
"""Begins to measure a method with a recipe on a fold."""

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BITSEEK_THREADS"), "1")


@contextmanager
def attempts(measure: Measure, jobs: int) -> Iterator[Attempts]:
    """Attempts, so many at a time.

    With one job each is made here before it is handed out, on all threads that torch has. With more, each is made on
    one thread of a process that lives as long as the block: a head is trained in many small steps, which threads hardly
    share.

    Args:
        measure: what is measured by; several jobs pickle it.
        jobs: how many at a time.

    Raises:
        BitseekError: a process was ended from outside, within the block.
    """
    if jobs == 1:
        yield partial(made, measure)
        return
    from loky import ProcessPoolExecutor  # whose processes need no guarded main module, and may begin in a notebook

    pool = ProcessPoolExecutor(jobs, initializer=_begin, initargs=(measure, os.getpid()), env=ONE_THREAD)
    try:
        yield partial(pool.submit, _attempt)
    except BrokenProcessPool as error:
        raise BitseekError(
            f"one of {jobs} processes that train heads was ended from outside, as happens where memory is short; "
            "go on with --resume and fewer jobs, or 1"
        ) from error
    finally:
        begun = [*pool._processes.values()]
        pool.shutdown(kill_workers=True)
        for process in begun:
            if process.is_alive():  # Ctrl-C came while they began: then the pool does not end them
                process.terminate()


def attempt(measure: Measure, method: str, recipe: dict[str, Any], fold: int) -> float | str:
    """The score, or the reason why there is none."""
    try:
        return measure(method, recipe, fold)
    except BitseekError as error:
        return str(error)


def made(measure: Measure, method: str, recipe: dict[str, Any], fold: int) -> Attempt:
    """An attempt whose result is there when it is handed out."""
    over = Attempt()
    over.set_result(attempt(measure, method, recipe, fold))
    return over


_measures: list[Measure] = []
"""In a process of `attempts`: the one measure that it has."""


def _begin(measure: Measure, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends Ctrl-C to all; the parent ends its processes
    _measures[:] = [measure]
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A search that was killed leaves no processes behind."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _attempt(method: str, recipe: dict[str, Any], fold: int) -> float | str:
    return attempt(_measures[0], method, recipe, fold)
