"""Distance and choice in one kernel of Triton: codes are read, and nothing is written but what is near enough.

Two kernels, as in `_distances`: word by word for few queries, products of 8-bit ±1 on the tensor cores for many. Both
find all codes below each query's limit and append their keys to the query's row, in any order, through a counter; a row
that is too short is noticed by its counter. They use no more than Triton's interpreter has, so that
`TRITON_INTERPRET=1` runs them on a CPU (`tests/device/test_triton.py`).

Without Triton, or where its kernels do not give the answers of torch, `_find.Plain` is used.
"""

import inspect
import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Int32
from torch import Tensor

from bitseek.device._chunks import Chunk
from bitseek.device._distances import PRODUCTS_FROM, signs
from bitseek.device._find import Find, Found, Plain, QueryBlock
from bitseek.kernels.layout import ID_BITS, NOTHING

triton: Any = None
tl: Any = None
try:
    triton = import_module("triton")
    tl = import_module("triton.language")
except ImportError:  # a torch without it, as for the CPU or for Windows
    pass

if TYPE_CHECKING:
    constexpr = int
    tensor = Any
else:  # Triton reads annotations too, and knows no names but its own
    constexpr = getattr(tl, "constexpr", int)  # what is fixed when a kernel is compiled
    tensor = getattr(tl, "tensor", object)

_NUMBERS = ["first", "start", "stop", "stride", "room", "queries"]
"""Arguments whose values are no reason to compile a kernel anew."""

_WORD_BLOCK = 1024
_PRODUCT_ROWS, _PRODUCT_BLOCK = 64, 128

logger = logging.getLogger("bitseek.device")


def _jit(function: Callable[..., Any]) -> Any:
    """Compile a kernel when it is first used; without Triton it stays as it is."""
    bare = inspect.unwrap(function)  # without the shape checks that a test run puts around every function
    return bare if triton is None else triton.jit(bare, do_not_specialize=_NUMBERS)


def _inner(function: Callable[..., Any]) -> Any:
    bare = inspect.unwrap(function)
    return bare if triton is None else triton.jit(bare)


@_inner
def _ones(x: tensor) -> tensor:
    """Number of ones of words; compilers know this form, and make one instruction of it."""
    x = x.to(tl.uint64, bitcast=True)
    x = x - ((x >> 1) & 0x5555555555555555)
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F0F0F0F0F
    return ((x * 0x0101010101010101) >> 56).to(tl.int32)


@_jit
def _by_words(
    block: tensor,
    planes: tensor,
    alive: tensor,
    limits: tensor,
    found: tensor,
    counts: tensor,
    first: tensor,
    start: tensor,
    stop: tensor,
    stride: tensor,
    room: tensor,
    queries: tensor,
    HAS_ALIVE: constexpr,
    WORDS: constexpr,
    ID: constexpr,
    BLOCK: constexpr,
) -> None:
    """One block of codes against all queries."""
    at = start + tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < stop
    there = inside
    if HAS_ALIVE:
        there = inside & (tl.load(alive + at, mask=inside, other=0) != 0)
    head = tl.load(planes + at, mask=inside, other=0)
    for query in range(queries):
        away = _ones(head ^ tl.load(block + query * WORDS))
        for word in range(1, WORDS):
            theirs = tl.load(planes + at + word * stride.to(tl.int64), mask=inside, other=0)
            away += _ones(theirs ^ tl.load(block + query * WORDS + word))
        near = (there & (away < tl.load(limits + query))).to(tl.int32)
        hits = tl.sum(near, axis=0)
        if hits > 0:
            slots = tl.atomic_add(counts + query, hits, sem="relaxed") + tl.cumsum(near, axis=0) - 1
            keys = (away.to(tl.int64) << ID) | (first + at)
            tl.store(found + query * room + slots, keys, mask=(near > 0) & (slots < room))


