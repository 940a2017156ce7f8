"""What it costs to make bits of logits: mAP of the real numbers against that of their signs, method by method.

    bitseek features cifar10-1 --backbone mobilenetv2_100 --size 160 --out cifar160.npz
    python benchmarks/binarisation.py cifar160.npz [--only METHOD …] [--bits 16 32 64] [--database 6000]

Each method is trained on the features of the frozen ledger with the recipe that was chosen for it there (a method that
came later with its defaults), and measured three times on the same logits: by Hamming distance of the codes, in
expectation over ties; by the inner product of the logits; and by their cosine. Beside them stand the features
themselves, ranked by cosine, which is what a head begins with. One thread; a trial that was run is kept in a cache.

Writes benchmarks/results/binarisation.json, of all that is in the cache, and prints the table for docs/ledger.md.
"""

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitseek.data import Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.methods import METHODS
from bitseek.metrics import Relevance, retrieval, retrieval_by_scores
from bitseek.runs import Encoded, encode
from bitseek.training import train
from frozen_ledger import COMMON
from record import RESULTS, record
from trials import Rows, split_of

BITS = (16, 32, 64)
AT_ONCE = 50
"""Queries whose scores are in memory at the same time."""
UNIT = 1e-12
"""Least length that a vector is divided by."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path, help="file that `bitseek features cifar10-1` wrote")
    parser.add_argument("--cache", type=Path, default=RESULTS / "binarisation.jsonl", help="trials already run")
    parser.add_argument("--only", nargs="*", choices=list(METHODS), help="these methods; by default all")
    parser.add_argument("--bits", nargs="*", type=int, default=list(BITS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--database", type=int, help="search so many items of the database only, drawn from seed 0")
    given = parser.parse_args()
    torch.set_num_threads(1)
    data = load_protocol(f"features:{given.features}")
    if given.database:
        drawn = np.random.default_rng(0).choice(data.database, given.database, replace=False)
        data = replace(data, database=np.sort(drawn), origin=None)
    cache, found = Rows(given.cache), []
    recipes = ledger_recipes()
    for bits in sorted(given.bits, reverse=True):
        for method in given.only or sorted(METHODS, key=lambda name: name not in recipes):
            for seed in range(given.seeds):
                what = {**split_of(data), "method": method, "bits": bits, "seed": seed}
                recipe = recipes.get(method)
                measure = partial(trial, method, recipe, data, bits, seed)
                found.append(cache.find(what, measure, key=json.dumps(what | {"recipe": recipe}, sort_keys=True)))
    results = {"protocol": data.describe(), "features": of_features(data), "common": COMMON, "rows": joined(found)}
    record("binarisation", results)
    print("\n".join(table(results)))


def ledger_recipes() -> dict[str, dict[str, Any]]:
    """What the frozen ledger chose for each of its methods."""
    kept = json.loads((RESULTS / "frozen_ledger_cifar10-1.json").read_text())["results"]["chosen"]
    return {method: choice["recipe"] for method, choice in kept.items()}


def trial(method: str, recipe: dict[str, Any] | None, data: Protocol, bits: int, seed: int) -> dict[str, Any]:
    """One training, and the three figures of its logits."""
    started = time.perf_counter()
    try:
        hasher = train(method, data, bits=bits, seed=seed, weights=None, device="cpu", **(recipe or {}))
    except BitseekError as error:
        return {"failed": str(error), "recipe": "ledger" if recipe is not None else "defaults"}
    seconds = time.perf_counter() - started
    encoded = encode(hasher, data.pool.images, np.union1d(data.query, data.database), batch_size=4096)
    queries, database = encoded.part(data.query), encoded.part(data.database)
    return {
        "recipe": "ledger" if recipe is not None else "defaults",
        "seconds": round(seconds, 2),
        **{ranking: round(mAP, 5) for ranking, mAP in measured(queries, database, data)},
    }


def measured(queries: Encoded, database: Encoded, data: Protocol) -> Iterator[tuple[str, float]]:
    """mAP of the codes, and of the logits by inner product and by cosine."""
    relevance = data.relevance(queries.ids, database.ids)
    yield "codes", retrieval(queries.codes, database.codes, relevance, k=data.k, denominator=data.denominator).mAP
    yield "inner_product", by_product(queries.logits, database.logits, relevance, data)
    yield "cosine", by_product(unit(queries.logits), unit(database.logits), relevance, data)


def by_product(queries: np.ndarray, database: np.ndarray, relevance: Relevance, data: Protocol) -> float:
    """mAP of the ranking by inner product."""
    blocks = (queries[start : start + AT_ONCE] @ database.T for start in range(0, len(queries), AT_ONCE))
    return retrieval_by_scores(blocks, relevance, k=data.k, denominator=data.denominator).mAP


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), UNIT)


def of_features(data: Protocol) -> float:
    """mAP of the features by cosine."""
    rows = unit(data.pool.images.rows(slice(None)))
    relevance = data.relevance(data.query, data.database)
    return round(by_product(rows[data.query], rows[data.database], relevance, data), 5)


def joined(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a method and length: the means over its seeds, and what the bits cost against the better real ranking."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["method"], row["bits"]), []).append(row)
    return [summary(method, bits, each) for (method, bits), each in sorted(found.items())]


def summary(method: str, bits: int, each: list[dict[str, Any]]) -> dict[str, Any]:
    line: dict[str, Any] = {"method": method, "bits": bits, "seeds": len(each), "recipe": each[0]["recipe"]}
    failed = [row["failed"] for row in each if "failed" in row]
    if failed:
        return line | {"failed": failed[0]}
    means = {
        name: round(float(np.mean([row[name] for row in each])), 4) for name in ("codes", "inner_product", "cosine")
    }
    cost = round(max(means["inner_product"], means["cosine"]) - means["codes"], 4)
    return line | means | {"cost": cost, "seconds": round(float(np.mean([row["seconds"] for row in each])), 2)}


def table(results: dict[str, Any]) -> Iterator[str]:
    """The rows that did not fail, the best codes of the longest length first."""
    rows = {(row["method"], row["bits"]): row for row in results["rows"] if "failed" not in row}
    lengths = sorted({bits for _, bits in rows})
    order = sorted(
        {method for method, _ in rows}, key=lambda name: -rows.get((name, lengths[-1]), {"codes": 0})["codes"]
    )
    yield f"| method | {' | '.join(f'{bits} bits: codes, logits, cost' for bits in lengths)} |"
    yield f"|---|{'---:|' * len(lengths)}"
    for method in order:
        cells = [rows.get((method, bits)) for bits in lengths]
        yield f"| `{method}` | {' | '.join(cell(row) for row in cells)} |"


def cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"{row['codes']:.3f}, {max(row['inner_product'], row['cosine']):.3f}, {row['cost']:+.3f}"


if __name__ == "__main__":
    main()
