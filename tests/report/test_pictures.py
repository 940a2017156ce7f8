"""Pictures inside the page."""

import base64
import io
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.images import Features, Loose, Paths, Pixels
from bitseek.report._pictures import CELL, NEGATIVE, POSITIVE, data_uri, heatmap, sheet, thumbnails


def opened(uri):
    kind, data = re.fullmatch(r"data:image/(png|jpeg);base64,([\w+/=]*)", uri).groups()
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert picture.format.lower() == kind
    return picture


def test_thumbnails_fit_and_keep_their_proportions(tmp_path):
    Image.new("RGB", (200, 100), "red").save(tmp_path / "a.jpg")
    Image.new("RGB", (20, 30), "blue").save(tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"no image")
    files = Paths(tmp_path, ("a.jpg", "b.png", "gone.png", "c.png"))
    found = thumbnails(files, np.arange(4), CELL, threads=1)
    assert {i: image.size for i, image in found.items()} == {0: (48, 24), 1: (20, 30)}
    assert set(thumbnails(files, np.array([1]), CELL, threads=2)) == {1}


def test_thumbnails_are_the_same_from_memory_and_from_files(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 30, 3), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{i}.png")
    names = tuple(f"{i}.png" for i in range(3))
    sources = (Pixels(pixels), Loose(tuple(pixels)), Paths(tmp_path, names), Loose(tuple(tmp_path / n for n in names)))
    for side in (16, 64):
        seen = [[(i, p.tobytes()) for i, p in thumbnails(s, np.array([2, 0]), side, 1).items()] for s in sources]
        assert seen[0] == seen[1] == seen[2] == seen[3] and [i for i, _ in seen[0]] == [2, 0]
    whole = thumbnails(sources[0], np.arange(3), 64)
    assert all(np.array_equal(np.asarray(whole[i]), pixels[i]) for i in range(3))


def test_pictures_without_colour_are_grey():
    grey = np.random.default_rng(0).integers(0, 256, (2, 8, 8), np.uint8)
    colour = np.stack([grey] * 3, axis=-1)
    for images in (Pixels(grey), Pixels(colour), Loose(tuple(colour))):
        found = thumbnails(images, np.arange(2), 16, 1)
        assert [picture.mode for picture in found.values()] == ["L", "L"]
        assert np.array_equal(np.asarray(found[1]), grey[1])
    assert thumbnails(Features((np.ones((2, 2), np.float32),)), np.arange(2), 9) == {}


def test_an_address_holds_the_picture():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    assert np.array_equal(np.asarray(opened(data_uri(Image.fromarray(pixels)))), pixels)
    assert opened(data_uri(Image.fromarray(pixels), exact=False)).size == (7, 9)


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=12), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_sheet_has_each_picture_in_the_middle_of_its_place(sizes, grey):
    mode = "L" if grey else "RGB"
    white = 255 if grey else (255, 255, 255)
    pictures = [Image.new(mode, size, white) for size in sizes]
    uri, grid = sheet(pictures)
    cell, columns, rows = grid["cell"], grid["columns"], grid["rows"]
    assert cell == max(max(size) for size in sizes) and columns * rows >= len(sizes) > columns * (rows - 1)
    picture = opened(uri)
    assert picture.size == (columns * cell, rows * cell) and picture.mode == mode
    for place, (width, height) in enumerate(sizes):
        left = place % columns * cell + (cell - width) // 2
        top = place // columns * cell + (cell - height) // 2
        own = np.asarray(picture.crop((left, top, left + width, top + height)))
        assert own.mean() > 240 if not grey else (own == 255).all()


def test_a_sheet_of_photographs_is_a_jpeg_and_of_nothing_is_none():
    small, large = Image.new("L", (28, 28)), Image.new("L", (CELL, 9))
    assert sheet([small])[0].startswith("data:image/png") and sheet([large])[0].startswith("data:image/jpeg")
    assert sheet([small, Image.new("RGB", (28, 28))])[0].startswith("data:image/jpeg") and sheet([]) is None


def test_a_heatmap_is_blue_for_positive_orange_for_negative_and_clear_for_none():
    pixels = np.asarray(opened(heatmap(np.array([[1.0, -1.0, 0.0], [0.5, -0.25, 2.0]]))))
    assert pixels.shape == (2, 3, 4) and pixels[..., 3].tolist() == [[255, 255, 0], [128, 64, 255]]
    assert tuple(pixels[0, 0, :3]) == tuple(pixels[1, 2, :3]) == POSITIVE
    assert tuple(pixels[0, 1, :3]) == tuple(pixels[1, 1, :3]) == NEGATIVE


@pytest.mark.parametrize("value", [-0.9, 0.9])
def test_a_large_matrix_keeps_its_strongest_values(value):
    values = np.zeros((600, 599))
    values[17, 598] = value
    pixels = np.asarray(opened(heatmap(values)))
    assert pixels.shape == (200, 200, 4)
    rows, columns = np.nonzero(pixels[..., 3])
    assert (rows.tolist(), columns.tolist(), pixels[5, 199, 3]) == ([5], [199], 230)
    assert tuple(pixels[5, 199, :3]) == (POSITIVE if value > 0 else NEGATIVE)
