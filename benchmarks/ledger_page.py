"""The page and the plots of the frozen ledger, from its JSON files: docs/ledger.md and docs/ledger_DATA.svg.

    python benchmarks/ledger_page.py

What stands in docs/ledger.md outside of markers is written by hand and stays.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bitseek.methods import HEAD_RECIPE, METHODS
from bitseek.training._search import FRONT, without_front

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "ledger.md"
DATA = ("cifar10-1", "cifar100", "mnist")
SETTINGS = RESULTS / "frozen_ledger_settings.json"
"""An earlier run on `cifar10-1`, of which the two tables of single settings are kept."""
BITS = (16, 32, 64)
LONGEST = 64
LINES = 10
"""Most methods in a panel of a plot."""


def page() -> None:
    """Write all."""
    files = {name: RESULTS / f"frozen_ledger_{name}.json" for name in DATA}
    ledgers = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()}
    results = {name: whole["results"] for name, whole in ledgers.items()}
    lines = [line for whole in ledgers.values() for line in main_table(whole)]
    lines += [*together(results), *defaults(results), *recipes(results)]
    first = next(iter(results.values()))
    lines += why(first)
    if SETTINGS.is_file():
        settings = json.loads(SETTINGS.read_text(encoding="utf-8"))
        lines += [*ablations(settings), *orthohash(settings["results"])]
    between("ledger_page.py", lines)
    for name, found in results.items():
        plot(found, plot_file(name))


def between(script: str, lines: list[str]) -> None:
    """Put lines into the page, where a script has its own between two markers.

    Raises:
        ValueError: the page has no such place.
    """
    begin, end = f"<!-- begin: written by benchmarks/{script} -->", f"<!-- end: benchmarks/{script} -->"
    text = PAGE.read_text(encoding="utf-8")
    first, last = text.index(begin) + len(begin), text.index(end)
    PAGE.write_text(text[:first] + "\n\n" + "\n".join(lines) + "\n" + text[last:], encoding="utf-8")


def plot_file(name: str) -> Path:
    return PAGE.with_name(f"ledger_{name}.svg")


def by_method(results: dict[str, Any]) -> dict[str, dict[int, dict[str, Any]]]:
    """Rows by method and bits, the best method at the longest codes first; those without such codes last."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in results["rows"]:
        found.setdefault(row["method"], {})[row["bits"]] = row
    return dict(sorted(found.items(), key=lambda item: -item[1].get(LONGEST, {"mean": 0})["mean"]))


def main_table(whole: dict[str, Any]) -> Iterator[str]:
    results = whole["results"]
    first = (results.get("before") or [whole])[0]
    rows, protocol = by_method(results), results["protocol"]
    single = results["class_codes"]
    yield f"## `{protocol['name']}`"
    yield ""
    yield f"{protocol['train']:,} training items, {protocol['query']:,} queries, {protocol['database']:,} items in the"
    yield f"database (split {protocol['checksum'][:12]}), {results['features']:,} features an image; mAP@all in"
    yield "expectation over ties: mean over three seeds ± half the distance between the lowest and the highest of them."
    yield ""
    yield f"| places at {LONGEST} bits | method | labels | {' | '.join(f'{b} bits' for b in BITS)} | s to train |"
    yield f"|---:|---|---|{'---:|' * (len(BITS) + 1)}"
    for method, cells in rows.items():
        values = " | ".join(value(cells[bits]) if bits in cells else "" for bits in BITS)
        seconds = f"{cells[LONGEST]['seconds']:.1f}" if LONGEST in cells else ""
        yield f"| {places(cells.get(LONGEST))} | `{method}` | {labels_of(method)} | {values} | {seconds} |"
    yield ""
    yield f"![mAP by bits, a line a method, the seeds as a band]({plot_file(protocol['name']).name})"
    yield ""
    yield from missing(results, rows)
    yield "For comparison: logistic regression on the features, each item coded by its predicted class alone"
    yield f"({protocol['classes']} codes in all): mAP {single['mAP']:.3f}, with {single['accuracy_queries']:.1%} of the"
    yield f"queries and {single['accuracy_database']:.1%} of the database classified rightly."
    yield ""
    yield f"{first['hardware']['processor']}, one thread a trial; the seconds are of the processor, at {LONGEST} bits."
    yield f"All {results['trials']:,} trials took {results['seconds'] / 60:.0f} minutes of it, the choice of recipes"
    yield f"included. Commit {first['commit']}, {first['date'][:10]}."
    if added := results.get("added"):
        yield ""
        yield "Measured later, without places, which need the queries of all methods; the seconds are those of"
        yield f"{whole['hardware']['processor']} ({whole['hardware']['cpu']}):"
        for date in sorted(set(added.values())):
            yield f"{', '.join(f'`{method}`' for method, day in added.items() if day == date)} ({date})."
    yield ""


