"""What is known about a protocol before its data are read."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError

from bitseek._files import user_path
from bitseek.data._protocol import ROLES, Protocol
from bitseek.errors import DataError

CutOff = Annotated[int, Field(ge=1)] | None
"""Type of the option `k`: the cut-off of mAP@k, None for all of the database."""


@dataclass(frozen=True)
class ProtocolSpec:
    """A named protocol; a table of `protocols.toml`.

    Args:
        name: its name; for a protocol on the user's own data the part before the colon.
        summary: one line.
        citation: who published the data, and who the split.
        needs: what to download and where to put it (ROOT stands for the folder of the data).
        loader: `file.function` in this package. It is called as function(spec, root, seed, **options), or with the path
            that the user gave for root; its further parameters are the options of the protocol, whose values are
            checked against their annotations.
        sizes: items in train, query and database; None where the files decide.
        k: the cut-off of mAP@k; None for all.
        data_set: name of the pool.
        checksums: for each role that is the same for every seed and known, `Protocol.role_checksums` of it.
        queries_in_database: how many queries are also in the database, where that tells the split from another.
        argument: what follows the colon in the name, for a protocol on the user's own data.
        describer: `file.function` that says what is at the path of a user, before any split.
        folder: for list files: of the images, below the folder of the data.
        strip: for list files: a prefix to take off the listed paths.
        classes: for list files: names of the classes, where they are not numbers.
    """

    name: str
    summary: str
    citation: str
    needs: str
    loader: str
    sizes: tuple[int | None, int | None, int | None] = (None, None, None)
    k: int | None = None
    data_set: str = ""
    checksums: Mapping[str, str] = field(default_factory=dict)
    queries_in_database: int | None = None
    argument: str | None = None
    describer: str | None = None
    folder: str = ""
    strip: str = ""
    classes: tuple[str, ...] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Names of the options and their defaults."""
        return {parameter.name: parameter.default for parameter in self._parameters()}

    def describe(self, path: str) -> dict[str, Any] | None:
        """What is at a path of the user's, ready for JSON; None where nothing can be said before loading.

        Raises:
            DataError: nothing is there that could be used.
        """
        return None if self.describer is None else _function(self.describer)(path)

    def load(self, root: Path, seed: int, options: Mapping[str, Any]) -> Protocol:
        """The protocol on the data below a folder, compared with what was published.

        Args:
            root: the folder of all data, or what the user gave.
            seed: of the split.
            options: as `checked` gives them.

        Raises:
            DataError: absent or damaged data, other sizes, or other items.
        """
        protocol: Protocol = _function(self.loader)(self, root, seed, **options)
        needs = self.needs.replace("ROOT", str(root))
        for role, expected in zip(ROLES, self.sizes, strict=True):
            found = len(getattr(protocol, role))
            if expected is not None and found != expected:
                raise DataError(
                    f"{self.name} has {expected} items in {role}, these files have {found}; for lists of your own use "
                    f"lists:PATH. {needs}"
                )
        if self.queries_in_database not in (None, protocol.queries_in_database):
            raise DataError(
                f"{self.name} has {self.queries_in_database} queries in the database, these files have "
                f"{protocol.queries_in_database}; they are another split. {needs}"
            )
        for role, checksum in self.checksums.items():
            if (given := protocol.role_checksums[role]) != checksum:
                raise DataError(
                    f"{self.name}: the items or labels of {role} are not the published ones (checksum {given}, "
                    f"expected {checksum}); for lists of your own use lists:PATH. {needs}"
                )
        return protocol

    def checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options as the loader takes them: of the types that it declares, and paths absolute.

        Raises:
            DataError: there is no such option, or its value is of another type or out of range.
        """
        types = {parameter.name: parameter.annotation for parameter in self._parameters()}
        if unknown := sorted(options.keys() - types.keys()):
            known = ", ".join(types) or "none"
            raise DataError(f"{self.name} has no option {', '.join(unknown)}; its options: {known}")
        return {name: self._checked(name, types[name], value) for name, value in options.items()}

    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(_function(self.loader)).parameters.values())[3:]

    def _checked(self, name: str, declared: Any, value: Any) -> Any:
        value = value.item() if getattr(value, "ndim", None) == 0 else value  # a number of NumPy or torch
        try:
            if isinstance(value, bool) and bool not in (get_args(declared) or (declared,)):
                raise TypeError("a truth value is not expected")
            checked = TypeAdapter(declared).validate_python(value)
        except (ValidationError, TypeError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            raise DataError(f"the option {name} of {self.name} cannot be {value!r}: {reason}") from error
        return user_path(checked, resolve=True) if isinstance(checked, Path) else checked


def _function(place: str) -> Callable[..., Any]:
    file, _, name = place.partition(".")
    function: Callable[..., Any] = getattr(importlib.import_module(f"bitseek.data.{file}"), name)
    return function
