"""Every protocol by its name. Adding one: the file with its loader, and its table in `protocols.toml`."""

import difflib
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, SupportsIndex

from bitseek._checks import whole_number
from bitseek._files import FilePath, user_path
from bitseek.data._protocol import ROLES, Protocol
from bitseek.data._sources import data_root
from bitseek.data._spec import ProtocolSpec
from bitseek.errors import DataError

_NEEDS_OF_LISTS = (
    "Put {lists}, as train.txt, test.txt and database.txt (or .txt.xz), into ROOT/{name}, or give their folder by the "
    "option lists; put {pictures} into ROOT/{folder}, or give that folder by the option images"
)


def _spec(name: str, load: str, **table: Any) -> ProtocolSpec:
    sizes = table.pop("sizes", {})
    table = {"data_set": name, "folder": name} | table
    if "lists" in table:
        lists, pictures = table.pop("lists"), table.pop("pictures")
        table["needs"] = _NEEDS_OF_LISTS.format(lists=lists, pictures=pictures, name=name, folder=table["folder"])
        table.setdefault("queries_in_database", 0)
    if "classes" in table:
        table["classes"] = tuple(table["classes"])
    train, query, database = map(sizes.get, ROLES)
    return ProtocolSpec(name, loader=load, sizes=(train, query, database), **table)


_SPECS = [
    _spec(name, **table)
    for name, table in tomllib.loads(Path(__file__).with_name("protocols.toml").read_text(encoding="utf-8")).items()
]

PROTOCOLS: dict[str, ProtocolSpec] = {spec.name: spec for spec in _SPECS if spec.argument is None}
"""The protocols of the literature, by name."""

OWN_PROTOCOLS: dict[str, ProtocolSpec] = {spec.name: spec for spec in _SPECS if spec.argument is not None}
"""The protocols on the user's own data, by the part of the name before the colon."""


@dataclass(frozen=True)
class Origin:
    """What `load_protocol` was called with; every value can be JSON.

    Attributes:
        name: of the protocol, with an absolute path for the user's own data.
        options: those that were given; paths are absolute.
        root: the folder of the data that was given, absolute; None for the default of each machine.
        seed: of the split.
    """

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    root: str | None = None
    seed: int = 0

    def load(self, root: FilePath | None = None, seed: SupportsIndex | None = None, **options: Any) -> Protocol:
        """The same protocol again.

        Args:
            root: where the data are now, if they have moved; that is the path itself where the name has one and no
                folder of images beside it: `folder:PATH`, `features:FILE.npz`.
            seed: another one.
            **options: that are to be others.
        """
        name, place = self.name, self.root if root is None else root
        kind, colon, _ = name.partition(":")
        if root is not None and colon and "root" not in OWN_PROTOCOLS[kind].options:
            name, place = f"{kind}:{user_path(root, resolve=True)}", None
        return load_protocol(name, place, self.seed if seed is None else seed, **{**self.options, **options})


def load_protocol(name: str, root: FilePath | None = None, seed: SupportsIndex = 0, **options: Any) -> Protocol:
    """Load a protocol.

    Args:
        name: a key of `PROTOCOLS`, or `folder:PATH`, `lists:PATH`, `features:FILE.npz`,
            `revisited:PATH`.
        root: the folder below which data sets lie; by default the environment variable BITSEEK_DATA, else the
            user's data folder (see `bitseek.data.data_root`). For `lists:PATH`, the folder of the images.
        seed: of the split, where one is drawn; 0 or more.
        **options: of the protocol; see `ProtocolSpec.options`.

    Returns:
        The protocol, whose `origin` loads it again from any working folder.

    Raises:
        DataError: no such protocol or option, data that are absent (with what to do) or damaged, or a split that is
            not the published one.
        MissingExtra: the data need a package that is not installed.
    """
    if not isinstance(name, str):
        raise DataError(f"a protocol is loaded by its name, got {name!r:.80}")
    kind, colon, argument = name.partition(":")
    spec = (OWN_PROTOCOLS if colon else PROTOCOLS).get(kind)
    if spec is None or (colon and not argument):
        raise DataError(_unknown(name))
    number = whole_number(seed, "seed", 0)
    given = None if root is None else user_path(root, resolve=True)
    if colon and given is not None and "root" in spec.options:
        options["root"] = given
    options = spec.checked(options)
    place = user_path(argument, resolve=True) if colon else data_root(given)
    loaded = spec.load(place, number, options)
    if colon:
        given = options.pop("root", None)
    plain = {option: str(value) if isinstance(value, Path) else value for option, value in options.items()}
    origin = Origin(f"{kind}:{place}" if colon else name, plain, None if given is None else str(given), number)
    return replace(loaded, origin=origin)


def _unknown(name: str) -> str:
    own = [f"{spec.name}:{spec.argument}" for spec in OWN_PROTOCOLS.values()]
    near = [known for known in PROTOCOLS if known.startswith(f"{name}-")]
    near = near or difflib.get_close_matches(name, PROTOCOLS, n=3)
    if near:
        return f"there is no protocol {name!r}; did you mean {', '.join(near)}?"
    return f"there is no protocol {name!r}; there are {', '.join([*PROTOCOLS, *own])}"
