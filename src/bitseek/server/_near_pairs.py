"""The pairs of near items of one update, found once and kept until the next."""

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from bitseek.collection import Collection
from bitseek.errors import BitseekError, UnsupportedError
from bitseek.server._refusal import Refusal

if TYPE_CHECKING:
    from bitseek.collection import Duplicates

_SHARE = 8
"""A search goes at once as far as this part of the bits, so that a slider over the radius needs no other one."""


class NearPairs:
    """The pairs of near items.

    Args:
        collection: in which they are searched.
    """

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._generation = -1
        self._pairs: Duplicates | None = None

    def within(self, radius: int) -> "Duplicates":
        """All pairs at least up to `radius`.

        Raises:
            Refusal: 422, there are too many.
        """
        collection = self._collection
        radius = min(radius, collection.bits)
        with self._lock:
            pairs, generation = self._pairs, collection.generation
            if pairs is None or self._generation != generation or pairs.radius < radius:
                pairs = self._search(radius)
                self._pairs, self._generation = pairs, generation
            return pairs

    def _search(self, radius: int) -> "Duplicates":
        collection = self._collection
        with suppress(BitseekError):  # there may be too many pairs so far out
            return collection.duplicates(max(radius, collection.bits // _SHARE))
        try:
            return collection.duplicates(radius)
        except UnsupportedError:
            raise
        except BitseekError as error:
            raise Refusal(422, "there are too many pairs within this radius; take a smaller one") from error
