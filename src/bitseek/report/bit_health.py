"""The bits: whether each is as often 1 as 0, and whether any two say the same thing twice."""

import numpy as np

from bitseek import metrics
from bitseek.report.charts import bar_chart
from bitseek.report.findings import Findings
from bitseek.report.heatmap import heatmap
from bitseek.report.html import Content, Html, figure, join, number, table, tag


def bit_health(findings: Findings) -> Html:
    """Balance and correlation of the bits, with the figures that sum them up."""
    codes = findings.codes
    balance, correlation = metrics.bit_balance(codes), metrics.bit_correlation(codes)
    others = correlation[~np.eye(codes.bits, dtype=bool)]
    dead = int(((balance == 0) | (balance == 1)).sum())
    distances = None if findings.counts is None else metrics.pair_distances(findings.counts)
    error = float(metrics.quantisation_error(findings.database.logits).mean())
    rows: list[list[Content]] = [
        ["imbalance", number(float(np.abs(balance - 0.5).mean())), "mean distance of the share of ones from ½"],
        ["dead bits", str(dead), "the same in all items of the database"],
        ["correlation", number(float(np.abs(others).mean()) if len(others) else 0.0), "mean magnitude over pairs"],
        ["strongest pair", number(float(np.abs(others).max()) if len(others) else 0.0), "1: one of the two is wasted"],
        ["quantisation error", number(error), "1 − cosine of the logits and their signs"],
    ]
    if distances is not None:
        rows += [
            ["distance if relevant", number(distances.intra, 2), "mean over pairs of queries and items, in bits"],
            ["distance if not", number(distances.inter, 2), "the same over all other pairs"],
        ]
    tips = [f"bit {i}: {100 * share:.1f} % ones" for i, share in enumerate(balance)]
    bars = bar_chart(balance.tolist(), x_name="bit", label="Share of ones of each bit", middle=0.5, tips=tips)
    return join(
        tag("div",
            figure(bars, "Share of ones of each bit of the database; at ½ a bit says most."),
            figure(heatmap(np.where(np.eye(codes.bits) > 0, 0.0, correlation), "Correlation of each pair of bits"),
                   "Correlation of each pair of bits: blue for positive, orange for negative, clear for none.",
                   class_="small"),
            class_="grid2"),
        table(["measure", "value#", "meaning"], rows, class_="measures"),
    )  # fmt: skip
