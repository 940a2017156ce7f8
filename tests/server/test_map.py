"""The map over HTTP: made beside the service when it is asked for, kept, and made again after an update."""

import json
import multiprocessing
import os
import signal
import sys
import time
from urllib.request import urlopen

import numpy as np
from starlette.testclient import TestClient
from tests.server.harness import BITS, draw, served

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.server import create_app
from bitseek.server._map_maker import MapMaker

RECORD = np.dtype([("xy", "<f4", 2), ("id", "<i4"), ("label", "<i4")])


def ready(client, seconds=300):
    deadline = time.monotonic() + seconds
    while not (answer := client.get("/api/map").json())["ready"]:
        assert time.monotonic() < deadline, "the map was not made in time"
        time.sleep(0.2)
    return answer


def test_a_map_is_made_when_it_is_asked_for(client, collection):
    assert client.get("/api/map/points").status_code in (200, 404)
    state = ready(client)
    assert state["count"] == 24
    answer = client.get("/api/map/points", params={"version": state["version"]})
    records = np.frombuffer(answer.content, RECORD)
    assert sorted(records["id"].tolist()) == collection.alive.tolist()
    assert np.isfinite(records["xy"]).all() and records["xy"].min() >= 0 and records["xy"].max() <= 1
    labels = state["labels"]
    assert sorted(labels) == ["cats", "dogs"]
    assert [labels[number] for number in records["label"]] == [collection.item(i).label for i in records["id"].tolist()]


def test_an_update_changes_the_map(client, photos, bearer):
    before = ready(client)["version"]
    draw(photos / "birds" / "new.png", 70)
    client.post("/api/update", headers=bearer)
    deadline = time.monotonic() + 120
    while (state := ready(client))["count"] != 25:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert "birds" in state["labels"]
    assert len(client.get("/api/map/points", params={"version": state["version"]}).content) == 16 * 25
    old = client.get("/api/map/points", params={"version": before})  # whose numbers of labels may be others
    assert old.status_code == 404 and "anew" in old.json()["detail"]


def test_a_megabyte_of_labels(folder, tmp_path, monkeypatch):
    """More than any header may have: they come in the body, whatever they are."""
    monkeypatch.setitem(sys.modules, "umap", None)  # the places are those of principal components, in no time
    labels = [f'{i:05d} ü\n"</script> ' + "x" * 200 for i in range(4999)] + [None]
    with Collection.open(folder) as collection:
        codes = Codes.from_bits(np.random.default_rng(0).random((5000, BITS)) < 0.5)
        paths = [f"{i}.jpg" for i in range(5000)]
        collection.add_codes(codes, paths=paths, labels=labels, root=tmp_path / "elsewhere")
        collection.make_map()
    with served(folder, tmp_path) as (address, _), urlopen(f"{address}/api/map", timeout=120) as answer:
        body = answer.read()
        state = json.loads(body)
        with urlopen(f"{address}/api/map/points?version={state['version']}", timeout=120) as points:
            records = np.frombuffer(points.read(), RECORD)
    assert len(body) > 2**20 and state["count"] == 24 + 5000
    with Collection.open(folder) as collection:
        assert [state["labels"][number] for number in records["label"]] == [
            collection.item(i).label for i in records["id"].tolist()
        ]


def test_there_is_no_map_of_nothing(tmp_path, hasher):
    with (
        Collection.create(tmp_path / "empty", hasher=hasher) as collection,
        TestClient(create_app(collection), base_url="http://localhost") as client,
    ):
        assert client.get("/api/map").json() == {"ready": False, "count": 0, "version": None, "labels": []}
        assert client.get("/api/items").json() == {"total": 0, "items": []}
        assert client.get("/api/search", params={"code": "0" * 18}).json()["hits"] == []
        assert client.get("/api/duplicates").json()["groups"] == []
        assert client.get("/api/statistics").json()["items"] == 0


def test_an_interrupt_does_not_reach_the_maker(collection, capfd):
    """Ctrl-C goes to all processes of a terminal, from the moment they are there; the service ends this one itself."""
    maker = MapMaker(collection)
    assert maker.points() is None
    (process,) = multiprocessing.active_children()
    deadline = time.monotonic() + 120
    while process.is_alive():
        os.kill(process.pid, signal.SIGINT)
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert process.exitcode == 0 and len(maker.points().records) == 16 * 24
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert "Traceback" not in capfd.readouterr().err
