"""What every codebook achieves, in how much time, beside what nobody can exceed.

    python benchmarks/codebooks.py [--small] [--again]

Writes benchmarks/results/codebooks.json: minimum and mean distance, imbalance and seconds (building and, apart from it,
the exact minimum distance) for the sizes of the published table, for the classes of two fine-grained data sets, and for
many classes. `--small` leaves out the last. A row that is there is kept, with where it was `measured`; with `--again`
all that are asked for are measured anew.
The upper bound is Delsarte's linear programming bound where it is lower than Plotkin's and Hamming's.
"""

import json
import sys
import time
from math import comb
from typing import Any

import numpy as np
from scipy.optimize import linprog

from bitseek import BitseekError
from bitseek.codebooks import CODEBOOKS, make_codebook
from record import RESULTS, record

TABLE = [(classes, bits) for classes in (10, 21, 80, 100) for bits in (16, 32, 64, 128)]
PUBLISHED_O = dict(zip(TABLE, (8, 16, 32, 64, 7, 14, 29, 59, 5, 12, 26, 56, 5, 12, 25, 54), strict=True))
FINE = [(classes, bits) for classes in (196, 555) for bits in (16, 32, 48, 64, 128)]  # Stanford Cars, NABirds
MANY = [(1000, 32), (1000, 64), (1000, 128), (10_000, 64), (40_000, 64), (40_000, 128)]
MANY += [(100_000, 64), (100_000, 128), (100_000, 256), (100_000, 512), (100_000, 1024), (100_000, 2048)]
TIGHTENED = 128  # up to so many classes the bound is that of linear programming
SLOW_FROM = 2000  # max-distance compares every draw with every accepted word: left out above so many classes


def main() -> None:
    rows, known = [], kept()
    make_codebook("spread", 80, 32)  # the search kernels are compiled once a machine, which is in no figure
    for classes, bits in TABLE + FINE + ([] if "--small" in sys.argv else MANY):
        for name in CODEBOOKS:
            if name == "max-distance" and classes > SLOW_FROM:
                continue
            if "--again" not in sys.argv and (name, classes, bits) in known:
                rows.append(known.pop((name, classes, bits)))
                continue
            known.pop((name, classes, bits), None)
            row = measure(name, classes, bits)
            if classes <= TIGHTENED and "upper_bound" in row:
                row["upper_bound"] = least_upper_bound(classes, bits, row["upper_bound"])
            rows.append(row)
            show(row)
    rows += known.values()
    record("codebooks", {"published_O": [[*cell, d] for cell, d in PUBLISHED_O.items()], "rows": rows})


def kept() -> dict[tuple[str, int, int], dict[str, Any]]:
    """The rows that are in the file, by codebook, classes and bits, with where they were measured."""
    file = RESULTS / "codebooks.json"
    if not file.exists():
        return {}
    before = json.loads(file.read_text(encoding="utf-8"))
    place = {"processor": before["hardware"]["processor"], "date": before["date"]}
    return {(row["name"], row["classes"], row["bits"]): {"measured": place} | row for row in before["results"]["rows"]}


def measure(name: str, classes: int, bits: int) -> dict[str, Any]:
    started = time.perf_counter()
    try:
        book = make_codebook(name, classes, bits)
    except BitseekError as error:
        return {"name": name, "classes": classes, "bits": bits, "error": str(error)}
    built = time.perf_counter()
    report = book.describe()
    return report | {"build_s": round(built - started, 3), "describe_s": round(time.perf_counter() - built, 3)}


def least_upper_bound(classes: int, bits: int, distance: int) -> int:
    """The largest distance, at most the given one, that linear programming does not exclude."""
    while delsarte(bits, distance) < classes - 1e-6 * classes:
        distance -= 1
    return distance


def delsarte(bits: int, distance: int) -> float:
    """The linear programming bound of A(bits, distance) (Delsarte 1973), for even distances after a parity bit."""
    if distance % 2:
        bits, distance = bits + 1, distance + 1
    weights = range(distance, bits + 1, 2)
    inequalities = [[-krawtchouk(bits, i, w) / comb(bits, i) for w in weights] for i in range(1, bits // 2 + 1)]
    result = linprog(-np.ones(len(weights)), A_ub=np.array(inequalities), b_ub=np.ones(len(inequalities)))
    return 1 - float(result.fun)


def krawtchouk(bits: int, i: int, weight: int) -> int:
    return sum((-1) ** j * comb(weight, j) * comb(bits - weight, i - j) for j in range(i + 1))


def show(row: dict[str, Any]) -> None:
    if "error" in row:
        print(f"{row['name']:>12} C={row['classes']} K={row['bits']}: {row['error']}", flush=True)
        return
    print(
        f"{row['name']:>12} C={row['classes']:<6} K={row['bits']:<4} min {row['minimum_distance']:>4} of at most "
        f"{row['upper_bound']:<4} mean {row['mean_distance']:8.2f} imbalance {row['imbalance']:.4f} "
        f"repaired {row['repaired']} built in {row['build_s']:.2f} s, measured in {row['describe_s']:.2f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
