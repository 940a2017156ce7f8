"""The plan for more codes than these machines hold: bytes, machines, money and latency of 10^10 codes.

    python benchmarks/scale.py             # reads what was measured, computes, simulates, writes docs/scale.md
    python benchmarks/scale.py --measure   # before that, measures here what no other script does (two minutes)
    python benchmarks/scale.py --page      # writes the tables of docs/scale.md again, and nothing else

It reads the results of billion.py and, as far as they are there, of search_pruned.py, search_scan.py and
engines_ray.py, and says what it lacks and puts in its place. What stands in docs/scale.md outside of the markers is
written by hand and stays. Model and simulation are in scale_latency.py.
"""

import argparse
import json
import mmap
import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from search_data import clustered_words, random_words, replicated_words  # isort: skip
import numpy as np

from bitseek.codes import Codes
from bitseek.index import HammingIndex
from record import RESULTS, record
from scale_latency import SHARES, Plan, Ratios, model, simulate
from scale_page import QUANTILES, fitted, write

ITEMS, BITS, K = 10**10, 64, 10
SHARDS, REPLICAS = (10, 30, 100), (1, 2, 3)
RATE = 1000.0
"""Queries a second, in all."""

# Example prices, in any currency: put your own.
GB_MONTH, DISK_GB_MONTH, CORE_HOUR = 3.0, 0.05, 0.04
HOURS_A_MONTH = 730

# What machines do that we did not measure: put your own.
BETWEEN_FAILURES, BOOT, NOTICE = 30 * 86400.0, 60.0, 2.0
"""Seconds between two failures of a machine, until it runs again, and until it is known to have failed."""
STRESS = {"down": 0.01, "unnoticed": 0.0002, "outage": 0.1}
"""For the simulation: machines fail so often that it sees many failures. Only shares of time matter as long as an
outage is long against a query, so an outage is a tenth of a second instead of minutes."""
ASSUMED = {"ask_ms": 1.0, "page_in_gb_s": 1.0, "noise": (0.15, 2.0), "difficulty": 0.3, "merge_us": (20.0, 1.0)}
"""In place of what is not measured yet; each that is used is named in the results."""
MEMORY_SHARE = 0.8
"""Of a machine's memory, for codes."""

QUERIES = 40_000
BUSY = 1.5
"""A load of the machine from which on the wall clock is not used."""


# --- measured here --------------------------------------------------------------------------------------------------


def measure(files: list[str]) -> dict[str, Any]:
    words = clustered_words(10_000_000, BITS)
    index = HammingIndex(Codes(words, BITS), plan="pruned", threads=1)
    index.build()
    found = {"load": os.getloadavg()[0], **spread_of_services(index), "merge_us": merging()}
    del index
    found["page_in_gb_s"] = page_in()
    found["probing"] = {name: probing(some, asked) for name, (some, asked) in probed(words, files).items()}
    return found


def spread_of_services(index: HammingIndex, queries: int = 500, rounds: int = 9) -> dict[str, Any]:
    """How single queries differ: by what is asked (the median over rounds), and by chance (what remains).

    By the wall clock; on a busy machine, where that says how long others compute, by the time of the processor.
    """
    busy = os.getloadavg()[0] > BUSY
    clock = time.thread_time if busy else time.perf_counter
    asked = Codes(clustered_words(queries, BITS, 2), BITS)
    index.nearest(asked, K)
    each = [lambda i=i: index.nearest(asked[i], K) for i in range(queries)]
    times = np.array([[seconds(run, clock) for run in each] for _ in range(rounds)])
    usual = np.median(times, axis=0)
    noise = np.sort((times / usual).reshape(-1))
    largest = noise[int(0.99 * len(noise)) :]
    tail = 1 / np.log(largest[1:] / largest[0]).mean()  # Hill's estimator of a Pareto exponent
    return {
        "clock": "processor" if busy else "wall",
        "single_ms": 1e3 * float(np.median(usual)),
        "difficulty": np.quantile(usual / np.median(usual), SHARES).tolist(),
        "noise": np.quantile(noise, SHARES).tolist(),
        "tail": float(tail),
    }


def seconds(run: Any, clock: Any = time.perf_counter) -> float:
    begin = clock()
    run()
    return clock() - begin


def merging() -> list[float]:
    """Microseconds to merge the answers of shards: of the first, and of each further one."""
    from bitseek.engines._merge import merge_nearest
    from bitseek.index import Hits

    def of(shards: int) -> float:
        one = Hits(np.arange(K)[None], np.arange(K, dtype=np.int32)[None])
        return 1e6 * median(seconds(lambda: merge_nearest([one] * shards, K)) for _ in range(300))

    few, many = of(10), of(200)
    each = (many - few) / 190
    return [few - 10 * each, each]


