"""The network is loaded beside the service: who comes earlier waits for it, and everything else goes on."""

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from starlette.testclient import TestClient
from tests.server.conftest import drawn
from tests.server.harness import TOKEN, draw, served

from bitseek.collection import Collection
from bitseek.data import load_protocol
from bitseek.errors import BitseekError
from bitseek.runs import Hasher
from bitseek.server import Settings, _loading, create_app
from bitseek.training import train

CODE = "0" * 18


@pytest.fixture
def slow(collection, monkeypatch):
    """Holds the load of the collection's encoder up until it is told to go on."""
    go, encoder = threading.Event(), collection.encoder

    def held(*args, **options):
        assert go.wait(60)
        return encoder(*args, **options)

    monkeypatch.setattr(collection, "encoder", held)
    yield go
    go.set()


@pytest.fixture
def impatient(collection, tmp_path, slow):
    """An application whose requests may take two seconds each; the load is let go before it ends."""
    (tmp_path / "added").mkdir()
    settings = Settings(timeout=2.0, rate=None, token=TOKEN, add_to=tmp_path / "added")
    with TestClient(create_app(collection, settings), base_url="http://localhost") as client:
        try:
            yield client
        finally:
            slow.set()


def upload(client, file, path="/api/search?k=1", **options):
    return client.post(path, files={"image": file.read_bytes()}, **options)


def test_uploads_wait_for_the_network_beyond_the_time_of_a_request(impatient, slow, photos, tmp_path, bearer):
    new = draw(tmp_path / "new.png", 77)
    with ThreadPoolExecutor(3) as threads:
        searches = [threads.submit(upload, impatient, photos / "cats" / f"{i:02d}.png") for i in (0, 2)]
        added = threads.submit(upload, impatient, new, "/api/images", headers=bearer)
        time.sleep(2.5)
        assert not any(answer.done() for answer in (*searches, added))
        assert impatient.get("/api/search", params={"code": CODE, "k": 3}).status_code == 200
        assert impatient.get("/api/health").status_code == 200
        slow.set()
        results = [answer.result(60).json() for answer in searches]
        assert added.result(60).status_code == 201
    assert [result["hits"][0]["distance"] for result in results] == [0, 0]
    assert [result["hits"][0]["item"]["name"] for result in results] == ["cats/00.png", "cats/02.png"]


def test_the_wait_has_an_end_and_one_who_leaves_ends_no_other(impatient, slow, photos, monkeypatch):
    monkeypatch.setattr(_loading, "PATIENCE", 0.2)
    late = upload(impatient, photos / "cats" / "00.png")
    assert late.status_code == 503 and late.headers["retry-after"]
    assert "not loaded within 0.2 s" in late.json()["detail"]
    monkeypatch.setattr(_loading, "PATIENCE", 60)
    slow.set()
    assert upload(impatient, photos / "cats" / "00.png").status_code == 200


def test_the_network_has_run_before_the_first_upload(collection, photos, monkeypatch):
    encoder, runs = collection.encoder(), []
    run = encoder.logits_of
    monkeypatch.setattr(encoder, "logits_of", lambda squares: (runs.append(len(squares)), run(squares))[1])
    app = create_app(collection)
    with TestClient(app, base_url="http://localhost") as client:
        app.state.service.model._loaded.result(60)
        assert runs == [1, 1]
        assert upload(client, photos / "cats" / "00.png").status_code == 200
    assert runs == [1, 1, 1]


def test_a_network_that_cannot_be_loaded_is_told_without_places(collection, folder, photos, caplog):
    """Here the file of the model is cut off; searches that need none are answered."""
    (model,) = (folder / "model").rglob("*.onnx")
    model.write_bytes(model.read_bytes()[:100])
    with pytest.raises(BitseekError):
        collection.encoder()
    with TestClient(create_app(collection), base_url="http://localhost") as client:
        refused = upload(client, photos / "cats" / "00.png")
        assert refused.status_code == 503 and "cannot be loaded" in refused.json()["detail"]
        assert str(folder) not in refused.text
        assert client.get("/api/search", params={"code": CODE}).status_code == 200
    assert "model not loaded" in caplog.messages


@pytest.fixture(scope="module")
def by_torch(tmp_path_factory):
    """The folder of a collection whose codes come from torch, what made them, and one of its pictures."""
    place = tmp_path_factory.mktemp("by-torch")
    train(
        "orthohash", load_protocol("digits"), bits=16, backbone="small-cnn", size=8, epochs=1, batch_size=100,
        precision="fp32", device="cpu", out=place / "run",
    )  # fmt: skip
    hasher, photos = Hasher.load(place / "run"), drawn(place)
    with Collection.create(place / "collection", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
    return place / "collection", hasher, photos / "cats" / "04.png"


def test_the_first_upload_through_torch_is_answered(by_torch, tmp_path):
    """In a process that has not imported torch yet, with ten seconds for each part of a request."""
    folder, hasher, file = by_torch
    with served(folder, tmp_path, sys.executable, timeout=10.0) as (address, process):
        answer = httpx2.post(f"{address}/api/search?k=1", files={"image": file.read_bytes()}, timeout=300)
        assert answer.status_code == 200, answer.text
        assert answer.json()["code"] == hasher.encode([file]).hex()[0]
        assert answer.json()["hits"][0]["distance"] == 0
    assert process.returncode == 0


def test_a_service_that_is_stopped_while_it_loads_ends_well(by_torch, tmp_path):
    with served(by_torch[0], tmp_path, sys.executable) as (address, process):
        assert httpx2.get(f"{address}/api/health", timeout=60).status_code == 200  # torch is on its way by now
    assert process.returncode == 0
