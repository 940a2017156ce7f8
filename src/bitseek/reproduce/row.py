"""A published figure, and the training that should give it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ReadIn = Literal["readme", "supplement", "memory"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a published table.

    Attributes:
        table: short name of the table.
        source: where the figure is printed.
        read_in: where we read it: the `readme` of a repository, the `supplement` of a paper; `memory` is recalled
            from the literature and not checked, so it is no reference.
        method: of bitseek.
        protocol: of bitseek.
        bits: length of the codes.
        backbone: network.
        figure: what was published.
        measure: `mAP` (at the R of the protocol) or `separability`, in bits (see `bitseek.metrics.class_distances`).
        label: what tells the row from others of the table with the same method, protocol and bits.
        recipe: hyper-parameters that differ from the method's own.
        backbone_options: of the backbone and its pixels.
        tested_on: protocol that is measured, where it is not the one trained on; with its level after a colon.
        adapt: whether the head's batch norm is estimated anew on the database that is measured.
        differs: what is known to differ from how the figure was made, however faithful the recipe.
    """

    table: str
    source: str
    read_in: ReadIn
    method: str
    protocol: str
    bits: int
    backbone: str
    figure: float
    measure: Literal["mAP", "separability"] = "mAP"
    label: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    tested_on: str | None = None
    adapt: bool = False
    differs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """By which it is asked for: TABLE/PROTOCOL-METHOD[-LABEL]-BITS."""
        parts = [self.tested_on or self.protocol, self.method, self.label, str(self.bits)]
        return f"{self.table}/{'-'.join(part.replace(':', '-') for part in parts if part)}"

    @property
    def verified(self) -> bool:
        """Whether the figure was read where it is printed."""
        return self.read_in != "memory"

    def to_json(self) -> dict[str, Any]:
        """All about it, ready for JSON."""
        return {
            "row": self.name,
            "source": self.source,
            "read_in": self.read_in,
            "verified": self.verified,
            "method": self.method,
            "protocol": self.protocol,
            "tested_on": self.tested_on or self.protocol,
            "bits": self.bits,
            "backbone": self.backbone,
            "backbone_options": dict(self.backbone_options),
            "measure": self.measure,
            "published": self.figure,
            "recipe": dict(self.recipe),
            "adapt_batch_norm": self.adapt,
            "differs": list(self.differs),
        }


def across(bits: Iterable[int], figures: str) -> list[tuple[int, float]]:
    """Bits with their figures, which are written as in a table: `.603/.683`; a dash is a gap.

    >>> across((16, 32, 64), ".603/-/.717")
    [(16, 0.603), (64, 0.717)]
    """
    pairs = zip(bits, figures.split("/"), strict=True)
    return [(each, float(figure)) for each, figure in pairs if figure != "-"]
