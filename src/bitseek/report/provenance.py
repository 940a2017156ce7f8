"""How the run and the page were made, so that both can be made again; and what could not be read."""

from typing import Any

from bitseek import __version__
from bitseek.report.findings import Findings
from bitseek.report.html import Content, Html, count, join, table, tag

MOST_MESSAGES = 20


def provenance(findings: Findings) -> Html:
    """Recipe, split, versions, fingerprint, unreadable images."""
    config, data = findings.config, findings.protocol
    same = data.name != config["protocol"] or data.checksum == config["checksum"]
    rows: list[list[Content]] = [
        ["recipe", ", ".join(f"{name} {value}" for name, value in config["recipe"].items())],
        ["split", join(f"{data.name}, checksum ", tag("code", data.checksum[:16]))],
        ["trained on", join(f"{config['protocol']}, checksum ", tag("code", config["checksum"][:16]))],
        ["protocol options", _pairs(config["protocol_options"])],
        ["backbone", f"{config['backbone']['name']} {_pairs(config['backbone']['options'])}; "
                     f"transform {_pairs(config['backbone']['transform'])}"],
        ["versions and hardware", _pairs(config["environment"])],
        ["precision", "bfloat16 autocast in training" if config["bf16"] else "float32"],
        ["fingerprint", tag("code", findings.fingerprint)],
        ["page made by", f"bitseek {__version__}"],
    ]  # fmt: skip
    return join(
        None if same else tag("p", "The data are not those that the run was trained on: the checksum differs.",
                              class_="warning"),
        table(["", ""], rows, class_="facts"),
        _unreadable(list(findings.unreadable.values())),
    )  # fmt: skip


def _unreadable(messages: list[str]) -> Html | None:
    if not messages:
        return None
    more = len(messages) - MOST_MESSAGES
    items = [tag("li", message) for message in messages[:MOST_MESSAGES]]
    return tag(
        "details",
        tag("summary", f"{count(len(messages))} images could not be read and were left out"),
        tag("ul", *items, tag("li", f"and {count(more)} more") if more > 0 else None),
        class_="warning",
    )


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"
