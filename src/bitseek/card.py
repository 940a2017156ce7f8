"""The model card of a run: what it is, how it was made, what it reached, how to use it."""

import json
from pathlib import Path
from typing import Any

from bitseek.methods import method_class


def model_card(run: Path) -> str:
    """Markdown made from `config.json` and, where there is one, `report.json`."""
    config: dict[str, Any] = json.loads((run / "config.json").read_text())
    card = method_class(config["method"]).card
    backbone = config["backbone"]
    lines = [
        f"# {config['bits']}-bit codes by {config['method']} on {config['protocol']}",
        "",
        f"{card.idea[0].upper()}{card.idea[1:]}. {card.authors}, *{card.title}*, {card.year}.",
        "",
        f"- bits: {config['bits']}",
        f"- backbone: {backbone['name']} at {backbone['transform']['size']} px{', frozen' if config['frozen'] else ''}",
        f"- trained on: {config['items']} images of {config['protocol']} (split checksum {config['checksum'][:16]})",
        f"- seed: {config['seed']}; bitseek {config['environment']['bitseek']}, torch {config['environment']['torch']}",
        f"- fingerprint: {config.get('fingerprint', 'none yet')}",
        "",
        "Recipe: " + ", ".join(f"{name} {value}" for name, value in config["recipe"].items()) + ".",
        "",
    ]
    if not config.get("complete"):
        lines += ["**The training was stopped before its end.** Go on with `bitseek train … --resume`.", ""]
    report = run / "report.json"
    if report.is_file():
        measured = json.loads(report.read_text())
        lines += [
            "| protocol | R | denominator | mAP | bounds over ties | queries | database |",
            "|---|---|---|---|---|---|---|",
            f"| {measured['protocol']['name']} | {measured['at'] or 'all'} | {measured['denominator']} "
            f"| {measured['mAP']:.4f} | {measured['mAP_worst']:.4f} … {measured['mAP_best']:.4f} "
            f"| {measured['queries']} | {measured['database']} |",
            "",
        ]
    lines += [
        "```python",
        "import bitseek",
        f'hasher = bitseek.load("{run.name}")',
        'codes = hasher.encode(["a.jpg", "b.jpg"])',
        "```",
    ]
    return "\n".join(lines) + "\n"
