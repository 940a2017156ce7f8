"""The figures of docs/scale.md, from benchmarks/results/scale.json; scale.py calls it."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- figures: begin; written by benchmarks/scale.py -->", "<!-- figures: end -->"
QUANTILES = ("p50", "p99", "p999")


def write(results: dict[str, Any]) -> None:
    """Put them between the markers of the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(before + figures(results) + after, encoding="utf-8")


def figures(results: dict[str, Any]) -> str:
    """The text from marker to marker."""
    sections = (standing, memory, latency, ends, instead)
    return "\n".join([BEGIN, "", *(line for section in sections for line in section(results)), END])


def standing(results: dict[str, Any]) -> Iterator[str]:
    given, own = results["inputs"], results["measured"] or {}
    single, power, line = given["single_ms"], given["single_ms"]["power"], given["single_ms"]["line"]
    yield "## What was measured"
    yield ""
    yield "| codes | one query, one thread, pruned | the fitted curve | where its pages were not touched before |"
    yield "|---:|---:|---:|---:|"
    for size, value in single["points"].items():
        cold = f"{given['cold_ms'][size]:.3f} ms" if size in given["cold_ms"] else ""
        yield f"| {number(int(size))} | {value:.3f} ms | {fitted(single, int(size)):.3f} ms | {cold} |"
    yield ""
    yield from point(
        f"{results['bits']} bits, k = {results['k']}, codes in clusters. As a power law the time grows with the",
        f"size to the {power['exponent']:.2f} (off by {power['largest_ratio']:.2f}× at most); as a straight line it is",
        f"{line['base']:.3f} ms and {1e9 * line['slope']:.3f} ms for each billion codes (off by",
        f"{line['largest_ratio']:.2f}×). The plan takes the {'line' if single['best'] == 'line' else 'power law'}.",
    )
    yield from point(
        f"Reading all codes once: {given['read_gb_s']:.1f} GB/s. Bytes a code: {given['bytes_scan']:.1f} to scan,",
        f"{given['bytes_pruned']:.1f} in clusters, {given['bytes_disk']:.1f} on the disk.",
    )
    machine, merge = given["machine"], given["merge_us"]
    yield from point(
        f"The machine: {machine['cores']} cores, {machine['memory_gb']:.1f} GB of memory,",
        f"{given['page_in_gb_s']:.2f} GB/s from its disk.",
    )
    yield from point(
        "A question to an actor of Ray:" if given["ask_is_of_ray"] else "A question to another machine (assumed):",
        f"{given['ask_ms']:.2f} ms. Merging the answers of s shards: {merge[0]:.0f} + {merge[1]:.2f} s µs.",
    )
    if own:
        yield from point(
            "Single queries differ by what is asked, the hardest hundredth takes more than",
            f"{own['difficulty'][99]:.2f} times the median; and by chance, the slowest hundredth of services takes",
            f"more than {own['noise'][99]:.2f} times its usual time, with a Pareto tail of exponent {own['tail']:.1f}",
            f"beyond that ({own['clock']} time; load {own['load']:.1f}).",
        )
    for what in results["lacks"]:
        yield from point(f"**Not there yet**, so left out or assumed: {what}.")
    yield ""


def memory(results: dict[str, Any]) -> Iterator[str]:
    assumed = results["assumptions"]
    yield f"## Bytes, machines, money: {number(results['items'])} codes of {results['bits']} bits"
    yield ""
    yield "| shards | codes each | memory | disk | one query | replicas | machines | queries/s at 70 % | a month |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in results["plans"]:
        enough = "" if row["fits"] else " (too little)"
        yield (
            f"| {row['shards']} | {number(results['items'] // row['shards'])} | {row['memory_gb']:.1f} GB{enough} "
            f"| {row['disk_gb']:.0f} GB | {row['service_ms']:.2f} ms | {row['replicas']} "
            f"| {row['shards'] * row['replicas']} | {row['most_queries_per_s']:,.0f} | {row['price_a_month']:,.0f} |"
        )
    yield ""
    build = results["inputs"]["build_s"]
    hours = fitted(build, results["items"] / 10) / 3600 if build else 0.0
    yield from said(
        "Machines are those of the measurement; a query takes the time of one core of one machine of each shard.",
        "Example prices, put your own at the top of the script:",
        f"{assumed['gb_month']:g} a month for a GB of memory, {assumed['disk_gb_month']:g} for one of disk,",
        f"{assumed['core_hour']:g} for an hour of a core.",
        f"Building the clusters of a tenth takes {hours:.1f} hours on one such machine." if build else "",
    )


def latency(results: dict[str, Any]) -> Iterator[str]:
    assumed, rows = results["assumptions"], results["plans"]
    yield f"## Latency at {assumed['rate']:,.0f} queries a second"
    yield ""
    yield from said(
        f"Under stress, so that there is something to see: each machine is down for {assumed['stress']['down']:.0%}",
        "of the time. By the model / by the simulation, in ms; the largest deviation; and the share of answers in",
        "which no shard is missing.",
    )
    yield "| shards | replicas | load | p50 | p99 | p99.9 | deviation | complete |"
    yield "|---:|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        cells = " | ".join(f"{row['model_ms'][q]:.2f} / {row['simulation_ms'][q]:.2f}" for q in QUANTILES)
        worst = max(row["deviation"].values(), key=abs)
        complete = f"{100 * row['complete_model']:.2f} / {100 * row['complete_simulation']:.2f} %"
        yield f"| {row['shards']} | {row['replicas']} | {row['load']:.0%} | {cells} | {worst:+.0%} | {complete} |"
    yield ""
    yield from said(
        f"With a failure of each machine every {assumed['between_failures'] / 86400:.0f} days,",
        f"{assumed['boot']:.0f} s to",
        "start it, and the time to read its codes again, by the model:",
    )
    yield "| shards | replicas | away for | p50 | p99 | p99.9 | complete |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for row in rows:
        cells = " | ".join(f"{row['usual_ms'][q]:.2f} ms" for q in QUANTILES)
        complete = f"{100 * row['complete_usually']:.5f} %"
        yield f"| {row['shards']} | {row['replicas']} | {row['restart_s']:.0f} s | {cells} | {complete} |"
    yield ""


