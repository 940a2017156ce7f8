"""The page and the plot of the frozen ledger, from its JSON: docs/ledger.md and docs/ledger.svg.

    python benchmarks/ledger_page.py

What stands in docs/ledger.md above the first marker and below the last one is written by hand and stays.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "frozen_ledger.json"
PAGE = HERE.parent / "docs" / "ledger.md"
PLOT = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- tables: begin; written by benchmarks/ledger_page.py -->", "<!-- tables: end -->"
BASELINE = "ce"


def page() -> None:
    """Write both."""
    whole = json.loads(RESULTS.read_text(encoding="utf-8"))
    results = whole["results"]
    tables = "\n".join(
        [BEGIN, "", *main_table(whole), *recipes(results), *why(results), *ablations(results), *orthohash(results), END]
    )
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else f"# The frozen ledger\n\n{BEGIN}\n{END}\n"
    before, after = text.partition(BEGIN)[0], text.partition(END)[2]
    PAGE.write_text(before + tables + after, encoding="utf-8")
    plot(results)


def by_method(results: dict[str, Any]) -> dict[str, dict[int, dict[str, Any]]]:
    """Rows by method and bits, the best method at the longest codes first."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in results["rows"]:
        found.setdefault(row["method"], {})[row["bits"]] = row
    longest = max(row["bits"] for row in results["rows"])
    return dict(sorted(found.items(), key=lambda item: -item[1][longest]["mean"]))


def main_table(whole: dict[str, Any]) -> Iterator[str]:
    results = whole["results"]
    rows, protocol = by_method(results), results["protocol"]
    bits = sorted({row["bits"] for row in results["rows"]})
    baseline = rows[BASELINE][bits[-1]]["mean"]
    hardware = whole["hardware"]
    yield f"mAP@all in expectation over ties, on `{protocol['name']}` (split {protocol['checksum'][:12]}): mean over"
    yield "the seeds ± half the distance between the lowest and the highest of them."
    yield ""
    yield f"| | method | labels | {' | '.join(f'{b} bits' for b in bits)} | over CE at {bits[-1]} | s to train |"
    yield f"|---:|---|---|{'---:|' * (len(bits) + 2)}"
    for place, (method, cells) in enumerate(rows.items(), 1):
        values = " | ".join(value(cells[b]) for b in bits)
        over, last = cells[bits[-1]]["mean"] - baseline, cells[bits[-1]]
        difference = "" if method == BASELINE else f"{over:+.3f}"
        yield f"| {place} | `{method}` | {labels_of(method)} | {values} | {difference} | {last['seconds']:.1f} |"
    yield ""
    yield f"![mAP by bits, a line a method, the seeds as a band]({PLOT.name})"
    yield ""
    yield f"{hardware['processor']}, one thread a trial. The wall times of all {results['trials']} trials in the cache"
    yield f"add up to {results['seconds'] / 60:.0f} minutes, the"
    yield f"choice of the recipes included. Commit {whole['commit']}, {whole['date'][:10]}."
    yield ""


def value(row: dict[str, Any]) -> str:
    if len(row["mAP"]) == 1:
        return f"{row['mean']:.3f}"
    return f"{row['mean']:.3f} ± {row['spread'] / 2:.3f}"


def labels_of(method: str) -> str:
    from bitseek.methods import METHODS

    return "no" if METHODS[method].card.labels == "none" else "yes"


def recipes(results: dict[str, Any]) -> Iterator[str]:
    common, validation = results["common"], results["validation"]
    yield "## The recipes"
    yield ""
    yield f"Common to all: {words(common)}. The rest was chosen on {validation['items']} held-out training items; the"
    yield "number after an option is its mAP there, at 64 bits with one seed. What is in **bold** was taken; more than"
    yield f"the learning rate only where it gained more than {validation['gain']}."
    yield ""
    yield "| method | taken | on validation | learning rates, 30 epochs | also tried at the best of them |"
    yield "|---|---|---:|---|---|"
    for method, choice in results["chosen"].items():
        tried = choice["tried"]
        base = next((t["recipe"] for t in tried if t["recipe"]), {})
        fixed, rates, others = ("lr", "epochs"), [], []
        for trial in tried:
            changed = {n: v for n, v in trial["recipe"].items() if base.get(n) != v and n != "lr"}
            reached = f"{trial['validation_mAP']:.3f}"
            if changed:
                others.append(f"{words(changed)}: {reached}")
            elif base:
                rates.append(f"{trial['recipe']['lr']:g}: {reached}")
        own = {n: v for n, v in choice["recipe"].items() if n in fixed or common.get(n) != v}
        taken = f"**{words(own)}**" if own else "nothing to choose"
        yield f"| `{method}` | {taken} | {choice['validation_mAP']:.3f} | {', '.join(rates)} | {'; '.join(others)} |"
    yield ""


