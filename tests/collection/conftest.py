"""What the tests of collections share."""

import pytest
from tests.collection.harness import png
from tests.collection.projection import Projection

from bitseek.collection import Collection


@pytest.fixture
def hasher():
    return Projection()


@pytest.fixture
def photos(tmp_path):
    """20 images in two folders."""
    for i in range(20):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(i))
    return tmp_path / "photos"


@pytest.fixture
def made(tmp_path, photos, hasher):
    """A collection of the 20 images."""
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
    hasher.encoded = 0
    return tmp_path / "c"
