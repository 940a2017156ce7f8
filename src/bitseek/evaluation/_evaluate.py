"""How good a hasher is on a protocol: the one way from a hasher to a `Report`."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, SupportsIndex, cast

import numpy as np

from bitseek import metrics
from bitseek._checks import whole_number
from bitseek.codes import Codes, hamming_distances
from bitseek.data import Protocol, load_protocol
from bitseek.errors import BitseekError
from bitseek.evaluation._report import RANKINGS, Ranking, Report
from bitseek.labels import Labels
from bitseek.metrics import Denominator, NoHit, Relevance, Retrieval
from bitseek.runs import Encoded, Hasher, Progress, encode

QUERIES_AT_ONCE = 64
GREATEST_LOGIT = float(np.finfo(np.float32).max)
ONE_ITEM = (Codes.from_bits([[1]]), Codes.from_bits([[1]]), Relevance.from_labels([0], [0]))


def evaluate(
    hasher: Hasher,
    protocol: str | Protocol | None = None,
    *,
    bits: SupportsIndex | Literal["all"] = "all",
    k: int | Literal["protocol"] | None = "protocol",
    denominator: Denominator | None = None,
    ties: Literal["expected", "best", "worst", "stable"] = "expected",
    no_hit: NoHit = "zero",
    radius: int = 2,
    ranking: Ranking = "hamming",
    candidates: int = 1000,
    ternary: float = 0.0,
    adapt_batch_norm: bool = False,
    allow_trained_queries: bool = False,
    seed: int | None = None,
    root: str | Path | None = None,
    batch_size: int = 64,
    threads: int | None = None,
    progress: Progress | None = None,
    **protocol_options: Any,
) -> Report:
    """Encode the queries and the database of a protocol, rank, and measure.

    Args:
        hasher: images → codes.
        protocol: name of a protocol, or one that is loaded; the split of the hasher's own run if not given.
        bits: of nested codes, the length that is measured, one of `hasher.lengths`; `all` for a report of the longest
            with those of the others as its `prefixes`, from one pass of the images through the network.
        k: of mAP@k; None for the whole ranking; by default what the protocol says.
        denominator: of average precision, see `metrics.average_precision`; by default what the protocol says.
        ties: how items of equal rank are ordered: `expected` over all orders, `best`, `worst`, or `stable` by place
            in the database.
        no_hit: whether a query without a relevant item in its top k counts as 0 (`zero`) or is left out (`skip`).
        radius: Hamming distance within which precision and recall are measured, in bits.
        ranking: by Hamming distance; by the inner product of the query's logits with codes (`asymmetric`); by Hamming
            distance with the nearest ones ordered by that product (`reranked`); by the inner product of codes whose
            bits abstain where |logit| is below `ternary`; or by Hamming distance to the codes that the method learned
            beside the head (`learned`), where all of the database are training items.
        candidates: how many are re-ranked, with all that are tied with the last of them, so that the order of the
            database does not matter.
        ternary: threshold of the ternary ranking, 0 or more; above 0 the ranking is ternary without being named.
        adapt_batch_norm: estimate the head's batch norm anew on the database, for images of another kind than those of
            the training (OrthoHash, supplement).
        allow_trained_queries: measure although queries were training items; the report says their share.
        seed: of the split; by default that of the run for its own protocol, else 0.
        root: folder of the data; by default where the run found them.
        batch_size: items that go through the network at once.
        threads: how many decode and encode.
        progress: called after each batch.
        protocol_options: options of the protocol.

    Raises:
        BitseekError: the protocol does not fit the hasher, queries were training items, or an argument cannot be used.
    """
    if not isinstance(hasher, Hasher):
        raise BitseekError(f"a Hasher is measured, as bitseek.load(RUN) gives it, got {hasher!r:.80}")
    radius, candidates = whole_number(radius, "radius", 0), whole_number(candidates, "candidates")
    ranking, ternary = _ranking(ranking, ternary)
    hasher, lengths = _lengths(hasher, bits)
    lengths = lengths[-1:] if ranking == "learned" else lengths
    data = _split(hasher, protocol, seed, root, protocol_options)
    settings: dict[str, Any] = {
        "k": data.k if isinstance(k, str) and k == "protocol" else k,
        "denominator": data.denominator if denominator is None else denominator,
        "ties": ties,
        "no_hit": no_hit,
        "ap": "standard" if data.lists is None else data.lists.ap,
    }
    metrics.retrieval(*ONE_ITEM, **settings)  # refuses what cannot be measured before anything is encoded
    own = hasher.config is not None and data.checksum == hasher.config.checksum
    trained = 0.0 if own else _trained_queries(hasher, data, allow_trained_queries)
    images = data.pool.images
    if adapt_batch_norm:
        unread: dict[int, str] = {}  # which `encode` meets again
        hasher = hasher.adapted(images, data.database, batch_size=batch_size, threads=threads, unreadable=unread)
    wanted = np.union1d(data.query, data.database)
    encoded = encode(hasher, images, wanted, batch_size=batch_size, threads=threads, progress=progress)
    queries, database = encoded.part(data.query), encoded.part(data.database)
    if not len(queries.ids) or not len(database.ids):
        first = next(iter(encoded.unreadable.values()), "there are none")
        raise BitseekError(f"no queries or no database of {data.name} could be read; the first: {first}")
    if ranking == "learned":
        database = _learned(hasher, data, database)
    relevances = {level: data.relevance(queries.ids, database.ids, level) for level in data.levels}
    relevances = {level: relevance for level, relevance in relevances.items() if relevance.known}
    how = How(ranking, candidates, ternary, radius, settings)
    common: dict[str, Any] = {
        "protocol": data,
        "relevance": relevances,
        "ranking": ranking,
        "trained_queries": trained,
        "adapted": adapt_batch_norm,
        "own_split": own,
        "unreadable": tuple(encoded.unreadable[i] for i in sorted(encoded.unreadable)),
    }
    *shorter, longest = (
        _report(hasher.prefix(length), queries.prefix(length), database.prefix(length), how, common)
        for length in lengths
    )
    return replace(longest, prefixes={report.bits: report for report in shorter})


class How(NamedTuple):
    """What is measured, and how."""

    ranking: Ranking
    candidates: int
    ternary: float
    radius: int
    settings: dict[str, Any]


def _report(hasher: Hasher, queries: Encoded, database: Encoded, how: How, common: dict[str, Any]) -> Report:
    """The report of codes of one length, with what it has in common with those of other lengths."""
    relevances: Mapping[str, Relevance] = common["relevance"]
    counts = {
        level: metrics.histograms(queries.codes, database.codes, relevance) for level, relevance in relevances.items()
    }
    main = counts.get("medium", next(iter(counts.values()), None))
    labels = common["protocol"].pool.labels[database.ids]
    return Report(
        levels={
            level: _measured(queries, database, relevance, counts[level], how)
            for level, relevance in relevances.items()
        },
        queries=queries,
        database=database,
        counts=counts,
        by_radius={} if main is None else _by_radius(main, how.radius),
        diagnostics=_diagnostics(hasher, database, labels, main),
        config=hasher.config,
        fingerprint=hasher.fingerprint,
        **common,
    )


def _lengths(hasher: Hasher, bits: Any) -> tuple[Hasher, tuple[int, ...]]:
    """The hasher of the longest codes that are measured, and all lengths that are."""
    if isinstance(bits, str):
        if bits != "all":
            raise BitseekError(f"the bits that are measured are a number, or 'all' for every length, got {bits!r}")
        return hasher, hasher.lengths
    hasher = hasher.prefix(whole_number(bits, "bits"))
    return hasher, (hasher.bits,)


# --- the split ------------------------------------------------------------------------------------------------------


def _split(
    hasher: Hasher,
    protocol: str | Protocol | None,
    seed: int | None,
    root: str | Path | None,
    options: dict[str, Any],
) -> Protocol:
    """The protocol that is asked for: its own settings come first, then those of the hasher's run."""
    if isinstance(protocol, Protocol):
        return protocol
    config = hasher.config
    origin = None if config is None else config.origin
    names = () if config is None or origin is None else (origin.name, config.protocol)
    if protocol is None or (isinstance(protocol, str) and protocol in names):
        if config is None or origin is None:
            trained = "" if config is None else f" (it was trained on {config.protocol}, which was made in Python)"
            raise BitseekError(f"this hasher does not know a split of its own{trained}; give the protocol")
        return origin.load(root, seed, **options)
    return load_protocol(protocol, root=root, seed=0 if seed is None else seed, **options)


