"""Which method and recipe make the best head on stored features: a search by successive halving, within a budget."""

import json
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from bitseek.codebooks import CODEBOOKS
from bitseek.errors import BitseekError
from bitseek.methods import HEAD_RECIPE, make_recipe, method_class
from bitseek.training._attempts import Attempt, Attempts
from bitseek.training._journal import Journal, Trial

STEPS = 300
"""A head takes at least so many steps by default, however few items it is trained on."""
SHORT = 5
"""The first trainings of a method have this part of the epochs that its heads have by default."""
CONTENDERS = 12
"""How many of the methods are trained with all of them."""
LEADERS = 2
"""How many of the methods have variants of their best recipes tried, in turn."""
SURVIVORS = (20, 12, 8, 5)
"""How many settings are measured again, on the second fold, the third and so on."""
OF_A_METHOD = 2
"""How many of these are of one method: by the first fold alone, what is best is the luckiest variant of a few."""
FOLDS = 1 + len(SURVIVORS)
STAGES = {"short": 0.3, "methods": 0.5, "recipes": 0.65, "again": 1.0}
"""The stages of a search, each with the share of the budget by whose use it ends, whatever is left to try in it. In the
last one each fold may use half of what is left, and the last fold all."""

COARSER = 5 / 3
"""By how much a temperature is changed."""
FARTHEST = {"temperature": 5, "epochs": 4, "lr": 100}
"""How many times what it began with, and what part of it, a number gets at most: more epochs often gain a little."""
FRONT: Mapping[str, Any] = MappingProxyType({"standardise": True, "hidden": 512, "dropout": 0.5})
"""The hidden layer that is tried in front of a head: on features of a network that was trained on something else most
methods gain by it, on others three of five (docs/auto.md)."""


@dataclass(frozen=True)
class Budget:
    """What a search may cost: the first of the two limits that is reached.

    Attributes:
        minutes: of training and measuring; None for no such limit.
        trials: how many; None likewise.

    Raises:
        BitseekError: no limit at all, or one that is not above 0.
    """

    minutes: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("minutes", self.minutes), ("trials", self.trials)):
            if value is not None and not value > 0:
                raise BitseekError(f"{name} of a search is a number above 0, got {name}={value!r}")
        if self.minutes is None and self.trials is None:
            raise BitseekError("a search needs a budget: give minutes, trials or both")

    def used(self, trials: Sequence[Trial]) -> float:
        """The share of the budget that some trials have cost, 0 … 1 and a little above."""
        by_count = 0.0 if self.trials is None else len(trials) / self.trials
        return max(by_count, self.time_used(trials))

    def time_used(self, trials: Sequence[Trial]) -> float:
        """The share of the minutes."""
        return 0.0 if self.minutes is None else sum(trial.seconds for trial in trials) / (60 * self.minutes)

    def allows(self, trials: Sequence[Trial], running: int, until: float) -> bool:
        """Whether one more trial may begin beside so many, before this share of the budget is used."""
        most = math.inf if self.trials is None else math.ceil(until * self.trials - 1e-9)
        return self.time_used(trials) < until and len(trials) + running < most


class Setting(NamedTuple):
    """A method, and what differs from the recipe that its heads have by default."""

    method: str
    recipe: dict[str, Any]

    @property
    def key(self) -> str:
        """The same text for the same setting."""
        return json.dumps(self, sort_keys=True)


