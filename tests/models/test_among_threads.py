"""A batch is shared out among threads without helpers in torch, and nothing else in the process notices."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from bitseek.kernels import threads
from bitseek.kernels.threads import alone
from bitseek.models import _among_threads, alone_in_torch, among_threads, threads_on


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("size, parts", [(0, 1), (1, 1), (31, 1), (32, 2), (47, 2), (48, 3), (100, 3)])
def test_rows_are_those_of_the_whole_in_order(three_threads, size, parts):
    rng = np.random.default_rng(size)
    batch, weights, seen = rng.integers(0, 256, (size, 5), np.uint8), rng.standard_normal((5, 4)).astype(np.float32), []

    def network(part):
        seen.append((len(part), torch.get_num_threads()))
        return torch.from_numpy(part.astype(np.float32) @ weights)

    np.testing.assert_allclose(among_threads(network, batch).numpy(), batch.astype(np.float32) @ weights, rtol=1e-6)
    assert sorted(n for n, _ in seen) == sorted(len(part) for part in np.array_split(batch, parts))
    assert {number for _, number in seen} == {3 if parts == 1 else 1} and torch.get_num_threads() == 3


def in_a_new_thread(function):
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(function).result()


def test_other_threads_keep_their_number_also_meanwhile(three_threads):
    told = []

    def network(part):
        told.append(in_a_new_thread(torch.get_num_threads))
        return torch.zeros(len(part), 1)

    among_threads(network, np.zeros((64, 1)))
    assert told == [3, 3, 3] and in_a_new_thread(torch.get_num_threads) == 3


def test_a_thread_that_is_alone_runs_the_whole_without_helpers(three_threads):
    seen = []

    def network(part):
        seen.append((len(part), torch.get_num_threads(), threading.get_ident()))
        return torch.zeros(len(part), 1)

    with alone():
        among_threads(network, np.zeros((5, 1)))
        among_threads(network, np.zeros((64, 1)))
    assert seen == [(5, 1, threading.get_ident()), (64, 1, threading.get_ident())] and torch.get_num_threads() == 3


def test_without_openmp_the_caller_runs_the_whole_with_the_threads_of_torch(three_threads, monkeypatch):
    monkeypatch.setattr(_among_threads, "_library", lambda: None)
    told = []

    def network(part):
        told.append((len(part), torch.get_num_threads()))
        return torch.zeros(len(part), 1)

    among_threads(network, np.zeros((64, 1)))
    with alone():
        among_threads(network, np.zeros((64, 1)))
    assert told == [(64, 3), (64, 3)] and threads_on(torch.device("cpu")) == 1


def test_mkl_has_no_helpers_either(three_threads):
    """It has a number of threads of its own, once somebody has set torch's."""
    library = _among_threads._library()
    if not hasattr(library, "MKL_Get_Max_Threads"):
        pytest.skip("torch does not compute by MKL here")
    assert library.MKL_Get_Max_Threads() == 3
    with alone(), alone_in_torch():
        assert library.MKL_Get_Max_Threads() == 1
    assert library.MKL_Get_Max_Threads() == 3


def test_one_thread_means_none_beside_the_caller(three_threads):
    torch.set_num_threads(1)
    seen = []
    among_threads(lambda part: seen.append(threading.get_ident()) or torch.zeros(len(part), 1), np.zeros((64, 1)))
    assert seen == [threading.get_ident()]


def test_an_error_of_a_part_is_that_of_the_batch(three_threads):
    def fails(part):
        if 40 in part:
            raise ValueError("forty")
        return torch.zeros(len(part), 1)

    with pytest.raises(ValueError, match="forty"):
        among_threads(fails, np.arange(80)[:, None])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_starts_threads_of_its_own(three_threads):
    among_threads(lambda part: torch.zeros(len(part), 1), np.zeros((64, 1)))
    child = os.fork()
    if not child:
        os._exit(0 if len(among_threads(lambda part: torch.zeros(len(part), 1), np.zeros((64, 1)))) == 64 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_where_no_thread_can_be_started_the_caller_runs_it(three_threads, monkeypatch):
    monkeypatch.setattr(threads, "_executors", [])

    def none(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none)
    batch = np.arange(64.0)[:, None]
    np.testing.assert_array_equal(among_threads(torch.from_numpy, batch).numpy(), batch)
    assert torch.get_num_threads() == 3
