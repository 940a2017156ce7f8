"""What the order of ties does to a published figure: one set of codes, one database, several ways to sort it.

    python benchmarks/metrics_ties.py

10 classes, 59,000 items, 64 bits; the database is sorted by class, as the CIFAR-10 protocols of the field leave it.
"""

import numpy as np

from bitseek.codes import Codes
from bitseek.metrics import Relevance, retrieval
from record import record

BITS, CLASSES, DATABASE, QUERIES, FLIP = 64, 10, 59_000, 300, 0.24


def by_order(distances, relevant, sort):
    """Mean average precision over rankings that a sort made."""
    values = []
    for row, wanted in zip(distances, relevant, strict=True):
        ranked = wanted[sort(row)]
        places = np.flatnonzero(ranked) + 1.0
        values.append((np.arange(1, len(places) + 1) / places).mean())
    return float(np.mean(values))


def main():
    rng = np.random.default_rng(0)
    centres = rng.random((CLASSES, BITS)) < 0.5
    labels, mine = np.sort(rng.integers(0, CLASSES, DATABASE)), rng.integers(0, CLASSES, QUERIES)
    codes, queries = (Codes.from_bits(centres[y] ^ (rng.random((len(y), BITS)) < FLIP)) for y in (labels, mine))
    relevance = Relevance.from_labels(mine, labels)
    report = retrieval(queries, codes, relevance, ties="stable", precision_at=())
    products = queries.to_signs().astype(np.float32) @ codes.to_signs().astype(np.float32).T
    distances, relevant = (BITS - products) / 2, mine[:, None] == labels

    def shuffled(row):
        order = rng.permutation(len(row))
        return order[np.argsort(row[order], kind="stable")]

    expected = retrieval(queries, codes, relevance)
    results = {
        "expected": expected.mAP,
        "best": report.mAP_best,
        "worst": report.mAP_worst,
        "stable": report.mAP,
        "stable_by_loop": by_order(distances, relevant, lambda row: np.argsort(row, kind="stable")),
        "numpy_default_argsort": by_order(distances, relevant, np.argsort),
        "random_shuffle": by_order(distances, relevant, shuffled),
    }
    for which, number in (("first", 0), ("last", CLASSES - 1)):
        chosen = mine == number
        results[f"expected_{which}_class"] = float(expected.per_query[chosen].mean())
        results[f"stable_{which}_class"] = float(report.per_query[chosen].mean())
    for way, value in results.items():
        print(f"{way:24} {value:.4f}")
    record("metrics_ties", {"bits": BITS, "classes": CLASSES, "database": DATABASE, "queries": QUERIES, **results})


if __name__ == "__main__":
    main()
