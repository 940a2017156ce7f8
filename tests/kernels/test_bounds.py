"""No kernel reads or writes outside of its arrays: compiled code does not look, so here numba is told to."""

import os
import subprocess
import sys
from pathlib import Path

from bitseek.kernels import jit

SEARCHES = """
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from bitseek.kernels.jit import COMPILED
from bitseek.metrics import Relevance, retrieval

rng = np.random.default_rng(5)


def codes(n, bits, centres, flip):
    around = rng.random((centres, bits)) < 0.5
    return Codes.from_bits(around[rng.integers(0, centres, n)] ^ (rng.random((n, bits)) < flip))


def search(bits, n, queries, plan):
    database, asked = codes(n, bits, 4, rng.choice([0.0, 0.1, 0.5])), codes(queries, bits, 4, 0.5)
    index = HammingIndex(database[: n // 2], plan=plan, threads=2)
    index.remove(np.arange(rng.integers(0, n // 2 + 1)))  # now and then all of them
    index.build()
    index.nearest(asked, int(rng.integers(1, 100)))
    index.add(database[n // 2 :])
    index.nearest(asked, int(rng.integers(1, 100)))
    index.within(asked, int(rng.integers(0, 40)))
    if len(index):
        index.nearest_by_logits(rng.standard_normal((queries, bits)).astype(np.float32), 10)
    if n:
        retrieval(asked, database, Relevance.from_labels(rng.integers(0, 3, queries), rng.integers(0, 3, n)))


assert COMPILED
for plan in ("pruned", "scan"):
    for bits in (1, 64, 65, 128, 256, 300):
        for n in (0, 1, 2, 127, 300, 1000):
            search(bits, n, int(rng.integers(1, 20)), plan)
print("within bounds")
"""


def test_no_kernel_leaves_its_arrays():
    """Among these are indexes that are empty, or from which everything was removed before the clusters were built."""
    cache = Path(jit.__file__).parent / "__pycache__" / "bounds"
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_OPT": "0", "NUMBA_CACHE_DIR": str(cache)}  # soon compiled, and slow
    done = subprocess.run(
        [sys.executable, "-c", SEARCHES], env=os.environ | checked, capture_output=True, text=True, timeout=300
    )
    assert done.stdout.strip() == "within bounds", done.stderr
