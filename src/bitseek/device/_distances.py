"""Hamming distances through torch, exact on every device, in two ways.

*Products*: with bits as −1 and +1, the inner product of two codes of B bits is B − 2·distance, so a batch of queries is
one product of matrices, which tensor cores do. *Words*: xor, and the bits of 64 counted by adding neighbours, which is
for few queries, as the rows of a product come in dozens.

Codes are words of 64 bits. The bits beyond the last one are zero in all of them and equal each other, so all 64·words
bits are multiplied, and no length is special.
"""

from functools import cache

import torch
from jaxtyping import Int32, Int64, Shaped
from torch import Tensor

MOST_BITS = {torch.int8: 1 << 30, torch.float32: 1 << 24, torch.float16: 1 << 11, torch.bfloat16: 1 << 8}
"""Up to how many bits each type of number gives exact products.

A partial sum of so many ±1 is a whole number that the type of the result can hold (8-bit ones are added up in 32 bits),
so nothing is ever rounded, in whichever order and precision the sums are made. Longer codes are multiplied in parts.
"""

PRODUCTS_FROM = 32
"""From so many queries on they are compared by products: one of fewer rows is not quicker, as tensor cores take rows by
the dozen, while word by word each query costs its own time. `benchmarks/search_gpu.py` measures where the two meet."""

_FEWEST_ROWS, _MULTIPLE = 32, 8
"""What `torch._int_mm` wants of its operands on a GPU: more than 16 rows, and numbers of rows and columns in eights."""

_PAIRS, _FOURS, _EIGHTS = 0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F


@cache
def product_type(device: torch.device) -> torch.dtype:
    """The type whose products are the quickest on a device: 8 bits on a GPU that multiplies them, 16 on others."""
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda":
        ones = torch.ones((_FEWEST_ROWS, 64), dtype=torch.int8, device=device)
        try:
            if bool((torch._int_mm(ones, ones.T) == 64).all()):
                return torch.int8
        except (AttributeError, RuntimeError):  # a torch or a GPU without them
            pass
    return torch.float16


def signs(planes: Int64[Tensor, "words n"], dtype: torch.dtype) -> Shaped[Tensor, "n bits"]:
    """Codes as rows of −1 and +1, all 64 bits of each word."""
    octets = planes.T.reshape(-1).clone(memory_format=torch.contiguous_format).view(torch.uint8)
    shifts = torch.arange(8, dtype=torch.uint8, device=planes.device)
    bits = ((octets[:, None] >> shifts) & 1).view(planes.shape[1], -1)
    return (bits.view(torch.int8) if dtype == torch.int8 else bits.to(dtype)).mul_(2).sub_(1)


def by_products(queries: Shaped[Tensor, "q bits"], planes: Int64[Tensor, "words n"]) -> Int32[Tensor, "q n"]:
    """Distances of queries, as `signs` gives them, to codes."""
    codes = signs(planes, queries.dtype)
    total, size = queries.shape[1], MOST_BITS[queries.dtype]
    products = torch.zeros((), dtype=torch.int32, device=planes.device)
    for start in range(0, total, size):
        part = slice(start, start + size)
        products = products + _product(queries[:, part], codes[:, part])
    return (total - products) >> 1


def _product(left: Shaped[Tensor, "q b"], right: Shaped[Tensor, "n b"]) -> Int32[Tensor, "q n"]:
    if left.dtype != torch.int8:
        return (left @ right.T).to(torch.int32)
    q, n = len(left), len(right)
    rows = max(_FEWEST_ROWS, -(-q // _MULTIPLE) * _MULTIPLE)
    left = torch.nn.functional.pad(left, (0, 0, 0, rows - q))
    right = torch.nn.functional.pad(right, (0, 0, 0, -n % _MULTIPLE))
    return torch._int_mm(left, right.T)[:q, :n]


def by_words(words: Int64[Tensor, "q words"], planes: Int64[Tensor, "words n"]) -> Int32[Tensor, "q n"]:
    """Distances of queries, as words, to codes."""
    away = torch.zeros((len(words), planes.shape[1]), dtype=torch.int32, device=planes.device)
    for word in range(len(planes)):
        away += _popcount(words[:, word, None] ^ planes[word])
    return away


def _popcount(x: Int64[Tensor, "q n"]) -> Int64[Tensor, "q n"]:
    """Number of ones; the words are changed. A shift copies the sign, which every mask takes away again."""
    x -= (x >> 1) & _PAIRS
    x = (x & _FOURS) + ((x >> 2) & _FOURS)
    x += x >> 4
    x &= _EIGHTS
    x += x >> 8
    x += x >> 16
    x += x >> 32
    return x & 0x7F
