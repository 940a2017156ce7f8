"""The model card of a run: what it is, how it was made, what it reached, how to use it."""

from collections.abc import Iterator, Mapping
from typing import Any

from bitseek.methods import method_class
from bitseek.runs._config import RunConfig

CARD = "README.md"
MARK = "<!-- written by bitseek after each evaluation; remove this line to keep a text of your own -->"


def model_card(config: RunConfig, report: Mapping[str, Any] | None, name: str) -> str:
    """Markdown.

    Args:
        config: of the run.
        report: JSON of the evaluation on its own split, where there is one.
        name: of the run folder.
    """
    card = method_class(config.method).card
    backbone = config.backbone
    network = f"{backbone.name} at {backbone.preprocess.size} px" if backbone else f"none: {config.features} features"
    lines = [
        MARK,
        f"# {config.title}",
        "",
        f"{card.idea[0].upper()}{card.idea[1:]}. {card.authors}, *{card.title}*, {card.year}.",
        "",
        f"- bits: {_bits(config)}",
        f"- backbone: {network}{', frozen' if config.frozen else ''}",
        f"- trained on: {config.items} items of {config.protocol} (split checksum {config.checksum[:16]})",
        f"- seed: {config.seed}; " + ", ".join(f"{k} {v}" for k, v in config.environment.items()),
        f"- fingerprint: {config.fingerprint or 'none yet'}",
        "",
        "Recipe: " + ", ".join(f"{name} {value}" for name, value in config.recipe.items()) + ".",
        "",
    ]
    if not config.complete:
        lines += ["**The training was stopped before its end.** Go on with `bitseek train … --resume`.", ""]
    if report is not None and report["levels"]:
        lines += [
            "| figure | value | bounds over ties | queries | database |",
            "|---|---|---|---|---|",
            *(
                f"| {first}{level['figure']} | {_number(level['mAP'])} "
                f"| {_number(level['mAP_worst'])} … {_number(level['mAP_best'])} "
                f"| {level['queries']} | {level['database']} |"
                for first, levels in _by_length(report)
                for level in levels.values()
            ),
            "",
        ]
    lines += [
        "```python",
        "import bitseek",
        f"hasher = bitseek.load({name!r})",
        'codes = hasher.encode(["a.jpg", "b.jpg"])',
        "```",
    ]
    return "\n".join(lines) + "\n"


def _bits(config: RunConfig) -> str:
    """The length of the codes, and what else they are."""
    nested = ", ".join(map(str, config.lengths[:-1]))
    whole = f"{config.bits}, the first of {config.prefix_of}" if config.prefix_of else str(config.bits)
    return f"{whole}; the first {nested} are codes in their own right" if nested else whole


def _by_length(report: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The levels of the whole codes, and then of each prefix, with what stands before the name of its figure."""
    yield "", report["levels"]
    for bits, first in report.get("prefixes", {}).items():
        yield f"the first {bits} bits: ", first["levels"]


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
