"""How long one answer takes of codes in many shards: by formulas, and by a simulation that knows none of them.

A query goes to every shard, each of which is held by some replicas (machines with a few cores, one core a query, first
come first served); its answer is there when the last shard has answered. A shard that has not answered after a while is
asked once more, at another replica (Dean and Barroso, "The Tail at Scale", CACM 2013). Machines fail, are found out
some time later, and come back when they have read their codes again. A query that finds a shard without a machine that
is known to live is answered without it, and counts as incomplete.

A service takes `median × difficulty × noise`: how hard a query is, is the same at all shards; noise is of each service.

`model`     waiting by the formulas of queues with several servers, all shards and replicas taken as independent, on a
            grid of times
`simulate`  every query, core, second question and failure, in the order of time
"""

import heapq
import math
from collections import deque
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

SHARES = np.concatenate([np.linspace(0, 0.99, 100), 1 - np.logspace(-2, -7, 101)[1:]])
"""At which quantiles a distribution is held."""


@dataclass(frozen=True)
class Ratios:
    """A distribution of positive numbers whose median is 1, by its quantiles at `SHARES`."""

    quantiles: np.ndarray

    @classmethod
    def of(cls, measured: np.ndarray, *, tail: float | None = None, cap: float = 400.0) -> "Ratios":
        """That of measured numbers; beyond 99 % a Pareto tail with this exponent, up to `cap` medians."""
        ratios = np.asarray(measured, float) / np.median(measured)
        quantiles = np.quantile(ratios, SHARES)
        if tail is not None:
            beyond = SHARES > 0.99
            quantiles[beyond] = np.quantile(ratios, 0.99) * (0.01 / (1 - SHARES[beyond])) ** (1 / tail)
        return cls(np.maximum.accumulate(np.minimum(quantiles, cap)))

    def draw(self, rng: np.random.Generator, size: int) -> np.ndarray:
        return np.interp(rng.random(size), SHARES, self.quantiles)

    def moment(self, power: int) -> float:
        middle = (np.arange(1 << 18) + 0.5) / (1 << 18)
        return float((np.interp(middle, SHARES, self.quantiles) ** power).mean())

    def below(self, times: np.ndarray) -> np.ndarray:
        """The share of numbers up to each of `times`."""
        return np.interp(times, self.quantiles, SHARES, left=0.0, right=1.0)


ONE = Ratios(np.ones(len(SHARES)))


@dataclass(frozen=True)
class Plan:
    """What is asked of what. All times in seconds.

    Attributes:
        shards, replicas, cores: so many of each, in each.
        rate: queries a second, in all.
        median: of a service.
        difficulty, noise: see above.
        hedge: share of services after whose time a second replica is asked; 1 for never.
        down: share of the time that a machine is down.
        unnoticed: share of the time that it is down and still asked.
        outage: how long it is down at a time; the model knows only shares.
        overhead: added to every answer: asking, and merging.
    """

    shards: int
    replicas: int
    cores: int
    rate: float
    median: float
    difficulty: Ratios = ONE
    noise: Ratios = ONE
    hedge: float = 0.95
    down: float = 0.0
    unnoticed: float = 0.0
    outage: float = 1.0
    overhead: float = 0.0

    @property
    def load(self) -> float:
        """Share of the time that cores work, if all machines live."""
        return self.rate * self.mean / (self.replicas * self.cores)

    @property
    def mean(self) -> float:
        return self.median * self.difficulty.moment(1) * self.noise.moment(1)


@dataclass(frozen=True)
class Latency:
    """Quantiles of the time of an answer in seconds, and the share of queries that all shards answered."""

    p50: float
    p99: float
    p999: float
    complete: float


# --- by formulas ----------------------------------------------------------------------------------------------------

STEPS, STEPS_OF_MEDIAN = 1 << 15, 40
EDGES = np.concatenate([np.linspace(0, 0.95, 20), [0.975, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999, 1]])
HARDNESS, WEIGHTS = (EDGES[1:] + EDGES[:-1]) / 2, np.diff(EDGES)
"""Quantiles of the difficulty over which the model takes the mean, and what each counts."""


