"""What each section of the page shows, for its template of the same name; None for a section without content."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int32, Int64

from bitseek import __version__, metrics
from bitseek.codes import hamming_distances
from bitseek.evaluation import Report
from bitseek.images import printable
from bitseek.methods import method_class
from bitseek.report._charts import Chart, bar_chart, line_chart, path_chart
from bitseek.report._class_codes import ClassCodes, class_codes
from bitseek.report._pictures import CELL, TILE, data_uri, heatmap, thumbnails

MOST_CLASSES, MOST_WRITTEN, MOST_DRAWN_BITS, MOST_MESSAGES = 200, 24, 128, 20
QUERIES, HITS, MOST_NAMES = 6, 10, 3


def number(value: float | None, digits: int = 4) -> str:
    """A measured value; `none` if it does not exist.

    >>> number(0.12345), number(float("nan")), number(None)
    ('0.1235', 'none', 'none')
    """
    return "none" if value is None or math.isnan(value) else f"{value:.{digits}f}"


# --- head -------------------------------------------------------------------------------------------------------------


def head(report: Report) -> dict[str, Any]:
    """What was measured, and the main figures."""
    codes = report.database.codes
    return {
        "card": None if report.config is None else method_class(report.config.method).card,
        "interval": report.interval,
        "bits": codes.bits,
        "distinct": len(np.unique(codes.words, axis=0)),
    }


# --- ranking ----------------------------------------------------------------------------------------------------------


def ranking(report: Report) -> dict[str, Any]:
    """Precision and recall by radius, beside the figures of the report; nothing where relevance is unknown."""
    if report.main is None:
        return {}
    curve = report.by_radius["precision_recall"]
    precision, recall = curve["precision"], curve["recall"]
    points = {
        f"radius {radius}, recall {number(r)}: precision {number(p)}": (r, p)
        for radius, (p, r) in enumerate(zip(precision, recall, strict=True))
    }
    return {
        "precision_at": [level.to_json()["precision_at"] for level in report.levels.values()],
        "by_recall": path_chart(points, x_name="recall", label="Precision by recall, a point for each radius"),
        "by_radius": line_chart(
            range(len(recall)),
            {"precision": precision, "recall": recall},
            x_name="radius in bits",
            label="Precision and recall within each radius",
            share=True,
        ),
    }


# --- search -----------------------------------------------------------------------------------------------------------


def search(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A row for each method and recipe that `auto` tried, those on most folds first; None where nothing was chosen."""
    if found is None:
        return None
    rows: dict[str, dict[str, Any]] = {}
    for trial in found["trials"]:
        recipe = _pairs(trial["recipe"]) if trial["recipe"] else "default"
        row = rows.setdefault(
            f"{trial['method']} {recipe}",
            {"method": trial["method"], "recipe": recipe, "scores": [], "seconds": 0.0, "reason": None, "won": False},
        )
        row["scores"] += [] if trial["score"] is None else [trial["score"]]
        row["seconds"] += trial["seconds"]
        row["reason"] = row["reason"] or trial["reason"]
        row["won"] = {"method": trial["method"], "recipe": trial["recipe"]} == found["chosen"]
    order = sorted(rows.values(), key=lambda row: (-len(row["scores"]), -sum(row["scores"])))
    return {
        "rows": [row | {"mean": float(np.mean(row["scores"])) if row["scores"] else None} for row in order],
        "trials": len(found["trials"]),
        "minutes": sum(row["seconds"] for row in order) / 60,
        "measure": found["for"]["measure"],
        "items": found["for"]["items"],
    }


# --- training ---------------------------------------------------------------------------------------------------------

CHARTS = {
    "validation_mAP": ("mAP on the training items that were held out.", True),
    "codeword_accuracy": ("Share of the training items whose nearest codeword is that of their class.", True),
    "lr": ("Learning rate.", False),
    "images_per_second": ("Images a second.", False),
}
NOT_TERMS = {"epoch", "step", "loss", "seconds", "skipped", *CHARTS}


