"""Methods: how a hasher is trained. One file each; `METHODS` lists them by name."""

from collections.abc import Mapping

from bitseek.errors import BitseekError
from bitseek.methods._base import Batch, Card, Method, Task, make_recipe
from bitseek.methods._extended import make_method
from bitseek.methods._front import forget_features, make_head
from bitseek.methods._recipe import HEAD_RECIPE as HEAD_RECIPE
from bitseek.methods._recipe import Recipe
from bitseek.methods.angular_dsh import AngularDSH
from bitseek.methods.asymmetric_dsh import AsymmetricDSH
from bitseek.methods.bihalf import BiHalf, BiHalfUnsupervised
from bitseek.methods.ce import CrossEntropy
from bitseek.methods.cibhash import CIBHash
from bitseek.methods.cnnh import CNNH
from bitseek.methods.csq import CSQ
from bitseek.methods.daph import DAPH
from bitseek.methods.dbdh import DBDH
from bitseek.methods.dch import DCH
from bitseek.methods.dfh import DFH
from bitseek.methods.dhd import DHD
from bitseek.methods.dhn import DHN
from bitseek.methods.dnnh import DNNH, DNNHResNet
from bitseek.methods.dpn import DPN
from bitseek.methods.dpsh import DPSH
from bitseek.methods.dsdh import DSDH
from bitseek.methods.dsh import DSH
from bitseek.methods.dshsd import DSHSD
from bitseek.methods.dtsh import DTSH
from bitseek.methods.greedyhash import GreedyHash, GreedyHashUnsupervised
from bitseek.methods.hashnet import HashNet
from bitseek.methods.hyp2 import HyP2
from bitseek.methods.idhn import IDHN
from bitseek.methods.imh import IMH
from bitseek.methods.isdh import ISDH
from bitseek.methods.itq import ITQ
from bitseek.methods.jmlh import JMLH
from bitseek.methods.lcdsh import LCDSH
from bitseek.methods.lsh import LSH
from bitseek.methods.mds import MDS
from bitseek.methods.mihash import MIHash
from bitseek.methods.neighbour_contrast import NeighbourContrast
from bitseek.methods.orthohash import OrthoHash
from bitseek.methods.pcah import PCAHash
from bitseek.methods.pcdh import PCDH
from bitseek.methods.qsmih import QSMIH
from bitseek.methods.relahash import RelaHash
from bitseek.methods.sdh import SDH
from bitseek.methods.sdhc import SDHC
from bitseek.methods.shc import SHC
from bitseek.methods.spectral import SpectralHashing
from bitseek.methods.ssdh import SSDH
from bitseek.methods.ssdh_unsupervised import SSDHUnsupervised
from bitseek.methods.tbh import TBH

__all__ = [
    "METHODS",
    "Batch",
    "Card",
    "Method",
    "Recipe",
    "Task",
    "forget_features",
    "make_head",
    "make_method",
    "make_recipe",
    "method_class",
]

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
    "dbdh": DBDH,
    "lcdsh": LCDSH,
    "idhn": IDHN,
    "isdh": ISDH,
    "dshsd": DSHSD,
    "qsmih": QSMIH,
    "mihash": MIHash,
    "greedyhash": GreedyHash,
    "greedyhash-unsupervised": GreedyHashUnsupervised,
    "csq": CSQ,
    "jmlh": JMLH,
    "sdhc": SDHC,
    "sdh": SDH,
    "ssdh": SSDH,
    "pcdh": PCDH,
    "angular-dsh": AngularDSH,
    "dsdh": DSDH,
    "dfh": DFH,
    "daph": DAPH,
    "cnnh": CNNH,
    "asymmetric-dsh": AsymmetricDSH,
    "hyp2": HyP2,
    "mds": MDS,
    "shc": SHC,
    "dhd": DHD,
    "bihalf": BiHalf,
    "bihalf-unsupervised": BiHalfUnsupervised,
    "cibhash": CIBHash,
    "neighbour-contrast": NeighbourContrast,
    "ssdh-unsupervised": SSDHUnsupervised,
    "tbh": TBH,
    "lsh": LSH,
    "pcah": PCAHash,
    "itq": ITQ,
    "spectral": SpectralHashing,
    "imh": IMH,
}


def method_class(name: str) -> type[Method]:
    """The method of that name.

    Raises:
        BitseekError: there is none.
    """
    if name not in METHODS:
        raise BitseekError(f"there is no method {name!r}; there are {', '.join(METHODS)}")
    return METHODS[name]
