"""A collection of real image files, with a real model that needs no torch."""

import pytest
from starlette.testclient import TestClient
from tests.server.harness import SECRET, TOKEN, draw, projections

from bitseek.collection import Collection
from bitseek.server import Settings, create_app


@pytest.fixture(scope="session")
def hasher(tmp_path_factory):
    return projections(tmp_path_factory.mktemp("model") / "model.onnx")


def drawn(place):
    """24 images of two labels; the last two have the same content."""
    for i in range(23):
        draw(place / "photos" / ("cats", "dogs")[i % 2] / f"{i:02d}.png", i)
    last = place / "photos" / "cats" / "22.png"
    (last.parent / "copy.png").write_bytes(last.read_bytes())
    return place / "photos"


def indexed(place, photos, hasher):
    """The folder of a collection of them."""
    with Collection.create(place / "collection", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
    return place / "collection"


@pytest.fixture
def photos(tmp_path):
    return drawn(tmp_path)


@pytest.fixture
def folder(tmp_path, photos, hasher):
    return indexed(tmp_path, photos, hasher)


@pytest.fixture
def collection(folder):
    with Collection.open(folder) as opened:
        yield opened


@pytest.fixture
def settings(tmp_path):
    """Everything is allowed to who has the token."""
    (tmp_path / "added").mkdir()
    return Settings(token=TOKEN, add_to=tmp_path / "added", rate=None)


@pytest.fixture
def client(collection, settings):
    """The whole application, called in the process."""
    with TestClient(create_app(collection, settings), base_url="http://127.0.0.1:8765") as test_client:
        yield test_client


@pytest.fixture(scope="module")
def standing(tmp_path_factory, hasher):
    """The same application for all tests of a file that only ask, or are refused: each of them leaves it as it was."""
    place = tmp_path_factory.mktemp("standing")
    (place / "added").mkdir()
    (place / "secret.txt").write_text(SECRET)
    allowed = Settings(token=TOKEN, add_to=place / "added", rate=None)
    with (
        Collection.open(indexed(place, drawn(place), hasher)) as opened,
        TestClient(create_app(opened, allowed), base_url="http://127.0.0.1:8765") as test_client,
    ):
        files = contents(place)
        yield test_client
        assert contents(place) == files and len(opened) == 24


def contents(place):
    """What stands in which file, but for what SQLite writes when it is read."""
    return {path: path.read_bytes() for path in place.rglob("*") if path.is_file() and "sqlite" not in path.name}


@pytest.fixture
def bearer():
    return {"Authorization": f"Bearer {TOKEN}"}
