"""Gathered questions get their own answers, in few batches, and an idle gatherer waits for nobody."""

import asyncio
import threading
import time

import pytest

from bitseek.server._batching import Gatherer
from bitseek.server._refusal import Refusal


def run(ask, answer, **options):
    sizes = []

    async def main():
        gatherer = Gatherer(answer, name="test", observe=sizes.append, **options)
        try:
            return await ask(gatherer)
        finally:
            gatherer.close()

    return asyncio.run(main()), sizes


def test_everybody_gets_the_answer_to_the_own_question():
    async def ask(gatherer):
        return await asyncio.gather(*(gatherer.ask(i % 3, i) for i in range(300)))

    answers, sizes = run(ask, lambda kind, queries: [(kind, query * 2) for query in queries], most=64)
    assert answers == [(i % 3, 2 * i) for i in range(300)]
    assert sum(sizes) == 300 and max(sizes) <= 64 and len(sizes) <= 6


def test_what_comes_during_a_scan_is_the_next_batch():
    begun, go = threading.Event(), threading.Event()

    def answer(kind, queries):
        begun.set()
        assert go.wait(120)
        return queries

    async def ask(gatherer):
        first = asyncio.create_task(gatherer.ask(0, "first"))
        await asyncio.to_thread(begun.wait, 120)
        others = [asyncio.create_task(gatherer.ask(0, i)) for i in range(63)]
        await asyncio.sleep(0.05)
        assert not first.done()
        go.set()
        return await asyncio.gather(first, *others)

    answers, sizes = run(ask, answer)
    assert answers == ["first", *range(63)] and sizes == [1, 63]


def test_one_question_alone_is_answered_at_once():
    async def ask(gatherer):
        await gatherer.ask(0, 0)
        begin = time.perf_counter()
        for i in range(200):
            await gatherer.ask(0, i)
        return (time.perf_counter() - begin) / 200

    seconds, sizes = run(ask, lambda kind, queries: queries)
    assert seconds < 0.05 and sizes == [1] * 201  # any waiting time would be a multiple of this


def test_an_error_is_told_to_all_who_asked_and_the_next_are_answered():
    def answer(kind, queries):
        if kind == "bad":
            raise ValueError("no")
        return queries

    async def ask(gatherer):
        both = await asyncio.gather(gatherer.ask("bad", 1), gatherer.ask("bad", 2), return_exceptions=True)
        return [str(error) for error in both], await gatherer.ask("good", 3)

    assert run(ask, answer)[0] == (["no", "no"], 3)


def test_too_many_are_refused_and_those_who_went_away_cost_nothing():
    begun, go = threading.Event(), threading.Event()
    seen = []

    def answer(kind, queries):
        begun.set()
        assert go.wait(120)
        seen.extend(queries)
        return queries

    async def ask(gatherer):
        first = asyncio.create_task(gatherer.ask(0, "first"))
        await asyncio.to_thread(begun.wait, 120)
        waiting = [asyncio.create_task(gatherer.ask(0, i)) for i in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(Refusal) as refused:
            await gatherer.ask(0, "late")
        assert refused.value.status == 503
        waiting[1].cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(first, *(waiting[i] for i in (0, 2, 3)))

    assert run(ask, answer, waiting=4)[0] == ["first", 0, 2, 3]
    assert seen == ["first", 0, 2, 3]


def test_thousands_of_kinds_whose_askers_went_away_are_passed_over():
    begun, go = threading.Event(), threading.Event()

    def answer(kind, queries):
        begun.set()
        assert go.wait(120)
        return queries

    async def ask(gatherer):
        first = asyncio.create_task(gatherer.ask("first", 1))
        await asyncio.to_thread(begun.wait, 120)
        gone = [asyncio.create_task(gatherer.ask(kind, kind)) for kind in range(3000)]
        await asyncio.sleep(0)
        for task in gone:
            task.cancel()
        await asyncio.sleep(0)
        go.set()
        return await asyncio.wait_for(first, 120), await asyncio.wait_for(gatherer.ask("next", 2), 120)

    assert run(ask, answer) == ((1, 2), [1, 1])


def test_a_batch_that_cannot_begin_is_told_so_and_loses_no_other():
    begun, go = threading.Event(), threading.Event()

    def answer(kind, queries):
        begun.set()
        assert go.wait(120)
        return queries

    async def ask(gatherer):
        first = asyncio.create_task(gatherer.ask("first", 1))
        await asyncio.to_thread(begun.wait, 120)
        others = [asyncio.create_task(gatherer.ask(kind, kind)) for kind in range(3)]
        await asyncio.sleep(0)
        ended = asyncio.create_task(asyncio.to_thread(gatherer.close))  # a thread that ends takes no further batch
        while not gatherer._thread._shutdown:
            await asyncio.sleep(0.001)
        go.set()
        answers = await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), 120)
        await ended
        return answers

    answers, _ = run(ask, answer)
    assert answers[0] == 1 and [type(error) for error in answers[1:]] == [RuntimeError] * 3
