"""Batches of squares: in the order asked for, by threads, without torch; what cannot be read is left out by name."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from bitseek.errors import ShapeError
from bitseek.images import Features, Loose, Paths, Pixels, Preprocess, batches, decode, squares

PREPROCESS = Preprocess(size=20, crop=0.8)


def pixels(n=7, height=30, width=26, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


def files(folder, array):
    for i, image in enumerate(array):
        Image.fromarray(image).save(folder / f"{i}.png")
    return Paths(folder, tuple(f"{i}.png" for i in range(len(array))))


def read(images, order, preprocess=PREPROCESS, **options):
    unreadable = {}
    return list(squares(images, preprocess, iter(order), unreadable=unreadable, **options)), unreadable


@pytest.mark.parametrize("side", [25, 31])
@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize("grey", [True, False])
def test_the_order_is_that_asked_for_of_every_source(side, cut, grey, tmp_path):
    array = pixels(7, side, side)
    array = array[..., 0] if grey else array
    prepare = PREPROCESS.square if cut else PREPROCESS.resize
    order = [np.array([3, 0]), np.array([], np.int64), np.array([6, 6, 1, 2])]
    for images in (files(tmp_path, array), Loose(tuple(array)), Pixels(array)):
        given, unreadable = read(images, order, cut=cut, threads=3)
        assert [ids.tolist() for ids, _ in given] == [[3, 0], [], [6, 6, 1, 2]] and not unreadable
        for ids, batch in given:
            expected = [prepare(decode(array[i])) for i in ids]
            assert batch.dtype == np.uint8 and batch.shape == (len(ids), *prepare(decode(array[0])).shape)
            assert batch.flags.c_contiguous and all(np.array_equal(a, b) for a, b in zip(batch, expected, strict=True))


def test_features_are_picked_by_index():
    features = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
    given, _ = read(Features((features[:4], features[4:])), [np.array([8, 0]), np.array([3]), np.array([], np.int64)])
    assert [ids.tolist() for ids, _ in given] == [[8, 0], [3], []]
    np.testing.assert_array_equal(np.concatenate([batch for _, batch in given]), features[[8, 0, 3]])


def test_what_cannot_be_read_is_left_out_by_name(tmp_path):
    images = files(tmp_path, pixels(5))
    (tmp_path / "1.png").write_bytes(b"no image")
    (tmp_path / "3.png").unlink()
    given, unreadable = read(images, [np.array([0, 1]), np.array([1, 3]), np.array([4, 2])])
    assert [ids.tolist() for ids, _ in given] == [[0], [], [4, 2]]
    assert [batch.shape for _, batch in given] == [(1, 20, 20, 3), (0, 20, 20, 3), (2, 20, 20, 3)]
    assert set(unreadable) == {1, 3} and "1.png" in unreadable[1] and "3.png" in unreadable[3]


def test_the_order_may_be_endless_and_threads_end_with_it(tmp_path):
    images, before = files(tmp_path, pixels(1)), threading.active_count()

    def forever():
        while True:
            yield np.array([0, 0])

    given = squares(images, PREPROCESS, forever(), threads=2, unreadable={})
    assert [len(next(given)[0]) for _ in range(5)] == [2] * 5
    given.close()
    assert threading.active_count() == before


def test_stored_pixels_are_resized_by_threads():
    used = set()

    class Watched(Preprocess):
        def square(self, image):
            used.add(threading.get_ident())
            return super().square(image)

    read(Pixels(pixels(200, 32, 32)), [np.arange(200)], Watched(size=224), threads=3)
    assert 1 <= len(used) <= 3 and threading.get_ident() not in used


def test_large_jpegs_are_decoded_at_no_less_than_twice_the_input(tmp_path):
    smooth = Image.fromarray(pixels(1, 12, 16)[0]).resize((640, 480), Image.Resampling.BICUBIC)
    smooth.save(tmp_path / "a.jpg", quality=95)
    with Image.open(tmp_path / "a.jpg") as image:
        whole = np.array(image)
    with Image.open(tmp_path / "a.jpg") as image:
        image.draft(None, (PREPROCESS.min_side, PREPROCESS.min_side))
        drafted = np.array(image)
    assert min(drafted.shape[:2]) >= 2 * PREPROCESS.size and drafted.shape[0] < 480
    (((_, (square,)),), _) = read(Paths(tmp_path, ("a.jpg",)), [np.array([0])])
    np.testing.assert_array_equal(square, PREPROCESS.square(drafted))
    assert np.abs(square.astype(int) - PREPROCESS.square(whole)).max() <= 12


def test_one_pass_tells_its_progress_and_leaves_out_empty_batches(tmp_path):
    images, told, unreadable = files(tmp_path, pixels(5)), [], {}
    for name in ("0.png", "1.png", "4.png"):
        (tmp_path / name).write_bytes(b"")
    given = batches(
        images, PREPROCESS, batch_size=2, progress=lambda *done: told.append(done), unreadable=unreadable
    )  # fmt: skip
    assert [ids.tolist() for ids, _ in given] == [[2, 3]] and told == [(2, 5), (4, 5), (5, 5)]
    assert set(unreadable) == {0, 1, 4}
    chosen = batches(images, PREPROCESS, np.array([3, 2]), unreadable=unreadable)
    assert [ids.tolist() for ids, _ in chosen] == [[3, 2]]
    assert list(batches(Loose(()), PREPROCESS, progress=lambda *done: told.append(done), unreadable={})) == []
    assert len(told) == 3


def test_numbers_that_are_none(tmp_path, unchecked):
    images = files(tmp_path, pixels(1))
    for number in (0, 1.5, "3", True):
        with pytest.raises(ShapeError, match="batch_size is a whole number"):
            batches(images, PREPROCESS, batch_size=number, unreadable={})
        with pytest.raises(ShapeError, match="threads is a whole number"):
            list(batches(images, PREPROCESS, threads=number, unreadable={}))


def test_no_torch(tmp_path):
    files(tmp_path, pixels(2))
    program = (
        "import sys, numpy as np; from bitseek.images import Paths, Preprocess, batches, upright, walk; "
        "from pathlib import Path; images = Paths(Path(sys.argv[1]), ('0.png', '1.png')); "
        "print(sum(len(ids) for ids, _ in batches(images, Preprocess(), unreadable={})), len(list(walk(sys.argv[1]))), "
        "*upright(Path(sys.argv[1], '0.png'))[1], "
        "*sorted({'torch', 'timm', 'torchvision'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program, tmp_path], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["2", "2", "26", "30"]
