"""The command that says what is here, what is missing, and how to get it: doctor."""

import os
import platform
import sys
import time
from importlib import util
from pathlib import Path
from typing import Any

from bitseek import __version__
from bitseek.cli._arguments import Json
from bitseek.cli._console import show_json, show_table
from bitseek.errors import EXTRAS

BASE = ("numpy", "scipy", "numba", "PIL", "pydantic", "filelock", "cyclopts", "rich")
PURPOSE = {
    "train": "train, fit a model to a folder (open), use run folders",
    "onnx": "use a model.onnx: index, search and serve without torch",
    "export": "write a model.onnx, also in int8",
    "serve": "serve and open: the HTTP service and its page",
    "plots": "maps by UMAP, TensorBoard",
    "parquet": "export to and import from Parquet",
    "engines": "search by PostgreSQL and by Ray",
}
"""What each extra is for."""


def doctor(*, json: Json = False) -> None:
    """Say what is installed here, what is missing and how to get it: versions, threads, GPU, kernels, data folders.

    Nothing is downloaded, and nothing is changed but the cache of compiled kernels.

    Example: `bitseek doctor`
    """
    found = {
        "bitseek": {"version": __version__, "from": str(Path(__file__).parents[1])},
        "system": _system(),
        "packages": _versions(BASE),
        "extras": {name: _extra(name, modules) for name, modules in EXTRAS.items()},
        "gpu": _gpu(),
        "kernels": _kernels(),
        "data": _data(),
    }
    if json:
        show_json(found)
        return
    rows: list[dict[str, Any]] = [{"about": "bitseek", "value": f"{__version__} in {found['bitseek']['from']}"}]
    rows += [{"about": name, "value": value} for name, value in found["system"].items()]
    rows.append({"about": "packages", "value": _listed(found["packages"])})
    for name, extra in found["extras"].items():
        state = _listed(extra["packages"]) if extra["complete"] else f"incomplete ({PURPOSE[name]}): {extra['install']}"
        rows.append({"about": f"extra {name}", "value": state})
    rows.append({"about": "GPU", "value": found["gpu"]["text"]})
    rows.append({"about": "kernels", "value": found["kernels"]["text"]})
    rows.append({"about": "data", "value": found["data"]["text"]})
    show_table(rows, prose=True)


def _system() -> dict[str, Any]:
    import sqlite3

    from bitseek.kernels.threads import thread_count

    return {
        "python": f"{platform.python_version()} in {sys.prefix}",
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "threads of a search": thread_count(),
        "sqlite": sqlite3.sqlite_version,
    }


def _versions(modules: tuple[str, ...]) -> dict[str, str | None]:
    """The version of each module's package, without importing it; None where it is absent."""
    from importlib.metadata import packages_distributions, version

    owners = packages_distributions()
    return {
        module: version(owners[module][0]) if module in owners and util.find_spec(module) is not None else None
        for module in modules
    }


def _extra(name: str, modules: tuple[str, ...]) -> dict[str, Any]:
    versions = _versions(modules)
    complete = None not in versions.values()
    return {
        "for": PURPOSE[name],
        "packages": versions,
        "complete": complete,
        "install": None if complete else f"pip install 'bitseek[{name}]'",
    }


def _gpu() -> dict[str, Any]:
    if util.find_spec("torch") is None:
        return {"device": None, "text": "not looked for: torch is not installed"}
    import torch

    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        return {"device": "cuda", "name": name, "text": f"{name}, {memory:.0f} GiB"}
    if torch.backends.mps.is_available():
        return {"device": "mps", "text": "Apple (mps)"}
    return {"device": None, "text": "none that torch can use; networks run on the processor"}


def _kernels() -> dict[str, Any]:
    """Whether the search kernels are compiled, by a search with them."""
    import numpy as np

    from bitseek.kernels import jit, scan

    if not jit.COMPILED:
        return {"compiled": False, "text": "not compiled: numba is absent or disabled; searches are slower"}
    began = time.perf_counter()
    words = np.arange(64, dtype=np.uint64)[:, None]
    scan.nearest(words, words[:1], 1, 64)
    seconds = time.perf_counter() - began
    text = f"compiled by numba {jit.numba.__version__}, ready in {seconds:.1f} s"
    return {"compiled": True, "seconds": round(seconds, 3), "text": text}


def _data() -> dict[str, Any]:
    from bitseek.data import data_root
    from bitseek.images import printable

    root = data_root()
    given = "BITSEEK_DATA" if os.environ.get("BITSEEK_DATA") else None
    folders = sorted(entry.name for entry in root.iterdir() if entry.is_dir()) if root.is_dir() else []
    if not root.is_dir():
        text = f"no folder {printable(root)} yet; downloads go there, or to where BITSEEK_DATA points"
    else:
        text = f"{printable(root)}: {', '.join(map(printable, folders)) or 'empty'}"
    return {"root": str(root), "from": given, "folders": folders, "text": text}


def _listed(versions: dict[str, str | None]) -> str:
    return ", ".join(f"{name} {version or 'missing'}" for name, version in versions.items())
