"""What is known about a protocol before its data are read."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bitseek.data.protocol import ROLES, Protocol
from bitseek.errors import DataError


@dataclass(frozen=True)
class ProtocolSpec:
    """A named protocol.

    Args:
        name: its name; for a protocol on the user's own data the part before the colon.
        summary: one line.
        citation: who published the data, and who the split.
        sizes: items in train, query and database; None where the user's data decide.
        at: R of mAP@R; None for all.
        needs: what to download and where to put it.
        load: called as load(root, seed, **options), or load(path, seed, **options) for the user's own data; its
            further parameters are the options of the protocol.
        checksums: for each role that is the same for every seed and known, `Protocol.role_checksums` of it.
        queries_in_database: how many queries are also in the database, where that tells the split from another.
        argument: what follows the colon in the name, for a protocol on the user's own data.
    """

    name: str
    summary: str
    citation: str
    sizes: tuple[int | None, int | None, int | None] | None
    at: int | None
    needs: str
    load: Callable[..., Protocol]
    checksums: Mapping[str, str] = field(default_factory=dict)
    queries_in_database: int | None = None
    argument: str | None = None

    @property
    def options(self) -> dict[str, Any]:
        """Names of the options and their defaults."""
        parameters = list(inspect.signature(self.load).parameters.values())[2:]
        return {parameter.name: parameter.default for parameter in parameters}

    def check(self, protocol: Protocol) -> None:
        """Compare what was loaded with what was published.

        Raises:
            DataError: other sizes, or other items.
        """
        for role, expected in zip(ROLES, self.sizes or (None, None, None), strict=True):
            found = len(getattr(protocol, role))
            if expected is not None and found != expected:
                raise DataError(
                    f"{self.name} has {expected} items in {role}, these files have {found}; for lists of your own use "
                    f"lists:PATH. {self.needs}"
                )
        if self.queries_in_database not in (None, protocol.queries_in_database):
            raise DataError(
                f"{self.name} has {self.queries_in_database} queries in the database, these files have "
                f"{protocol.queries_in_database}; they are another split. {self.needs}"
            )
        for role, expected_sum in self.checksums.items():
            found_sum = protocol.role_checksums[role]
            if found_sum != expected_sum:
                raise DataError(
                    f"{self.name}: the items or labels of {role} are not the published ones (checksum {found_sum}, "
                    f"expected {expected_sum}); for lists of your own use lists:PATH. {self.needs}"
                )
