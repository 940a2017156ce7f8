"""Threads for what takes long, each kind with its own, so that none waits for another."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from bitseek.server._refusal import busy

Result = TypeVar("Result")


class Threads:
    """Threads for what takes long, with a queue that ends.

    A thread cannot be stopped: what takes longer than `timeout` is answered by a refusal, and still counts as long as
    it runs.

    Args:
        name: of the threads.
        threads: how many.
        waiting: calls that may wait or run; more are refused.
        timeout: seconds.
    """

    def __init__(self, name: str, *, threads: int, waiting: int, timeout: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._limit = waiting
        self._timeout = timeout
        self._lock = threading.Lock()
        self.count = 0

    async def run(self, function: Callable[[], Result]) -> Result:
        """What the function returns.

        Raises:
            Refusal: 503, too many wait, or it took too long.
        """
        with self._lock:
            if self.count >= self._limit:
                raise busy("too many requests of this kind wait; try again in a moment")
            self.count += 1
        future = self._threads.submit(function)
        future.add_done_callback(self._done)
        try:
            async with asyncio.timeout(self._timeout):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise busy(f"this took more than {self._timeout:g} s; ask for less, or try again") from error

    def close(self) -> None:
        """End the threads, without waiting for what they do."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, future: "Future[Any]") -> None:
        with self._lock:
            self.count -= 1