def _trained_queries(hasher: Hasher, data: Protocol, allow: bool) -> float:
    """Share of the queries that the hasher was trained on."""
    if hasher.train_items is None:
        return 0.0
    share = float(np.isin(data.pool.item_hashes(data.query), hasher.train_items).mean())
    if share and not allow:
        raise BitseekError(
            f"{100 * share:.1f} % of the queries of {data.name} (checksum {data.checksum[:16]}) are items that this "
            "hasher was trained on, so the figure would be too high; measure on the run's own split, or say "
            "allow_trained_queries=True (--allow-trained-queries)"
        )
    return share


def _learned(hasher: Hasher, data: Protocol, database: Encoded) -> Encoded:
    """The database in the codes that the method of the hasher learned for its items, as ±1."""
    if hasher.learned is None:
        raise BitseekError(
            f"{hasher!r} has no learned codes of its training items; some methods learn them, such as asymmetric-dsh: "
            "leave out ranking='learned'"
        )
    items, codes = hasher.learned
    wanted, order = data.pool.item_hashes(database.ids), np.argsort(items)
    place = order[np.minimum(np.searchsorted(items, wanted, sorter=order), len(items) - 1)]
    known = items[place] == wanted
    if not known.all():
        raise BitseekError(
            f"only {known.sum()} of the {len(known)} items of the database of {data.name} are training items of this "
            "hasher, and only those have learned codes; ranking='learned' is for databases that were trained on"
        )
    return Encoded(database.ids, codes[place].to_signs().astype(np.float32), database.unreadable)


