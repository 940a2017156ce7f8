"""Codebooks: the C codewords of a task, one for each class, far apart from one another.

>>> book = make_codebook("spread", classes=10, bits=64, seed=1)
>>> book.minimum_distance, book.upper_bound
(35, 35)
>>> make_codebook("O", classes=10, bits=64).name
'max-distance'
"""

from collections.abc import Callable
from types import MappingProxyType

from bitseek.codebooks._codebook import Codebook
from bitseek.codebooks._mds import mds
from bitseek.codebooks._order import order_of_bits
from bitseek.codebooks._published import bernoulli, hadamard, max_distance
from bitseek.codebooks._semantic import semantic_codebook
from bitseek.codebooks._spread import spread
from bitseek.errors import BitseekError

__all__ = ["CODEBOOKS", "Codebook", "make_codebook", "order_of_bits", "semantic_codebook"]

CODEBOOKS: MappingProxyType[str, Callable[[int, int, int], Codebook]] = MappingProxyType(
    {"bernoulli": bernoulli, "max-distance": max_distance, "hadamard": hadamard, "mds": mds, "spread": spread}
)
ALIASES = MappingProxyType(
    {"B": "bernoulli", "N": "bernoulli", "U": "bernoulli", "O": "max-distance", "M": "max-distance", "H": "hadamard"}
)


def make_codebook(name: str, classes: int, bits: int, seed: int = 0) -> Codebook:
    """The codebook of this name.

    Args:
        name: a name in `CODEBOOKS` or a letter of the field: B, N, U (bernoulli), O, M (max-distance), H (hadamard).
        classes: number of codewords C, 1 or more.
        bits: length K of a codeword, 1 or more.
        seed: 0 or more; the same seed gives the same codewords on every machine.

    Raises:
        BitseekError: no such codebook; C or K under 1, a negative seed; C > 2^K; or max-distance gives up.
    """
    full_name = ALIASES.get(name, name)
    if full_name not in CODEBOOKS:
        letters = ", ".join(ALIASES)
        raise BitseekError(
            f"there is no codebook {name!r}; choose one of {', '.join(CODEBOOKS)}, or a letter {letters}"
        )
    if classes < 1 or bits < 1 or seed < 0:
        raise BitseekError(
            f"a codebook has 1 class or more, 1 bit or more, and a seed of 0 or more; "
            f"got classes={classes}, bits={bits}, seed={seed}"
        )
    needed = (classes - 1).bit_length()
    if bits < needed:
        raise BitseekError(f"{bits} bits have only {1 << bits} words for {classes} classes; use {needed} bits or more")
    return CODEBOOKS[full_name](classes, bits, seed)
