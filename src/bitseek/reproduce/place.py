"""Where a result was made: commit and hardware."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import bitseek


def commit() -> str:
    """The commit of the checkout that bitseek runs from, with `+` if files differ from it; else its version."""
    checkout = Path(bitseek.__file__).resolve().parents[2]
    version = f"bitseek {bitseek.__version__}"
    if not (checkout / ".git").exists():
        return version
    try:
        head, changed = (
            subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True)
            for words in (("rev-parse", "--short=12", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except OSError:
        return version
    if head.returncode:
        return version
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")


def hardware(device: str) -> dict[str, Any]:
    """Device, processor and cores; versions of what computes."""
    from bitseek.run import environment
    from bitseek.training import pick_device

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {**environment(pick_device(device)), "cores": cores, "system": platform.platform()}
