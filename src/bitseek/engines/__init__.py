"""Codes past one process: search on engines that exist, and encoding in shards.

connect          the engine at an address: ray://…, postgresql://…, or a folder of shards
Engine           what every engine can do: what `HammingIndex` does, with the same answers
open_collection  a collection in a folder or at an address

    _engine, _address                what every engine can do; which module has it
    _sharded, _merge                 parts that are searched as one
    _slice, _shards, _encode         how a list of files is cut, a folder of shards, writing one
    _cluster, _ray, _ray_encode      Ray: joining it and actors that follow on each other; searching; encoding
    _postgres…                       PostgreSQL with pgvector
"""

from bitseek.engines._address import collection_exists as collection_exists
from bitseek.engines._address import connect, open_collection
from bitseek.engines._address import create_collection as create_collection
from bitseek.engines._address import is_address as is_address
from bitseek.engines._address import without_password as without_password
from bitseek.engines._encode import encode_shards as encode_shards
from bitseek.engines._engine import Engine
from bitseek.engines._ray_encode import Model as Model
from bitseek.engines._ray_encode import encode_on_ray as encode_on_ray
from bitseek.engines._slice import Slice as Slice
from bitseek.engines._slice import listed as listed

__all__ = ["Engine", "connect", "open_collection"]
