"""Where a result was made: commit, hardware and versions."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bitseek

_PACKAGES = ("bitseek", "numpy", "numba", "llvmlite", "torch", "torchvision", "timm", "scikit-learn", "faiss-cpu")


def commit() -> str:
    """The commit of the checkout that bitseek runs from, with `+` if files differ from it; else its version."""
    checkout = Path(bitseek.__file__).resolve().parents[2]
    unknown = f"bitseek {bitseek.__version__}"
    if not (checkout / ".git").exists():
        return unknown
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True)
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except OSError:
        return unknown
    return unknown if head.returncode else head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def hardware() -> dict[str, Any]:
    """Processor, cores that this process may use, memory, and the name that compilers have for the processor."""
    model = platform.processor() or platform.machine()
    memory = None
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
        memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError, AttributeError):
        pass  # not Linux
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"processor": model, "cores": cores, "memory_gib": memory, "system": platform.platform()}
    try:
        from llvmlite import binding

        return found | {"cpu": binding.get_host_cpu_name()}
    except ImportError:
        return found


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that matter, where installed."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
