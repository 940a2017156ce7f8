"""What a head is measured by before any query is seen: training items that it was not trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bitseek.codes import Codes
from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError
from bitseek.images import Features
from bitseek.metrics import retrieval
from bitseek.models import derived_seed
from bitseek.runs import EncodedFeatures
from bitseek.training._neighbours import Walks, neighbours_kept
from bitseek.training._train import train

PARTS = 5
"""Into how many parts the items are cut; a fold holds one of them out."""
DEPTHS = (0.125, 0.25)
"""Shares of what is searched that are taken, each in its turn, for the true neighbours of an item where nothing has a
label: one alone prefers codes of classes of one size."""
LEAST = 4 * PARTS
"""With fewer items, one part says nothing."""


class Bench:
    """Heads on features of training items, each trained on all parts of them but one and measured on that one.

    With labels the measure is mAP@k as the protocol has it. What is searched is what the protocol searches: if most of
    its database are training items, the items that the head was trained on; otherwise the held-out items themselves,
    each without itself, since most codes of the database are then of items that the head has not seen. Where classes
    are so small that this leaves most of them without anything to find, it is the trained items too.

    Without labels the measure is the mean of two `neighbours_kept` of the held-out items among the others: of the
    eighth of them that is nearest by walks, and of the nearest quarter. Fewer, and the nearest by cosine, say little of
    the classes that codes will be searched for (docs/auto.md).

    Args:
        data: whose training items these are; of its queries and the rest of its database only the numbers are used.
        computed: the features of some or all of them.
        bits: length of the codes.
        seed: of the cut, and of each training.
        device: where it is computed.
        labelled: whether there are labels to measure by.

    Raises:
        BitseekError: too few items, or no held-out item has anything to find.
    """

    def __init__(
        self, data: Protocol, computed: EncodedFeatures, bits: int, seed: int, device: str, labelled: bool
    ) -> None:
        items = len(computed.ids)
        if items < LEAST:
            raise BitseekError(
                f"{data.name} has {items} training items that can be read, and {LEAST} are the least by which heads "
                "can be compared: name a method, see: bitseek methods"
            )
        self.bits, self.seed, self.device, self.labelled = bits, seed, device, labelled
        self.name, self.k, self.denominator = data.name, data.k, data.denominator
        self.features: Any = computed.features
        if not labelled:
            self.walks = Walks(self.features)
            self.near: dict[tuple[int, int], np.ndarray] = {}  # by fold and how many
        labels = data.pool.labels[computed.ids]
        self.pool = Pool(Features((computed.features,)), labels, data.pool.classes, name=data.pool.name)
        order = np.random.default_rng(derived_seed(seed, "folds", 0)).permutation(items)
        self.parts = [np.sort(part) for part in np.array_split(order, PARTS)]
        most_trained = np.isin(data.database, data.train).mean() > 0.5
        mates = labels[self.parts[0]].counts  # of each class among the held-out items
        self.among_themselves = labelled and not most_trained and mates[mates > 1].sum() > mates.sum() / 2
        if labelled and not (mates * (labels.counts - mates)).any():
            raise BitseekError(
                f"no training item of {data.name} that is held out shares a label with another one, so heads cannot be "
                "compared: name a method, see: bitseek methods"
            )

    def fold(self, number: int) -> Protocol:
        """The items with one part held out as queries, the rest to train on, and what is searched as database."""
        held = self.parts[number]
        rest = np.setdiff1d(np.arange(len(self.pool)), held)
        return Protocol(
            f"{self.name}, fold {number}",
            self.pool,
            rest,
            held,
            held if self.among_themselves else rest,
            k=self.k,
            denominator=self.denominator,
        )

    def measure(self, method: str, recipe: dict[str, Any], number: int) -> float:
        """Train a head on a fold and measure it; larger is better.

        Raises:
            BitseekError: it cannot be trained.
        """
        fold = self.fold(number)
        hasher = train(method, fold, bits=self.bits, seed=self.seed + number, device=self.device, **recipe)
        codes = hasher.encode(self.features)
        if not self.labelled:
            return float(np.mean(self.kept(codes, number)))
        relevance = fold.relevance(fold.query, fold.database)
        queries, database = codes[fold.query], codes[fold.database]
        return float(retrieval(queries, database, relevance, k=fold.k, denominator=fold.denominator).mAP)

    def kept(self, codes: Codes, number: int, depths: Sequence[float] = DEPTHS) -> list[float]:
        """What codes of all items keep of the nearest by walks of a fold, for each of some shares of what is searched.

        Without labels only.
        """
        fold = self.fold(number)
        counts = [max(1, round(depth * len(fold.database))) for depth in depths]
        most = (number, max(counts))
        if most not in self.near:
            self.near[most] = self.walks.neighbours(fold.query, fold.database, max(counts))
        queries, database = codes[fold.query], codes[fold.database]
        return [neighbours_kept(queries, database, self.near[most][:, :count]) for count in counts]
