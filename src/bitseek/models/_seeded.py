"""Draws from torch's default generators that depend on a seed and leave no trace."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Inside, torch draws on the CPU from a state of its own; outside, its random state is as it was before.

    Args:
        seed: of the run.
        purpose: what is drawn, so that one thing does not depend on how much another drew before it.
    """
    with torch.random.fork_rng(devices=[]):
        digest = hashlib.blake2b(f"{seed} {purpose}".encode(), digest_size=8).digest()
        torch.default_generator.manual_seed(int.from_bytes(digest, "little") >> 1)
        yield
