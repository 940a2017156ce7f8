"""All codes of a piece of a chunk that are near enough to each query: what every search is made of.

Whatever finds them, the answer is the same: keys (`bitseek.kernels.layout`), which are all different, so that neither
the order in which a device works nor that of its sorting can be seen.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Int32, Int64, Shaped
from torch import Tensor

from bitseek.device._chunks import Chunk
from bitseek.device._distances import by_products, by_words, product_type, signs
from bitseek.kernels.layout import ID_BITS, NOTHING

Found = Int64[Tensor, "q most"]
"""Keys by query, in any order; `NOTHING` in the places that are left over."""


class QueryBlock(NamedTuple):
    """Some queries on the device.

    Attributes:
        words: the codes.
        signs: the codes as −1 and +1, if they are compared by products of matrices; None if word by word.
    """

    words: Int64[Tensor, "q words"]
    signs: Shaped[Tensor, "q bits"] | None

    @classmethod
    def of(cls, words: Int64[Tensor, "q words"], products: bool) -> "QueryBlock":
        """Queries, to be compared by products or not."""
        return cls(words, signs(words.T, product_type(words.device)) if products else None)

    def __len__(self) -> int:
        return len(self.words)


@runtime_checkable
class Find(Protocol):
    """Finds the rows `start` … `stop` of a chunk at distances below a limit, which each query has of its own.

    Up to `room` of each query are found; None if one has more.
    """

    def __call__(
        self, block: QueryBlock, chunk: Chunk, start: int, stop: int, limits: Int32[Tensor, " q"], room: int
    ) -> Found | None:
        """See the class."""

    def bytes_per_row(self, block: QueryBlock) -> int:
        """Memory that it takes, for each row that is compared with these queries."""


class Plain:
    """By operations of torch alone, which write all distances down."""

    def __call__(
        self, block: QueryBlock, chunk: Chunk, start: int, stop: int, limits: Int32[Tensor, " q"], room: int
    ) -> Found | None:
        """See `Find`."""
        planes = chunk.planes[:, start:stop]
        away = by_words(block.words, planes) if block.signs is None else by_products(block.signs, planes)
        near = away < limits[:, None]
        if chunk.alive is not None:
            near &= chunk.alive[start:stop]
        counts = near.sum(dim=1)
        most = int(counts.max())
        if most > room:
            return None
        queries, places = near.nonzero(as_tuple=True)
        keys = (away[queries, places].to(torch.int64) << ID_BITS) | (places + (chunk.first + start))
        found = torch.full((len(block), most), NOTHING, dtype=torch.int64, device=planes.device)
        before = counts.cumsum(0) - counts
        found[queries, torch.arange(len(keys), device=planes.device) - before[queries]] = keys
        return found

    def bytes_per_row(self, block: QueryBlock) -> int:
        """See `Find`."""
        per_pair = 4 + 1 + (3 * 8 if block.signs is None else 3 * 4)
        unpacked = 0 if block.signs is None else 2 * block.signs.shape[1] * block.signs.element_size()
        return len(block) * per_pair + unpacked

    def __str__(self) -> str:
        return "operations of torch"
