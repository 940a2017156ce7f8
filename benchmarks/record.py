"""Writing down what a benchmark found, with all that it takes to judge it.

from record import record
record("search_scan", {"ratio": 6.5})       # writes benchmarks/results/search_scan.json
"""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bitseek.reproduce import commit, hardware, versions

RESULTS = Path(__file__).parent / "results"


def record(name: str, data: object) -> Path:
    """Write `data` (anything that JSON can hold) with hardware, versions, commit and command; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    script = os.path.relpath(sys.argv[0], Path(__file__).parents[1])
    whole = {
        "benchmark": name,
        "command": " ".join(["python", script, *map(short, sys.argv[1:])]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "hardware": hardware(),
        "versions": versions(),
        "results": data,
    }
    part = target.with_suffix(".part")
    part.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(target)
    print(f"written to {os.path.relpath(target)}")
    return target


def runs_of(whole: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs that a JSON of `record` comes of, the latest last: what later results put beside it keep as `before`."""
    own = {key: whole[key] for key in ("command", "date", "commit", "hardware")}
    return [*whole["results"].get("before", []), own]


def short(argument: str) -> str:
    """An argument without the folder that it lies in, which is nobody else's."""
    return Path(argument).name if argument.startswith("/") else argument
