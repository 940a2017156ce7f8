import itertools
import threading
import time

import pytest

from bitseek.errors import ShapeError
from bitseek.images import in_order


def test_results_are_in_order_whatever_takes_longer():
    def slow(i):
        time.sleep(0.003 * (i % 3 == 0))
        return i * i

    assert list(in_order(slow, range(50), 4)) == [i * i for i in range(50)]
    assert list(in_order(slow, [])) == []


@pytest.mark.parametrize("threads, ahead, most", [(2, 0, 8), (2, 30, 30), (3, 5, 12)])
def test_it_looks_ahead_by_a_bounded_number_and_ends_its_threads(threads, ahead, most):
    taken, before, used = itertools.count(), threading.active_count(), set()
    results = in_order(lambda i: used.add(threading.get_ident()) or i, taken, threads, ahead=ahead)
    assert next(taken) == 0, "nothing is taken before the first result is asked for"
    assert [next(results) for _ in range(20)] == list(range(1, 21))
    assert next(taken) == 21 + most
    results.close()
    assert threading.active_count() == before
    assert 1 <= len(used) <= threads and threading.get_ident() not in used


def test_an_error_comes_in_its_place():
    def halves(i):
        if i == 3:
            raise ValueError("three")
        return i / 2

    results = in_order(halves, iter([0, 1, 2, 3, 4]), 2)
    assert [next(results) for _ in range(3)] == [0, 0.5, 1]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert list(results) == []


def test_numbers_of_threads_that_are_none(unchecked):
    for threads in (0, "3", 1.5, True):
        with pytest.raises(ShapeError, match="threads is a whole number of 1 or more"):
            in_order(str, [], threads)
