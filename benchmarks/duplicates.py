"""All pairs of near duplicates: `Duplicates.find` against faiss-cpu's range_search of every code, both exact.

    python benchmarks/duplicates.py [--items 100000 1000000] [--radius 3 8] [--out duplicates]

Data: `clustered` (1,000 centres, each bit flipped with p = 0.1) and `random` (uniform bits), 64 bits; one code in a
hundred is a copy of another with up to two bits changed. One thread, processor time. faiss searches for a sample of the
codes only, where all would take too long, and its time is scaled up; the pairs of these codes are compared. Regrouping
is `groups` at half the radius, by both linkages. With --out the figures are written to benchmarks/results.
"""

import argparse

from search_data import CPU, clustered_words, faiss_flat, packed, random_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.collection import Duplicates
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, nargs="*", default=[100_000, 1_000_000])
parser.add_argument("--radius", type=int, nargs="*", default=[3, 8])
parser.add_argument("--faiss-queries", type=int, default=2000)
parser.add_argument("--out", help="name of the file in benchmarks/results")
options = parser.parse_args()


def with_copies(words: np.ndarray) -> np.ndarray:
    """The codes, one in a hundred replaced by a copy of another with 0 to 2 bits changed."""
    rng = np.random.default_rng(7)
    some = rng.choice(len(words), len(words) // 100, replace=False)
    copies = words[rng.integers(0, len(words), len(some))]
    for _ in range(2):
        flip = np.uint64(1) << rng.integers(0, 64, len(some)).astype(np.uint64)
        copies[:, 0] ^= np.where(rng.random(len(some)) < 0.5, flip, np.uint64(0))
    words[some] = copies
    return words


def seconds(run) -> tuple[float, object]:
    begin = CPU()
    result = run()
    return CPU() - begin, result


def compare(data: str, words: np.ndarray, radius: int) -> dict:
    codes, n = Codes(words, 64), len(words)
    ours, found = seconds(lambda: Duplicates.find(codes, radius, threads=1))
    grouping = {
        linkage: seconds(lambda x=linkage: found.groups(radius // 2, x)) for linkage in ("connected", "complete")
    }
    theirs = faiss_flat(words, 64)
    asked = np.random.default_rng(3).choice(n, min(n, options.faiss_queries), replace=False)
    queries = packed(words[asked], 64)
    scaled, (limits, distances, others) = seconds(lambda: theirs.range_search(queries, radius + 1))  # theirs: below it
    scaled *= n / len(asked)

    one = np.repeat(asked, np.diff(limits.astype(np.int64)))
    expected = {(min(a, b), max(a, b), int(d)) for a, b, d in zip(one, others, distances, strict=True) if a != b}
    pairs, of_asked = found.pairs(), np.zeros(n, bool)
    of_asked[asked] = True
    mine = of_asked[pairs.ids] | of_asked[pairs.others]
    got = set(zip(*(column[mine].tolist() for column in pairs), strict=True))
    assert got == expected, f"{len(got)} and {len(expected)} pairs"

    row = {
        "data": data,
        "items": n,
        "radius": radius,
        "pairs": int(found.histogram.sum()),
        "bitseek_s": ours,
        "faiss_s": scaled,
        "faiss_queries": len(asked),
        "pairs_per_second": int(found.histogram.sum()) / ours,
        "codes_per_second": n / ours,
        "ratio": scaled / ours,
        "pairs_compared": len(expected),
        **{f"{linkage}_s": took for linkage, (took, _) in grouping.items()},
        **{f"{linkage}_groups": len(groups) for linkage, (_, groups) in grouping.items()},
    }
    print(
        f"{data:9} {n:>8} radius {radius}: {row['pairs']:>9} pairs, bitseek {ours:7.2f} s, faiss {scaled:8.2f} s"
        f"{'' if len(asked) == n else ' (scaled)'}, ratio {row['ratio']:6.1f}; regrouping connected "
        f"{row['connected_s']:.2f} s, complete {row['complete_s']:.2f} s",
        flush=True,
    )
    return row


warm = Codes(clustered_words(40_000, 64), 64)
Duplicates.find(warm, 2, threads=1).groups(linkage="complete")  # compiles the kernels, imports scipy
rows = [
    compare(data, words, radius)
    for n in options.items
    for data, make in (("clustered", clustered_words), ("random", random_words))
    for words in [with_copies(make(n, 64, 1))]
    for radius in options.radius
]
if options.out:
    record(options.out, {"rows": rows})