def words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {setting:g}" if isinstance(setting, float) else f"{name} {setting}"
                     for name, setting in settings.items())  # fmt: skip


DIAGNOSTICS = {
    "separability": "inter − intra, bits",
    "intra_class_distance": "intra",
    "inter_class_distance": "inter",
    "quantisation_error": "quantisation error",
    "bit_imbalance": "imbalance",
    "bit_correlation": "correlation",
    "codeword_accuracy": "codeword accuracy",
}


def why(results: dict[str, Any]) -> Iterator[str]:
    rows = by_method(results)
    longest = max(next(iter(rows.values())))
    yield f"## What the codes look like, {longest} bits"
    yield ""
    yield "Mean over the seeds, on the database. Distances in bits; quantisation error: 1 − cos(logits, signs);"
    yield "imbalance: mean |share of ones − ½|; correlation: mean |correlation| of two bits."
    yield ""
    yield f"| method | mAP | {' | '.join(DIAGNOSTICS.values())} |"
    yield f"|---|{'---:|' * (len(DIAGNOSTICS) + 1)}"
    for method, cells in rows.items():
        found = cells[longest]["diagnostics"]
        numbers = [f"{found[name]:.2f}" if name in found else "" for name in DIAGNOSTICS]
        yield f"| `{method}` | {cells[longest]['mean']:.3f} | {' | '.join(numbers)} |"
    yield ""


def ablations(results: dict[str, Any]) -> Iterator[str]:
    rows, single = by_method(results), results["class_codes"]
    longest = max(next(iter(rows.values())))
    yield "## One setting away from the chosen recipe"
    yield ""
    yield f"{longest} bits, 3 seeds, on the queries; nothing was chosen by these."
    yield ""
    yield "| method | change | with it | chosen recipe | difference |"
    yield "|---|---|---:|---:|---:|"
    for row in results["ablations"]:
        base = rows[row["method"]][longest]
        difference = f"{row['mean'] - base['mean']:+.3f}"
        yield f"| `{row['method']}` | {words(row['changed'])} | {value(row)} | {value(base)} | {difference} |"
    yield ""
    yield "For comparison: logistic regression on the features, each item coded by its predicted class alone (10 codes"
    yield f"in all): mAP {single['mAP']:.3f}, with {single['accuracy_queries']:.1%} of the queries and"
    yield f"{single['accuracy_database']:.1%} of the database classified rightly."
    yield ""


def orthohash(results: dict[str, Any]) -> Iterator[str]:
    yield "## OrthoHash: margin, scale, codebook"
    yield ""
    yield "64 bits, lr 0.001, 30 epochs, 3 seeds; one setting at a time away from margin 0.2, scale 8 (which is √64)"
    yield "and bernoulli. No recipe of the first table was chosen by these: they are measured on the queries."
    yield ""
    yield "| setting | value | cos | arc |"
    yield "|---|---|---:|---:|"
    kinds = {kind: [r for r in results["orthohash"] if r["margin_type"] == kind] for kind in ("cos", "arc")}
    for cos, arc in zip(kinds["cos"], kinds["arc"], strict=True):
        yield f"| {cos['setting']} | {cos['value']} | {value(cos)} | {value(arc)} |"
    yield ""


def plot(results: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bitseek"
    from matplotlib import pyplot as plt

    rows = by_method(results)
    supervised = [method for method in rows if labels_of(method) == "yes"]
    groups = {"with labels": supervised, "without labels": [method for method in rows if method not in supervised]}
    figure, panels = plt.subplots(1, 2, figsize=(13, 7), width_ratios=(3, 2), layout="constrained")
    for panel, (title, methods) in zip(panels, groups.items(), strict=True):
        for number, method in enumerate(methods):
            cells = [rows[method][bits] for bits in sorted(rows[method])]
            bits = [cell["bits"] for cell in cells]
            colour, style = f"C{number % 10}", ("-", "--", ":")[number // 10]
            label = f"{method} {cells[-1]['mean']:.3f}"
            panel.plot(bits, [cell["mean"] for cell in cells], style, marker="o", ms=4, color=colour, label=label)
            low, high = [min(cell["mAP"]) for cell in cells], [max(cell["mAP"]) for cell in cells]
            panel.fill_between(bits, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.set(title=title, xlabel="bits", ylabel="mAP@all", xscale="log", xticks=bits, xticklabels=bits)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.legend(title="mAP at the longest codes", fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    name = results["protocol"]["name"]
    figure.suptitle(f"{name} on frozen features: mean of the seeds, and their range as a band")
    figure.savefig(PLOT, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    page()
