"""Mean average precision: bitseek against the NumPy argsort loop that the field's repositories share.

    python benchmarks/metrics_speed.py [cifar] [coco] [large]

Both sides run in this process on one thread, in turn, and are compared by processor time (the machine may be busy); the
loop runs on a sample of the queries and its time is scaled to all of them. For bitseek all queries are timed: for the
one figure that the loop gives (`ratio_`), and for the whole report with its bounds (`ratio_report_`). Wall-clock time
is given beside it, for one thread and for all.

The loop is given the labels as it usually gets them, one-hot or multi-hot in float32; and, for single labels, a second
time with class numbers, compared by equality, which is the fastest that it can be made without being another program.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy is imported: a matrix product on one thread

import sys
import time
from statistics import median

import numpy as np

from bitseek.codes import Codes
from bitseek.kernels.threads import thread_count
from bitseek.metrics import Relevance, average_precision, histograms, retrieval
from record import record

BITS = 64
FLIP = 0.2
#        name: (database, queries, classes, multi-label, k, queries of the sample)
SIZES = {
    "cifar": (59_000, 1_000, 10, False, None, 60),
    "coco": (117_218, 5_000, 80, True, 5000, 40),
    "large": (1_200_000, 5_000, 1_000, False, 1000, 6),
}


def make(n, classes, multi, seed):
    """Codes around one centre a class (the first label's), each bit flipped with probability 0.2."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).random((classes, BITS)) < 0.5
    first = rng.integers(0, classes, n)
    words = np.concatenate(
        [
            Codes.from_bits(centres[part] ^ (rng.random((len(part), BITS)) < FLIP)).words
            for part in np.array_split(first, 1 + n // 100_000)
        ]
    )
    if not multi:
        return Codes(words, BITS), first
    hot = rng.random((n, classes)) < 1.9 / classes  # MS-COCO has 2.9 labels an image
    hot[np.arange(n), first] = True
    return Codes(words, BITS), hot


def argsort_loop(query, database, mine, theirs, k):
    """The loop, operation by operation: signs and labels in float32, one full sort a query."""
    total = np.float32(0)
    for signs, labels in zip(query, mine, strict=True):
        relevant = (theirs == labels if theirs.ndim == 1 else labels @ theirs.T > 0).astype(np.float32)
        distances = 0.5 * (signs.shape[0] - signs @ database.T)
        ranked = relevant[np.argsort(distances)][:k]
        hits = int(ranked.sum())
        if hits:
            places = np.flatnonzero(ranked == 1) + 1.0
            total += np.mean(np.linspace(1, hits, hits) / places)
    return total / len(query)


def bitseek_map(queries, codes, mine, labels, k):
    """One figure, as the loop gives it: the expectation over ties, without its bounds."""
    counts = histograms(queries, codes, Relevance.from_labels(mine, labels))
    return average_precision(counts.total, counts.relevant, k).mean()


def bitseek_report(queries, codes, mine, labels, k, ties="expected"):
    """The figure with its bounds, precision and recall; for a stable sort the figure and the bounds alone."""
    named = {"precision_at": ()} if ties == "stable" else {}
    return retrieval(queries, codes, Relevance.from_labels(mine, labels), k=k, ties=ties, **named)


def seconds(call):
    """Processor and wall time of a call."""
    wall, processor = time.perf_counter(), time.process_time()
    value = call()
    return time.process_time() - processor, time.perf_counter() - wall, value


def measure(name):
    database, size, classes, multi, k, sample = SIZES[name]
    codes, labels = make(database, classes, multi, 1)
    queries, mine = make(size, classes, multi, 2)
    signs, wanted = codes.to_signs().astype(np.float32), queries[:sample].to_signs().astype(np.float32)

    def one_hot(part):
        if multi:
            return part.astype(np.float32)
        hot = np.zeros((len(part), classes), np.float32)
        hot[np.arange(len(part)), part] = 1
        return hot

    loops = {"hot": (one_hot(mine[:sample]), one_hot(labels))}
    if not multi:
        loops["numbers"] = (mine[:sample], labels)
    first = seconds(lambda: bitseek_report(queries[:1], codes[:1000], mine[:1], labels[:1000], k))[1]
    bitseek_report(queries[:1], codes[:1000], mine[:1], labels[:1000], k, "stable")
    times = {"map": [], "report": [], "all": [], "report_stable": [], **{f"loop_{form}": [] for form in loops}}
    for _ in range(5):
        os.environ["BITSEEK_THREADS"] = "1"
        times["map"].append(seconds(lambda: bitseek_map(queries, codes, mine, labels, k))[:2])
        processor, wall, report = seconds(lambda: bitseek_report(queries, codes, mine, labels, k))
        times["report"].append((processor, wall))
        for form, (ours, theirs) in loops.items():
            processor, wall, loop = seconds(lambda o=ours, t=theirs: argsort_loop(wanted, signs, o, t, k))
            times[f"loop_{form}"].append((processor * size / sample, wall * size / sample))
        processor, wall, _ = seconds(lambda: bitseek_report(queries, codes, mine, labels, k, "stable"))
        times["report_stable"].append((processor, wall))
        del os.environ["BITSEEK_THREADS"]
        times["all"].append(seconds(lambda: bitseek_report(queries, codes, mine, labels, k))[:2])
    part = bitseek_report(queries[:sample], codes, mine[:sample], labels, k)
    if not part.mAP_worst - 1e-6 <= loop <= part.mAP_best + 1e-6:
        raise SystemExit(f"the loop's {loop} lies outside [{part.mAP_worst}, {part.mAP_best}]")
    cpu = {what: median(t[0] for t in several) for what, several in times.items()}
    wall = {what: min(t[1] for t in several) for what, several in times.items()}
    data = {
        "database": database,
        "queries": size,
        "classes": classes,
        "multi_label": multi,
        "k": k,
        "bits": BITS,
        "mAP": report.mAP,
        "mAP_best": report.mAP_best,
        "mAP_worst": report.mAP_worst,
        "first_call_wall_s": first,
        "bitseek_map_cpu_s_one_thread": cpu["map"],
        "bitseek_map_wall_s_one_thread": wall["map"],
        "bitseek_report_cpu_s_one_thread": cpu["report"],
        "bitseek_report_wall_s_one_thread": wall["report"],
        "bitseek_report_wall_s_all_threads": wall["all"],
        "threads": thread_count(),
        "bitseek_stable_cpu_s_one_thread": cpu["report_stable"],
        "loop_queries_timed": sample,
    }
    for form in loops:
        data[f"loop_{form}_cpu_s_scaled"] = cpu[f"loop_{form}"]
        data[f"ratio_{form}"] = cpu[f"loop_{form}"] / cpu["map"]
        data[f"ratio_report_{form}"] = cpu[f"loop_{form}"] / cpu["report"]
        data[f"ratio_stable_{form}"] = cpu[f"loop_{form}"] / cpu["report_stable"]
    return data


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(SIZES)
    results = {}
    for name in chosen:
        results[name] = measure(name)
        for key, value in results[name].items():
            print(f"{name:8}{key:36}{value:.4f}" if isinstance(value, float) else f"{name:8}{key:36}{value}")
    record("metrics_speed", results)
