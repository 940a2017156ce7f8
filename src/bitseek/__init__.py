"""bitseek: images to compact binary codes, and similar images by Hamming distance.

Names are imported when they are first used, so that `import bitseek` is quick and needs no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bitseek.errors import MissingExtra

if TYPE_CHECKING:
    from bitseek.codes import Codes as Codes
    from bitseek.collection import Collection as Collection
    from bitseek.data import load_protocol as load_protocol
    from bitseek.errors import BitseekError as BitseekError
    from bitseek.evaluation import evaluate as evaluate
    from bitseek.index import HammingIndex as HammingIndex
    from bitseek.portable import load as load
    from bitseek.runs import Hasher as Hasher
    from bitseek.training import train as train

__version__ = "0.1.0"

_HOME = {
    "BitseekError": "errors",
    "Codes": "codes",
    "Collection": "collection",
    "HammingIndex": "index",
    "Hasher": "runs",
    "evaluate": "evaluation",
    "load": "portable",
    "load_protocol": "data",
    "train": "training",
}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bitseek' has no attribute {name!r}")
    try:
        return getattr(import_module(f"bitseek.{_HOME[name]}"), name)
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error


def __dir__() -> list[str]:
    return sorted(__all__)