class Search:
    """Successive halving over heads: many settings in few epochs on one fold of the items, the best of them on more.

    1. `short`: each method with a hidden layer and without, with a fifth of the epochs that its heads have by default,
       for nothing but the next stage.
    2. `methods`: the best `CONTENDERS` of them, each with the better of the two and with all epochs.
    3. `recipes`: uphill from the best recipe of each of the `LEADERS` best methods, one thing changed at a time.
    4. `again`: the best settings, `OF_A_METHOD` of a method at most, on the second fold, of those some on the third,
       and so on.

    Of the settings that were measured on the most folds the one with the highest mean wins: what was the best until
    then is measured first, and a fold that takes too long is left with what it has. What decides is nothing but the
    scores, the order of the methods and, by minutes, the seconds that the journal has and the order of its trials. So a
    search by trials that goes on from its journal ends as if it had not been stopped, and one by minutes uses each
    trial that it had.

    Args:
        attempts: train heads and measure them; larger scores are better.
        journal: what was tried before, and what is tried now.
        budget: what it may cost.
        tried: called after each trial.
        items: on how many a head is trained; of few it starts with more epochs, see `long_enough`. None for many.
        jobs: how many attempts run at a time. It decides how much is tried by minutes, and nothing by trials. With
            another number a search by minutes that goes on may leave trials of its journal out.

    Attributes:
        trials: what decides, in the order in which it was asked for; the journal has it in the order in which it was
            done.
    """

    def __init__(
        self,
        attempts: Attempts,
        journal: Journal,
        budget: Budget,
        tried: Callable[[Trial], None] | None = None,
        items: int | None = None,
        jobs: int = 1,
    ) -> None:
        self.attempts, self.journal, self.budget, self.tried = attempts, journal, budget, tried
        self.items, self.jobs = items, jobs
        self.trials: list[Trial] = []
        self.since = 0.0

    def run(self, methods: Iterable[str]) -> Setting:
        """The setting that wins.

        Raises:
            BitseekError: none of the methods can be trained.
        """
        begin = (Setting(method, short(method, self.items)) for method in methods)
        self.stage("short", [[each for setting in begin for each in (setting, *other_front(*setting))]])
        contenders = [self.in_full(*setting) for setting in some_of_each(self.ranked(self.trials, 1))[:CONTENDERS]]
        if not contenders:
            raise BitseekError(f"no method could be trained: {self.trials[0].reason}")
        self.stage("methods", [contenders])
        self.stage("recipes", self.uphill())
        self.again()
        on_most_folds = filter(None, (self.best(folds) for folds in range(FOLDS, 0, -1)))
        return next(on_most_folds, contenders)[0]

    def uphill(self) -> Iterator[list[Setting]]:
        """What was not tried yet among the variants of each leader's best setting, one of each at a time.

        The best setting is that of the moment: what has helped is kept while something else is tried.
        """
        while True:
            tried = self.measured(0)
            left = (variants(*leader, self.items) for leader in self.leaders(LEADERS))
            untried = ((setting for setting in each if setting.key not in tried) for each in left)
            first = [setting for each in untried for setting in islice(each, 1)]
            if not first:
                return
            yield first

    def again(self) -> None:
        """The best settings on one fold after the other, as long as there are two to tell apart."""
        for fold, survivors in enumerate(SURVIVORS, start=1):
            settings = self.leaders(survivors, fold, OF_A_METHOD)
            if len(settings) < 2:
                return
            half = (1 + self.budget.used(self.trials)) / 2
            self.stage("again", [settings], fold, half if fold < len(SURVIVORS) else None)

    def stage(self, name: str, turns: Iterable[Sequence[Setting]], fold: int = 0, until: float | None = None) -> None:
        """Measure settings on a fold until the stage ends.

        A stage in which nothing was begun yet ends with the budget, so that each has its turn in a small one.

        Args:
            name: of the stage.
            turns: settings that do not depend on each other's scores; the next ones are asked for when these are known.
            fold: on which.
            until: the share of the budget by whose use it ends, by default that of the stage.
        """
        end = STAGES[name] if until is None else until
        for turn in turns:
            measured = self.measured(fold)
            rest = [setting for setting in turn if setting.key not in measured]
            found = self.tried_of(name, rest, fold, end)
            self.trials += found
            if len(found) < len(rest):
                return

    def measured(self, fold: int) -> set[str]:
        """The keys of the settings that have a trial on a fold."""
        return {Setting(trial.method, trial.recipe).key for trial in self.trials if trial.fold == fold}

    def tried_of(self, stage: str, settings: Sequence[Setting], fold: int, end: float) -> list[Trial]:
        """A trial of each of the first settings, as many as there is budget for, in their order.

        As soon as one is done the next begins. Whether it may is decided by the trials that are done and by how many
        run: so the same begin where a search goes on from its journal, which has them in the order in which they were
        done.
        """
        rest = deque(settings)
        done: dict[str, Trial] = {}
        running: list[tuple[Setting, Trial | Attempt]] = []
        self.since = time.perf_counter()
        while True:
            if rest and len(running) < self.jobs and self.may_begin(stage, [*done.values()], len(running), end):
                setting = rest.popleft()
                running.append((setting, self.journal.find(*setting, fold) or self.attempts(*setting, fold)))
            elif running:
                setting, each = running.pop(self.first_done([each for _, each in running]))
                done[setting.key] = each if isinstance(each, Trial) else self.kept(stage, setting, fold, each.result())
            else:
                return [done[setting.key] for setting in settings if setting.key in done]

    def may_begin(self, stage: str, done: Sequence[Trial], running: int, end: float) -> bool:
        """Whether there is budget for one more; of a stage in which nothing was begun yet, any of the search's."""
        trials = [*self.trials, *done]
        has_begun = running or any(trial.stage == stage for trial in trials)
        return self.budget.allows(trials, running, end if has_begun else 1)

    def first_done(self, running: Sequence[Trial | Attempt]) -> int:
        """Which of them: of those that the journal has the one that it had first, otherwise what is done first now.

        Where a process was ended from outside, what others have measured comes before the error.
        """
        before = [trial for trial in self.journal.trials if trial in running]
        if before:
            return running.index(before[0])
        over, _ = wait((each for each in running if isinstance(each, Future)), return_when=FIRST_COMPLETED)
        return running.index(min(over, key=lambda each: (each.exception() is not None, running.index(each))))

    def kept(self, stage: str, setting: Setting, fold: int, found: float | str) -> Trial:
        """The trial, kept in the journal; a setting that cannot be trained has no score, but a reason.

        It counts for the seconds since the one before was done, so that all of them count for the time that has passed.
        """
        now = time.perf_counter()
        score, reason = (None, found) if isinstance(found, str) else (found, None)
        trial = Trial(stage, *setting, fold, score, round(now - self.since, 3), reason)
        self.since = now
        self.journal.add(trial)
        if self.tried is not None:
            self.tried(trial)
        return trial

    def in_full(self, method: str, recipe: Mapping[str, Any]) -> Setting:
        """The setting whose short training this is."""
        rest = {name: value for name, value in recipe.items() if name != "epochs"}
        return Setting(method, rest | long_enough(method, self.items))

    def leaders(self, count: int, folds: int = 1, of_a_method: int = 1) -> list[Setting]:
        """So many settings that are the best on the first so many folds, the best first; no more than some a method.

        A training cut short is none of them.
        """
        return some_of_each(self.best(folds), of_a_method)[:count]

    def best(self, folds: int) -> list[Setting]:
        """The settings with a score on each of the first so many folds, the best first, without trainings cut short."""
        whole = [t for t in self.trials if t.stage != "short" or not short(t.method, self.items)]
        return self.ranked(whole, folds)

    @staticmethod
    def ranked(trials: Iterable[Trial], folds: int) -> list[Setting]:
        """The settings that have a score on each of the first so many folds, by its mean; of equal ones the first."""
        scores: dict[str, dict[int, float]] = {}
        settings = {}
        for trial in trials:
            setting = Setting(trial.method, trial.recipe)
            settings[setting.key] = setting
            if trial.score is not None:
                scores.setdefault(setting.key, {})[trial.fold] = trial.score
        means = {
            key: float(np.mean([own[fold] for fold in range(folds)]))
            for key, own in scores.items()
            if all(fold in own for fold in range(folds))
        }
        return [settings[key] for key in sorted(means, key=lambda key: -means[key])]


