"""Hadamard matrices by their defining properties, and against scipy where it has them."""

import numpy as np
import pytest
from scipy.linalg import hadamard as sylvester
from tests.codebooks.oracles import all_distances

from bitseek.codebooks._hadamard import hadamard_matrix, has_hadamard_matrix

BUILT = [order for order in range(1, 300) if has_hadamard_matrix(order)]


def test_the_orders_that_are_said_to_be_built():
    assert set(range(4, 92, 4)) | {1, 2} <= set(BUILT)
    assert 92 not in BUILT
    assert all(order % 4 == 0 for order in BUILT if order > 2)
    doubled = {2 * order for order in BUILT if order > 1 and 2 * order < 300}  # Sylvester's doubling
    assert doubled <= set(BUILT)


@pytest.mark.parametrize("order", BUILT)
def test_rows_and_columns_are_orthogonal_and_the_first_are_ones(order):
    matrix = hadamard_matrix(order).astype(np.int64)
    assert np.isin(matrix, (-1, 1)).all()
    assert (matrix @ matrix.T == order * np.eye(order)).all()
    assert (matrix.T @ matrix == order * np.eye(order)).all()
    assert (matrix[0] == 1).all()
    assert (matrix[:, 0] == 1).all()


@pytest.mark.parametrize("order", [12, 20, 28, 52, 100])  # Paley I, Paley II, and II from the fields of 25 and 49
def test_determinant_attains_hadamards_bound(order):
    _, logarithm = np.linalg.slogdet(hadamard_matrix(order).astype(float))
    assert logarithm == pytest.approx(order / 2 * np.log(order))


@pytest.mark.parametrize("order", [1, 2, 8, 64, 256])
def test_powers_of_two_are_sylvesters(order):
    assert (hadamard_matrix(order) == sylvester(order)).all()


@pytest.mark.parametrize("order", [12, 36, 40])
def test_rows_and_complements_are_levenshteins_codes(order):
    rows = hadamard_matrix(order) > 0
    assert set(all_distances(rows)) == {order // 2}
    assert set(all_distances(np.concatenate([rows, ~rows]))) == {order // 2, order}
    half = rows[rows[:, 1], 2:]
    assert len(half) == order // 2
    assert set(all_distances(half)) == {order // 2}


def test_other_orders_are_refused():
    with pytest.raises(ValueError, match="order 92"):
        hadamard_matrix(92)
