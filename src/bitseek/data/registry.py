"""Every protocol by its name. Adding one: its file with `SPECS`, and its line here."""

import difflib
import os
from pathlib import Path
from typing import Any

from bitseek.data import cifar, digits, features, fine_grained, folder, hashnet_lists, landmarks, lists, mnist
from bitseek.data.protocol import Protocol
from bitseek.data.sources import data_root
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import DataError

_FILES = (digits, mnist, cifar, hashnet_lists, fine_grained, landmarks)
_OWN_FILES = (folder, lists, features)

PROTOCOLS: dict[str, ProtocolSpec] = {spec.name: spec for file in _FILES for spec in file.SPECS}
"""The protocols of the literature, by name."""

OWN_PROTOCOLS: dict[str, ProtocolSpec] = {spec.name: spec for file in _OWN_FILES for spec in file.SPECS}
"""The protocols on the user's own data, by the part of the name before the colon."""


def protocol(name: str, root: str | os.PathLike[str] | None = None, seed: int = 0, **options: Any) -> Protocol:
    """Load a protocol.

    Args:
        name: a key of `PROTOCOLS`, or `folder:PATH`, `lists:PATH`, `features:FILE.npz`.
        root: the folder below which data sets lie; by default the environment variable BITSEEK_DATA, else the
            user's data folder (see `bitseek.data.data_root`). For `lists:PATH`, the folder of the images.
        seed: of the split, where one is drawn; 0 or more.
        **options: of the protocol; see `ProtocolSpec.options`.

    Raises:
        DataError: no such protocol or option, data that are absent (with what to do) or damaged, or a split that is
            not the published one.
        MissingExtra: the data need a package that is not installed.
    """
    kind, colon, argument = name.partition(":")
    spec = (OWN_PROTOCOLS if colon else PROTOCOLS).get(kind)
    if spec is None or (colon and not argument):
        raise DataError(_unknown(name))
    if colon and root is not None and "root" in spec.options:
        options["root"] = Path(root).expanduser()
    unknown = sorted(options.keys() - spec.options.keys())
    if unknown:
        known = ", ".join(spec.options) or "none"
        raise DataError(f"{name} has no option {', '.join(unknown)}; its options: {known}")
    loaded = spec.load(Path(argument).expanduser() if colon else data_root(root), seed, **options)
    spec.check(loaded)
    return loaded


def _unknown(name: str) -> str:
    own = [f"{spec.name}:{spec.argument}" for spec in OWN_PROTOCOLS.values()]
    near = [known for known in PROTOCOLS if known.startswith(f"{name}-")]
    near = near or difflib.get_close_matches(name, PROTOCOLS, n=3)
    if near:
        return f"there is no protocol {name!r}; did you mean {', '.join(near)}?"
    return f"there is no protocol {name!r}; there are {', '.join([*PROTOCOLS, *own])}"
