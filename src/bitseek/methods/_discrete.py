"""Methods that learn a code of each training item beside the network, bit by bit without a gradient."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from bitseek.codes import signs
from bitseek.labels import Labels
from bitseek.methods._base import Method, Task
from bitseek.methods._recipe import Recipe


class DiscreteMethod(Method):
    """A method with a code of ±1 and the labels of every training item: buffers, saved and resumed with the method.

    Attributes:
        labels: (N, C) multi-hot, known from the first epoch's `sample` on.
        codes: (N, K) ±1, drawn from the seed of the task at first.
    """

    labels: Tensor
    codes: Tensor

    def __init__(self, task: Task, recipe: Recipe | None = None) -> None:
        super().__init__(task, recipe)
        codes = np.random.default_rng((task.seed, 0xD15C)).integers(0, 2, (task.items, task.bits))
        self.register_buffer("codes", torch.from_numpy(2 * codes - 1).float())
        self.register_buffer("labels", torch.zeros(task.items, task.classes))

    def sample(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """The batches of `batches`, after the labels of all items were kept if they are new."""
        given = torch.from_numpy(labels.multi_hot()).to(self.labels)
        if not torch.equal(given, self.labels):
            self.labels.copy_(given)
            self.labels_are_known()
        return self.batches(labels, generator)

    def batches(self, labels: Labels, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """What `Method.sample` gives: a shuffle without the last partial batch."""
        return super().sample(labels, generator)

    def labels_are_known(self) -> None:
        """Called before the first step, with `labels` filled."""


def label_sets(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The different label sets of items, (N, C) multi-hot: sets (G, C), the set of each item (N,), their sizes (G,)."""
    sets, of_item, counts = labels.unique(dim=0, return_inverse=True, return_counts=True)
    return sets, of_item, counts


def descend_by_bit(codes: Tensor, gram: Tensor, pull: Tensor, sweeps: int = 1) -> Tensor:
    """Codes of ±1 with a smaller ½ tr(B G Bᵀ) − tr(B Pᵀ), one bit of all rows after the other.

    Given the others, the best column is b_k = sign(p_k − Σ_{l ≠ k} G_lk b_l); where that is 0 a bit stays. (Discrete
    cyclic coordinate descent; Shen et al., "Supervised Discrete Hashing", CVPR 2015, §3.2.)

    Args:
        codes: (n, K) ±1, B to start from.
        gram: (K, K) symmetric, G.
        pull: (n, K), P.
        sweeps: over all bits.
    """
    codes = codes.clone()
    for _ in range(sweeps):
        for k in range(codes.shape[1]):
            wanted = pull[:, k] - codes @ gram[:, k] + gram[k, k] * codes[:, k]
            codes[:, k] = torch.where(wanted == 0, codes[:, k], signs(wanted))
    return codes
