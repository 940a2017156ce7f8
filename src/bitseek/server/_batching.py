"""Questions that come while others are being answered are gathered, and answered together.

One scan of the codes answers sixty queries in little more time than one. Nobody waits for company: an idle gatherer
begins at once, and while it works, the next batch grows by itself.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from bitseek.server._refusal import busy

Kind = TypeVar("Kind", bound=Hashable)
Query = TypeVar("Query")
Answer = TypeVar("Answer")


class Gatherer(Generic[Kind, Query, Answer]):
    """Answers questions of one kind (the same k and radius, say) in batches, in a thread of its own.

    To be used in one event loop.

    Args:
        answer: takes a kind and some queries, gives as many answers; its error is that of all of them.
        most: queries in a batch.
        waiting: queries that may wait; more are refused.
        observe: told the size of every batch.
    """

    def __init__(
        self,
        answer: Callable[[Kind, Sequence[Query]], Sequence[Answer]],
        *,
        name: str,
        most: int = 256,
        waiting: int = 4096,
        observe: Callable[[int], object] = lambda size: None,
    ) -> None:
        self._answer = answer
        self._most = most
        self._limit = waiting
        self._observe = observe
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._waiting: dict[Kind, list[tuple[Query, asyncio.Future[Answer]]]] = {}
        self._count = 0
        self._working = False

    async def ask(self, kind: Kind, query: Query) -> Answer:
        """The answer to one query.

        Raises:
            Refusal: 503, too many wait.
        """
        if self._count >= self._limit:
            raise busy(f"{self._count} requests wait for an answer; try again in a moment")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.setdefault(kind, []).append((query, future))
        self._count += 1
        if not self._working:
            self._working = True
            loop.call_soon(self._begin, loop)  # after all requests that are here already
        return await future

    def close(self) -> None:
        """End the thread, after the batch that it works on."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start on the kind that has waited longest, or rest."""
        while self._waiting:
            kind, batch = next(iter(self._waiting.items()))
            del self._waiting[kind]
            if len(batch) > self._most:
                self._waiting[kind] = batch[self._most :]  # behind the other kinds
                batch = batch[: self._most]
            self._count -= len(batch)
            batch = [(query, future) for query, future in batch if not future.done()]  # the client went away
            if batch:
                break
        else:
            self._working = False
            return

        def work() -> None:
            answers: list[Answer] | Exception
            try:
                answers = list(self._answer(kind, [query for query, _ in batch]))
                if len(answers) != len(batch):
                    raise RuntimeError(f"{len(batch)} queries got {len(answers)} answers")
            except Exception as error:  # told to everybody who asked
                answers = error
            loop.call_soon_threadsafe(self._finish, loop, batch, answers)

        try:
            self._observe(len(batch))
            self._thread.submit(work)
        except Exception as error:  # so that neither these wait for ever nor the answers of the last batch are lost
            loop.call_soon(self._finish, loop, batch, error)

    def _finish(
        self,
        loop: asyncio.AbstractEventLoop,
        batch: list[tuple[Query, asyncio.Future[Answer]]],
        answers: list[Answer] | Exception,
    ) -> None:
        self._begin(loop)  # the thread goes on with the next batch while these answers are sent
        for i, (_, future) in enumerate(batch):
            if future.done():
                continue
            if isinstance(answers, Exception):
                future.set_exception(answers)
            else:
                future.set_result(answers[i])
