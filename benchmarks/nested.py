"""Exact search by all bits of nested codes: by the first bits and their clusters, by all, and by a scan.

    python benchmarks/nested.py [--items 1000000] [--bits 256] [--first 64] [--rounds 5]

Codes around centres, each bit flipped with a probability that grows from the first word to the last, as the first bits
of nested codes are the surest; and codes without any order. The sides take turns in this process, on one thread, and
are compared by processor time. Their answers are the same, which is checked. Building clusters is not counted.
"""

import argparse

from search_data import CPU, interleaved, noise, random_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex, NestedIndex
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, default=1_000_000)
parser.add_argument("--bits", type=int, default=256)
parser.add_argument("--first", type=int, default=64)
parser.add_argument("--rounds", type=int, default=5)
options = parser.parse_args()

DATA = {
    "10 classes, 2 … 6 % of the bits flipped": (10, 0.02, 0.06),
    "1,000 clusters, 2 … 6 %": (1000, 0.02, 0.06),
    "1,000 clusters, 5 … 15 %": (1000, 0.05, 0.15),
    "random": (0, 0.5, 0.5),
}


def nested_words(n: int, centres: int, first: float, last: float, seed: int) -> np.ndarray:
    """Codes around the same centres for every seed, word by word with more noise."""
    width = options.bits // 64
    if not centres:
        return random_words(n, options.bits, seed)
    rng = np.random.default_rng(seed)
    words = random_words(centres, options.bits, 12345)[rng.integers(0, centres, n)]
    for w, flip in enumerate(np.linspace(first, last, width)):
        words[:, w : w + 1] ^= noise(rng, (n, 1), float(flip))
    return words


rows = []
for name, (centres, first, last) in DATA.items():
    database = Codes(nested_words(options.items, centres, first, last, 1), options.bits)
    asked = Codes(nested_words(100, centres, first, last, 2), options.bits)
    scan = HammingIndex(database, plan="scan", threads=1)
    pruned = HammingIndex(database, plan="pruned", threads=1)
    pruned.build()
    nested = NestedIndex(database, options.first, plan="pruned", threads=1)
    nested.first.build()
    bytes_of = {name: index.explain().bytes_per_code for name, index in (("all", pruned), ("first", nested.first))}
    for queries in (1, 100):
        some = asked[:queries]
        sides = {
            "scan": lambda index=scan, some=some: index.nearest(some, 10),
            "clusters": lambda index=pruned, some=some: index.nearest(some, 10),
            "nested": lambda index=nested, some=some: index.nearest(some, 10),
        }
        expected = scan.nearest(some, 10)
        for side in sides.values():
            found = side()
            np.testing.assert_array_equal(found.ids, expected.ids)
            np.testing.assert_array_equal(found.distances, expected.distances)
        seconds = interleaved(sides, options.rounds * (5 if queries == 1 else 1), CPU)
        row = {
            "data": name,
            "queries": queries,
            "bytes_in_memory": {"scan": bytes_of["all"][0], **{side: sum(b) for side, b in bytes_of.items()}},
            **{f"{side}_ms_per_query": 1e3 * taken / queries for side, taken in seconds.items()},
            "scan_over_nested": seconds["scan"] / seconds["nested"],
            "clusters_over_nested": seconds["clusters"] / seconds["nested"],
        }
        rows.append(row)
        print(
            f"{name:40} {queries:4} queries: "
            + ", ".join(f"{side} {1e3 * taken / queries:.3f} ms" for side, taken in seconds.items())
            + f" a query; scan / nested {row['scan_over_nested']:.2f}, bytes {row['bytes_in_memory']}",
            flush=True,
        )
record("nested", {"items": options.items, "bits": options.bits, "first": options.first, "k": 10, "rows": rows})
