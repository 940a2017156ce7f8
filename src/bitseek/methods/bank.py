"""The memory bank: the last real-valued code of every training item."""

import torch
from torch import Tensor, nn

from bitseek.methods.base import Batch, similar
from bitseek.methods.pairs import Pairs


class MemoryBank(nn.Module):
    """U of (N, K): row i holds the last code that was computed for training item i, without a gradient.

    Rows that no step has filled yet are left out of every pair. (In the field's released code they are zeros without
    a class, which count as dissimilar to all.) All of it is state that is saved and resumed with the method.

    Args:
        items: N.
        bits: K.
        classes: C.
    """

    codes: Tensor
    labels: Tensor
    seen: Tensor

    def __init__(self, items: int, bits: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(items, bits))
        self.register_buffer("labels", torch.zeros(items, classes))
        self.register_buffer("seen", torch.zeros(items, dtype=torch.bool))

    def pairs(self, codes: Tensor, batch: Batch) -> Pairs:
        """Write a batch into the bank, then pair each of its items with every filled row but its own.

        Args:
            codes: (b, K) float, what the bank shall remember of the batch.
            batch: whose `labels` and `index` belong to them.
        """
        self._write(codes.detach(), batch.labels, batch.index)
        rows = torch.arange(len(self.seen), device=self.seen.device)
        counted = self.seen & (batch.index.unsqueeze(1) != rows)
        alike = similar(batch.labels, self.labels.to(batch.labels.dtype))
        return Pairs(codes, self.codes, alike, counted.to(codes.dtype))

    def _write(self, codes: Tensor, labels: Tensor, index: Tensor) -> None:
        # A new tensor, not a write in place: an earlier step whose gradient is still to come keeps its own rows.
        self.codes = self.codes.index_copy(0, index, codes.to(self.codes.dtype))
        self.labels[index] = labels.to(self.labels.dtype)
        self.seen[index] = True
