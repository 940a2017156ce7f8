from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitseek.errors import ShapeError
from bitseek.images import Features, Loose, Paths, Pixels, as_images, decode


def test_pixels():
    grey = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    np.testing.assert_array_equal(Pixels(grey).rows(np.array([1])), grey[1:])
    assert len(Pixels(np.zeros((5, 2, 2, 3), np.uint8))) == 5
    for wrong in (grey.astype(np.float32), np.zeros((2, 3, 4, 1), np.uint8), np.zeros((2, 3), np.uint8)):
        with pytest.raises(ShapeError, match="pixels are"):
            Pixels(wrong)


def test_paths():
    paths = Paths(Path("root"), ("a/1.png", "b c/2.png", "d.png"))
    assert paths.rows([2, 1]) == [Path("root/d.png"), Path("root/b c/2.png")]
    assert paths.rows(slice(None)) == [Path("root/a/1.png"), Path("root/b c/2.png"), Path("root/d.png")]
    assert len(paths) == 3


def test_features_of_several_parts_read_like_one_array(tmp_path):
    whole = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "part.npy", whole[5:12])
    mapped = np.load(tmp_path / "part.npy", mmap_mode="r")
    features = Features((whole[:5], mapped, whole[12:]))
    assert len(features) == 20 and features.dimensions == 3
    np.testing.assert_array_equal(features.array, whole)
    chosen = np.array([19, 0, 5, 11, 12, 4, 0])
    np.testing.assert_array_equal(features.rows(chosen), whole[chosen])
    np.testing.assert_array_equal(features.rows(slice(3, 14, 2)), whole[3:14:2])
    np.testing.assert_array_equal(features.rows(whole[:, 0] > 0), whole[whole[:, 0] > 0])
    np.testing.assert_array_equal(Features((whole,)).rows(chosen), whole[chosen])


def test_features_must_fit():
    with pytest.raises(ShapeError, match="float32"):
        Features((np.zeros((2, 3)),))
    with pytest.raises(ShapeError, match="float32"):
        Features((np.zeros((2, 3), np.float32), np.zeros((2, 4), np.float32)))
    with pytest.raises(ShapeError, match="none"):
        Features(())


def test_loose_items():
    items = ("a.png", np.zeros((2, 2, 3), np.uint8), Image.new("L", (1, 1)))
    loose = Loose(items)
    assert len(loose) == 3
    assert loose.rows([2, 0]) == [items[2], "a.png"] and loose.rows(slice(None)) == list(items)


def one(given):
    images = as_images(given)
    assert isinstance(images, Loose) and len(images) == 1
    return decode(images.items[0])


