"""The compiled loops of bitseek: everything that must run at the speed of the machine, and nothing else.

    jit        numba behind one door: the decorator, popcount, the cache of compiled code, whether it is there at all
    threads    Python threads over compiled loops that have let go of the interpreter's lock
    scan       k nearest and all within a radius, by looking at every code
    pruned     the same answers by clusters and the triangle inequality on shells
    cluster    building those clusters
    lookup     real-valued queries against codes, through tables of bytes
    histogram  histograms of distance and relevance, for the metrics

Importing this package imports none of them: numba takes half a second, and most commands never need it. A module is
imported when it is first named, as in `kernels.scan.nearest(...)`.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bitseek.kernels import cluster as cluster
    from bitseek.kernels import histogram as histogram
    from bitseek.kernels import jit as jit
    from bitseek.kernels import lookup as lookup
    from bitseek.kernels import pruned as pruned
    from bitseek.kernels import scan as scan
    from bitseek.kernels import threads as threads

_MODULES = ("cluster", "histogram", "jit", "lookup", "pruned", "scan", "threads")


def __getattr__(name: str) -> ModuleType:
    if name not in _MODULES:
        raise AttributeError(f"module 'bitseek.kernels' has no attribute {name!r}")
    return import_module(f"bitseek.kernels.{name}")


def __dir__() -> list[str]:
    return list(_MODULES)
