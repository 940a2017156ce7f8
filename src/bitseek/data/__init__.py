"""Data sets and their splits, under names: `protocol("cifar10-1")`."""

from bitseek.data.features import save_features
from bitseek.data.pool import Features, Images, Paths, Pixels, Pool
from bitseek.data.protocol import GroundTruth, Protocol, load_split
from bitseek.data.registry import OWN_PROTOCOLS, PROTOCOLS, protocol
from bitseek.data.sources import data_root
from bitseek.data.spec import ProtocolSpec

__all__ = [
    "OWN_PROTOCOLS",
    "PROTOCOLS",
    "Features",
    "GroundTruth",
    "Images",
    "Paths",
    "Pixels",
    "Pool",
    "Protocol",
    "ProtocolSpec",
    "data_root",
    "load_split",
    "protocol",
    "save_features",
]