def model(plan: Plan) -> Latency | None:
    """The latency by formulas; None if there is more to do than the machines can."""
    grid = np.arange(STEPS) * (plan.median / STEPS_OF_MEDIAN)
    hardness = np.interp(HARDNESS, SHARES, plan.difficulty.quantiles)
    missed = plan.down - plan.unnoticed  # by those who ask
    answered, none = np.zeros((len(hardness), STEPS)), missed**plan.replicas
    for live in range(1, plan.replicas + 1):
        share = math.comb(plan.replicas, live) * missed ** (plan.replicas - live) * (1 - missed) ** live
        if share:
            of_shard = _shard(plan, live, grid, hardness)
            if of_shard is None:
                return None
            answered += share / (1 - none) * of_shard
    whole = WEIGHTS @ answered**plan.shards
    p50, p99, p999 = (float(np.interp(share, whole, grid)) + plan.overhead for share in (0.5, 0.99, 0.999))
    return Latency(p50, p99, p999, (1 - plan.down**plan.replicas) ** plan.shards)


def _shard(plan: Plan, live: int, grid: np.ndarray, hardness: np.ndarray) -> np.ndarray | None:
    """For each difficulty, the share of answers of a shard up to each time, with so many replicas that live."""
    extra = wait = 0.0
    for _ in range(4):
        rate = plan.rate * (1 + extra) / live
        if rate * plan.mean >= plan.cores:
            return None
        response = _response(plan, rate, grid, hardness)
        if plan.hedge >= 1 or live < 2:
            return response
        if not extra:  # the time after which a second one is asked is settled without second questions
            wait = float(np.interp(plan.hedge, WEIGHTS @ response, grid))
        extra = float(WEIGHTS @ (1 - response[:, np.searchsorted(grid, wait)]))
    later = np.stack([np.interp(grid - wait, grid, row, left=0.0) for row in response])
    both = 1 - (1 - response) * (1 - later)
    return (1 - plan.unnoticed) * both + plan.unnoticed * later


def _response(plan: Plan, rate: float, grid: np.ndarray, hardness: np.ndarray) -> np.ndarray:
    """Waiting and service at one machine.

    Who has to wait (Erlang C) waits for the first of c residual services and then for those ahead in the line, which c
    cores do as one that is c times as quick: exact for one core (Pollaczek and Khinchine), and an approximation for
    more (Tijms, "A First Course in Stochastic Models", 2003, 9.6).
    """
    services = np.stack([plan.noise.below(grid / (plan.median * hard)) for hard in hardness])
    offered, cores = rate * plan.mean, plan.cores
    terms = [offered**i / math.factorial(i) for i in range(cores)]
    last = offered**cores / math.factorial(cores) * cores / (cores - offered)
    waits, busy = last / (sum(terms) + last), offered / cores
    left = np.cumsum(1 - WEIGHTS @ services)
    residual = left / left[-1]
    first = _transform(1 - (1 - residual) ** cores)
    ahead = (1 - busy) / (1 - busy * _transform(np.interp(cores * grid, grid, residual)))
    waiting = 1 - waits + waits * first * ahead
    steps = np.fft.irfft(waiting * _transform(services), 2 * STEPS)[..., :STEPS]
    return np.clip(np.cumsum(steps, axis=-1), 0, 1)


def _transform(shares: np.ndarray) -> np.ndarray:
    """The Fourier transform of the steps of distributions on the grid."""
    return np.fft.rfft(np.diff(shares, prepend=0.0), 2 * STEPS)


# --- by simulation --------------------------------------------------------------------------------------------------


@dataclass
class Query:
    """One on its way: of each shard, which replica was asked first and second, and when each will have answered."""

    begun: float
    hard: float
    replica: np.ndarray  # (2, shards), −1 for none
    finish: np.ndarray  # (2, shards), infinite for never
    complete: bool = True

    @property
    def done(self) -> np.ndarray:
        """When each shard has answered."""
        return self.finish.min(axis=0)


