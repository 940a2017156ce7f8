import numpy as np
import pytest

from bitseek.errors import BitseekError
from bitseek.images import Tile, hits_picture


def test_tiles_stand_in_rows_and_are_framed_by_what_they_are():
    query, hit = np.full((8, 8), 40, np.uint8), np.full((9, 5, 3), (1, 2, 200), np.uint8)
    rows = [[Tile(query, "query"), Tile(hit, "0", True), Tile(hit, "3", False)], [Tile(query, "query")]]
    picture = np.asarray(hits_picture(rows, side=30, gap=8))
    assert picture.shape == (8 + 2 * (30 + 8 + 16), 8 + 3 * 38 + 16, 3)
    np.testing.assert_array_equal(picture[8 + 15, 8 + 15], (40, 40, 40))
    np.testing.assert_array_equal(picture[8 + 54 + 15, 8 + 15], (40, 40, 40))
    frames = {}
    for column in (1, 2):
        left = 8 + column * 38 + 16
        np.testing.assert_array_equal(picture[8 + 15, left + 15], (1, 2, 200))
        frames[column] = picture[8 - 1, left + 15].astype(int)
    assert frames[1][1] > frames[1][0] and frames[2][0] > frames[2][1]  # green where right, red where wrong


@pytest.mark.parametrize(
    ("rows", "sizes", "sentence"),
    [
        ([], {}, "no images"),
        ([[], []], {}, "no images"),
        ([[Tile(np.zeros((2, 2), np.uint8), "a")]], {"side": 0}, "side is a whole number"),
        ([[Tile(np.zeros((2, 2), np.uint8), "a")]], {"side": 1.5}, "side is a whole number"),
        ([[Tile(np.zeros((2, 2), np.uint8), "a")]], {"gap": -1}, "gap is a whole number"),
        ([[Tile(np.zeros((2, 2), np.float32), "a")]], {}, "an image is"),
        ([[Tile(np.zeros((0, 2), np.uint8), "a")]], {}, "an image is"),
    ],
)
def test_what_makes_no_picture(rows, sizes, sentence, unchecked):
    with pytest.raises(BitseekError, match=sentence):
        hits_picture(rows, **sizes)


def test_tiles_are_what_can_be_decoded():
    tile = Tile(np.full((4, 4, 1), 60, np.uint8), "a")
    assert np.asarray(hits_picture([[], [tile]]))[8 + 96 + 30, 8 + 30].tolist() == [60] * 3
