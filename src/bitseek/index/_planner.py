"""Which plan is the quicker? Both give the same answers, so it is tried out on the queries themselves."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from jaxtyping import Int64

from bitseek.errors import BitseekError

Plan = Literal["auto", "scan", "pruned"]
Used = Literal["scan", "pruned"]
Verb = Literal["nearest", "within"]
PLANS: tuple[Used, Used] = ("scan", "pruned")

_BATCH = 16
"""From this many queries on a call is a batch."""

_TRIAL_QUERIES = 32
_FEWEST_TRIALS, _MOST_TRIALS = 3, 16
_CLEAR = 2.0

_AGAIN_AFTER = 1024
"""Calls until both plans are tried out again, if they are about as quick. A trial is six runs, and each side finds the
processor's caches full of what the other one read."""


def as_plan(given: Any, on_device: bool) -> Plan:
    """The plan that a user gave.

    Raises:
        BitseekError: there is no such plan, or none on a device.
    """
    if given not in ("auto", "scan", "pruned"):
        raise BitseekError(f"a plan is 'auto', 'scan' or 'pruned', got {given!r}")
    if given == "pruned" and on_device:
        raise BitseekError("a device scans all codes; leave out plan='pruned', or the device")
    return cast(Plan, given)


class Found(NamedTuple):
    """Keys of the hits of some queries (see `bitseek.kernels.layout`).

    Of the k nearest, `keys` are (q, k), and there are no offsets; of those within a radius, the keys of query i are
    `keys[offsets[i] : offsets[i + 1]]`. `looked_at` is the share of the database that was looked at.
    """

    keys: Int64[np.ndarray, "*shape"]
    offsets: Int64[np.ndarray, " offsets"] | None
    looked_at: float


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

    def __str__(self) -> str:
        return (
            f"{self.search}: {self.plan} (scan {self.scan_ms:.3f} ms, pruned {self.pruned_ms:.3f} ms a query, "
            f"looks at {100 * self.looked_at:.1f} % of the codes)"
        )


