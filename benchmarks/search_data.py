"""What the search benchmarks share: codes that are made up, faiss on one thread, and fair timing."""

import os

# One OpenMP run-time that sleeps when it waits: otherwise its threads spin against those of the other side.
os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "0")

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from bitseek.codes import Codes


def random_words(n: int, bits: int, seed: int = 0) -> np.ndarray:
    """Uniform random codes, (n, bits / 64) uint64."""
    return np.random.default_rng(seed).integers(0, 2**64, (n, bits // 64), dtype=np.uint64)


def noise(rng: np.random.Generator, shape: tuple[int, int], flip: float) -> np.ndarray:
    """Words whose bits are each 1 with probability `flip`, to twelve binary digits."""
    words = np.zeros(shape, np.uint64)
    for digit in reversed(range(1, 13)):
        other = rng.integers(0, 2**64, shape, dtype=np.uint64)
        words = words | other if int(flip * 2**digit) & 1 else words & other
    return words


def clustered_words(n: int, bits: int, seed: int = 0, centres: int = 1000, flip: float = 0.1) -> np.ndarray:
    """Codes around random centres, each bit flipped with probability `flip`; the same centres for every seed."""
    middle = random_words(centres, bits, 12345)
    rng = np.random.default_rng(seed)
    words = np.empty((n, bits // 64), np.uint64)
    for start in range(0, n, 1 << 20):
        stop = min(n, start + (1 << 20))
        words[start:stop] = middle[rng.integers(0, centres, stop - start)]
        words[start:stop] ^= noise(rng, (stop - start, bits // 64), flip)
    return words


def replicated_words(path: str, n: int, seed: int = 0, flip: float = 0.02) -> tuple[np.ndarray, int]:
    """Codes of a really trained hasher (a file of `Codes.save`), repeated up to n with fresh noise on their bits."""
    codes = Codes.load(path)
    rng = np.random.default_rng(seed)
    words = codes.words[rng.integers(0, len(codes), n)]
    mask = Codes.from_bits(np.ones((1, codes.bits), bool)).words
    return words ^ (noise(rng, words.shape, flip) & mask), codes.bits


def interleaved(sides: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of each side over rounds in which they take turns, after one that does not count.

    A turn is as many runs as a tenth of a second has room for, and each round begins with another side: what a short
    run takes depends on which side has left the processor's caches to it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    runs = {}
    for name, run in sides.items():
        begin = clock()
        run()
        runs[name] = max(1, round(TURN / max(clock() - begin, 1e-6)))
    names = list(sides)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            begin = clock()
            for _ in range(runs[name]):
                sides[name]()
            seconds[name].append((clock() - begin) / runs[name])
    return {name: median(values) for name, values in seconds.items()}


def faiss_flat(words: np.ndarray, bits: int, threads: int = 1):
    """A faiss index over the codes; nothing else in this process uses its OpenMP."""
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexBinaryFlat(-(-bits // 8) * 8)
    index.add(packed(words, bits))
    return index


def packed(words: np.ndarray, bits: int) -> np.ndarray:
    """The bytes that faiss takes."""
    return np.ascontiguousarray(words.view(np.uint8).reshape(len(words), -1)[:, : -(-bits // 8)])


CPU, WALL = time.process_time, time.perf_counter
TURN = 0.1
"""Seconds."""
