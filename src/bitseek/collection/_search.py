"""Queries of any kind, brought to codes, and the order of what they find."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

from bitseek._checks import whole_number
from bitseek.codes import Codes, words_per_code
from bitseek.collection._encoder import Encoder, logits_and_features
from bitseek.collection._item import Item
from bitseek.collection._labels import as_label
from bitseek.collection._published import Published, Search
from bitseek.collection._writer import features_of
from bitseek.errors import BitseekError, ImageError
from bitseek.images import as_images, batches
from bitseek.index import HammingIndex, Hits

Rerank = Literal["logits", "features"]

_CANDIDATES = 10
_FEWEST = 100
"""Hits that are put into a better order: ten times as many as are wanted, and at least so many."""


class Limits(NamedTuple):
    """What is wanted of a search.

    Attributes:
        k: how many hits at most; None for all within the radius.
        radius: only items at this distance or less; None for any.
        label: only items with this label; None for all.
        rerank: by what the best candidates are put into a better order; None if they are not.
    """

    k: int | None
    radius: int | None
    label: str | None
    rerank: Rerank | None

    @classmethod
    def of(cls, k: Any, radius: Any, label: Any, rerank: Any) -> "Limits":
        """What a user gave.

        Raises:
            BitseekError: it is none of that, or does not limit a search.
        """
        if rerank not in (None, "logits", "features"):
            raise BitseekError(f"hits are re-ranked by 'logits' or 'features', got {rerank!r}")
        if k is None and rerank is not None:
            raise BitseekError("re-ranking needs k, the number of hits that are wanted")
        if k is None and radius is None:
            raise BitseekError("a search is limited by k, by a radius, or by both")
        return cls(
            None if k is None else whole_number(k, "k"),
            None if radius is None else whole_number(radius, "radius", 0),
            None if label is None else as_label(label),
            rerank,
        )


def candidates(k: int) -> int:
    """How many hits are put into a better order where k are wanted."""
    return max(_CANDIDATES * k, _FEWEST)


class Queries(NamedTuple):
    """What is searched for.

    Attributes:
        codes: one a query.
        logits: (q, bits), if hits are re-ranked by them.
        features: (q, D), of length 1, if hits are re-ranked by them.
    """

    codes: Codes
    logits: np.ndarray | None = None
    features: np.ndarray | None = None


class Hit(NamedTuple):
    """One item that a search found.

    Attributes:
        item: the item.
        distance: Hamming distance to the query, in bits.
        score: what hits were re-ranked by, higher is better; None if they were not.
    """

    item: Item
    distance: int
    score: float | None


class Found(NamedTuple):
    """The hits of one query: ids, distances, and scores if they were re-ranked; all of one length."""

    ids: np.ndarray
    distances: np.ndarray
    scores: np.ndarray | None


def queries_of(
    images: list[tuple[Any, Item | None]],
    bits: int,
    encoder: Callable[[], Encoder],
    rerank: Rerank | None,
    stored: np.ndarray | None = None,
) -> Queries:
    """Codes of images, paths and items; those that are items as they were encoded need no model.

    Args:
        images: what is searched for, each with the item that it is, if it is one.
        bits: length of the codes.
        encoder: gives that of the collection, if one is needed.
        rerank: what else is needed than codes.
        stored: features of the items, (n, D), row = id, to re-rank by them.

    Raises:
        BitseekError: an image cannot be read, or the model cannot be used.
    """
    words = np.zeros((len(images), words_per_code(bits)), np.uint64)
    logits = np.zeros((len(images), bits), np.float32) if rerank == "logits" else None
    features = None if stored is None else np.zeros((len(images), stored.shape[1]), np.float32)
    wanted = []
    for i, (one, item) in enumerate(images):
        if item is not None:
            words[i] = Codes.from_hex([item.code], bits).words[0]
            if features is not None and stored is not None and item.id < len(stored):
                features[i] = stored[item.id]
        lacks_features = features is not None and not features[i].any()
        if item is None or rerank == "logits" or lacks_features:
            wanted.append((i, _file_of(one, rerank) if isinstance(one, Item) else one))
    if wanted:
        used = encoder()
        places = np.array([i for i, _ in wanted])
        squares, order = _squares([one for _, one in wanted], used)
        if features is None:
            values = np.concatenate([used.logits_of(part) for part in squares])
        else:
            both = [logits_and_features(used, part) for part in squares]
            values, rows = (np.concatenate(parts) for parts in zip(*both, strict=True))
            features[places[order]] = features_of(rows)
        words[places[order]] = Codes.from_logits(values).words
        if logits is not None:
            logits[places[order]] = values
    return Queries(Codes(words, bits), logits, features)


def _file_of(item: Item, rerank: Rerank | None) -> str:
    """The file of an item, to compute what is not stored of it."""
    if not item.path:
        raise BitseekError(
            f"item {item.id} was imported without a path, so there is no file to compute its {rerank} from; search by "
            "its code alone"
        )
    return item.path


def stored_features(published: Published) -> np.ndarray:
    """The features that the items of a collection have, (size, D), row = id.

    Raises:
        BitseekError: there are none; why, and what to do.
    """
    if published.features is not None:
        return published.features
    if not published.meta.features:
        raise BitseekError(
            "this collection keeps no features; make one that does (features=True, or bitseek index --features), or "
            "re-rank by logits"
        )
    if not published.meta.dimensions:
        raise BitseekError("this collection has no features yet; index images into it, or re-rank by logits")
    raise BitseekError(
        "features.bin is too short or not there; run bitseek verify, then bitseek index, which computes what it lacks"
    )


def _squares(images: list[Any], encoder: Encoder) -> tuple[list[np.ndarray], np.ndarray]:
    """What the encoder sees of some images, in batches, and their places."""
    unreadable: dict[int, str] = {}
    parts = list(batches(as_images(images), encoder.preprocess, unreadable=unreadable))
    if unreadable:
        raise ImageError(next(iter(unreadable.values())))
    return [part for _, part in parts], np.concatenate([ids for ids, _ in parts])


def find(
    published: Published,
    queries: Queries,
    limits: Limits,
    within: tuple[np.ndarray, HammingIndex] | None,
) -> list[Found]:
    """The hits of each query by (distance, id), or, re-ranked, by score.

    Args:
        published: where to search.
        queries: what for.
        limits: how many, and how near.
        within: ids to search among, and a search over their codes; None for all.
    """
    k, radius = limits.k, limits.radius
    ids_of: np.ndarray | None = None
    index: Search = published.index
    if within is not None:
        ids_of, index = within
    if k is None:
        assert radius is not None
        ragged = index.within(queries.codes, radius)
        return [Found(ids if ids_of is None else ids_of[ids], distances, None) for ids, distances in ragged]
    if limits.rerank is None:
        hits = index.nearest(queries.codes, k)
        return [
            _cut(Found(ids if ids_of is None else ids_of[ids], distances, None), radius, k) for ids, distances in hits
        ]
    hits = index.nearest(queries.codes, candidates(k))
    if ids_of is not None:
        hits = Hits(ids_of[hits.ids], hits.distances)
    scorer = HammingIndex(published.codes)  # needs the codes of the hits alone, whatever the search is
    if queries.logits is not None:
        scored = scorer.rerank(hits, logits=queries.logits)
    else:
        scored = scorer.rerank(hits, query_features=queries.features, features=published.features)
    found = []
    for (ids, distances), (best, scores) in zip(hits, scored, strict=True):
        if queries.logits is None and published.features is not None:
            best, scores = _unknown_last(best, scores, published.features)
        order = np.argsort(ids)
        places = order[np.searchsorted(ids, best, sorter=order)]
        found.append(_cut(Found(best, distances[places], scores), radius, k))
    return found


def _unknown_last(ids: np.ndarray, scores: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hits by their cosine; behind them, with the least that there is, −1, imported items that have no features."""
    unknown = scores == 0
    unknown[unknown] = ~features[ids[unknown]].any(axis=1)
    order = np.argsort(unknown, kind="stable")
    return ids[order], np.where(unknown, -1.0, scores)[order]


def _cut(found: Found, radius: int | None, k: int) -> Found:
    if radius is not None:
        near = found.distances <= radius
        found = Found(found.ids[near], found.distances[near], None if found.scores is None else found.scores[near])
    return Found(found.ids[:k], found.distances[:k], None if found.scores is None else found.scores[:k])


def hits_of(found: Found, items: Mapping[int, Item]) -> list[Hit]:
    """What was found, with its items."""
    scores = [None] * len(found.ids) if found.scores is None else found.scores.tolist()
    return [
        Hit(items[id], distance, score)
        for id, distance, score in zip(found.ids.tolist(), found.distances.tolist(), scores, strict=True)
    ]
