"""What takes long has a queue that ends, and a limit of time."""

import asyncio
import threading

import pytest

from bitseek.server._refusal import Refusal
from bitseek.server._threads import Threads


def test_the_queue_of_threads_ends_and_their_patience_too():
    go = threading.Event()

    async def main():
        threads = Threads("test", threads=1, waiting=2, timeout=0.5)
        first = asyncio.create_task(threads.run(lambda: go.wait(120)))
        second = asyncio.create_task(threads.run(lambda: 2))
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as full:
            await threads.run(lambda: 3)
        with pytest.raises(Refusal) as late:
            await first
        with pytest.raises(Refusal):
            await second  # had no turn in time
        assert (full.value.status, late.value.status) == (503, 503)
        assert threads.count >= 1  # what runs still counts
        go.set()
        for _ in range(6000):
            if threads.count == 0:
                break
            await asyncio.sleep(0.01)
        assert await threads.run(lambda: 4) == 4
        threads.close()

    asyncio.run(main())
