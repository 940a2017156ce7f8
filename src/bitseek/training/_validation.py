"""Validation: which training items are held out, and how the weights are measured on them."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from bitseek.data import Protocol
from bitseek.errors import BitseekError
from bitseek.images import Images
from bitseek.labels import Labels
from bitseek.metrics import Relevance, retrieval
from bitseek.models import derived_seed
from bitseek.runs import Hasher, RunConfig, encode

TIMES = 10


@dataclass(frozen=True)
class Items:
    """The training items of a protocol, as images or as features that were computed from them.

    Attributes:
        images: where they are, perhaps among others.
        labels: of all of `images`.
        train: (N,) rows of `images` that are trained on.
        held_out: (h,) rows that the best weights are chosen on.
        mirror: whether a mirrored image still shows its class.
        unreadable: messages of those that could not be decoded so far, by their pool index.
    """

    images: Images
    labels: Labels
    train: Int64[np.ndarray, " N"]
    held_out: Int64[np.ndarray, " h"]
    mirror: bool = True
    unreadable: dict[int, str] = field(default_factory=dict)


def hold_out(protocol: Protocol, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training items cut in two at random: those to learn from, and a share of them to choose the best weights on.

    Returns:
        pool indices (N,) and (h,), both in the order of `protocol.train`.

    Raises:
        BitseekError: no training items, not a share, or held-out items on which every hasher has the same mAP.
    """
    train, labels = protocol.train, protocol.pool.labels
    if not len(train):
        raise BitseekError(f"{protocol.name} only measures: it has no training items; train on another protocol")
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise BitseekError(f"validation is a share of the training items, 0 or more and below 1; got {share}")
    order = np.random.default_rng(derived_seed(seed, "validation", 0)).permutation(len(train))
    chosen = np.sort(order[: round(share * len(train))])
    kept, held_out = np.delete(train, chosen), train[chosen]
    if share and not (labels[kept].counts * labels[held_out].counts).any():
        raise BitseekError(
            f"validation={share} holds out {len(held_out)} of the {len(train)} training items of {protocol.name}, and "
            f"none of them shares a label with one of the other {len(kept)}: their mAP would be 0 whatever is learned; "
            "leave validation out, or hold out more"
        )
    return kept, held_out


def validate(hasher: Hasher, items: Items, config: RunConfig, threads: int | None = None) -> float:
    """Retrieval of the items that are trained on by the held-out ones: mAP@k, with the protocol's k and denominator.

    An item is relevant if it shares a label with the query. Items that cannot be read are left out.
    """
    queries, database = (encode(hasher, items.images, rows, threads=threads) for rows in (items.held_out, items.train))
    relevance = Relevance.from_labels(items.labels[queries.ids], items.labels[database.ids])
    return float(retrieval(queries.codes, database.codes, relevance, k=config.k, denominator=config.denominator).mAP)


def validation_epochs(epochs: int) -> set[int]:
    """After which epochs, 1 … epochs, the held-out items are measured: about ten times, and at the end."""
    step = max(1, epochs // TIMES)
    return {epochs, *range(step, epochs, step)}
