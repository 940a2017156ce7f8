"""Scanning all codes: bitseek against faiss-cpu's IndexBinaryFlat, both exact.

    python benchmarks/search_scan.py [--items 10000000] [--rounds 3] [--bits 64 128 256]

Both sides take turns in this process. With one thread they are compared by processor time (the machine may be busy with
other things), with two by wall-clock time. Distances are compared, too; ids cannot be: faiss breaks ties by chance.
"""

import argparse

from search_data import CPU, WALL, clustered_words, faiss_flat, interleaved, packed, random_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, default=10_000_000)
parser.add_argument("--queries", type=int, default=100)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--bits", type=int, nargs="*", default=[64, 128, 256])
parser.add_argument("--name", default="search_scan")
options = parser.parse_args()

TARGETS = {(64, 10): 4.5, (64, 100): 3.5, (64, 1000): 3.5, (128, 10): 3.5, (256, 10): 2.8}
rows = []


def compare(bits: int, data: str, k: int, queries: int, threads: int) -> None:
    theirs_queries, ours_queries = packed(asked[:queries], bits), Codes(asked[:queries], bits)
    # With one query faiss has no use for a second thread, and is quickest with one.
    sides = {
        "faiss": lambda: theirs.search(theirs_queries, k),
        "bitseek": lambda: ours[threads].nearest(ours_queries, k),
    }
    found = interleaved(sides, options.rounds if queries > 1 else 5 * options.rounds, CPU if threads == 1 else WALL)
    few = min(queries, 5)
    distances, _ = theirs.search(theirs_queries[:few], k)
    np.testing.assert_array_equal(distances, ours[threads].nearest(ours_queries[:few], k).distances)
    row = {
        "bits": bits,
        "data": data,
        "k": k,
        "queries": queries,
        "threads": threads,
        "faiss_ms_per_query": 1e3 * found["faiss"] / queries,
        "bitseek_ms_per_query": 1e3 * found["bitseek"] / queries,
        "ratio": found["faiss"] / found["bitseek"],
        "billion_codes_per_second": options.items * queries / found["bitseek"] / 1e9,
    }
    target = (
        TARGETS.get((bits, k)) if queries > 1 else {1: 1.7, 2: 3.0}.get(threads) if bits == 64 and k == 10 else None
    )
    row["target"] = target
    rows.append(row)
    print(
        f"{bits:4} bit {data:9} k={k:<5} {queries:4} queries {threads} thread(s): "
        f"faiss {row['faiss_ms_per_query']:8.3f} bitseek {row['bitseek_ms_per_query']:8.3f} ms a query, "
        f"ratio {row['ratio']:5.2f}" + (f" (wanted {target})" if target else ""),
        flush=True,
    )


for bits in options.bits:
    for data, make in (("random", random_words), ("clustered", clustered_words)):
        words, asked = make(options.items, bits, 1), make(options.queries, bits, 2)
        theirs = faiss_flat(words, bits)
        ours = {threads: HammingIndex(Codes(words, bits), plan="scan", threads=threads) for threads in (1, 2)}
        for k in (10, 100, 1000):
            compare(bits, data, k, options.queries, 1)
        compare(bits, data, 10, 1, 1)
        compare(bits, data, 10, 1, 2)
record(options.name, {"items": options.items, "rows": rows})