def ends(results: dict[str, Any]) -> Iterator[str]:
    found, items, kinds = results["limits"], number(results["items"]), results["inputs"]["kinds"]
    batch = found["scan_core_s_in_a_batch"]
    yield "## Where exact search of all codes ends"
    yield ""
    yield from said(
        "**By its cost.** Past one machine the work of a query grows as the codes do: each shard takes its time. For",
        f"{items} codes in clusters, a pruned query is {found['exact_core_ms']:.1f} ms of a core, in all shards",
        "together;",
        f"it is a whole second of a core at {number(found['codes_of_a_core_second'])} codes. A scan is",
        f"{found['scan_machine_s']:.1f} seconds of a machine for a single query, bound by its memory",
        f"{f', and {batch:.2f} core-seconds for each of a batch, bound by counting bits' if batch else ''}.",
        "By the plan that is chosen for a batch, scaled up from what was measured:",
    )
    yield f"| codes | measured with | bits | core-seconds a query at {items} |"
    yield "|---|---:|---:|---:|"
    for name, value in found["core_s_by_kind"].items():
        yield f"| {name} | {number(kinds[name]['items'])} | {kinds[name]['bits']} | {value:.3g} |"
    yield ""
    yield from said(
        "**By what codes can tell apart.** Two codes of a cluster with 10 % of the bits flipped in each differ in",
        "18 % of",
        "the bits, and are equal with probability 0.82^bits. So of n codes in 1,000 clusters n/1,000 · 0.82^bits",
        f"are at distance 0 from a query: {found['at_distance_0']:.0f} at {items} codes of {results['bits']} bits. All",
        f"{results['k']} hits are equal to the query, and so to each other, from so many codes on:",
    )
    yield "| bits | in 1,000 clusters | uniformly random |"
    yield "|---:|---:|---:|"
    ties = found["codes_until_ties"]
    for bits in ties["uniform"]:
        yield f"| {bits} | {number(ties['in clusters'][bits])} | {number(ties['uniform'][bits])} |"
    yield ""
    each = ", ".join(f"{number(n)} for {int(name):,} classes" for name, n in found["ties_of_a_class"].items())
    yield from said(
        "Codes of a trained hasher are tighter still. Where each class has one code, the ties of a query are all of",
        f"its class: {each}. The exact answer is then those with the lowest ids, which nobody asked for.",
    )


def instead(results: dict[str, Any]) -> Iterator[str]:
    probing, lengths = results["limits"]["probing"], results["inputs"]["by_bits"]
    if lengths:
        yield from said(f"**What longer codes cost**, of {number(lengths[0]['items'])} in clusters, single queries:")
        yield "| bits | pruned | scan | bytes a code: scan | clusters |"
        yield "|---:|---:|---:|---:|---:|"
        for row in lengths:
            times = f"{row['pruned_median_ms']:.3f} ms | {row['scan_ms']:.1f} ms"
            taken = f"{row['bytes_per_code_scan']:.0f} | {row['bytes_per_code_pruned']:.1f}"
            yield f"| {row['bits']} | {times} | {taken} |"
        yield ""
    if not probing:
        return
    yield from said(
        "**What probing some clusters finds.** Of 1,000,000 codes, k = 10: recall (the share of hits as near as the",
        "exact ones) and, in brackets, the share of the codes that is looked at.",
    )
    counts = [row["probes"] for row in next(iter(probing.values()))]
    yield f"| clusters probed: | {' | '.join(map(str, counts))} |"
    yield f"|---|{'---:|' * len(counts)}"
    for name, rows in probing.items():
        cells = [f"{row['recall']:.3f} ({100 * row['looked_at']:.2g} %)" for row in rows]
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""


def fitted(curve: dict[str, Any], size: float) -> float:
    """The value of a curve of scale.py."""
    if curve["best"] == "line":
        return float(curve["line"]["base"] + curve["line"]["slope"] * size)
    return float(curve["power"]["factor"] * size ** curve["power"]["exponent"])


def number(value: float) -> str:
    """A count that can be read: 10,000 or 3.3 · 10^9."""
    if value < 1e6:
        return f"{value:,.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')} · 10^{int(exponent)}".removeprefix("1 · ")


def said(*parts: str) -> Iterator[str]:
    """A paragraph."""
    yield from textwrap.wrap(" ".join(filter(None, parts)).replace(" ,", ",").replace(" .", "."), 120)
    yield ""


def point(*parts: str) -> Iterator[str]:
    """One point of a list."""
    yield from textwrap.wrap(" ".join(parts), 120, initial_indent="- ", subsequent_indent="  ")
