"""Every engine gives the answers of brute force: the same ids, the same distances, ties to the lowest id."""

import numpy as np
import pytest
from tests.engines.harness import ENGINES, check, codes
from unchecked import unchecked

from bitseek.codes import Codes
from bitseek.engines import Engine
from bitseek.errors import BitseekError, CodeWidthError, ShapeError

every_engine = pytest.mark.parametrize("make", list(ENGINES), indirect=True)


@every_engine
@pytest.mark.parametrize("bits", [16, 100])
def test_it_finds_what_brute_force_finds(make, bits):
    """Also after codes were added, removed, and added again; ids stay what they are."""
    database, queries = codes(230, bits), codes(7, bits, seed=1)
    engine = make(database[:200])
    alive = np.zeros(230, bool)
    alive[:200] = True
    assert isinstance(engine, Engine)
    assert (engine.bits, len(engine), engine.size) == (bits, 200, 200)
    for k, radius in [(1, 0), (10, bits // 4), (500, bits)]:
        check(engine, database, queries, alive, k, radius)
    np.testing.assert_array_equal(engine.add(database[200:215]), np.arange(200, 215))
    alive[200:215] = True
    gone = [3, 66, 67, 199, 200, 214, 3]
    assert engine.remove(gone) == 6 and engine.remove([3, 4]) == 1
    alive[[*gone, 4]] = False
    np.testing.assert_array_equal(engine.add(database[215:]), np.arange(215, 230))
    alive[215:] = True
    assert (len(engine), engine.size) == (alive.sum(), 230)
    for k, radius in [(12, bits // 3), (500, bits)]:
        check(engine, database, queries, alive, k, radius)
    assert engine.codes([229, 3, 70, 3]) == database[[229, 3, 70, 3]]
    assert engine.codes() == database


@every_engine
def test_nothing_to_find_and_nothing_to_search_for(make):
    database = codes(9, 24)
    engine = make(database)
    none = database[:0]
    assert engine.nearest(none, 3).ids.shape == (0, 3) and engine.within(none, 5).offsets.tolist() == [0]
    assert engine.add(none).tolist() == [] and engine.remove([]) == 0 and len(engine.codes([])) == 0
    assert engine.remove(np.arange(9)) == 9 and len(engine) == 0
    assert engine.nearest(database[:2], 3).ids.shape == (2, 0)
    assert engine.within(database[:2], 24).counts.tolist() == [0, 0]
    engine.add(database[4:5])
    assert engine.nearest(database[4:5], 3)[0].ids.tolist() == [9]


@every_engine
def test_what_cannot_be_asked(make):
    """One sentence each, and the engine is as before."""
    database = codes(9, 24)
    engine = make(database)
    other = Codes.from_bits(np.ones((2, 25), bool))
    for call, error in [
        (lambda: engine.nearest(other, 3), CodeWidthError),
        (lambda: engine.within(other, 3), CodeWidthError),
        (lambda: engine.add(other), CodeWidthError),
        (lambda: engine.nearest(database, 0), ShapeError),
        (lambda: engine.within(database, -1), ShapeError),
        (lambda: engine.codes([9]), BitseekError),
        (lambda: engine.codes([-1]), BitseekError),
        (lambda: engine.remove([0, 9]), BitseekError),
        (lambda: engine.remove([0.5]), ShapeError),
    ]:
        with pytest.raises(error):
            call()
    with pytest.raises(ShapeError):
        unchecked(engine.nearest)(database.words, 3)
    check(engine, database, database, np.ones(9, bool), 9, 24)
