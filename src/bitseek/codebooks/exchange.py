"""A local search for good linear codes: one column out, one column in, judged by all words at once.

Every word of weight w costs 3^(T − w) while w < T, with T a little above the minimum weight that has been reached. The
column whose removal costs least goes, and the column that saves most comes, chosen from all 2^k: one Walsh–Hadamard
transform of the costs ranks them all. Short tabus and a random removal now and then keep the search moving. It finds
many of the best known linear codes in milliseconds: [24, 12, 8] (Golay), [32, 8, 13], [48, 8, 20].
"""

import numpy as np
from jaxtyping import Int64

from bitseek.codebooks.draw import Draw
from bitseek.codebooks.linear import least_weight, walsh, weights

_SHAKE = 10  # one removal in so many is random


def exchange(
    columns: Int64[np.ndarray, " bits"], dimension: int, target: int, steps: int, draw: Draw, margin: int = 2
) -> tuple[Int64[np.ndarray, " bits"], int]:
    """Columns of a linear code whose minimum weight is as large as the search can make it.

    Args:
        columns: where to begin; any columns 0 < c < 2^dimension.
        dimension: k; a step costs about 2 k 2^k additions.
        target: the search ends when it attains this minimum weight.
        steps: the most exchanges that are tried.
        draw: random choices.
        margin: T minus the largest minimum weight seen; 1, 2 and 3 succeed on different codes.

    Returns:
        The best columns seen, and their minimum weight (never less than that of the start).
    """
    messages = np.arange(1 << dimension)
    columns = columns.copy()
    weight = weights(columns, dimension)
    best, best_columns = int(weight[1:].min()), columns.copy()
    tabu_until = np.zeros(len(columns), np.int64)
    for step in range(steps):
        if best >= target:
            break
        shake, tie, tenure = (int(number) for number in draw.below(1 << 30, 3))
        if shake % _SHAKE == 0:
            place = tie % len(columns)
        else:
            free = np.flatnonzero(tabu_until <= step)
            free = free if len(free) else np.arange(len(columns))
            place = int(free[_pick(-removal_costs(columns[free], _costs(weight, best + margin)), tie)])
        weight = weight - _parity(messages & columns[place])
        saved = -walsh(_costs(weight, best + margin))
        saved[[0, columns[place]]] = np.iinfo(np.int64).min  # no constant column, and not the one that has just gone
        columns[place] = _pick(saved, tie)
        weight = weight + _parity(messages & columns[place])
        tabu_until[place] = step + 3 + tenure % max(1, len(columns) // 4)
        least = int(weight[1:].min())
        if least > best:
            best, best_columns = least, columns.copy()
    return best_columns, best


def fit(columns: Int64[np.ndarray, " n"], dimension: int, bits: int, draw: Draw) -> Int64[np.ndarray, " bits"]:
    """Columns dropped or added one by one, each the best single choice, until there are `bits` of them."""
    while len(columns) != bits:
        costs = _costs(weights(columns, dimension), least_weight(columns, dimension) + 3)
        tie = int(draw.below(1 << 30, 1)[0])
        if len(columns) > bits:
            columns = np.delete(columns, _pick(-removal_costs(columns, costs), tie))
        else:
            saved = -walsh(costs)
            saved[0] = np.iinfo(np.int64).min
            columns = np.append(columns, _pick(saved, tie))
    return columns


def removal_costs(
    columns: Int64[np.ndarray, " bits"], costs: Int64[np.ndarray, " messages"]
) -> Int64[np.ndarray, " bits"]:
    """Σ_u costs[u]·[u·c = 1] for every column c, doubled and without the common Σ_u costs[u]."""
    removal: np.ndarray = -walsh(costs)[columns]
    return removal


def _costs(weight: Int64[np.ndarray, " messages"], aim: int) -> Int64[np.ndarray, " messages"]:
    """3^(aim − weight) where the weight is under the aim, capped so that their sum fits an integer; 0 elsewhere."""
    dimension = len(weight).bit_length() - 1
    levels = 3 ** np.arange(int((61 - dimension) / np.log2(3)), dtype=np.int64)
    levels[0] = 0
    costs: np.ndarray = levels[np.clip(aim - weight, 0, len(levels) - 1)]
    costs[0] = 0
    return costs


def _pick(values: Int64[np.ndarray, " n"], tie: int) -> int:
    """The place of a largest value, the one among equals that the random number `tie` says."""
    places = np.flatnonzero(values == values.max())
    return int(places[tie % len(places)])


def _parity(values: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    parity: np.ndarray = np.bitwise_count(values) & 1
    return parity.astype(np.int64)
