"""Items go through decoding and network in order, once each, in pieces that a network likes, by few threads at once."""

import threading
import time

import numpy as np
import pytest
from PIL import Image

from bitseek.errors import ImageError, ShapeError
from bitseek.images import Features, Loose, Paths, Pixels, Preprocess, decode, encoded, in_pieces
from bitseek.kernels.threads import is_alone

PREPROCESS = Preprocess(size=6, crop=0.75)


def network(squares):
    """Sums that depend on each pixel and its place."""
    weights = np.random.default_rng(0).integers(-9, 9, (squares[0].size, 3))
    return squares.reshape(len(squares), -1).astype(np.int64) @ weights


def halves(item):
    """Odd items have no square."""
    return item, None if item % 2 else np.full((1, 1, 3), item, np.uint16)


@pytest.mark.parametrize("total", [0, 1, 7, 127, 128, 129, 1000])
@pytest.mark.parametrize("said", [0, 1, 1.0, 2])
@pytest.mark.parametrize("threads, batch_size", [(1, 64), (2, 64), (3, 5), (2, 1)])
def test_each_item_comes_once_and_in_order(total, said, threads, batch_size):
    """Also where what was said of their number is wrong."""

    def rows(squares):
        return squares[:, 0, 0, 0] * 10

    pieces = in_pieces(halves, rows, range(total), int(said * total), threads=threads, batch_size=batch_size)
    expected = [(i, None if i % 2 else i * 10) for i in range(total)]
    assert [pair for piece in pieces for pair in piece] == expected


@pytest.mark.parametrize("side, least, most", [(224, 16, 31), (160, 31, 40), (96, 32, 40)])
def test_large_squares_go_through_the_network_in_parts_that_fit_the_caches(side, least, most):
    seen = []

    def rows(squares):
        seen.append(len(squares))
        return squares[:, 0, 0, 0]

    square = np.zeros((side, side, 3), np.uint8)
    pieces = in_pieces(lambda i: (i, square + np.uint8(i)), rows, range(256), 256, threads=2)
    assert [row for piece in pieces for _, row in piece] == list(range(256))
    assert sum(seen) == 256 and least <= min(seen) and max(seen) <= most


@pytest.mark.parametrize("threads, batch_size, least, most", [(2, 64, 32, 36), (4, 64, 16, 18), (2, 200, 100, 112)])
def test_many_items_are_in_even_pieces_by_threads_that_are_alone(threads, batch_size, least, most):
    for total in (4 * threads * least, 1001, 1024):
        before, seen = threading.active_count(), []

        def rows(squares, seen=seen):
            seen.append((len(squares), is_alone(), threading.get_ident()))
            time.sleep(0.001)
            return squares

        squares = ((i, np.zeros((1, 1, 3), np.uint8)) for i in range(total))
        pieces = [len(piece) for piece in in_pieces(lambda item: item, rows, squares, total, threads=threads,
                                                    batch_size=batch_size)]  # fmt: skip
        assert sum(pieces) == total and sorted(pieces) == sorted(number for number, _, _ in seen)
        assert least <= min(pieces) and max(pieces) <= min(min(pieces) + 1, most)
        assert all(lonely for _, lonely, _ in seen) and threading.get_ident() not in {who for _, _, who in seen}
        assert 1 < len({who for _, _, who in seen}) <= threads and threading.active_count() == before


def test_few_items_are_decoded_by_all_threads_and_go_through_the_network_together():
    decoding, seen, together = set(), [], threading.Barrier(2, timeout=60)

    def decode(item):
        together.wait()  # which no thread alone gets past
        decoding.add(threading.get_ident())
        return item, np.zeros((1, 1, 3), np.uint8)

    def rows(squares):
        seen.append((len(squares), is_alone(), threading.get_ident()))
        return squares

    assert [len(piece) for piece in in_pieces(decode, rows, range(100), 100, threads=2)] == [64, 36]
    assert seen == [(64, False, threading.get_ident()), (36, False, threading.get_ident())] and len(decoding) == 2


@pytest.mark.parametrize("total", [20, 2000])
@pytest.mark.parametrize("more", [-1, 1])
def test_a_network_gives_one_row_for_each_square(total, more):
    def rows(squares):
        return np.zeros((len(squares) + more, 2))

    with pytest.raises(ShapeError, match="it must give one for each"):
        list(in_pieces(lambda item: (item, np.zeros((1, 1, 3), np.uint8)), rows, range(total), total, threads=2))


@pytest.mark.parametrize("total", [20, 2000])
@pytest.mark.parametrize("where", ["decode", "network"])
def test_an_error_comes_through_and_the_threads_end(total, where):
    before = threading.active_count()

    def fails(item):
        if where == "decode" and item == 9:
            raise KeyError("nine")
        return item, np.zeros((1, 1, 3), np.uint8)

    def rows(squares):
        if where == "network":
            raise KeyError("nine")
        return squares

    with pytest.raises(KeyError, match="nine"):
        list(in_pieces(fails, rows, range(total), total, threads=2))
    pieces = in_pieces(halves, lambda squares: squares, range(total), total, threads=2)
    next(pieces)
    pieces.close()
    assert threading.active_count() == before


