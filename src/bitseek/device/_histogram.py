"""Histograms of distance and relevance on a device: the counts of `bitseek.kernels.histogram`, to the last one.

Metrics, tie-aware mean average precision among them, need no more than these counts, which are few; what comes after is
arithmetic on them, and stays where it was.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt64
from torch import Tensor

from bitseek._checks import whole_number
from bitseek.device._distances import PRODUCTS_FROM, by_products, by_words
from bitseek.device._find import QueryBlock
from bitseek.device._memory import LEAST_MEMORY, enough_memory, free_memory
from bitseek.models import pick_device

if TYPE_CHECKING:
    from bitseek.kernels.histogram import Task

_QUERIES = 256
_MOST_WORK = 2 << 30
_BYTES_PER_PAIR = 64


def distance_histograms(
    task: "Task", device: Any, memory: SupportsIndex | None = None
) -> tuple[Int64[np.ndarray, "q bins"], Int64[np.ndarray, "q bins"]]:
    """Number of database items, and of relevant ones, at each distance 0 … bits from each query.

    Args:
        task: what is compared (see `bitseek.kernels.histogram.Task`); the database passes by once.
        device: `cuda`, `cuda:1` or another device of torch; `cpu` for tests.
        memory: bytes of the device that it may take; half of what is free if None, 2 GiB at most.

    Raises:
        BitseekError: this machine has no such device, or it has too little memory.
        ShapeError: the memory is not a whole number, or too small.
    """
    where = pick_device(device)
    work = min(free_memory(where) // 2, _MOST_WORK) if memory is None else whole_number(memory, "memory", LEAST_MEMORY)
    tally = np.zeros((len(task.query_words), 2 * task.bits + 3), np.int64)  # by key; the last is what is left out
    bytes_per_row = min(_QUERIES, len(tally)) * _BYTES_PER_PAIR + 64 * 8 * task.query_words.shape[1]
    step = max(64, work // bytes_per_row)
    with enough_memory(where, "give less to measure at once, or leave the device out, and the CPU counts"):
        blocks = [_Block.of(task, start, where) for start in range(0, len(tally), _QUERIES)]
        for start in range(0, len(task.database_words), step):
            rows = slice(start, start + step)
            planes, labels = (_on(words[rows], where).T for words in (task.database_words, task.database_labels))
            for block in blocks:
                tally[block.rows] += block.count(planes, labels, start, task)
    relevant = tally[:, 1:-1:2].copy()
    return tally[:, :-1:2] + relevant, relevant


@dataclass(frozen=True, eq=False)
class _Block:
    """Some queries on the device.

    Attributes:
        rows: which.
        codes: of them.
        labels: in words of 64 bits.
        owners: for each pair that is left out, the number of its query among these,
        items: and the item.
    """

    rows: slice
    codes: QueryBlock
    labels: Int64[Tensor, "q labels"]
    owners: Int64[Tensor, " e"]
    items: Int64[Tensor, " e"]

    @classmethod
    def of(cls, task: "Task", start: int, device: torch.device) -> "_Block":
        rows = slice(start, min(start + _QUERIES, len(task.query_words)))
        offsets = task.offsets[rows.start : rows.stop + 1]
        owners = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        items = task.excluded[offsets[0] : offsets[-1]].copy()
        words = _on(task.query_words[rows], device)
        codes = QueryBlock.of(words, products=len(task.query_words) >= PRODUCTS_FROM)
        left_out = (torch.from_numpy(array).to(device) for array in (owners, items))
        return cls(rows, codes, _on(task.query_labels[rows], device), *left_out)

    def count(
        self, planes: Int64[Tensor, "words n"], labels: Int64[Tensor, "l n"], start: int, task: "Task"
    ) -> Int64[np.ndarray, "q keys"]:
        """How often each key 2·distance + relevant occurs among items that begin at `start`; the last is left out."""
        away = by_words(self.codes.words, planes) if self.codes.signs is None else by_products(self.codes.signs, planes)
        keys = 2 * away.to(torch.int64) + self._relevant(labels, task.single)
        here = (self.items >= start) & (self.items < start + planes.shape[1])
        keys[self.owners[here], self.items[here] - start] = 2 * task.bits + 2
        width = 2 * task.bits + 3
        keys += width * torch.arange(len(keys), device=keys.device)[:, None]
        counts = torch.bincount(keys.view(-1), minlength=len(keys) * width)
        return counts.view(len(keys), width).cpu().numpy()

    def _relevant(self, labels: Int64[Tensor, "l n"], single: bool) -> Bool[Tensor, "q n"]:
        """Which items have the query's word; or share a bit with it, in any word."""
        if single:
            return self.labels == labels[0]
        shared = (self.labels[:, 0, None] & labels[0]) != 0
        for word in range(1, len(labels)):
            shared |= (self.labels[:, word, None] & labels[word]) != 0
        return shared


def _on(words: UInt64[np.ndarray, "n words"], device: torch.device) -> Int64[Tensor, "n words"]:
    """Words on the device, bit by bit the same; torch does little with unsigned ones."""
    return torch.from_numpy(words.view(np.int64).copy()).to(device)