def places(row: dict[str, Any] | None) -> str:
    """The first and the last place that a method can have, if it was placed."""
    if row is None or "rank" not in row:
        return ""
    first, last = row["rank"]
    return f"{first}" if first == last else f"{first} – {last}"


def missing(results: dict[str, Any], rows: dict[str, Any]) -> Iterator[str]:
    """What has no figure, and why."""
    failed = {m: c["tried"][0]["failed"] for m, c in results["chosen"].items() if not c["validation_mAP"]}
    for method, reason in failed.items():
        yield f"`{method}` has no figure here: {reason}."
    for bits in BITS:
        left = [method for method in METHODS if method not in failed and bits not in rows.get(method, {})]
        if not any(bits in cells for cells in rows.values()):
            yield f"Nothing was run at {bits} bits yet."
        elif left:
            yield f"Not run at {bits} bits (the time was up): {', '.join(f'`{method}`' for method in left)}."
    yield ""


def value(row: dict[str, Any]) -> str:
    return f"{row['mean']:.3f} ± {row['spread'] / 2:.3f}"


def labels_of(method: str) -> str:
    return "no" if METHODS[method].card.labels == "none" else "yes"


def together(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The methods by their mean distance to the best of a data set."""
    rows = {name: by_method(found) for name, found in results.items()}
    best = {name: max(cells[LONGEST]["mean"] for cells in rows[name].values() if LONGEST in cells) for name in rows}
    behind = {
        method: [
            cells[LONGEST]["mean"] - best[name] for name in rows if LONGEST in (cells := rows[name].get(method, {}))
        ]
        for method in METHODS
    }
    whole = {method: sum(found) / len(found) for method, found in behind.items() if len(found) == len(rows)}
    yield f"## All data sets together, {LONGEST} bits"
    yield ""
    yield "mAP less that of the best method of the data set, and the places; sorted by the mean."
    yield ""
    yield f"| method | labels | {' | '.join(rows)} | mean |"
    yield f"|---|---|{'---:|' * (len(rows) + 1)}"
    for method in sorted(whole, key=lambda method: -whole[method]):
        cells = [
            f"{gap:+.3f} ({place})" if (place := places(rows[name][method][LONGEST])) else f"{gap:+.3f}"
            for name, gap in zip(rows, behind[method], strict=True)
        ]
        yield f"| `{method}` | {labels_of(method)} | {' | '.join(cells)} | {whole[method]:+.3f} |"
    yield ""


def defaults(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What the chosen recipes are worth on the queries against those that heads have by default."""
    yield f"## Chosen recipes against the defaults of heads, {LONGEST} bits"
    yield ""
    yield "mAP on the queries of the chosen recipe, less that of the default one, three seeds each; empty where the"
    yield "default was chosen or its queries were not measured."
    yield ""
    gains: dict[str, dict[str, float]] = {}
    for name, found in results.items():
        chosen = {row["method"]: row["mean"] for row in found["rows"] if row["bits"] == LONGEST}
        for row in found["defaults"]:
            if found["chosen"][row["method"]]["change"] and row["method"] in chosen:
                gains.setdefault(row["method"], {})[name] = chosen[row["method"]] - row["mean"]
    yield f"| method | {' | '.join(results)} |"
    yield f"|---|{'---:|' * len(results)}"
    for method in METHODS:
        if method in gains:
            cells = [f"{gains[method][name]:+.3f}" if name in gains[method] else "" for name in results]
            yield f"| `{method}` | {' | '.join(cells)} |"
    yield ""


def recipes(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    first = next(iter(results.values()))
    yield "## The recipes"
    yield ""
    yield f"The head of every method has by default {words(HEAD_RECIPE)}; and what the second column adds. What was"
    yield f"changed for a data set gained more than {first['validation']['gain']} on {first['validation']['items']:,}"
    yield "held-out training items (mAP there before → after; one seed). All trials stand in the JSON files. A hidden"
    yield f"layer is {words(FRONT)}."
    yield ""
    yield f"| method | defaults of its head | {' | '.join(results)} |"
    yield f"|---|---|{'---|' * len(results)}"
    for method, cls in METHODS.items():
        if not cls.by_gradient:
            continue
        cells = [taken(found["chosen"].get(method)) for found in results.values()]
        yield f"| `{method}` | {words(dict(cls.head_recipe))} | {' | '.join(cells)} |"
    yield ""


def taken(choice: dict[str, Any] | None) -> str:
    """What was changed, and what that gained."""
    if choice is None or not choice["validation_mAP"]:
        return "not run"
    before, after = choice["tried"][0]["mAP"], choice["validation_mAP"]
    change = choice["change"]
    if not change:
        return f"({before:.3f})"
    front = "hidden layer" if change.items() >= FRONT.items() else ""
    others = words(without_front(change) if front else change)
    return f"**{', '.join(filter(None, (front, others)))}** ({before:.3f} → {after:.3f})"


def words(settings: Any) -> str:
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
    rows = {method: cells[LONGEST] for method, cells in by_method(results).items() if LONGEST in cells}
    yield f"## What the codes look like, `{results['protocol']['name']}`, {LONGEST} bits"
    yield ""
    yield "Mean over the seeds, on the database. Distances in bits; quantisation error: 1 − cos(logits, signs);"
    yield "imbalance: mean |share of ones − ½|; correlation: mean |correlation| of two bits."
    yield ""
    yield f"| method | mAP | {' | '.join(DIAGNOSTICS.values())} |"
    yield f"|---|{'---:|' * (len(DIAGNOSTICS) + 1)}"
    for method, row in rows.items():
        found = row["diagnostics"]
        numbers = [f"{found[name]:.2f}" if name in found else "" for name in DIAGNOSTICS]
        yield f"| `{method}` | {row['mean']:.3f} | {' | '.join(numbers)} |"
    yield ""


def ablations(whole: dict[str, Any]) -> Iterator[str]:
    results = whole["results"]
    base = {row["method"]: row for row in results["rows"] if row["bits"] == LONGEST}
    yield "## One setting away, in an earlier run"
    yield ""
    yield f"`cifar10-1`, {LONGEST} bits, 3 seeds, on the queries; nothing was chosen by these. They are kept from the"
    yield f"run of {whole['date'][:10]} (commit {whole['commit']}), whose recipes were chosen by another rule: compare"
    yield "them with the column beside them, not with the tables above. `weights 1` is HashNet's recipe once more: the"
    yield "option is called `pair_weights`, and this one never reached the method."
    yield ""
    yield "| method | change | with it | recipe of that run | difference |"
    yield "|---|---|---:|---:|---:|"
    for row in results["ablations"]:
        method, chosen = row["method"], base[row["method"]]
        difference = f"{row['mean'] - chosen['mean']:+.3f}"
        yield f"| `{method}` | {words(row['changed'])} | {value(row)} | {value(chosen)} | {difference} |"
    yield ""


def orthohash(results: dict[str, Any]) -> Iterator[str]:
    yield "## OrthoHash: margin, scale, codebook, in that run"
    yield ""
    yield "64 bits, lr 0.001, 30 epochs, 3 seeds; one setting at a time away from margin 0.2, scale 8 (which is √64)"
    yield "and bernoulli. No recipe was chosen by these: they are measured on the queries."
    yield ""
    yield "| setting | value | cos | arc |"
    yield "|---|---|---:|---:|"
    kinds = {kind: [r for r in results["orthohash"] if r["margin_type"] == kind] for kind in ("cos", "arc")}
    for cos, arc in zip(kinds["cos"], kinds["arc"], strict=True):
        yield f"| {cos['setting']} | {cos['value']} | {value(cos)} | {value(arc)} |"
    yield ""


def plot(results: dict[str, Any], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "bitseek"
    from matplotlib import pyplot as plt

    rows = by_method(results)
    supervised = [method for method in rows if labels_of(method) == "yes"]
    groups = {
        "with labels, the best": supervised[:LINES],
        "with labels, the others": supervised[LINES:],
        "without labels": [method for method in rows if method not in supervised],
    }
    groups = {title: methods for title, methods in groups.items() if methods}
    figure, panels = plt.subplots(1, len(groups), figsize=(17, 7), layout="constrained", squeeze=False)
    for panel, (title, methods) in zip(panels[0], groups.items(), strict=True):
        for number, method in enumerate(methods):
            cells = [rows[method][bits] for bits in sorted(rows[method])]
            bits = [cell["bits"] for cell in cells]
            colour, style = f"C{number % 10}", ("-", "--", ":", "-.")[number // 10 % 4]
            label = f"{method} {cells[-1]['mean']:.3f}"
            panel.plot(bits, [cell["mean"] for cell in cells], style, marker="o", ms=4, color=colour, label=label)
            low, high = [min(cell["mAP"]) for cell in cells], [max(cell["mAP"]) for cell in cells]
            panel.fill_between(bits, low, high, color=colour, alpha=0.2, linewidth=0)
        panel.set(title=title, xlabel="bits", ylabel="mAP@all", xscale="log", xticks=BITS, xticklabels=BITS)
        panel.minorticks_off()
        panel.grid(alpha=0.3)
        panel.legend(title="mAP at the longest codes", fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    name = results["protocol"]["name"]
    figure.suptitle(f"{name} on frozen features: mean of the seeds, and their range as a band")
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    page()
