"""The pruned plan against faiss-cpu's IndexBinaryFlat and against bitseek's own scan, all exact.

    python benchmarks/search_pruned.py [--items 1000000 10000000] [--codes trained.npz ...] [--rounds 3]

Data: `clustered` (1,000 centres, each bit flipped with p = 0.1), `uniform` (random bits: the worst case, where nothing
can be pruned), and with --codes files of `Codes.save` with codes of a trained hasher, repeated up to the number of
items with fresh noise on 2 % of the bits. One thread, processor time, all sides in turn in this process; `auto` is the
plan that the index chooses by itself, compared with the better one of the other two.
"""

import argparse
from pathlib import Path

from search_data import CPU, clustered_words, faiss_flat, interleaved, packed, random_words, replicated_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from record import record

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--items", type=int, nargs="*", default=[1_000_000, 10_000_000])
parser.add_argument("--codes", nargs="*", default=[])
parser.add_argument("--codes-items", type=int, default=1_000_000)
parser.add_argument("--bits", type=int, default=64)
parser.add_argument("--queries", type=int, default=1000)
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--name", default="search_pruned")
options = parser.parse_args()

TARGETS = {("clustered", 1_000_000): 35, ("clustered", 10_000_000): 300}
rows = []


def measure(data: str, words: np.ndarray, asked: np.ndarray, bits: int) -> None:
    codes, n = Codes(words, bits), len(words)
    index = {plan: HammingIndex(codes, plan=plan, threads=1) for plan in ("scan", "pruned", "auto")}
    begin = CPU()
    index["pruned"].build()
    built = CPU() - begin
    index["auto"]._clusters.built = index["pruned"]._clusters.built
    theirs = faiss_flat(words, bits)
    few = max(1, min(100, int(2e9 / n)))  # faiss takes long
    for k, batch in ((10, True), (100, True), (1000, True), (10, False)):
        queries = Codes(asked if batch else asked[:20], bits)
        calls = [queries] if batch else list(queries)

        def ours(plan, calls=calls, k=k):
            return [index[plan].nearest(some, k) for some in calls]

        for _ in range(6):  # the plan is chosen, and every kernel compiled; single queries are 20 calls each
            ours("auto")
        found = {
            name: seconds / len(queries)
            for name, seconds in interleaved(
                {plan: lambda plan=plan: ours(plan) for plan in index}, options.rounds, CPU
            ).items()
        }
        theirs_queries = packed(asked[: few if batch else min(few, 20)], bits)
        at_once = len(theirs_queries) if batch else 1

        def faiss(rows=theirs_queries, at_once=at_once, k=k):
            return [theirs.search(rows[i : i + at_once], k)[0] for i in range(0, len(rows), at_once)]

        found["faiss"] = interleaved({"faiss": faiss}, options.rounds, CPU)["faiss"] / len(theirs_queries)
        a, b = (index[plan].nearest(queries[:50], k) for plan in ("scan", "pruned"))
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.distances, b.distances)
        np.testing.assert_array_equal(np.concatenate(faiss())[:5], a.distances[:5])
        row = {
            "data": data,
            "items": n,
            "bits": bits,
            "k": k,
            "queries": len(queries) if batch else 1,
            **{f"{name}_ms_per_query": 1e3 * seconds for name, seconds in found.items()},
            "pruned_over_faiss": found["faiss"] / found["pruned"],
            "pruned_over_scan": found["scan"] / found["pruned"],
            "auto_over_better": min(found["scan"], found["pruned"]) / found["auto"],
            "chosen": [c.plan for c in index["auto"].explain().choices][-1],
            "looked_at": [c.looked_at for c in index["auto"].explain().choices][-1],
            "build_s": built,
            "bytes_per_code": index["pruned"].explain().bytes_per_code[1],
            "centres": index["pruned"].explain().centres,
            "target": TARGETS.get((data, n)) if k == 10 and batch else None,
        }
        rows.append(row)
        times = " ".join(f"{name} {1e3 * found[name]:8.4f}" for name in ("faiss", "scan", "pruned", "auto"))
        print(
            f"{data:12} {n:>9} x {bits} bit k={k:<4} {'batch ' if batch else 'single'}: {times} ms a query; "
            f"pruned/faiss {row['pruned_over_faiss']:6.1f}x, auto {row['auto_over_better']:.2f} of the better "
            f"({row['chosen']}, looks at {100 * row['looked_at']:.2f} %), built in {built:.1f} s",
            flush=True,
        )


for n in options.items:
    for data, make in (("clustered", clustered_words), ("uniform", random_words)):
        measure(data, make(n, options.bits, 1), make(options.queries, options.bits, 2), options.bits)
for path in options.codes:
    words, bits = replicated_words(path, options.codes_items + options.queries)
    measure(Path(path).stem, words[options.queries :], words[: options.queries].copy(), bits)
record(options.name, {"rows": rows})