def training(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A chart by epoch for the loss with its terms, and for each other value that was logged."""
    names = dict.fromkeys(name for record in history for name in record)
    terms = [name for name in names if name not in NOT_TERMS and not name.startswith("validation")]
    charts = []
    if "loss" in names:
        caption = "Loss" + (f" ({terms[0]})." if len(terms) == 1 else " and its terms." if terms else ".")
        charts.append((_by_epoch(history, ["loss", *terms] if len(terms) > 1 else ["loss"], "Loss", False), caption))
    for name, (caption, share) in CHARTS.items():
        logged = [record for record in history if _real(record.get(name)) is not None]
        if logged:
            charts.append((_by_epoch(logged, [name], caption, share), caption))
    return {"charts": charts}


def _by_epoch(history: Sequence[Mapping[str, Any]], names: list[str], label: str, share: bool) -> Chart:
    lines = {name: [_real(record.get(name)) for record in history] for name in names}
    epochs = [float(record["epoch"]) for record in history]
    return line_chart(epochs, lines, x_name="epoch", label=f"{label.rstrip('.')}, by epoch", share=share)


def _real(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


# --- classes ----------------------------------------------------------------------------------------------------------


def classes(report: Report) -> dict[str, Any] | None:
    """A row for each class, and the distances between them; None where no item of the database has a label."""
    pool, codes = report.protocol.pool, report.database.codes
    labels = pool.labels[report.database.ids]
    if not labels.any.any():
        return None
    found = class_codes(codes, labels, max(1, min(2, codes.bits // 8)), MOST_CLASSES)
    apart = found.distances + np.where(np.eye(len(found), dtype=bool), codes.bits + 1, 0)  # each class from the others
    closeness = 1 - found.distances / (codes.bits / 2)
    drawn = codes.bits <= MOST_DRAWN_BITS
    return {
        "found": found,
        "names": [pool.classes[number] for number in found.classes],
        "strips": [heatmap(row[None]) if drawn else None for row in found.codes.to_bits().astype(np.float64)],
        "nearest": apart.argmin(axis=1).tolist() if len(found) > 1 else None,
        "least": apart.min(),
        "mean": found.distances.sum() / max(len(found) * (len(found) - 1), 1),
        "mAP": _map_by_class(report, found),
        "unlabelled": int((~labels.any).sum()),
        "more": int((labels.counts > 0).sum()) - len(found),
        "closeness": closeness,
        "heatmap": heatmap(closeness) if len(found) > MOST_WRITTEN else None,
    }


def _map_by_class(report: Report, found: ClassCodes) -> list[float | None]:
    """Mean of the average precision over the queries of each class, without those that have none."""
    if report.main is None:
        return [None] * len(found)
    labels = report.protocol.pool.labels[report.queries.ids]
    of_class = [report.main.per_query[labels.members(number)] for number in found.classes.tolist()]
    return [float(np.nanmean(values)) if np.isfinite(values).any() else None for values in of_class]


# --- bits -------------------------------------------------------------------------------------------------------------


def bits(report: Report) -> dict[str, Any]:
    """Balance and correlation of the bits of the database, beside the diagnostics of the report."""
    codes = report.database.codes
    balance, correlation = metrics.bit_balance(codes), metrics.bit_correlation(codes)
    np.fill_diagonal(correlation, 0.0)
    tips = [f"bit {i}: {100 * share:.1f} % ones" for i, share in enumerate(balance)]
    return {
        "dead": int(((balance == 0) | (balance == 1)).sum()),
        "strongest": float(np.abs(correlation).max()),
        "chart": bar_chart(balance.tolist(), x_name="bit", label="Share of ones of each bit", middle=0.5, tips=tips),
        "correlation": heatmap(correlation),
    }


# --- queries ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Example:
    """One query with the items nearest to it.

    Attributes:
        query: index into the pool.
        ap: average precision of the query; None where nothing is known to be relevant.
        relevant: how many items of the database are relevant; None likewise.
        ids: of the nearest items, indices into the pool; items at equal distance in the order of the database.
        distances: to them, in bits.
        right: whether each is relevant; None where nothing is known.
    """

    query: int
    ap: float | None
    relevant: int | None
    ids: Int64[np.ndarray, " k"]
    distances: Int32[np.ndarray, " k"]
    right: Bool[np.ndarray, " k"] | None


def queries(report: Report, threads: int | None = None) -> dict[str, Any]:
    """The best and the worst queries; or some, where nothing is known to be relevant."""
    groups = {name: examples(report, chosen, HITS) for name, chosen in choose_queries(report, QUERIES).items()}
    pool = report.protocol.pool
    examined = [example for group in groups.values() for example in group]
    shown = np.unique(np.concatenate([np.append(example.ids, example.query) for example in examined]))
    pictures = thumbnails(pool.images, shown, TILE, threads)
    own = pool.labels[shown]
    tiles = {}
    for i, (index, key) in enumerate(zip(shown.tolist(), pool.keys_of(shown), strict=True)):
        names = [pool.classes[number] for number in np.flatnonzero(own.multi_hot([i])[0])]
        tiles[index] = {
            "name": printable(key),
            "classes": ", ".join(names),
            "label": ", ".join(names[:MOST_NAMES]) + (" …" if len(names) > MOST_NAMES else ""),
            "picture": data_uri(pictures[index], max(pictures[index].size) < CELL) if index in pictures else None,
        }
    return {"groups": groups, "tiles": tiles}


def choose_queries(report: Report, n: int, seed: int = 0) -> dict[str, list[int]]:
    """Places among the queries: of the n of highest and of lowest average precision; or of any n, if none has one.

    The best are taken of different classes first (of different sets of labels), since perfect queries are often many.
    Queries without a relevant item are neither best nor worst.
    """
    order = np.zeros(0, np.int64)
    if report.main is not None:
        values, relevant = report.main.per_query, report.counts[str(report.level)].relevant.sum(axis=1)
        order = np.argsort(values, kind="stable")
        order = order[(relevant[order] > 0) & np.isfinite(values[order])]
    if not len(order):
        some = np.random.default_rng(seed).permutation(len(report.queries.ids))[:n]
        return {"Some queries": np.sort(some).tolist()}
    labels = report.protocol.pool.labels[report.queries.ids]
    seen: dict[bytes, int] = {}
    rounds = []
    for place, query in enumerate(order[::-1].tolist()):
        own = labels.words[query].tobytes()
        rounds.append((seen.get(own, 0), place, query))
        seen[own] = seen.get(own, 0) + 1
    return {"Best queries": [query for _, _, query in sorted(rounds)[:n]], "Worst queries": order[:n].tolist()}


def examples(report: Report, chosen: Sequence[int], k: int) -> list[Example]:
    """The queries at these places, each with the items nearest to it by Hamming distance."""
    codes, database = report.queries.codes, report.database.codes
    found = []
    for query in chosen:
        index = int(report.queries.ids[query])
        kept, right = report.database.ids != index, None
        if report.level is not None:
            relevance = report.relevance[report.level]
            kept, right = ~relevance.left_out(query), relevance.relevant(query)
        distances = hamming_distances(codes[query], database)[0]
        places = np.flatnonzero(kept)
        nearest = places[np.argsort(distances[places], kind="stable")[:k]]
        found.append(
            Example(
                query=index,
                ap=None if report.main is None else float(report.main.per_query[query]),
                relevant=None if right is None else int((right & kept).sum()),
                ids=report.database.ids[nearest],
                distances=distances[nearest],
                right=None if right is None else right[nearest],
            )
        )
    return found


# --- origin -----------------------------------------------------------------------------------------------------------


def origin(report: Report) -> dict[str, Any]:
    """How the run and the page were made, so that both can be made again; and what could not be read."""
    config, data = report.config, report.protocol
    facts = {"split": f"{data.name}, checksum {data.checksum[:16]}", "fingerprint": report.fingerprint}
    if config is not None:
        facts |= {
            "trained on": f"{config.protocol}, checksum {config.checksum[:16]}",
            "protocol options": _pairs(config.origin.options if config.origin else {}),
            "recipe": _pairs(config.recipe),
            "validation": f"{100 * config.validation:.0f} % of the training items" if config.validation else "none",
            "precision": "bfloat16 autocast in training" if config.bf16 else "float32",
            "versions and hardware": _pairs(config.environment),
        }
        if (network := config.backbone) is not None:
            weights = "random" if network.weights is None else Path(network.weights).name
            facts |= {
                "backbone": f"{network.name}, options: {_pairs(network.options)}",
                "weights at the start": f"{weights}, seed {network.seed}, digest {network.digest}",
                "preprocessing": _pairs(network.preprocess.model_dump()),
            }
    return {
        "facts": facts | {"page made by": f"bitseek {__version__}"},
        "other_data": config is not None and data.name == config.protocol and data.checksum != config.checksum,
        "messages": report.unreadable[:MOST_MESSAGES],
    }


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"