def some_of_each(settings: Iterable[Setting], count: int = 1) -> list[Setting]:
    """The first so many settings of each method, in the order of all."""
    seen: Counter[str] = Counter()
    found = []
    for setting in settings:
        seen[setting.method] += 1
        if seen[setting.method] <= count:
            found.append(setting)
    return found


def long_enough(method: str, items: int | None) -> dict[str, Any]:
    """The epochs by which a head takes `STEPS` steps, where those of its default are fewer."""
    cls = method_class(method)
    if items is None or not cls.by_gradient:
        return {}
    recipe = make_recipe(cls, {}, frozen=True)
    needed = -(-STEPS // max(1, items // recipe.batch_size))
    return {"epochs": needed} if needed > recipe.epochs else {}


def short(method: str, items: int | None = None) -> dict[str, Any]:
    """The recipe of the first training of a method: fewer epochs, in which the rate falls as it does in all of them."""
    cls = method_class(method)
    epochs = make_recipe(cls, long_enough(method, items), frozen=True).epochs
    return {"epochs": max(1, epochs // SHORT)} if cls.by_gradient and epochs > 1 else {}


def other_front(method: str, recipe: Mapping[str, Any]) -> list[Setting]:
    """The same with `FRONT`, or without the hidden layer where there is one on standardised features.

    Nothing where a method takes none. With it the rate is the common one: those of single methods were chosen for one
    layer (docs/auto.md).
    """
    cls = method_class(method)
    if not cls.takes_front:
        return []
    now: Any = make_recipe(cls, recipe, frozen=True)
    change = {"hidden": 0} if now.standardise and now.hidden else {**FRONT, "lr": HEAD_RECIPE["lr"]}
    return [changed(method, {**recipe, **change})]


def without_front(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe less what `FRONT` names."""
    return {name: value for name, value in recipe.items() if name not in FRONT}


def variants(
    method: str, recipe: Mapping[str, Any] = MappingProxyType({}), items: int | None = None
) -> Iterator[Setting]:
    """A method with one thing of a recipe changed; nothing for one that is fitted in one go.

    Without labels the temperature of a contrast, which decides how coarse the classes are that it finds, goes up or
    down; so does the rate, by a step of 1, 3, 10, 30; the epochs are twice or half as many, or the codebook is another
    one.

    Args:
        method: its name.
        recipe: what differs from the recipe that its heads have by default.
        items: on how many a head is trained; None for many.
    """
    cls = method_class(method)
    if not cls.by_gradient:
        return
    now: Any = make_recipe(cls, recipe, frozen=True)
    start: Any = make_recipe(cls, long_enough(method, items), frozen=True)
    numbers: list[tuple[str, float]] = []
    if cls.card.labels == "none" and hasattr(now, "temperature"):
        numbers += [("temperature", rounded(factor * now.temperature, 4)) for factor in (COARSER, 1 / COARSER)]
    up, down = rounded(now.lr * 10 / 3, 1), rounded(now.lr / 3, 1)  # each undoes the other
    numbers += [("lr", up), ("epochs", 2 * now.epochs), ("lr", down), ("epochs", now.epochs // 2)]
    changes: list[dict[str, Any]] = [
        {name: number}
        for name, number in numbers
        if 1 / FARTHEST[name] <= number / getattr(start, name) <= FARTHEST[name]
    ]
    if cls.takes_codebook:
        changes += [{"codebook": name} for name in CODEBOOKS]
    for change in changes:
        if any(value != getattr(now, name) for name, value in change.items()):
            yield changed(method, {**recipe, **change})


def changed(method: str, recipe: Mapping[str, Any]) -> Setting:
    """A setting that names no more than what differs from the default, so that the same one has one name."""
    default = make_recipe(method_class(method), {}, frozen=True)
    return Setting(method, {name: value for name, value in recipe.items() if value != getattr(default, name)})


def rounded(value: float, digits: int) -> float:
    """To so many digits, so that it reads well."""
    return float(f"{value:.{digits}g}")
