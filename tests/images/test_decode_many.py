import itertools
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitseek.errors import ImageError, ShapeError
from bitseek.images import decode_many


def saved(path, image, **kwargs):
    image.save(path, **kwargs)
    return path


def test_decode_many_is_in_order_and_names_the_damaged(tmp_path):
    paths = []
    for i in range(40):
        path = tmp_path / f"{i:02d}.png"
        Image.fromarray(np.full((1 + i % 3 * 200, 5, 3), i, np.uint8)).save(path)
        paths.append(path)
    paths[7].write_bytes(b"")
    paths[20] = tmp_path / "absent.png"
    result = list(decode_many(paths, threads=4))
    assert [i for i, _ in result] == list(range(40))
    for i, image in result:
        if i in (7, 20):
            assert isinstance(image, ImageError) and str(paths[i]) in str(image)
        else:
            assert image.shape == (1 + i % 3 * 200, 5, 3) and (image == i).all()
    assert list(decode_many([])) == []


def test_decode_many_refuses_numbers_that_are_none(unchecked):
    for threads in (0, "3", 1.5, True):
        with pytest.raises(ShapeError, match="threads is a whole number of 1 or more, got threads="):
            decode_many([], threads)
    with pytest.raises(ShapeError, match="min_side is a whole number"):
        decode_many([], min_side=0)


def test_decode_many_reads_ahead_by_a_bounded_number_and_stops(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (2, 2)))
    taken = itertools.count()
    before = threading.active_count()
    stream = decode_many((path for _ in iter(lambda: next(taken), -1)), threads=2)  # endless
    for i in range(100):
        assert next(stream)[0] == i
    assert next(taken) <= 100 + 4 * 2 + 1
    stream.close()
    assert threading.active_count() == before


def test_decode_many_lets_errors_of_the_path_iterator_through():
    def paths():
        yield Path("absent.png")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(decode_many(paths(), threads=1))


def test_decode_many_applies_a_function_in_its_threads(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (2, 3)))
    me = threading.get_ident()
    results = list(decode_many([path, tmp_path / "absent.png"], 2, then=lambda a: (a.shape, threading.get_ident())))
    assert results[0][1][0] == (3, 2, 3) and results[0][1][1] != me
    assert isinstance(results[1][1], ImageError)
