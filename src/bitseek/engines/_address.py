"""Engines and collections by their address: `ray://…`, `postgresql://…`, or the path of a folder."""

import os
import re
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from bitseek._files import FilePath
from bitseek.codes import Codes
from bitseek.engines._engine import Engine
from bitseek.errors import BitseekError, MissingExtra
from bitseek.index import HammingIndex
from bitseek.kernels.device import device_loops

if TYPE_CHECKING:
    from bitseek.collection import Collection, Encoder

ENGINES = {"ray": "bitseek.engines._ray", "postgresql": "bitseek.engines._postgres"}
"""The module of each scheme; it has the functions below but `is_address`, which are called with an address of it."""

_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)

_SECRET = re.compile(r"(?<=postgresql://)([^:@/?]*):.*(?=@)|(?<=[?&])[^=&]*password=[^&]*&?", re.IGNORECASE)
"""The password of an address: behind the user's name, up to the last @, as one may stand in it; or as an option."""


def is_address(place: object) -> bool:
    """Whether a text is the address of an engine rather than the path of a folder.

    >>> is_address("ray:///data/photos"), is_address("photos")
    (True, False)
    """
    return isinstance(place, str) and _ADDRESS.match(place) is not None


def without_password(place: FilePath) -> str:
    """A place as messages have it.

    >>> without_password("postgresql://me:secret@host/photos")
    'postgresql://me@host/photos'
    """
    text = os.fsdecode(place)
    return _SECRET.sub(r"\1", text) if is_address(place) else text


def connect(place: FilePath) -> Engine:
    """The engine at an address.

    Args:
        place: `ray://HOST:PORT/FOLDER` or `ray:///FOLDER`, of shards or of a collection, which actors search;
            `postgresql://…`; or the path of a folder of shards, which is searched in this process.

    Raises:
        MissingExtra: what the engine needs is not installed.
        BitseekError: no such engine, or it cannot be reached.
    """
    engine: Engine
    if is_address(place):
        engine = _module(place).connect(place)
    else:
        from bitseek.engines._sharded import open_shards

        engine = open_shards(place)
    return engine


def open_collection(place: FilePath, *, device: str | None = None) -> "Collection":
    """The collection in a folder, or at an address, whose engine then searches it.

    Args:
        place: the folder, or the address.
        device: where the codes of a folder are compared, through torch: `cuda`, `cuda:1` or `auto`; by the compiled
            kernels if None, or if it is the processor. An engine compares them itself.

    Raises:
        MissingExtra: what the engine or the device needs is not installed.
        BitseekError: no such engine or device, it cannot be reached, or there is no collection.
    """
    from bitseek.collection import Collection

    opened: Collection
    if is_address(place):
        if device is not None:
            raise BitseekError(f"the engine of {without_password(place)} compares the codes; leave out the device")
        opened = _module(place).open_collection(place)
        return opened
    where = None if device is None else device_loops().DeviceScan(device, 1).device  # what is wrong is told now
    by_kernels = where is None or where.type == "cpu"
    return Collection.open(place, index=None if by_kernels else partial(search_on, str(where)))


def search_on(device: str, _: Path, codes: Codes, gone: Int64[np.ndarray, " gone"] | None) -> HammingIndex:
    """The search of a collection whose codes are compared on a device."""
    return HammingIndex(codes, gone=gone, device=device)


def create_collection(place: FilePath, *, hasher: "Encoder", features: bool = False) -> "Collection":
    """Make an empty collection in a folder or at an address; see `Collection.create`.

    Raises:
        MissingExtra: what the engine needs is not installed.
        BitseekError: no such engine, it cannot be reached, or something is there already.
    """
    from bitseek.collection import Collection

    create = _module(place).create_collection if is_address(place) else Collection.create
    made: Collection = create(place, hasher=hasher, features=features)
    return made


def collection_exists(place: FilePath) -> bool:
    """Whether there is a collection in a folder or at an address.

    Raises:
        MissingExtra: what the engine needs is not installed.
        BitseekError: no such engine, or that cannot be found out.
    """
    from bitseek.collection import Collection

    return bool(_module(place).collection_exists(place) if is_address(place) else Collection.exists(place))


def _module(address: Any) -> Any:
    """The module of an address's scheme."""
    scheme = address.partition("://")[0].lower()
    if scheme not in ENGINES:
        known = ", ".join(f"{name}://" for name in ENGINES)
        raise BitseekError(f"there is no engine {scheme}://; there are {known}, and paths of folders")
    try:
        return import_module(ENGINES[scheme])
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error