@dataclass(frozen=True)
class Explanation:
    """How an index answers, and why; `str()` of it is for people.

    Attributes:
        items: number of items that can be found.
        removed: number of items that were removed.
        bits: length of the codes.
        plan: as given for the index.
        clusters: state of the pruned plan, in words.
        centres: number of clusters, 0 if there are none.
        covered: number of items in clusters; the others are always scanned.
        bytes_per_code: what the codes take, and the clusters.
        threads: threads that a search uses.
        compiled: whether kernels are compiled (numba) or plain NumPy.
        choices: what was tried out so far.
        device: where codes are compared, and how; None for the processor, by the kernels.
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
    device: str | None = None

    def __str__(self) -> str:
        codes, clusters = self.bytes_per_code
        lines = [
            f"{self.items} items of {self.bits} bits ({self.removed} removed); plan: {self.plan}",
            f"clusters: {self.clusters}",
            f"memory: {codes:.1f} bytes a code to scan, {clusters:.1f} for the pruned plan",
            f"threads: {self.threads}; kernels: {'compiled' if self.compiled else 'NumPy, about ten times slower'}"
            if self.device is None
            else f"device: {self.device}",
        ]
        return "\n".join([*lines, *map(str, self.choices)])


@dataclass
class _Trials:
    """What was found out about one kind of search.

    Attributes:
        scan: seconds a query that the scan took, of each trial;
        pruned: that the pruned plan took.
        looked_at: share of the database that it looked at.
        quicker: plan.
        enough: whether to stop trying out. The pruned plan's time depends on the query, so a close race takes longer.
        calls_left: until both are tried out again, as the queries may have become others. They are the more, the longer
            the slower plan takes, so that trials never take more than 2 % of the time.
    """

    scan: list[float] = field(default_factory=list)
    pruned: list[float] = field(default_factory=list)
    looked_at: float = 0.0
    quicker: Used = "scan"
    enough: bool = False
    calls_left: float = 0.0

    def add(self, scan: float, pruned: float, looked_at: float) -> None:
        """Another trial."""
        self.scan = [*self.scan, scan][-_MOST_TRIALS:]
        self.pruned = [*self.pruned, pruned][-_MOST_TRIALS:]
        self.looked_at = looked_at
        ratio = fmean(self.pruned) / max(fmean(self.scan), 1e-12)
        self.quicker = "pruned" if ratio < 1 else "scan"
        is_clear = not 1 / _CLEAR < ratio < _CLEAR
        self.enough = len(self.scan) >= (_FEWEST_TRIALS if is_clear else _MOST_TRIALS)
        self.calls_left = _AGAIN_AFTER * max(ratio, 1 / max(ratio, 1e-12))


Kind = tuple[Verb, int, bool]
"""Searches that take about the same time: the verb; of the k nearest, the bits that it takes to write k - 1, else the
radius; and whether they come as a batch."""


def _name(kind: Kind) -> str:
    verb, limit, batch = kind
    return f"{verb} {f'k<={1 << limit}' if verb == 'nearest' else f'radius {limit}'}, {'batch' if batch else 'few'}"


class Planner:
    """Remembers what was tried out, by kind of search. Of a short search it must not take a noticeable part."""

    def __init__(self) -> None:
        self._trials: dict[Kind, _Trials] = {}
        self._lock = threading.Lock()

    def answer(
        self, queries: np.ndarray, verb: Verb, number: int, run: Callable[[np.ndarray, Used], Found]
    ) -> list[Found]:
        """The answers for the queries, in one or two pieces; if it must be tried out, both plans answer the first.

        Args:
            queries: (q, words).
            verb: what is searched.
            number: k or radius.
            run: answers queries by a plan.
        """
        batch = len(queries) >= _BATCH
        kind: Kind = (verb, (number - 1).bit_length() if verb == "nearest" else number, batch)
        used = self._choose(kind)
        if used is not None:
            return [run(queries, used)]
        some = queries[:_TRIAL_QUERIES] if batch else queries
        for plan in PLANS:  # compiles or loads the kernels, and reads the memory map
            run(some[:1], plan)
        seconds: dict[str, list[float]] = {plan: [] for plan in PLANS}
        for plan in PLANS * 2:
            begin = time.perf_counter()
            found = run(some, plan)
            seconds[plan].append(time.perf_counter() - begin)
        scan, pruned = min(seconds["scan"]), min(seconds["pruned"])
        self._tried(kind, len(some), scan, pruned, found.looked_at)
        rest = queries[len(some) :]
        return [found, run(rest, "pruned" if pruned < scan else "scan")] if len(rest) else [found]

    def choices(self) -> tuple[Choice, ...]:
        """All that was chosen."""
        with self._lock:
            return tuple(
                Choice(_name(kind), tried.quicker, 1e3 * fmean(tried.scan), 1e3 * fmean(tried.pruned), tried.looked_at)
                for kind, tried in self._trials.items()
                if tried.scan
            )

    def _choose(self, kind: Kind) -> Used | None:
        """The quicker plan for this kind of search; None if it should be tried out (again)."""
        trials = self._trials.get(kind)
        if trials is None or not (trials.enough or (kind[2] and trials.scan)):
            return None
        trials.calls_left -= 1  # without the lock: of two threads at once one may not be counted, which does no harm
        if trials.calls_left > 0:
            return trials.quicker
        trials.calls_left = _AGAIN_AFTER  # one of several threads is enough
        return None

    def _tried(self, kind: Kind, queries: int, scan: float, pruned: float, looked_at: float) -> None:
        """Write down the seconds that both plans took for the same queries."""
        with self._lock:
            self._trials.setdefault(kind, _Trials()).add(scan / queries, pruned / queries, looked_at)
