"""The model card of a run: what it is, how it was made, what it reached, how to use it."""

from collections.abc import Mapping
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
        f"- bits: {config.bits}",
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
                f"| {level['figure']} | {_number(level['mAP'])} "
                f"| {_number(level['mAP_worst'])} … {_number(level['mAP_best'])} "
                f"| {level['queries']} | {level['database']} |"
                for level in report["levels"].values()
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


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"
