"""What a thread finds out about an image is what decoding, resizing and shrinking its array give, bit for bit."""

import io
import threading

import numpy as np
import pytest
from PIL import Image
from tests.collection.projection import Projection

from bitseek.collection import Collection
from bitseek.collection._prepare import Claims, Preparer
from bitseek.collection._thumbnails import thumbnail_of
from bitseek.images import decode

KINDS = {
    "rgb.png": {},
    "grey.png": {"mode": "L"},
    "alpha.png": {"mode": "RGBA"},
    "palette.png": {"mode": "P"},
    "photo.jpg": {"comment": b"made by nobody", "quality": 90},
    "turned.jpg": {"orientation": 6},
    "cmyk.jpg": {"mode": "CMYK"},
    "photo.tif": {"orientation": 8},
    "photo.webp": {},
}


@pytest.mark.parametrize("size", [(5, 9), (8, 8), (300, 200), (1200, 900)])
@pytest.mark.parametrize("kind", KINDS)
def test_square_size_and_thumbnail_are_those_of_the_array(tmp_path, kind, size):
    options = dict(KINDS[kind])
    small = np.random.default_rng(0).integers(0, 256, (7, 7, 3), np.uint8)
    image = Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).convert(options.pop("mode", "RGB"))
    if turn := options.pop("orientation", None):
        options["exif"] = Image.Exif()
        options["exif"][274] = turn
    path = tmp_path / kind
    image.save(path, **options)
    encoder = Projection()
    preparer = Preparer(lambda: encoder, Claims(lambda key: False), thumbnails=True, features=False)
    picture, square = preparer._picture(path.read_bytes(), kind)
    whole = decode(path)
    assert (picture.width, picture.height) == whole.shape[1::-1]
    expected = encoder.preprocess.square(decode(path, min_side=encoder.preprocess.min_side))
    np.testing.assert_array_equal(square, expected)
    shrunk = decode(path, min_side=encoder.preprocess.min_side)
    if max(shrunk.shape) < min(256, max(whole.shape)):
        shrunk = decode(path, min_side=256)
    assert picture.thumbnail == thumbnail_of(shrunk)
    with Image.open(io.BytesIO(picture.thumbnail)) as thumbnail:
        assert max(thumbnail.size) == min(256, max(size)) and "comment" not in thumbnail.info


@pytest.mark.parametrize("threads", [2, 8])
def test_an_encoder_that_says_nothing_of_threads_is_asked_by_one_for_whole_batches(tmp_path, threads):
    sizes, callers = [], set()

    class Foreign(Projection):
        """Notes who asks for how many."""

        def logits_of(self, squares):
            sizes.append(len(squares))
            callers.add(threading.get_ident())
            return super().logits_of(squares)

    (tmp_path / "photos").mkdir()
    for i, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (600, 8, 8, 3), np.uint8)):
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{i}.png")
    with Collection.create(tmp_path / "c", hasher=Projection()) as collection:
        assert collection.update(tmp_path / "photos", hasher=Foreign(), threads=threads).added == 600
    assert sizes == [64] * 9 + [24] and callers == {threading.get_ident()}
