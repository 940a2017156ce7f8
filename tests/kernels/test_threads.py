"""Python threads over compiled loops: every piece is done once, errors come out, and searches may run side by side."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels import threads


def test_every_piece_is_done_once():
    for size in (0, 1, 5, 100, 1001):
        for count in (1, 2, 7):
            for grain in (1, 30, 5000):
                done = np.zeros(size, int)

                def work(start, stop, done=done):
                    done[start:stop] += 1

                threads.spread(work, size, threads=count, grain=grain)
                assert (done == 1).all()


def test_errors_come_out_and_nothing_is_left_behind():
    def work(start, stop):
        if start == 50:
            raise ValueError("piece 50")

    for _ in range(20):
        with pytest.raises(ValueError, match="piece 50"):
            threads.spread(work, 100, threads=3, grain=10)


def test_who_is_alone_has_no_helpers():
    seen = []
    with threads.alone():
        with threads.alone():
            assert threads.is_alone()
        threads.spread(lambda start, stop: seen.append((start, stop, threading.get_ident())), 100, threads=4)
        other = threading.Thread(target=lambda: seen.append(threads.is_alone()))
        other.start()
        other.join()
    assert seen == [(0, 100, threading.get_ident()), False] and not threads.is_alone()
    with pytest.raises(ZeroDivisionError), threads.alone():
        raise ZeroDivisionError
    assert not threads.is_alone()


@pytest.mark.parametrize("most", [0, 1])
def test_where_no_thread_can_be_started_the_others_do_all(monkeypatch, most):
    monkeypatch.setattr(threads, "_executors", [])
    start, started, done = threading.Thread.start, [], np.zeros(100, int)

    def few(thread):
        if len(started) == most:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    def work(start, stop):
        done[start:stop] += 1

    monkeypatch.setattr(threading.Thread, "start", few)
    threads.spread(work, 100, threads=4)
    assert (done == 1).all() and len(started) == most


def test_the_number_of_threads_can_be_said(monkeypatch):
    monkeypatch.setenv("BITSEEK_THREADS", "3")
    assert threads.thread_count() == 3
    monkeypatch.setenv("BITSEEK_THREADS", "none")
    assert threads.thread_count() >= 1


def test_searches_from_several_threads_at_once():
    rng = np.random.default_rng(0)
    codes = Codes.from_bits(rng.random((40_000, 64)) < 0.5)
    index = HammingIndex(codes, threads=4)
    expected = index.nearest(codes[:50], 5)
    wrong = []

    def search():
        for _ in range(5):
            if not np.array_equal(index.nearest(codes[:50], 5).ids, expected.ids):
                wrong.append(1)

    many = [threading.Thread(target=search) for _ in range(6)]
    for thread in many:
        thread.start()
    for thread in many:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_process_can_search():
    program = (
        "import os, numpy as np; from bitseek.kernels import scan;"
        "words = np.arange(100_000, dtype=np.uint64)[:, None];"
        "one = scan.nearest(words, words[:1], 3, 64, threads=3);"
        "child = os.fork();"
        "other = scan.nearest(words, words[:1], 3, 64, threads=3);"
        "os._exit(not np.array_equal(one, other)) if not child else None;"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=120).returncode == 0
