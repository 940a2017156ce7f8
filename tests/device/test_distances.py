"""Distances through torch, by products in every type of number and word by word, against unpacked bits."""

import numpy as np
import pytest
import torch

from bitseek.codes import Codes
from bitseek.device._distances import MOST_BITS, by_products, by_words, product_type, signs


def planes_of(codes):
    return torch.from_numpy(codes.words.view(np.int64).T.copy())


def draw(bits, n, seed):
    """Random codes, and the two that are furthest apart: the greatest sums of ±1 that there are."""
    rows = np.random.default_rng([seed, bits]).random((n, bits)) < 0.5
    rows[0], rows[1] = False, True
    return Codes.from_bits(rows)


@pytest.mark.parametrize("bits", [1, 12, 63, 64, 65, 128, 256, 300, 512, 2048, 2049, 4200])
@pytest.mark.parametrize("dtype", [*MOST_BITS, "words"])
def test_distances_of_every_length(bits, dtype):
    queries, database = draw(bits, 5, 1), draw(bits, 27, 2)
    expected = (queries.to_bits()[:, None] ^ database.to_bits()[None]).sum(axis=2)
    mine, planes = planes_of(queries), planes_of(database)
    found = by_words(mine.T, planes) if dtype == "words" else by_products(signs(mine, dtype), planes)
    assert found.dtype == torch.int32
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_bounds_of_exactness_are_where_whole_numbers_end(dtype):
    """Up to the bound every whole number is held, so no partial sum is rounded; the next one is not."""
    most = MOST_BITS[dtype]
    whole = torch.arange(max(0, most - 4096), most + 2)
    held = whole.to(dtype).to(torch.int64) == whole
    assert held[:-1].all() and not held[-1]


def test_views_of_codes_and_one_code():
    database = draw(130, 40, 3)
    planes = planes_of(database)
    expected = (database.to_bits()[5:6, None] ^ database.to_bits()[None]).sum(axis=2)
    one = planes[:, 5:6]
    np.testing.assert_array_equal(by_products(signs(one, torch.float32), planes), expected)
    np.testing.assert_array_equal(by_products(signs(planes, torch.float32), one)[:, 0], expected[0])
    np.testing.assert_array_equal(by_words(planes.T, one)[:, 0], expected[0])


def test_the_words_of_the_codes_stay_as_they_are():
    planes = planes_of(draw(64, 9, 4))
    before = planes.clone()
    by_words(planes.T, planes)
    by_products(signs(planes, torch.int8), planes)
    assert torch.equal(planes, before)


def test_the_type_of_a_cpu_is_what_it_multiplies_quickly():
    assert product_type(torch.device("cpu")) == torch.float32