class Simulation:
    """Machines (shards, replicas): when each core is free, which live, and which are thought to; and what happens."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self.plan, self.rng = plan, np.random.default_rng(seed)
        shape = (plan.shards, plan.replicas)
        self.free = np.zeros((*shape, plan.cores))
        self.up, self.known = np.ones(shape, bool), np.ones(shape, bool)
        self.events: list[tuple[float, int, Any, Any]] = []
        self.number = count()
        self.under_way: deque[Query] = deque()
        self.queries: list[Query] = []
        self.wait = np.inf

    def run(self, queries: int, wait: float) -> list[Query]:
        """So many queries, a second replica being asked after `wait` seconds."""
        self.wait = wait
        self.at(self.rng.exponential(1 / self.plan.rate), self.begin, None)
        for machine in np.ndindex(self.up.shape) if self.plan.down else ():
            self.at(self.rng.exponential(self.between_failures), self.fail, machine)
        while len(self.queries) < queries:
            now, _, what, which = heapq.heappop(self.events)
            what(now, which)
        return self.queries

    def at(self, time: float, what: Any, which: Any) -> None:
        heapq.heappush(self.events, (time, next(self.number), what, which))

    @property
    def between_failures(self) -> float:
        return self.plan.outage * (1 - self.plan.down) / self.plan.down

    def begin(self, now: float, _: None) -> None:
        """A query comes, and goes to one replica of each shard."""
        shards = self.plan.shards
        none = np.full((2, shards), -1)
        query = Query(now, float(self.plan.difficulty.draw(self.rng, 1)[0]), none, np.full((2, shards), np.inf))
        self.ask(now, query, 0, np.arange(shards))
        self.queries.append(query)
        self.under_way.append(query)
        while self.under_way and self.under_way[0].done.max() <= now:
            self.under_way.popleft()
        if query.done.max() > now + self.wait:
            self.at(now + self.wait, self.hedge, query)
        self.at(now + self.rng.exponential(1 / self.plan.rate), self.begin, None)

    def hedge(self, now: float, query: Query) -> None:
        """Shards that have not answered are asked once more, where there is another replica."""
        late = np.flatnonzero(query.done > now)
        self.ask(now, query, 1, late[self.choose(late, query.replica[0, late]) >= 0])

    def fail(self, now: float, machine: tuple[int, int]) -> None:
        """What a machine has not answered by now it never will."""
        shard, replica = machine
        self.up[machine] = False
        for query in self.under_way:
            lost = (query.replica[:, shard] == replica) & (query.finish[:, shard] > now)
            query.finish[lost, shard] = np.inf
        self.at(now + self.plan.outage * self.plan.unnoticed / self.plan.down, self.notice, machine)
        self.at(now + self.plan.outage, self.come_back, machine)

    def notice(self, now: float, machine: tuple[int, int]) -> None:
        """It is asked no more, and what it was asked goes to another one."""
        shard, replica = machine
        self.known[machine] = False
        for query in self.under_way:
            if replica in query.replica[:, shard] and query.done[shard] == np.inf:
                self.ask(now, query, 1, np.array([shard]))

    def come_back(self, now: float, machine: tuple[int, int]) -> None:
        self.up[machine] = self.known[machine] = True
        self.free[machine] = now
        self.at(now + self.rng.exponential(self.between_failures), self.fail, machine)

    def choose(self, shards: np.ndarray, but: np.ndarray) -> np.ndarray:
        """A random replica of each shard that is thought to live, other than `but`; −1 where there is none."""
        keys = np.where(self.known[shards], self.rng.random((len(shards), self.plan.replicas)), -1.0)
        keys[but >= 0, but[but >= 0]] = -1.0
        return np.where(keys.max(axis=1, initial=-1) < 0, -1, keys.argmax(axis=1))

    def ask(self, now: float, query: Query, turn: int, shards: np.ndarray) -> None:
        """Ask a replica of each shard, the first time or once more; without any the query goes on incomplete."""
        if not len(shards):
            return
        replica = self.choose(shards, query.replica[0, shards])
        query.replica[turn, shards] = replica
        query.finish[turn, shards[replica < 0]] = now
        query.complete &= bool((replica >= 0).all())
        shards, replica = shards[replica >= 0], replica[replica >= 0]
        free = self.free[shards, replica]
        core = free.argmin(axis=1)
        service = self.plan.median * query.hard * self.plan.noise.draw(self.rng, len(shards))
        finish = np.maximum(now, free[np.arange(len(shards)), core]) + service
        lives = self.up[shards, replica]
        self.free[shards[lives], replica[lives], core[lives]] = finish[lives]
        query.finish[turn, shards] = np.where(lives, finish, np.inf)


def simulate(plan: Plan, queries: int, seed: int = 0) -> Latency:
    """The latency of so many queries by simulation; the first and the last twentieth of them do not count."""
    wait = np.inf if plan.hedge >= 1 or plan.replicas < 2 else _usual(plan, seed)
    counted = Simulation(plan, seed).run(queries, wait)[queries // 20 : -queries // 20]
    complete = np.array([query.complete for query in counted])
    times = np.array([query.done.max() - query.begun for query in counted])
    times = times[complete & np.isfinite(times)] + plan.overhead
    p50, p99, p999 = np.quantile(times, [0.5, 0.99, 0.999]).tolist()
    return Latency(p50, p99, p999, float(complete.mean()))


def _usual(plan: Plan, seed: int) -> float:
    """The time within which the share `hedge` of the answers of a shard comes, if none is asked a second time."""
    calm = replace(plan, shards=1, down=0.0)
    queries = Simulation(calm, seed + 1).run(20_000, np.inf)[1000:]
    return float(np.quantile([query.done[0] - query.begun for query in queries], plan.hedge))
