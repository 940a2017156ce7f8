"""Search by the actors of Ray: two against one, and one against the index in this process.

    python benchmarks/engines_ray.py [--items 100000000] [--queries 64] [--rounds 5] [--plan scan] [--folder DIR]

Makes clustered codes (1,000 centres, p = 0.1) and writes them to one file, which every actor maps: one actor all of it,
two actors a half each. Every actor has one thread, as has the index in this process, so that the ratio says what a
second machine of the same kind would bring, less what asking and merging costs. The sides take turns, each round with
queries of its own; all must find the same ids. What two cores of this machine bring without any engine is measured in
the same rounds, by the index in this process with two threads, and by reading the codes once, a bitwise or of all
words, on one thread and on two: no engine can do better on one machine, and one that is busy with something else, or
whose two cores are one, shows it there. Nothing else may run: an actor needs a core for itself.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from search_data import clustered_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.engines._cluster import Cluster
from bitseek.engines._ray import RayEngine
from bitseek.index import HammingIndex
from bitseek.kernels.threads import spread
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, default=100_000_000)
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--queries", type=int, default=64, help="in one call")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--plan", default="scan", choices=["scan", "pruned"])
parser.add_argument("--folder", help="for the codes; it is there already, and they stay in it")
parser.add_argument("--name", default="engines_ray")


def mapped(file: str, bits: int, start: int, stop: int) -> Codes:
    """The codes of an actor, in its process."""
    return Codes(np.load(file, mmap_mode="r")[start:stop], bits)


def timed(run):
    """What a call gives, and the seconds that it took."""
    begin = time.perf_counter()
    value = run()
    return value, time.perf_counter() - begin


def engine(cluster: Cluster, file: str, options: argparse.Namespace, actors: int) -> RayEngine:
    ends = [i * options.items // actors for i in range(actors + 1)]
    sources = [
        (partial(mapped, file, options.bits, start, stop), stop - start, f"items from {start}")
        for start, stop in pairwise(ends)
    ]
    return RayEngine(cluster, sources, options.bits, threads=1, plan=options.plan)


def read_ratio(words: np.ndarray, rounds: int) -> float:
    """How much quicker two threads read all words than one."""
    flat = words.reshape(-1)

    def read(threads: int) -> None:
        piece = -(-len(flat) // threads)
        spread(lambda a, b: np.bitwise_or.reduce(flat[a:b]), len(flat), threads=threads, grain=piece)

    one, two = (median(timed(partial(read, threads))[1] for _ in range(rounds)) for threads in (1, 2))
    return one / two


def measure(options: argparse.Namespace, folder: Path) -> dict:
    file = folder / f"codes-{options.items}-{options.bits}.npy"
    if not file.exists():
        np.save(file, clustered_words(options.items, options.bits))
    codes = mapped(str(file), options.bits, 0, options.items)
    cluster = Cluster()
    sides = {"here": HammingIndex(codes, threads=1, plan=options.plan)}
    sides["here, 2 threads"] = HammingIndex(codes, threads=2, plan=options.plan)
    sides |= {f"{n} actor{'s' * (n > 1)}": engine(cluster, str(file), options, n) for n in (1, 2)}
    times: dict[str, list[float]] = {name: [] for name in sides}
    single: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(options.rounds + 1):
        queries = Codes(clustered_words(options.queries, options.bits, 2 + turn), options.bits)
        expected = None
        for name, side in sides.items():
            hits, took = timed(partial(side.nearest, queries, 10))
            _, once = timed(partial(side.nearest, queries[:1], 10))
            if turn:  # the first maps the files, loads the kernels and builds clusters
                times[name].append(took)
                single[name].append(once)
            expected = hits if expected is None else expected
            np.testing.assert_array_equal(hits.ids, expected.ids)
            np.testing.assert_array_equal(hits.distances, expected.distances)
    rates = {name: options.queries / median(taken) for name, taken in times.items()}
    for name in ("1 actor", "2 actors"):
        sides[name].close()
    return {
        "items": options.items,
        "bits": options.bits,
        "plan": options.plan,
        "queries_a_call": options.queries,
        "queries_per_second": rates,
        "ms_of_one_query": {name: 1e3 * median(taken) for name, taken in single.items()},
        "load_at_the_end": os.getloadavg()[0],
        "two_actors_over_one": rates["2 actors"] / rates["1 actor"],
        "two_threads_over_one": rates["here, 2 threads"] / rates["here"],
        "one_actor_over_here": rates["1 actor"] / rates["here"],
        "two_threads_over_one_reading": read_ratio(np.load(file, mmap_mode="r"), options.rounds),
    }


def main() -> None:
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bitseek-") as temporary:
        found = measure(options, Path(options.folder or temporary))
    for name, rate in found["queries_per_second"].items():
        print(f"{name:15} {rate:10.1f} queries/s, one query {found['ms_of_one_query'][name]:8.2f} ms")
    print(f"2 actors over 1: {found['two_actors_over_one']:.2f}; 1 actor over here: {found['one_actor_over_here']:.2f}")
    print(f"without Ray, 2 threads over 1: {found['two_threads_over_one']:.2f};", end=" ")
    print(f"reading alone: {found['two_threads_over_one_reading']:.2f}")
    record(options.name, found)


if __name__ == "__main__":
    main()