# --- the rankings ---------------------------------------------------------------------------------------------------


def _ranking(ranking: Any, ternary: Any) -> tuple[Ranking, float]:
    """The ranking that is asked for by its name, or by the threshold of the ternary one; and that threshold."""
    try:
        threshold = math.nan if isinstance(ternary, str | bytes | bool | np.bool) else float(ternary)
    except (TypeError, ValueError, OverflowError):
        threshold = math.nan
    if not 0 <= threshold <= GREATEST_LOGIT:
        raise BitseekError(f"give ternary 0 or more, the |logit| below which a bit abstains; got {ternary!r}")
    if not isinstance(ranking, str) or ranking not in RANKINGS:
        raise BitseekError(f"a ranking is one of {', '.join(RANKINGS)}, got {ranking!r}")
    if threshold and ranking not in ("hamming", "ternary"):
        raise BitseekError(f"ternary={threshold} is for the ternary ranking, got ranking={ranking!r}; leave out one")
    return cast(Ranking, "ternary" if threshold else ranking), threshold


def _measured(
    queries: Encoded,
    database: Encoded,
    relevance: Relevance,
    counts: metrics.Histograms,
    how: How,
) -> Retrieval:
    if how.ranking not in ("hamming", "learned"):
        scores = _scores(queries, database, how.ranking, how.candidates, how.ternary)
        return metrics.retrieval_by_scores(scores, relevance, **how.settings)
    return metrics.measure(counts, **how.settings)


def _scores(
    queries: Encoded, database: Encoded, ranking: Ranking, candidates: int, threshold: float
) -> Iterator[np.ndarray]:
    """Scores of all items, higher is nearer, for a block of queries at a time."""
    codes, other = queries.codes, database.codes
    if ranking == "ternary":
        left, right = _ternary(queries, threshold), _ternary(database, threshold)
    else:
        left, right = queries.logits, other.to_signs().astype(np.float32)
    for start in range(0, len(left), QUERIES_AT_ONCE):
        rows = slice(start, start + QUERIES_AT_ONCE)
        scores = left[rows] @ right.T
        if ranking == "reranked":
            distances = hamming_distances(codes[rows], other)
            scores = np.stack([_reranked(d, s, candidates) for d, s in zip(distances, scores, strict=True)])
        yield scores


def _reranked(distances: np.ndarray, scores: np.ndarray, candidates: int) -> np.ndarray:
    """The candidates and all that are tied with the last of them by score, then the others by distance."""
    last = min(candidates, len(distances)) - 1
    chosen = np.flatnonzero(distances <= np.partition(distances, last)[last])
    return metrics.reranked(distances, chosen, scores[chosen])


def _ternary(encoded: Encoded, threshold: float) -> np.ndarray:
    """−1, 0 or +1: 0 where |logit| is below the threshold."""
    signs: np.ndarray = encoded.codes.to_signs().astype(np.float32)
    return np.where(np.abs(encoded.logits) >= threshold, signs, np.float32(0))


# --- a look at the codes --------------------------------------------------------------------------------------------


def _by_radius(counts: metrics.Histograms, radius: int) -> dict[str, Any]:
    within = metrics.within_radius(counts.total, counts.relevant, radius)
    curve = metrics.precision_recall(counts.total, counts.relevant)
    return {
        "within_radius": {"radius": radius, "no_item_within": "precision 0", **within.means()},
        "precision_recall": {"precision": curve.precision.tolist(), "recall": curve.recall.tolist()},
    }


def _diagnostics(
    hasher: Hasher, database: Encoded, labels: Labels, counts: metrics.Histograms | None
) -> dict[str, float | None]:
    codes = database.codes
    correlation = metrics.bit_correlation(codes)
    off_diagonal = correlation[~np.eye(codes.bits, dtype=bool)]
    distances = None
    if labels.single and labels.any.any():
        distances = metrics.class_distances(codes, labels)
    elif counts is not None:
        distances = metrics.pair_distances(counts)
    accuracy = None
    if hasher.codewords is not None and labels.any.any() and hasher.codewords.shape == (labels.classes, codes.bits):
        accuracy = metrics.codeword_accuracy(codes, Codes.from_bits(hasher.codewords.cpu().numpy()), labels)
    return {
        "bit_imbalance": float(np.abs(metrics.bit_balance(codes) - 0.5).mean()),
        "bit_correlation": float(np.abs(off_diagonal).mean()) if len(off_diagonal) else 0.0,
        "quantisation_error": float(metrics.quantisation_error(database.logits).mean()),
        "intra_class_distance": None if distances is None else distances.intra,
        "inter_class_distance": None if distances is None else distances.inter,
        "separability": None if distances is None else distances.separability,
        "codeword_accuracy": accuracy,
    }
