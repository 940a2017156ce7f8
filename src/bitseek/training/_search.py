"""Which method and recipe make the best head on stored features: a search by successive halving, within a budget."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from bitseek.codebooks import CODEBOOKS
from bitseek.errors import BitseekError
from bitseek.methods import make_recipe, method_class
from bitseek.training._journal import Journal, Trial

STEPS = 300
"""A head takes at least so many steps by default, however few items it is trained on."""
SHORT = 3
"""The first training of a method has this part of the epochs that its heads have by default."""
CONTENDERS = 12
"""How many of the methods are trained with all of them."""
LEADERS = (5, 3)
"""How many of the methods have variants of their best recipes tried, in the first round and in the second."""
SURVIVORS = (12, 8, 5, 3)
"""Of how many methods the best setting is measured again, on the second fold, the third and so on: by the first alone,
what is best is the luckiest variant of a few methods."""
FOLDS = 1 + len(SURVIVORS)
STAGES = {"short": 0.3, "methods": 0.45, "recipes": 0.7, "again": 1.0}
"""The stages of a search, each with the share of the budget by whose use it ends, whatever is left to try in it."""

COARSER = 5 / 3
"""By how much a temperature is changed."""
FRONT: Mapping[str, Any] = MappingProxyType({"standardise": True, "hidden": 512, "dropout": 0.5})
"""The hidden layer that is tried in front of a head: on features of a network that was trained on something else it
does more than the choice of the loss, on others less than nothing (docs/ledger.md)."""


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

    def used(self, trials: Iterable[Trial]) -> float:
        """The share of the budget that some trials have cost, 0 … 1 and a little above."""
        seconds = [trial.seconds for trial in trials]
        shares = [0.0 if self.trials is None else len(seconds) / self.trials]
        shares.append(0.0 if self.minutes is None else sum(seconds) / (60 * self.minutes))
        return max(shares)


class Setting(NamedTuple):
    """A method, and what differs from the recipe that its heads have by default."""

    method: str
    recipe: dict[str, Any]

    @property
    def key(self) -> str:
        """The same text for the same setting."""
        return json.dumps(self, sort_keys=True)


Measure = Callable[[str, dict[str, Any], int], float]
"""The score of a method with a recipe on a fold; larger is better."""


class Search:
    """Successive halving over heads: many settings in few epochs on one fold of the items, the best of them on more.

    1. `short`: each method with a third of the epochs that its heads have by default, for nothing but the next stage.
    2. `methods`: the best `CONTENDERS` of them with all epochs.
    3. `recipes`: variants of the best recipe of each of the `LEADERS` best methods, one thing changed at a time; then
       variants of what is the best now.
    4. `again`: the best setting of each of the `SURVIVORS` best methods on the second fold, of those some on the third,
       and so on.

    Of the settings that were measured on the most folds the one with the highest mean wins: where the budget ends
    within a fold, those that were the best until then have been measured on it. What decides is nothing but the scores,
    the order of the methods, and the seconds that the journal has: so a search that goes on from its journal ends as if
    it had not been stopped.

    Args:
        measure: trains a head and measures it.
        journal: what was tried before, and what is tried now.
        budget: what it may cost.
        tried: called after each trial.
        items: on how many a head is trained; of few it starts with more epochs, see `long_enough`. None for many.
    """

    def __init__(
        self,
        measure: Measure,
        journal: Journal,
        budget: Budget,
        tried: Callable[[Trial], None] | None = None,
        items: int | None = None,
    ) -> None:
        self.measure, self.journal, self.budget, self.tried, self.items = measure, journal, budget, tried, items
        self.trials: list[Trial] = []

    def run(self, methods: Iterable[str]) -> Setting:
        """The setting that wins.

        Raises:
            BitseekError: none of the methods can be trained.
        """
        self.stage("short", (Setting(method, short(method, self.items)) for method in methods), 0)
        names = [setting.method for setting in self.ranked(self.trials, 1)[:CONTENDERS]]
        contenders = [Setting(name, long_enough(name, self.items)) for name in names]
        if not contenders:
            raise BitseekError(f"no method could be trained: {self.trials[0].reason}")
        self.stage("methods", contenders, 0)
        for count in LEADERS:
            tried = [variants(*setting) for setting in self.leaders(count)]
            in_turn = [each for row in zip_longest(*tried) for each in row if each is not None]
            self.stage("recipes", in_turn, 0)
        for fold, survivors in enumerate(SURVIVORS, start=1):
            if not self.stage("again", self.leaders(survivors, fold), fold):
                break
        on_most_folds = filter(None, (self.best(folds) for folds in range(FOLDS, 0, -1)))
        return next(on_most_folds, contenders)[0]

    def stage(self, name: str, settings: Iterable[Setting], fold: int) -> bool:
        """Measure settings on a fold until the stage ends; whether all of them were measured.

        A stage in which nothing was measured yet ends with the budget, so that each has its turn in a small one.
        """
        measured = {(Setting(trial.method, trial.recipe).key, trial.fold) for trial in self.trials}
        has_begun = any(trial.stage == name for trial in self.trials)
        for setting in settings:
            if (setting.key, fold) in measured:
                continue
            if self.budget.used(self.trials) >= (STAGES[name] if has_begun else 1):
                return False
            has_begun = True
            measured.add((setting.key, fold))
            self.trials.append(self.journal.find(*setting, fold) or self.attempt(name, setting, fold))
        return True

    def attempt(self, stage: str, setting: Setting, fold: int) -> Trial:
        """One trial, kept in the journal; a setting that cannot be trained has no score, but a reason."""
        score: float | None = None
        reason: str | None = None
        started = time.perf_counter()
        try:
            score = self.measure(*setting, fold)
        except BitseekError as error:
            reason = str(error)
        trial = Trial(stage, *setting, fold, score, round(time.perf_counter() - started, 3), reason)
        self.journal.add(trial)
        if self.tried is not None:
            self.tried(trial)
        return trial

    def leaders(self, count: int, folds: int = 1) -> list[Setting]:
        """The best setting of each of so many methods on the first so many folds, the best method first."""
        own: dict[str, Setting] = {}
        for setting in self.best(folds):
            own.setdefault(setting.method, setting)
        return list(own.values())[:count]

    def best(self, folds: int) -> list[Setting]:
        """The settings with a score on each of the first so many folds, the best first, without trainings cut short."""
        whole = [t for t in self.trials if not t.recipe or t.recipe != short(t.method, self.items)]
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


def variants(method: str, recipe: Mapping[str, Any] = MappingProxyType({})) -> Iterator[Setting]:
    """A method with one thing of a recipe changed; nothing for one that is fitted in one go.

    There is a hidden layer, or none any more; without labels the temperature of a contrast, which decides how coarse
    the classes are that it finds, is higher or lower; the epochs are twice or half as many, the rate is about 3 times
    higher or lower, or the codebook is another one.

    Args:
        method: its name.
        recipe: what differs from the recipe that its heads have by default.
    """
    cls = method_class(method)
    if not cls.by_gradient:
        return
    default: Any = make_recipe(cls, {}, frozen=True)
    now: Any = make_recipe(cls, recipe, frozen=True)
    front = {"hidden": 0} if now.standardise and now.hidden else FRONT
    changes = [front] if cls.takes_front else []
    if cls.card.labels == "none" and hasattr(now, "temperature"):
        changes += [{"temperature": rounded(factor * now.temperature)} for factor in (COARSER, 1 / COARSER)]
    changes += [{"epochs": 2 * now.epochs}, {"lr": rounded(3 * now.lr)}]
    changes += [{"epochs": max(1, now.epochs // 2)}, {"lr": rounded(0.3 * now.lr)}]
    if cls.takes_codebook:
        changes += [{"codebook": name} for name in CODEBOOKS]
    for change in changes:
        if any(value != getattr(now, name) for name, value in change.items()):
            changed = {**recipe, **change}
            yield Setting(method, {key: each for key, each in changed.items() if each != getattr(default, key)})


def rounded(rate: float) -> float:
    """To four digits, so that a rate reads well."""
    return float(f"{rate:.4g}")