def test_one_image_in_every_form(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(rgb).save(path)
    with Image.open(path) as opened, path.open("rb") as file:
        for given in (rgb, path, str(path), bytes(path), Image.fromarray(rgb), opened, file):
            np.testing.assert_array_equal(one(given), rgb)  # bug 8: an array (H, W, 3) is not H images
    grey = rgb[..., 0]
    for given in (grey, grey[..., None], grey.astype(np.uint16) * 257):
        np.testing.assert_array_equal(one(given), np.stack([grey] * 3, axis=-1))
    assert one(np.dstack([rgb, np.full((5, 7), 255, np.uint8)])).shape == (5, 7, 3)
    assert one(grey > 100).max() == 255


def test_arrays_of_many_images():
    rng = np.random.default_rng(0)
    colour, grey = rng.integers(0, 256, (4, 5, 6, 3), np.uint8), rng.integers(0, 256, (4, 5, 6), np.uint8)
    for array, expected in ((colour, colour), (grey, grey), (grey[..., None], grey)):
        images = as_images(array)
        assert isinstance(images, Pixels)
        np.testing.assert_array_equal(images.array, expected)
    alpha = np.concatenate([colour, grey[..., None]], axis=3)
    for array in (alpha, grey.astype(np.uint16) * 257, grey.astype(">u2") * 257):
        images = as_images(array)
        assert isinstance(images, Loose) and len(images) == 4
        np.testing.assert_array_equal(decode(images.items[1]), decode(array[1]))


def test_lists_are_kept_item_by_item():
    items = [Path("a.png"), "b.png", np.zeros((3, 3), np.uint8), Image.new("RGB", (2, 2))]
    assert as_images(items).items == tuple(items) == as_images(iter(items)).items
    assert len(as_images([])) == 0
    assert len(as_images([np.zeros((2, 2, 3), np.uint8)] * 3)) == 3


def test_features_of_any_float_type():
    values = np.random.default_rng(0).normal(size=(4, 3))
    for dtype in (np.float16, np.float32, np.float64):
        images = as_images(values.astype(dtype))
        assert isinstance(images, Features) and images.backbone is None
        np.testing.assert_array_equal(images.array, values.astype(dtype).astype(np.float32))


@pytest.mark.parametrize("source", [Pixels(np.zeros((1, 2, 2), np.uint8)), Paths(Path("x"), ("a",)), Loose(())])
def test_a_source_is_returned_as_it_is(source):
    assert as_images(source) is source


def test_tensors_have_their_channels_first():
    torch = pytest.importorskip("torch")
    rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), np.uint8)
    tensors = torch.from_numpy(rgb).permute(0, 3, 1, 2)
    images = as_images(tensors)
    assert isinstance(images, Pixels)
    np.testing.assert_array_equal(images.array, rgb)
    np.testing.assert_array_equal(one(tensors[1]), rgb[1])
    np.testing.assert_array_equal(one(tensors[1, :1]), np.stack([rgb[1, ..., 0]] * 3, axis=-1))
    np.testing.assert_array_equal(one(tensors[1, 0]), np.stack([rgb[1, ..., 0]] * 3, axis=-1))
    np.testing.assert_array_equal(as_images(tensors[:, :1]).array, rgb[..., 0])
    mixed = as_images([tensors[0], rgb[1]])
    for i, item in enumerate(mixed.items):
        np.testing.assert_array_equal(decode(item), rgb[i])
    features = as_images(torch.ones(3, 4, requires_grad=True, dtype=torch.float64))
    assert isinstance(features, Features) and features.array.shape == (3, 4)
    features = as_images(torch.full((3, 4), 0.5, dtype=torch.bfloat16))
    assert features.array.dtype == np.float32 and (features.array == 0.5).all()


def test_grey_tensors_are_not_cut_into_rows():
    torch = pytest.importorskip("torch")
    grey = np.random.default_rng(0).integers(0, 256, (6, 8, 9), np.uint8)
    images = as_images(torch.from_numpy(grey))
    assert isinstance(images, Pixels)
    np.testing.assert_array_equal(images.array, grey)
    assert len(as_images(torch.zeros(0, 8, 8, dtype=torch.uint8))) == 0
    for channels in (1, 3, 4):
        assert len(as_images(torch.zeros(channels, 8, 9, dtype=torch.uint8))) == 1


@pytest.mark.parametrize("shape", [(20, 30, 3), (3, 30, 3), (1, 5, 1), (2, 8, 8, 3), (2, 5, 8, 8), (1, 2, 3, 8, 8)])
def test_tensors_with_their_channels_last_are_refused(shape):
    torch = pytest.importorskip("torch")
    with pytest.raises(ShapeError, match=r"images are"):
        as_images(torch.zeros(shape, dtype=torch.uint8))


def test_tensors_that_hold_no_image():
    torch = pytest.importorskip("torch")
    for tensor in (torch.zeros(2, 3, 8, 8, device="meta"), torch.zeros(3, 8, 8).bfloat16(), torch.eye(3).to_sparse()):
        for given in (tensor, [tensor]):
            if tensor.dtype != torch.bfloat16 or given is tensor:
                with pytest.raises(ShapeError, match="images are"):
                    as_images(given)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_features_are_finite(value):
    with pytest.raises(ShapeError, match="1 values of the features are NaN or infinite"):
        as_images(np.array([[0.0, value]]))


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 5, 3), np.float32),
        np.zeros((2, 4, 5, 3), np.float64),
        np.zeros((2, 3, 5, 5), np.uint8),
        np.zeros((4, 5), np.int64),
        np.zeros(4, np.float32),
        np.array(["a.png", "b.png"]),
        np.zeros((1, 1, 2, 3, 3), np.uint8),
        3,
        None,
        [1.5],
        [[1, 2]],
        [None],
    ],
    ids=str,
)
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(ShapeError, match=r"images are|an image is"):
        as_images(wrong)
