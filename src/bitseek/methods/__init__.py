"""Methods: how a hasher is trained. One file each; `METHODS` lists them by name."""

from collections.abc import Mapping

from bitseek.errors import BitseekError
from bitseek.methods._base import Batch, Card, Method, Task, make_recipe
from bitseek.methods._recipe import Recipe
from bitseek.methods.bihalf import BiHalf, BiHalfUnsupervised
from bitseek.methods.ce import CrossEntropy
from bitseek.methods.cibhash import CIBHash
from bitseek.methods.csq import CSQ
from bitseek.methods.dch import DCH
from bitseek.methods.dhn import DHN
from bitseek.methods.dnnh import DNNH, DNNHResNet
from bitseek.methods.dpn import DPN
from bitseek.methods.dpsh import DPSH
from bitseek.methods.dsh import DSH
from bitseek.methods.dtsh import DTSH
from bitseek.methods.greedyhash import GreedyHash, GreedyHashUnsupervised
from bitseek.methods.hashnet import HashNet
from bitseek.methods.itq import ITQ
from bitseek.methods.jmlh import JMLH
from bitseek.methods.lsh import LSH
from bitseek.methods.orthohash import OrthoHash
from bitseek.methods.pcah import PCAHash
from bitseek.methods.relahash import RelaHash
from bitseek.methods.sdhc import SDHC
from bitseek.methods.spectral import SpectralHashing

__all__ = ["METHODS", "Batch", "Card", "Method", "Recipe", "Task", "make_recipe", "method_class"]

METHODS: Mapping[str, type[Method]] = {
    "orthohash": OrthoHash,
    "relahash": RelaHash,
    "dpn": DPN,
    "ce": CrossEntropy,
    "dsh": DSH,
    "dnnh": DNNH,
    "dnnh-resnet": DNNHResNet,
    "hashnet": HashNet,
    "dpsh": DPSH,
    "dhn": DHN,
    "dtsh": DTSH,
    "dch": DCH,
    "greedyhash": GreedyHash,
    "greedyhash-unsupervised": GreedyHashUnsupervised,
    "csq": CSQ,
    "jmlh": JMLH,
    "sdhc": SDHC,
    "bihalf": BiHalf,
    "bihalf-unsupervised": BiHalfUnsupervised,
    "cibhash": CIBHash,
    "lsh": LSH,
    "pcah": PCAHash,
    "itq": ITQ,
    "spectral": SpectralHashing,
}


def method_class(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        BitseekError: there is none.
    """
    if name not in METHODS:
        raise BitseekError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]