def page_in(size: int = 1 << 30) -> float:
    """GB/s at which a mapped file that is on the disk alone comes into memory, read from end to end."""
    with tempfile.NamedTemporaryFile(prefix="bitseek-") as file:
        piece = random_words(1 << 20, 64).tobytes()
        for _ in range(size // len(piece)):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            taken = seconds(lambda: np.bitwise_or.reduce(np.frombuffer(mapped, np.uint64)))
    return size / taken / 1e9


def probed(words: np.ndarray, files: list[str], items: int = 1_000_000) -> dict[str, tuple[Codes, Codes]]:
    """Codes and queries by name; those of a hasher are files of `Codes.save`."""
    data = {
        "clustered": (Codes(words[:items], BITS), Codes(clustered_words(200, BITS, 3), BITS)),
        "uniform": (Codes(random_words(items, BITS, 1), BITS), Codes(random_words(200, BITS, 2), BITS)),
    }
    for file in files:
        some, bits = replicated_words(file, items, seed=1)
        data[Path(file).stem] = Codes(some, bits), Codes(replicated_words(file, 200, seed=2)[0], bits)
    return data


def probing(codes: Codes, queries: Codes) -> list[dict[str, float]]:
    """Recall of a search of the nearest clusters alone, and the share of the codes that it looks at."""
    from bitseek.kernels import cluster
    from bitseek.kernels.layout import distances

    shells = cluster.build(codes.words, codes.bits)
    centres, ends = np.ascontiguousarray(shells.centres.T), shells.starts[shells.first[1:] - 1]
    begins = shells.starts[shells.first[:-1]]
    of_item = np.empty(len(codes), np.int64)
    of_item[shells.ids] = np.repeat(np.arange(len(centres)), ends - begins)
    nearest = HammingIndex(codes, plan="scan").nearest(queries, K)
    rows: dict[int, list[tuple[float, float]]] = {1: [], 4: [], 16: [], 64: [], 256: []}
    for query, limit in zip(queries.words, nearest.distances[:, -1], strict=True):
        order = np.argsort(distances(centres, query), kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        near = place[of_item[distances(codes.words, query) <= limit]]
        for probes, found in rows.items():
            recall = min(1.0, np.count_nonzero(near < probes) / K)
            found.append((recall, float((ends - begins)[order[:probes]].sum()) / len(codes)))
    return [
        {"probes": probes, "recall": float(np.mean(found, 0)[0]), "looked_at": float(np.mean(found, 0)[1])}
        for probes, found in rows.items()
    ]


# --- read from what others measured ---------------------------------------------------------------------------------


class Sources:
    """What is in benchmarks/results; `lacks` says in words what is not."""

    def __init__(self, own: dict[str, Any] | None) -> None:
        self.own, self.lacks, self.files = own or {}, [], []
        if own is None:
            self.lacks.append("the distribution of services, merging, reading from the disk and probing (--measure)")

    def read(self, name: str) -> dict[str, Any]:
        file = RESULTS / f"{name}.json"
        if not file.is_file():
            self.lacks.append(f"{name}.json")
            return {}
        self.files.append(name)
        whole: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return whole["results"] | {"hardware": whole["hardware"]}

    def value(self, name: str) -> Any:
        return self.own.get(name, ASSUMED.get(name))


def curve(points: dict[int, float]) -> dict[str, Any]:
    """A power law and a straight line through points, both by relative error; `best` has the smaller largest error."""
    sizes, values = np.array(sorted(points.items()), float).T
    exponent, intercept = np.polyfit(np.log(sizes), np.log(values), 1)
    line, *_ = np.linalg.lstsq(np.stack([1 / values, sizes / values], 1), np.ones(len(sizes)), rcond=None)
    fits = {"power": np.exp(intercept) * sizes**exponent, "line": line[0] + line[1] * sizes}
    off = {name: float(np.exp(np.abs(np.log(np.maximum(fit, 1e-9) / values)).max())) for name, fit in fits.items()}
    best = min(off, key=lambda name: off[name])
    return {
        "points": {str(int(size)): value for size, value in points.items()},
        "power": {"factor": float(np.exp(intercept)), "exponent": float(exponent), "largest_ratio": off["power"]},
        "line": {"base": float(line[0]), "slope": float(line[1]), "largest_ratio": off["line"]},
        "best": best,
    }


def by_bits(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What longer codes cost, at the largest size that was measured with several lengths."""
    whole = [row for row in rows if "pruned_median_ms" in row]
    sizes = [row["items"] for row in whole if row["bits"] != BITS]
    names = ("items", "bits", "pruned_median_ms", "scan_ms", "bytes_per_code_scan", "bytes_per_code_pruned")
    return [{name: row[name] for name in names} for row in whole if sizes and row["items"] == max(sizes)]


def inputs(sources: Sources) -> dict[str, Any]:
    """All figures that the plan stands on."""
    billion = sources.read("billion")
    rows = [row for row in billion.get("rows", []) if row["bits"] == BITS and "pruned_median_ms" in row]
    if len(rows) < 2:
        raise SystemExit("there is nothing to fit a curve to yet: python benchmarks/billion.py")
    pruned_rows, scans = sources.read("search_pruned"), sources.read("search_scan")
    trained, ray = sources.read("search_trained"), sources.read("engines_ray")
    single, reading, building = {}, {}, {}
    for row in pruned_rows.get("rows", []):
        if (row["data"], row["bits"], row["k"], row["queries"]) == ("clustered", BITS, K, 1):
            single[row["items"]] = row["pruned_ms_per_query"]
    measured = {row["items"]: row["pruned_median_ms"] for row in rows}
    single = measured if len(measured) > 2 else single | measured
    cold = {str(row["items"]): row["pruned_new_median_ms"] for row in rows}
    reading |= {row["items"]: row["read_ms"] for row in rows if row.get("read_ms")}
    building |= {row["items"]: row["build_s"] for row in rows if row.get("build_s")}
    if max(single) < 10**9:
        sources.lacks.append("a billion codes in billion.json")
    hardware = billion["hardware"]
    largest = max(reading)
    last = max(rows, key=lambda row: row["items"])
    asking = ray.get("ms_of_one_query", {})
    batch = [row["billion_codes_per_second"] for row in scans.get("rows", [])
             if (row["bits"], row["k"], row["threads"]) == (BITS, K, 1) and row["queries"] >= 100]  # fmt: skip
    kinds = {
        row["data"]: {"items": row["items"], "bits": row["bits"], "ms": row["auto_ms_per_query"]}
        for row in sorted([*pruned_rows.get("rows", []), *trained.get("rows", [])], key=lambda row: row["items"])
        if row["k"] == K and row["queries"] > 1 and (row["data"] != "clustered" or row["bits"] == BITS)
    }
    return {
        "single_ms": curve(single),
        "cold_ms": cold,
        "by_bits": by_bits(billion.get("rows", [])),
        "build_s": curve(building) if len(building) > 1 else None,
        "read_gb_s": 8 * largest / reading[largest] / 1e6,
        "scan_codes_per_core_s": 1e9 * median(batch) if batch else None,
        "ask_ms": asking["1 actor"] - asking["here"] if asking else sources.value("ask_ms"),
        "ask_is_of_ray": bool(asking),
        "bytes_scan": last["bytes_per_code_scan"],
        "bytes_pruned": last["bytes_per_code_pruned"],
        "bytes_disk": last["folder_bytes_per_code"],
        "machine": {"cores": hardware["cores"], "memory_gb": hardware["memory_gib"] * 2**30 / 1e9},
        "page_in_gb_s": sources.value("page_in_gb_s"),
        "merge_us": list(sources.value("merge_us")),
        "kinds": kinds,
    }


# --- the plan -------------------------------------------------------------------------------------------------------


def distributions(own: dict[str, Any]) -> dict[str, Ratios]:
    rng = np.random.default_rng(0)
    if not own:
        spread, tail = ASSUMED["noise"]
        noise, hard = rng.lognormal(0, spread, 100_000), rng.lognormal(0, ASSUMED["difficulty"], 100_000)
        return {"noise": Ratios.of(noise, tail=tail), "difficulty": Ratios.of(hard)}
    uniform = rng.random(100_000)
    noise, hard = (np.interp(uniform, SHARES, own[name]) for name in ("noise", "difficulty"))
    return {"noise": Ratios.of(noise, tail=own["tail"]), "difficulty": Ratios.of(hard)}


def plans(given: dict[str, Any], own: dict[str, Any]) -> list[dict[str, Any]]:
    machine, laws = given["machine"], distributions(own)
    rows = []
    for shards in SHARDS:
        items = ITEMS / shards
        memory, disk = items * given["bytes_pruned"] / 1e9, items * given["bytes_disk"] / 1e9
        fits = memory <= MEMORY_SHARE * machine["memory_gb"]
        restart = BOOT + memory / given["page_in_gb_s"]
        down = restart / (BETWEEN_FAILURES + restart)
        price = machine["memory_gb"] * GB_MONTH + disk * DISK_GB_MONTH + machine["cores"] * HOURS_A_MONTH * CORE_HOUR
        for replicas in REPLICAS:
            plan = Plan(
                shards,
                replicas,
                machine["cores"],
                RATE,
                fitted(given["single_ms"], items) / 1e3,
                laws["difficulty"],
                laws["noise"],
                overhead=(given["ask_ms"] + 1e-3 * (given["merge_us"][0] + given["merge_us"][1] * shards)) / 1e3,
                **STRESS,
            )
            formula, simulated = model(plan), simulate(plan, QUERIES)
            usual = model(Plan(**vars(plan) | {"down": down, "unnoticed": NOTICE / (BETWEEN_FAILURES + restart)}))
            if formula is None or usual is None:
                print(f"{shards} shards, {replicas} replicas: there is more to do than they can")
                continue
            row = {
                "shards": shards,
                "replicas": replicas,
                "fits": fits,
                "memory_gb": memory,
                "disk_gb": disk,
                "restart_s": restart,
                "service_ms": 1e3 * plan.median,
                "load": plan.load,
                "price_a_month": price * shards * replicas,
                "most_queries_per_s": 0.7 * RATE / plan.load,
                "complete_usually": usual.complete,
                "usual_ms": {name: 1e3 * getattr(usual, name) for name in QUANTILES},
                "model_ms": {name: 1e3 * getattr(formula, name) for name in QUANTILES},
                "simulation_ms": {name: 1e3 * getattr(simulated, name) for name in QUANTILES},
                "complete_model": formula.complete,
                "complete_simulation": simulated.complete,
            }
            row["deviation"] = {name: row["model_ms"][name] / row["simulation_ms"][name] - 1 for name in QUANTILES}
            rows.append(row)
            print(f"{shards} shards, {replicas} replicas: {formula} {simulated}", flush=True)
    return rows


def limits(given: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Where exact search of all codes ends to be sensible."""
    largest = max(map(int, given["single_ms"]["points"]))
    each_ns = 1e6 * fitted(given["single_ms"], largest) / largest
    differing = 2 * 0.1 * (1 - 0.1)  # of a bit of two codes of one cluster of the benchmarks
    return {
        "exact_core_ms": ITEMS / largest * fitted(given["single_ms"], largest),
        "codes_of_a_core_second": 1e9 / each_ns,
        "scan_machine_s": ITEMS * given["bytes_scan"] / 1e9 / given["read_gb_s"],
        "scan_core_s_in_a_batch": ITEMS / given["scan_codes_per_core_s"] if given["scan_codes_per_core_s"] else None,
        "core_s_by_kind": {name: ITEMS / kind["items"] * kind["ms"] / 1e3 for name, kind in given["kinds"].items()},
        "codes_until_ties": {
            "in clusters": {str(bits): K * 1000 / (1 - differing) ** bits for bits in (64, 128, 256)},
            "uniform": {str(bits): K * 2.0**bits for bits in (64, 128, 256)},
        },
        "at_distance_0": ITEMS / 1000 * (1 - differing) ** BITS,
        "ties_of_a_class": {str(classes): ITEMS / classes for classes in (10, 1000, 10**6)},
        "probing": own.get("probing"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--codes", nargs="*", default=[], help="with --measure: files of codes of trained hashers")
    options = parser.parse_args()
    file = RESULTS / "scale.json"
    before = json.loads(file.read_text(encoding="utf-8"))["results"] if file.is_file() else {}
    if not options.page:
        own = measure(options.codes) if options.measure else before.get("measured")
        sources = Sources(own)
        given = inputs(sources)
        names = ("GB_MONTH", "DISK_GB_MONTH", "CORE_HOUR", "BETWEEN_FAILURES", "BOOT", "NOTICE", "STRESS", "RATE")
        record("scale", {
            "items": ITEMS,
            "bits": BITS,
            "k": K,
            "measured": own,
            "inputs": given,
            "assumptions": {name.lower(): globals()[name] for name in names},
            "read": sources.files,
            "lacks": sources.lacks,
            "plans": plans(given, own or {}),
            "limits": limits(given, own or {}),
        })  # fmt: skip
        for what in sources.lacks:
            print(f"lacking: {what}")
    write(json.loads(file.read_text(encoding="utf-8"))["results"])


if __name__ == "__main__":
    main()
