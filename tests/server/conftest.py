"""A collection of real image files, with a real model that needs no torch."""

import pytest
from starlette.testclient import TestClient
from tests.server.harness import TOKEN, draw, projections

from bitseek.collection import Collection
from bitseek.server import Settings, create_app


@pytest.fixture(scope="session")
def hasher(tmp_path_factory):
    return projections(tmp_path_factory.mktemp("model") / "model.onnx")


@pytest.fixture
def photos(tmp_path):
    """24 images of two labels; the last two have the same content."""
    for i in range(23):
        draw(tmp_path / "photos" / ("cats", "dogs")[i % 2] / f"{i:02d}.png", i)
    last = tmp_path / "photos" / "cats" / "22.png"
    (last.parent / "copy.png").write_bytes(last.read_bytes())
    return tmp_path / "photos"


@pytest.fixture
def folder(tmp_path, photos, hasher):
    """The folder of a collection of them."""
    with Collection.create(tmp_path / "collection", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
    return tmp_path / "collection"


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


@pytest.fixture
def bearer():
    return {"Authorization": f"Bearer {TOKEN}"}
