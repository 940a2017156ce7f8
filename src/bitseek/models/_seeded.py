"""Draws from torch's default generators that depend on a seed and leave no trace."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derived_seed(*parts: object) -> int:
    """63 bits for one purpose, so that no draw depends on how much was drawn for another.

    Args:
        parts: the seed of the run, what is drawn, and which one of them where there are several.
    """
    digest = hashlib.blake2b(" ".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def seeded(seed: int, purpose: str) -> Iterator[None]:
    """Inside, torch draws on the CPU from a state of its own; outside, its random state is as it was before.

    Args:
        seed: of the run.
        purpose: what is drawn, so that one thing does not depend on how much another drew before it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, purpose))
        yield
