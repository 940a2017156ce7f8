"""Data sets and their splits, under names: `load_protocol("cifar10-1")`."""

from bitseek.data._pool import Pool
from bitseek.data._protocol import ROLES as ROLES
from bitseek.data._protocol import Protocol, RelevanceLists
from bitseek.data._protocol import load_split as load_split
from bitseek.data._registry import OWN_PROTOCOLS as OWN_PROTOCOLS
from bitseek.data._registry import PROTOCOLS, load_protocol
from bitseek.data._registry import Origin as Origin
from bitseek.data._sources import data_root as data_root
from bitseek.data._spec import ProtocolSpec as ProtocolSpec
from bitseek.data.features import save_features
from bitseek.data.folder import describe_folder as describe_folder

__all__ = ["PROTOCOLS", "Pool", "Protocol", "RelevanceLists", "load_protocol", "save_features"]