def of_every_kind(folder, n, side):
    array = np.random.default_rng(n).integers(0, 256, (n, side, side, 3), np.uint8)
    for i, image in enumerate(array):
        Image.fromarray(image).save(folder / f"{i}.png")
    return array, (Paths(folder, tuple(f"{i}.png" for i in range(n))), Loose(tuple(array)), Pixels(array))


@pytest.mark.parametrize("threads", [2, 4])
def test_a_network_that_the_caller_runs_gets_whole_batches_while_threads_decode(threads):
    sizes, callers, deciding = [], set(), set()

    def decode(i):
        deciding.add(threading.get_ident())
        return i, None if i % 5 == 0 or i < 100 else np.full((1, 1, 3), i % 256, np.uint8)

    def network(squares):
        sizes.append(len(squares))
        callers.add(threading.get_ident())
        return squares[:, 0, 0, 0]

    pieces = list(in_pieces(decode, network, range(2000), 2000, threads=threads, by_caller=lambda: True))
    assert callers == {threading.get_ident()} and threading.get_ident() not in deciding
    found = [one for piece in pieces for one in piece]
    assert found == [(i, None if i % 5 == 0 or i < 100 else i % 256) for i in range(2000)]
    assert sum(sizes) == 1520 and min(sizes[1:-1]) >= 0.8 * 64 - 1 and max(sizes) <= 64


@pytest.mark.parametrize("side", [8, 11])
@pytest.mark.parametrize("n", [5, 150])
@pytest.mark.parametrize("at_once", [1, 2])
def test_rows_are_those_of_each_image_alone(tmp_path, side, n, at_once):
    array, kinds = of_every_kind(tmp_path, n, side)
    ids = np.random.default_rng(1).permutation(n)[: n - 2]
    expected = [network(PREPROCESS.square(decode(array[i]))[None])[0] for i in ids]
    for images in kinds:
        told, unreadable = [], {}
        found = list(encoded(images, PREPROCESS, network, ids, at_once=at_once, threads=2,
                             progress=lambda *done, told=told: told.append(done), unreadable=unreadable))  # fmt: skip
        np.testing.assert_array_equal(np.concatenate([some for some, _ in found]), ids)
        np.testing.assert_array_equal(np.concatenate([rows for _, rows in found]), expected)
        assert told[-1] == (len(ids), len(ids)) and told == sorted(told) and not unreadable


@pytest.mark.parametrize("n", [6, 140])
def test_what_cannot_be_read_is_left_out_by_name(tmp_path, n):
    _, (images, *_) = of_every_kind(tmp_path, n, 9)
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "3.png").unlink()
    unreadable = {}
    found = list(encoded(images, PREPROCESS, network, at_once=2, threads=2, unreadable=unreadable))
    assert np.concatenate([some for some, _ in found]).tolist() == [i for i in range(n) if i not in (1, 3)]
    assert set(unreadable) == {1, 3} and "1.png" in unreadable[1] and "3.png" in unreadable[3]
    for i in range(n):
        (tmp_path / f"{i}.png").write_bytes(b"")
    assert not list(encoded(images, PREPROCESS, network, at_once=2, threads=2, unreadable=unreadable))
    assert len(unreadable) == n
    with pytest.raises(ImageError, match=r"1\.png is empty"):
        decode(tmp_path / "1.png")


def test_no_more_threads_than_may_are_in_the_network(tmp_path):
    pixels, lock = Pixels(np.zeros((600, 9, 9, 3), np.uint8)), threading.Lock()
    inside, most = [], []

    def counted(squares):
        with lock:
            inside.append(1)
            most.append(len(inside))
        time.sleep(0.002)
        with lock:
            inside.pop()
        return squares

    assert sum(len(ids) for ids, _ in encoded(pixels, PREPROCESS, counted, at_once=2, threads=4, unreadable={})) == 600
    assert max(most) == 2


def test_features_need_no_decoding():
    features = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    ((ids, rows),) = encoded(Features((features,)), PREPROCESS, lambda batch: batch * 2, at_once=2, unreadable={})
    assert ids.tolist() == list(range(9)) and np.array_equal(rows, features * 2)


def test_numbers_that_are_none(unchecked):
    for number in (0, 1.5, "3", True):
        with pytest.raises(ShapeError, match="batch_size is a whole number"):
            in_pieces(halves, network, [], 0, batch_size=number)
        with pytest.raises(ShapeError, match="threads is a whole number"):
            in_pieces(halves, network, [], 0, threads=number)
