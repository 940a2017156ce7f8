"""Published figures, one `Row` each, read from the tables in `published/*.toml`.

A file holds `[[tables]]`, and a table holds `lines` as they are printed: `figures.PROTOCOL = [0.603, 0.683]` are the
figures on a protocol at each of the table's `bits`, nan being a gap. All other keys are fields of `Row`. They may be
given for the file, a table, a line, and for one protocol at each of these levels (`protocols.PROTOCOL.KEY`). Inner
levels override outer ones, except that `recipe` and `backbone_options` are merged and `differs` are appended. Where
`protocol` is given it is the one trained on, and the key in `figures` the one measured. `read_in` may be a list, one
for each of `bits`. `drop_every` in a recipe stands for the `drop_at` that divides the epochs into steps of that many.
"""

import difflib
import math
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from pydantic import Field

from bitseek._values import Value
from bitseek.errors import BitseekError

_STRUCTURE = ("tables", "lines", "protocols", "figures", "bits", "read_in")
_MERGED = ("recipe", "backbone_options")


class Row(Value):
    """A published figure, and the training that should give it.

    Attributes:
        table: short name of the table.
        source: where the figure is printed.
        read_in: where we read it: the `readme` of a repository, the `supplement` of a paper, or an `issue` of a
            repository that quotes the paper. A figure that was not read anywhere is no row.
        method: of bitseek.
        protocol: of bitseek.
        bits: length of the codes.
        backbone: network.
        figure: what was published.
        measure: `mAP` (at the k of the protocol) or `separability`, in bits (see `bitseek.metrics.class_distances`).
        label: what distinguishes the row from others of the table with the same method, protocol and bits.
        recipe: hyper-parameters that differ from the method's own.
        backbone_options: of the backbone and its preprocessing.
        tested_on: protocol that is measured, where it is not the one trained on; with its level after a colon.
        adapt: whether the head's batch norm is estimated anew on the database that is measured.
        differs: what is known to differ from how the figure was made, however faithful the recipe.
    """

    table: str
    source: str
    read_in: Literal["readme", "supplement", "issue"]
    method: str
    protocol: str
    bits: int = Field(ge=1)
    backbone: str
    figure: float
    measure: Literal["mAP", "separability"] = "mAP"
    label: str = ""
    recipe: dict[str, Any] = Field(default_factory=dict)
    backbone_options: dict[str, Any] = Field(default_factory=dict)
    tested_on: str | None = None
    adapt: bool = False
    differs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The row's name: TABLE/PROTOCOL-METHOD[-LABEL]-BITS."""
        parts = [self.tested_on or self.protocol, self.method, self.label, str(self.bits)]
        return f"{self.table}/{'-'.join(part.replace(':', '-') for part in parts if part)}"

    @property
    def measured_on(self) -> tuple[str, str | None]:
        """The protocol that is measured, and the level of its relevance, if one is named."""
        protocol, _, level = (self.tested_on or self.protocol).partition(":")
        return protocol, level or None

    def to_json(self) -> dict[str, Any]:
        """All about it, ready for JSON."""
        fields = self.model_dump(mode="json", exclude={"table", "label", "figure", "adapt"})
        computed = {"published": self.figure, "adapt_batch_norm": self.adapt}
        return {"row": self.name, **fields, **computed, "tested_on": self.tested_on or self.protocol}


@cache
def published() -> Mapping[str, Row]:
    """Every row by its name, in the order of the files and their tables."""
    rows: dict[str, Row] = {}
    for file in sorted((resources.files("bitseek.reproduce") / "published").iterdir(), key=lambda file: file.name):
        document = tomllib.loads(file.read_text(encoding="utf-8"))
        for table in document["tables"]:
            for line in table["lines"]:
                rows |= {row.name: row for row in _rows(document, table, line)}
    return MappingProxyType(rows)


def find(name: str) -> list[Row]:
    """The row of that name, all rows of a table, or `all`.

    Args:
        name: such as `relahash-readme/cifar10-1-relahash-64`, `relahash-readme`, or `all`.

    Raises:
        BitseekError: there is none.

    >>> len(find("relahash-readme"))
    8
    """
    rows = published()
    if name in rows:
        return [rows[name]]
    found = [row for row in rows.values() if name in ("all", row.table)]
    if not found:
        tables = list(dict.fromkeys(row.table for row in rows.values()))
        near = difflib.get_close_matches(name, [*rows, *tables], n=3)
        advice = f"did you mean {', '.join(near)}?" if near else f"the tables are {', '.join(tables)}"
        raise BitseekError(f"there is no published row or table {name!r}; {advice} See: bitseek reproduce")
    return found


def _rows(*levels: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a line: `levels` are its file, its table and the line itself."""
    outer = {key: value for level in levels for key, value in level.items()}
    bits, read_in = outer["bits"], outer["read_in"]
    origins = read_in if isinstance(read_in, list) else [read_in] * len(bits)
    for measured, figures in outer["figures"].items():
        given = _merged(part for level in levels for part in (level, level.get("protocols", {}).get(measured, {})))
        given |= {"tested_on": measured} if "protocol" in outer else {"protocol": measured}
        for length, origin, figure in zip(bits, origins, figures, strict=True):
            if not math.isnan(figure):
                yield Row(bits=length, read_in=origin, figure=figure, **given)


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of several levels, outer ones first."""
    merged: dict[str, Any] = {"recipe": {}, "backbone_options": {}, "differs": []}
    for part in parts:
        for key, value in part.items():
            if key in _MERGED:
                merged[key] = {**merged[key], **value}
            elif key == "differs":
                merged[key] = [*merged[key], *value]
            elif key not in _STRUCTURE:
                merged[key] = value
    every = merged["recipe"].pop("drop_every", None)
    if every:
        epochs = merged["recipe"]["epochs"]
        merged["recipe"]["drop_at"] = [epoch / epochs for epoch in range(every, epochs, every)]
    return merged
