"""Writing down what a benchmark found, with all that it takes to judge it.

from record import record
record("search_scan", {"ratio": 6.5})       # writes benchmarks/results/search_scan.json
"""

import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("bitseek", "numpy", "numba", "llvmlite", "torch", "torchvision", "timm", "scikit-learn", "faiss-cpu")
RESULTS = Path(__file__).parent / "results"


def record(name: str, data: object) -> Path:
    """Write `data` (anything that JSON can hold) with hardware, versions, commit and command; returns the file."""
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{name}.json"
    whole = {
        "benchmark": name,
        "command": " ".join(
            ["python", os.path.relpath(sys.argv[0], Path(__file__).parents[1]), *map(short, sys.argv[1:])]
        ),
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


def short(argument: str) -> str:
    """An argument without the folder that it lies in, which is nobody else's."""
    return Path(argument).name if argument.startswith("/") else argument


def hardware() -> dict[str, object]:
    """Processor, cores that this process may use, and memory."""
    model = platform.processor() or platform.machine()
    memory = None
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError, AttributeError):
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found: dict[str, object] = {"processor": model, "cores": cores, "memory_gib": memory, "system": platform.platform()}
    try:
        from llvmlite import binding

        found["cpu"] = binding.get_host_cpu_name()
    except ImportError:
        pass
    return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, where installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout, with "+" if files differ from it; "unknown" outside a checkout."""
    here = Path(__file__).parent
    try:
        run = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=here, capture_output=True, text=True)
        if run.returncode:
            return "unknown"
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True)
        return run.stdout.strip() + ("+" if dirty.stdout.strip() else "")
    except OSError:
        return "unknown"
