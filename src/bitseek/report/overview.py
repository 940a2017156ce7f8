"""The head of the page, and the figures of the ranking with everything that defines them."""

import math

import numpy as np

from bitseek import metrics
from bitseek.evaluation import PRECISION_AT
from bitseek.methods import method_class
from bitseek.report.charts import key, line_chart
from bitseek.report.findings import Findings
from bitseek.report.html import Content, Html, count, figure, join, number, table, tag

RADIUS = 2


def head(findings: Findings) -> Html:
    """What this run is, and its main figures."""
    config = findings.config
    card = method_class(config["method"]).card
    backbone = config["backbone"]
    name = findings.protocol.name
    trained = "" if name == config["protocol"] else f", trained on {config['protocol']}"
    retrieval = findings.retrieval
    tiles: list[tuple[str, str, str]] = []
    if retrieval is not None:
        interval = retrieval.interval()
        tiles = [(title(findings), number(retrieval.mAP), f"{number(interval.low)} … {number(interval.high)} (95 %)")]
    tiles += [
        ("bits", str(config["bits"]), f"{len(np.unique(findings.codes.words, axis=0)):,} different codes"),
        ("queries", count(len(findings.queries.ids)), f"{count(len(findings.protocol.query))} in the protocol"),
        ("database", count(len(findings.database.ids)), f"{count(len(findings.protocol.database))} in the protocol"),
    ]
    return tag(
        "header",
        tag("p", "bitseek report", class_="kicker"),
        tag("h1", f"{config['bits']}-bit codes by {config['method']} on {name}"),
        tag("p", f"{card.idea[0].upper()}{card.idea[1:]}. {card.authors}, ", tag("cite", card.title),
            f", {card.year}. Backbone {backbone['name']} at {backbone['transform']['size']} px",
            f"{', frozen' if config['frozen'] else ''}; {count(config['items'])} training items{trained}; "
            f"seed {config['seed']}.", class_="lead"),
        None if config.get("complete") else tag("p", "The training of this run was stopped before its end.",
                                                class_="warning"),
        tag("dl", *(tag("div", tag("dt", what), tag("dd", value, tag("small", more)))
                    for what, value, more in tiles), class_="tiles"),
    )  # fmt: skip


def title(findings: Findings) -> str:
    """mAP, with its number of ranks."""
    at = None if findings.retrieval is None else findings.retrieval.at
    return "mAP@all" if at is None else f"mAP@{count(at)}"


def ranking(findings: Findings) -> Html:
    """The mAP with its bounds and settings, and precision and recall by radius."""
    retrieval, counts = findings.retrieval, findings.counts
    if retrieval is None or counts is None:
        return tag("p", "Nothing in this protocol says which items are relevant to a query, so there is no mAP and no "
                        "precision. What there is: the codes themselves, and queries with what lies nearest to them.",
                   class_="note")  # fmt: skip
    interval = retrieval.interval()
    truth = findings.protocol.ground_truth
    ball = metrics.within_radius(counts.total, counts.relevant, RADIUS)
    means = ball.means()
    rows: list[list[Content]] = [
        [title(findings), tag("b", number(retrieval.mAP)), "in expectation over the order of ties"],
        ["bounds over ties", f"{number(retrieval.mAP_worst)} … {number(retrieval.mAP_best)}", "worst and best order"],
        ["95 % interval", f"{number(interval.low)} … {number(interval.high)}", "over the choice of queries"],
        ["R", "all" if retrieval.at is None else count(retrieval.at), "ranks that count"],
        ["denominator", "trapezoid" if truth is not None and truth.ap == "revisited" else retrieval.denominator,
         "of average precision"],
        ["relevant", "shared label" if truth is None else f"listed, {findings.level}", "to a query"],
        ["without a hit", count(retrieval.queries_without_hit),
         "queries; they " + ("count as 0" if retrieval.no_hit == "zero" else "are left out")],
        ["without relevant items", count(retrieval.queries_without_relevant), "queries; they are among those"],
        ["left out", count(retrieval.excluded), "pairs of a query and itself, or what its lists ignore"],
        *_precisions(counts),
        [f"precision within radius {RADIUS}", number(means["precision"]), f"an empty ball counts as 0: "
         f"{100 * means['empty']:.1f} % of the queries"],
        [f"recall within radius {RADIUS}", number(means["recall"]), ""],
    ]  # fmt: skip
    figures = table(["measure", "value#", "meaning"], rows, class_="measures")
    return tag("div", figures, tag("div", *_curves(counts), class_="stack"), class_="beside")


def _precisions(counts: metrics.Histograms) -> list[list[Content]]:
    ranks = [n for n in PRECISION_AT if n <= counts.database]
    values = [float(metrics.precision_at(counts.total, counts.relevant, n).mean()) for n in ranks]
    return [[f"precision@{count(n)}", number(value), ""] for n, value in zip(ranks, values, strict=True)]


def _curves(counts: metrics.Histograms) -> list[Html]:
    curve = metrics.precision_recall(counts.total, counts.relevant)
    precision, recall = (_present(values) for values in (curve.precision, curve.recall))
    radius = curve.radius.astype(np.float64).tolist()
    told = [f"radius {r:.0f}, recall {number(x)}" for r, x in zip(radius, recall, strict=True)]
    pairs = [(r, p) if r is not None else (0.0, None) for r, p in zip(recall, precision, strict=True)]
    by_recall = line_chart(
        [r for r, _ in pairs],
        {"precision": [p for _, p in pairs]},
        x_name="recall",
        label="Precision by recall, a point for each radius",
        unit=True,
        square=True,
        marks=told,
    )
    by_radius = line_chart(
        radius,
        {"precision": precision, "recall": recall},
        x_name="radius in bits",
        label="Precision and recall within each radius",
        unit=True,
    )
    return [
        figure(by_recall, "Precision and recall, a point for each radius: the mean over the queries."),
        figure(join(by_radius, key(["precision", "recall"])), "The same by radius. An empty ball has precision 0."),
    ]


def _present(values: np.ndarray) -> list[float | None]:
    return [None if math.isnan(value) else value for value in values.tolist()]
