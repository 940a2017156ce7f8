"""Which plan is the quicker? Both give the same answers, so it is tried out on the queries themselves."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

import numpy as np

from bitseek.index.plans import Found

Plan = Literal["auto", "scan", "pruned"]
Used = Literal["scan", "pruned"]
PLANS: tuple[Used, Used] = ("scan", "pruned")

MANY = 16
"""From this many queries on a call is a batch."""

TRIAL_QUERIES = 32
_FEWEST_TRIALS, _MOST_TRIALS = 3, 16
_CLEAR = 2.0
_AGAIN_AFTER = 256


@dataclass(frozen=True)
class Choice:
    """The plan chosen for one kind of search, and why.

    Attributes:
        search: the kind, as `nearest k<=16, batch` or `within radius 3, few`.
        plan: the quicker plan.
        scan_ms: milliseconds a query that the scan took on a sample of the queries.
        pruned_ms: milliseconds a query that the pruned plan took on the same.
        looked_at: share of the database that the pruned plan looked at.
    """

    search: str
    plan: Used
    scan_ms: float
    pruned_ms: float
    looked_at: float


@dataclass(frozen=True)
class Explanation:
    """How an index answers, and why; `str()` of it is for people.

    Attributes:
        items: number of items that can be found.
        removed: number of items that were removed.
        bits: length of the codes.
        plan: what was asked for.
        clusters: state of the pruned plan, in words.
        centres: number of clusters, 0 if there are none.
        covered: number of items in clusters; the others are always scanned.
        bytes_per_code: what the codes take, and the clusters.
        threads: threads that a search uses.
        compiled: whether kernels are compiled (numba) or plain NumPy.
        choices: what was tried out so far.
    """

    items: int
    removed: int
    bits: int
    plan: Plan
    clusters: str
    centres: int
    covered: int
    bytes_per_code: tuple[float, float]
    threads: int
    compiled: bool
    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        codes, clusters = self.bytes_per_code
        lines = [
            f"{self.items} items of {self.bits} bits ({self.removed} removed); plan: {self.plan}",
            f"clusters: {self.clusters}",
            f"memory: {codes:.1f} bytes a code to scan, {clusters:.1f} for the pruned plan",
            f"threads: {self.threads}; kernels: {'compiled' if self.compiled else 'NumPy, about ten times slower'}",
        ]
        lines += [
            f"{choice.search}: {choice.plan} (scan {choice.scan_ms:.3f} ms, pruned {choice.pruned_ms:.3f} ms a query, "
            f"looks at {100 * choice.looked_at:.1f} % of the codes)"
            for choice in self.choices
        ]
        return "\n".join(lines)


@dataclass
class _Trials:
    scan: list[float] = field(default_factory=list)
    pruned: list[float] = field(default_factory=list)
    looked_at: float = 0.0
    calls: int = 0

    def enough(self) -> bool:
        """Whether to stop trying out. The time of the pruned plan hangs on the query, so a close race takes longer."""
        if len(self.scan) < _FEWEST_TRIALS:
            return False
        ratio = fmean(self.pruned) / max(fmean(self.scan), 1e-12)
        return len(self.scan) >= _MOST_TRIALS or not 1 / _CLEAR < ratio < _CLEAR


class Planner:
    """Remembers what was tried out, by kind of search."""

    def __init__(self) -> None:
        self._trials: dict[str, _Trials] = {}
        self._lock = threading.Lock()

    def choose(self, search: str) -> Used | None:
        """The quicker plan for this kind of search; None if it should be tried out (again)."""
        with self._lock:
            trials = self._trials.setdefault(search, _Trials())
            if not (search.endswith("batch") and trials.scan) and not trials.enough():
                return None
            trials.calls += 1
            if trials.calls % _AGAIN_AFTER == 0:  # the queries may have become others
                return None
            return _quicker(trials)

    def tried(self, search: str, queries: int, scan: float, pruned: float, looked_at: float) -> None:
        """Write down the seconds that both plans took for the same queries."""
        with self._lock:
            trials = self._trials.setdefault(search, _Trials())
            trials.scan = [*trials.scan, scan / queries][-_MOST_TRIALS:]
            trials.pruned = [*trials.pruned, pruned / queries][-_MOST_TRIALS:]
            trials.looked_at = looked_at

    def answer(self, queries: np.ndarray, search: str, run: Callable[[Any, Used], Found]) -> list[Found]:
        """The answers for the queries, in one or two pieces; if it must be tried out, both plans answer the first."""
        used = self.choose(search)
        if used is not None:
            return [run(queries, used)]
        some = queries[:TRIAL_QUERIES] if len(queries) >= MANY else queries
        for plan in PLANS:  # compiles or loads the kernels, and wakes the memory map
            run(some[:1], plan)
        seconds: dict[str, list[float]] = {plan: [] for plan in PLANS}
        for plan in PLANS * 2:
            begin = time.perf_counter()
            found = run(some, plan)
            seconds[plan].append(time.perf_counter() - begin)
        scan, pruned = min(seconds["scan"]), min(seconds["pruned"])
        self.tried(search, len(some), scan, pruned, found.looked_at)
        rest = queries[len(some) :]
        return [found, run(rest, "pruned" if pruned < scan else "scan")] if len(rest) else [found]

    def choices(self) -> tuple[Choice, ...]:
        """All that was chosen."""
        with self._lock:
            return tuple(
                Choice(search, _quicker(trials), 1e3 * fmean(trials.scan), 1e3 * fmean(trials.pruned), trials.looked_at)
                for search, trials in self._trials.items()
                if trials.scan
            )


def _quicker(trials: _Trials) -> Used:
    return "pruned" if fmean(trials.pruned) < fmean(trials.scan) else "scan"


def kind(verb: str, number: int, queries: int) -> str:
    """The kind of a search, so that those of one kind take about the same time."""
    size = "batch" if queries >= MANY else "few"
    if verb == "nearest":
        return f"nearest k<={1 << (max(1, number) - 1).bit_length()}, {size}"
    return f"within radius {number}, {size}"