@_jit
def _by_products(
    block: tensor,
    planes: tensor,
    alive: tensor,
    limits: tensor,
    found: tensor,
    counts: tensor,
    first: tensor,
    start: tensor,
    stop: tensor,
    stride: tensor,
    room: tensor,
    queries: tensor,
    HAS_ALIVE: constexpr,
    WORDS: constexpr,
    ID: constexpr,
    ROWS: constexpr,
    BLOCK: constexpr,
) -> None:
    """One block of codes, unpacked to ±1, against all queries, so many of them at a time."""
    at = start + tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < stop
    there = inside
    if HAS_ALIVE:
        there = inside & (tl.load(alive + at, mask=inside, other=0) != 0)
    bit = tl.arange(0, 64)
    head = tl.load(planes + at, mask=inside, other=0)
    head_signs = ((((head[None, :] >> bit[:, None]) & 1) * 2) - 1).to(tl.int8)
    for group in range(0, queries, ROWS):
        rows = group + tl.arange(0, ROWS)
        known = rows < queries
        cells = block + rows[:, None] * (64 * WORDS) + bit[None, :]
        products = tl.dot(tl.load(cells, mask=known[:, None], other=0), head_signs, out_dtype=tl.int32)
        for word in range(1, WORDS):
            theirs = tl.load(planes + at + word * stride.to(tl.int64), mask=inside, other=0)
            their_signs = ((((theirs[None, :] >> bit[:, None]) & 1) * 2) - 1).to(tl.int8)
            mine = tl.load(cells + word * 64, mask=known[:, None], other=0)
            products += tl.dot(mine, their_signs, out_dtype=tl.int32)
        least = 64 * WORDS - 2 * tl.load(limits + rows, mask=known, other=0)
        near = (there[None, :] & (products > least[:, None])).to(tl.int32)
        hits = tl.sum(near, axis=1)
        if tl.max(hits, axis=0) > 0:
            before = tl.atomic_add(counts + rows, hits, mask=hits > 0, sem="relaxed")
            slots = before[:, None] + tl.cumsum(near, axis=1) - 1
            away = (64 * WORDS - products) >> 1
            keys = (away.to(tl.int64) << ID) | (first + at)[None, :]
            tl.store(found + rows[:, None] * room + slots, keys, mask=(near > 0) & (slots < room))


class Fused:
    """By kernels of Triton; see `Find`."""

    def __call__(
        self, block: QueryBlock, chunk: Chunk, start: int, stop: int, limits: Int32[Tensor, " q"], room: int
    ) -> Found | None:
        """See `Find`."""
        if block.signs is not None and block.signs.dtype != torch.int8:  # a GPU without 8-bit products
            return Plain()(block, chunk, start, stop, limits, room)
        room = min(room, stop - start)
        queries, device = len(block), limits.device
        found = torch.full((queries, room), NOTHING, dtype=torch.int64, device=device)
        counts = torch.zeros(queries, dtype=torch.int32, device=device)
        alive = chunk.planes if chunk.alive is None else chunk.alive.view(torch.uint8)
        width = chunk.planes.stride(0) if len(chunk.planes) > 1 else chunk.rows
        common = (chunk.planes, alive, limits, found, counts, chunk.first, start, stop, width, room, queries)
        shape = {"HAS_ALIVE": chunk.alive is not None, "WORDS": len(chunk.planes), "ID": ID_BITS}
        with torch.cuda.device(device) if device.type == "cuda" else torch.no_grad():
            if block.signs is None:
                grid = (triton.cdiv(stop - start, _WORD_BLOCK),)
                _by_words[grid](block.words, *common, **shape, BLOCK=_WORD_BLOCK)
            else:
                grid = (triton.cdiv(stop - start, _PRODUCT_BLOCK),)
                _by_products[grid](block.signs, *common, **shape, ROWS=_PRODUCT_ROWS, BLOCK=_PRODUCT_BLOCK)
        most = int(counts.max())
        return None if most > room else found[:, :most]

    def bytes_per_row(self, block: QueryBlock) -> int:
        """See `Find`: hits have room of their own, whatever the number of rows."""
        return 1

    def __str__(self) -> str:
        return "kernels of Triton"


def quickest(device: torch.device) -> Find:
    """What finds quickest on a device: Triton's kernels on a GPU, if they compile and agree with torch; else torch."""
    if device.type != "cuda" or triton is None:
        return Plain()
    try:
        if agree(Fused(), Plain(), device):
            return Fused()
        logger.warning("the kernels of Triton give wrong answers on %s; torch alone is used, more slowly", device)
    except Exception as error:  # whatever a compiler, a driver or a GPU that nobody has tried may raise
        logger.warning("the kernels of Triton do not run on %s (%s); torch alone is used, more slowly", device, error)
    return Plain()


def agree(one: Find, other: Find, device: torch.device) -> bool:
    """Whether two ways find the same in some random codes, word by word and by products."""
    random = torch.Generator().manual_seed(0)
    for queries, words, rows, first in ((3, 1, 1500, 0), (3, 3, 1030, 1 << 33), (70, 1, 500, 0), (70, 2, 300, 1 << 33)):
        planes = torch.randint(-(1 << 63), (1 << 63) - 1, (words, rows), generator=random).to(device)
        alive = (torch.rand(rows, generator=random) < 0.7).to(device)
        limits = (torch.rand(queries, generator=random) * 8 * words + 30 * words).to(torch.int32).to(device)
        codes = planes.T[:queries].contiguous()
        block = QueryBlock(codes, signs(codes.T, torch.int8) if queries >= PRODUCTS_FROM else None)
        for chunk in (Chunk(first, planes, alive), Chunk(first, planes, None)):
            mine, theirs = (way(block, chunk, 7, rows - 5, limits, rows) for way in (one, other))
            if mine is None or theirs is None or not torch.equal(mine.sort(dim=1).values, theirs.sort(dim=1).values):
                return False
            if one(block, chunk, 0, rows, limits, room=2) is not None:  # each finds more than that
                return False
    return True
