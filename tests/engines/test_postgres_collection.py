"""A collection in PostgreSQL says what the same collection in a folder says; the folder's is the oracle."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.collection.harness import encoded, png
from tests.collection.projection import Projection
from tests.engines import postgres

pytest.importorskip("psycopg", reason=postgres.WHY.format("psycopg"))

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.engines import collection_exists, connect, create_collection, open_collection
from bitseek.engines._postgres_collection import PostgresCollection
from bitseek.errors import BitseekError, CodeWidthError, RunError, UnsupportedError


@pytest.fixture
def photos(tmp_path):
    """20 images in two folders, two of them the same."""
    for i in range(20):
        file = tmp_path / "photos" / "ab"[i % 2] / f"{i:02d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(min(i, 18)))
    return tmp_path / "photos"


class Both:
    """A collection in a folder and one in PostgreSQL, of which everything is asked; the answers must be the same."""

    def __init__(self, folder):
        self.hasher = Projection()
        self.address = postgres.address()
        self.here = Collection.create(folder, hasher=self.hasher)
        self.there = create_collection(self.address, hasher=self.hasher)

    def __getattr__(self, verb):
        def ask(*arguments, **options):
            answers = []
            for one in (self.here, self.there):
                try:
                    answers.append(getattr(one, verb)(*arguments, **options))
                except BitseekError as error:
                    answers.append(type(error))
            assert answers[0] == answers[1], verb
            return answers[1]

        return ask

    def update(self, *folders):
        return self.__getattr__("update")(*folders, hasher=self.hasher)

    def close(self):
        self.here.close()
        self.there.close()

    def check(self):
        """All that can be read."""
        items = self.items()
        assert len(self.here) == len(self.there) == len(items)
        self.labels(), self.roots(), self.ignored()
        for item in items[:3]:
            self.item(item.id), self.find(item.path), self.thumbnail(item.id)
        return items


@pytest.fixture
def both(tmp_path, photos):
    made = Both(tmp_path / "c")
    assert made.update(photos).added == 20
    yield made
    made.close()


def test_what_is_in_it(both, photos):
    items = both.check()
    assert {item.path: item.code for item in items} == encoded(both.hasher, [item.path for item in items])
    assert both.items(label="a", start=2, limit=3) == [item for item in items if item.label == "a"][2:5]
    assert both.labels() == {"a": 10, "b": 10} and both.roots() == [str(photos)]
    assert both.item(99) is BitseekError and both.find("nothing") is None
    both.items(label="zebra")
    mine, theirs = both.here.statistics(), both.there.statistics()
    assert all(mine[key] == theirs[key] for key in ("items", "bits", "labels", "fingerprint", "ignored", "bit_balance"))
    assert theirs["bytes"]["items"] > 0 and both.there.progress() is None
    assert repr(both.there).endswith("20 items of 70 bits)")


def test_search(both, photos):
    """By codes, files, items and pictures; by k, radius and label; re-ranked."""
    items = both.items()
    new = photos.parent / "new.png"
    new.write_bytes(png(77))
    rng = np.random.default_rng(0)
    for options in ({"k": 5}, {"k": 50}, {"k": None, "radius": 30}, {"k": 4, "radius": 25}, {"k": 6, "label": "b"}):
        both.search(items[3], **options), both.search(items[4].path, **options)
        both.search([new, items[0]], hasher=both.hasher, **options)
        both.search(rng.integers(0, 256, (9, 9, 3), np.uint8), hasher=both.hasher, **options)
        both.search(Codes.from_hex([item.code for item in items[:3]], 70), **options)
    assert both.search([]) == []
    for mine, theirs in zip(
        *(one.search([new, items[1]], k=7, rerank="logits", hasher=both.hasher) for one in (both.here, both.there)),
        strict=True,
    ):
        assert [hit[:2] for hit in mine] == [hit[:2] for hit in theirs]
        np.testing.assert_allclose([hit.score for hit in mine], [hit.score for hit in theirs], rtol=1e-5)
    both.search(items[0], label="zebra")
    small = both.there.search(items[3], k=20, where={"size": (None, items[3].size)})
    assert {hit.item.id for hit in small} == {item.id for item in items if item.size <= items[3].size}
    with pytest.raises(CodeWidthError):
        both.there.search(Codes.from_bits(np.ones((1, 71), bool)))


def test_updates(both, photos):
    """New, changed, moved, copied, relabelled, unreadable and gone files; folders above and below; by hand."""
    both.check()
    first, second, third, *_ = sorted(photos.rglob("*.png"))
    assert both.update().unchanged == 20
    first.unlink()
    second.write_bytes(png(100))
    third.rename(photos / "a" / "moved.png")
    (photos / "b" / "copy.png").write_bytes(png(4))
    (photos / "b" / "bad.png").write_bytes(b"no image")
    os.utime(photos / "b" / "05.png", ns=(10**18, 10**18))
    done = both.update()
    assert (done.added, done.moved, done.removed, len(done.unreadable)) == (2, 1, 1, 1)
    both.check()
    (photos / "b").rename(photos / "c")
    assert both.update(photos).moved == 11 and set(both.labels()) == {"a", "c"}
    both.check()
    other = photos.parent / "other" / "deep"
    other.mkdir(parents=True)
    (other / "x.png").write_bytes(png(200))
    both.update(other), both.check()
    both.update(other.parent), both.check()  # takes the folder in it up
    ids = [item.id for item in both.items()][:4]
    assert both.remove(ids) == 4 and both.remove(ids) == 0
    both.check(), both.update(), both.check()
    assert both.forget(other.parent) == 1 and len(both.roots()) == 1
    both.check()
    both.forget(other.parent), both.remove([10**9])
    before = both.there.generation
    assert both.update().added == 0 and both.there.generation == before


def test_a_folder_that_is_not_there_is_told_with_the_address(both, photos):
    """Not with the folder of the mirror, which is gone by then."""
    (photos.parent / "other").mkdir()
    (photos.parent / "other" / "x.png").write_bytes(png(200))
    both.update(photos.parent / "other")
    photos.rename(photos.parent / "unplugged")
    missing = both.there.update().missing
    assert f"bitseek remove '{both.there.address.shown}' '{photos}', or in Python" in missing[str(photos)]


def test_codes_from_elsewhere(both, tmp_path):
    """Out and in again, all or none."""
    exported = [tmp_path / "here.npz", tmp_path / "there.npz"]
    for one, file in zip((both.here, both.there), exported, strict=True):
        one.export(file)
    with np.load(exported[0]) as mine, np.load(exported[1]) as theirs:
        assert set(mine) == set(theirs)
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])
    codes = Codes.from_bits(np.random.default_rng(0).random((30, 70)) < 0.5)
    both.add_codes(codes, paths=[f"elsewhere/{i}.jpg" for i in range(30)], labels=["z"] * 30, root=tmp_path)
    both.add_codes(codes[:5]), both.check()
    assert len(both.there) == 55
    wrong = [f"more/{i}.jpg" for i in range(29)] + ["more/3.jpg"]  # one comes twice
    both.add_codes(codes, paths=wrong, root=tmp_path), both.check()
    with closing(connect(both.address)) as engine:
        assert len(engine) == 55 and engine.codes([20, 54]) == codes[[0, 4]]
    again = Both(tmp_path / "again")
    again.add_codes(exported[1]), again.check()
    assert len(again.there) == 20
    again.close()


def test_what_only_a_folder_can_do(both):
    there = both.there
    for call in (
        lambda: there.duplicates(3),
        lambda: there.verify(),
        lambda: there.map(),
        lambda: there.make_map(),
        lambda: there.codes,
        lambda: there.alive,
        lambda: there.model,
        lambda: there.search(there.item(0), rerank="features"),
        lambda: create_collection(postgres.address(), hasher=both.hasher, features=True),
        lambda: PostgresCollection.open(both.address, index=print),
    ):
        with pytest.raises(UnsupportedError, match=r"PostgreSQL|in a folder"):
            call()


def test_codes_of_another_model_are_not_mixed_in(both, photos):
    (photos / "a" / "new.png").write_bytes(png(300))
    for other in (Projection(seed=1), Projection(bits=71)):
        with pytest.raises(CodeWidthError, match=r"were made by model .*which lies in postgresql://postgres@/"):
            both.there.update(hasher=other)
    assert len(both.there) == 20


def test_a_new_collection_that_fails_is_taken_away(tmp_path):
    address = postgres.address()
    with pytest.raises(BitseekError), create_collection(address, hasher=Projection()) as made:
        made.update(tmp_path / "nowhere", hasher=Projection())
    assert not collection_exists(address)
    with (
        pytest.raises(RunError, match="no folder was ever indexed into postgresql://postgres@/"),
        create_collection(address, hasher=Projection()) as made,
    ):
        made.update(hasher=Projection())
    assert not collection_exists(address)


def test_a_model_that_would_leave_its_folder(both):
    with postgres.connection() as owner:
        owner.execute(f"UPDATE \"{both.there.address.collection}\".model SET name = '../../../tmp/bitseek-evil'")
    with pytest.raises(RunError, match="no name of a model's file"):
        both.there.encoder()
    assert not Path("/tmp/bitseek-evil").exists()


def test_readers_see_whole_updates(tmp_path, photos):
    """While another thread updates, and a slow model lets many batches be staged."""
    address = postgres.address()
    with create_collection(address, hasher=Projection()) as made:
        made.update(photos, hasher=Projection())
        for i in range(300):
            (photos / "a" / f"more{i}.png").write_bytes(png(1000 + i))
        seen, done = set(), threading.Event()

        def look():
            with open_collection(address) as reader:
                while not done.is_set():
                    reader.refresh()
                    found = len(reader.search(Codes.from_bits(np.zeros((1, 70), bool)), k=1000)[0])
                    seen.add((reader.generation, len(reader), found))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            made.update(hasher=Projection())
        finally:
            done.set()
            thread.join()
    assert {(generation, items) for generation, items, _ in seen} <= {(1, 20), (2, 320)}
    assert {found for *_, found in seen} <= {20, 320}


KILLED = """
import os, signal, sys
from tests.collection.projection import Projection
from bitseek.engines import open_collection
from bitseek.collection import _update
from bitseek.engines import _postgres_update

_update.MOST_ROWS, _postgres_update._EVERY = 64, -1.0

def tell(now):
    if now.what == "encoding" and now.done >= 100:
        print(now.done, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

with open_collection(sys.argv[1]) as opened:
    opened.update(sys.argv[2], hasher=Projection(), progress=tell)
"""


def test_a_killed_update_goes_on(tmp_path):
    """What was staged is neither lost nor seen before it is published, and is not encoded again."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(400):
        (folder / f"{i:03d}.png").write_bytes(png(i))
    address = postgres.address()
    create_collection(address, hasher=Projection()).close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", KILLED, address, folder]
    killed = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL and 100 <= int(killed.stdout) < 400
    with open_collection(address) as opened:
        assert len(opened) == 0 and opened.items() == []
        hasher = Projection()
        deadline = time.monotonic() + 120
        while opened.progress() is not None and time.monotonic() < deadline:  # until the server knows that it is gone
            time.sleep(0.05)
        done = opened.update(hasher=hasher) if opened.roots() else opened.update(folder, hasher=hasher)
        assert done.added + done.unchanged == 400 and hasher.encoded == done.added == 400 - int(killed.stdout)
        items = opened.items()
        assert {item.path: item.code for item in items} == encoded(hasher, [item.path for item in items])
        assert [item.id for item in items] == list(range(400))
        assert all(opened.thumbnail(item.id) for item in items[::50])


# --- at the command line and over HTTP ------------------------------------------------------------------------


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    from tests.server.harness import projections

    file = tmp_path_factory.mktemp("model") / "model.onnx"
    projections(file)
    return file


def run(capsys, *arguments):
    from bitseek.cli import main

    capsys.readouterr()
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = stop.code
    out, err = capsys.readouterr()
    assert "S3cret" not in out + err and "Traceback" not in err
    return status, out, err


def test_commands(photos, model, capsys):
    """index, search, remove, export; dedup and verify are refused. The password is shown nowhere."""
    address = postgres.address(user="postgres:S3cret")  # which the server does not ask for
    folder = photos.parent / "folder"
    said = []
    for place in (address, folder):
        status, out, err = run(capsys, "index", place, photos, "--model", model, "--json")
        assert status == 0, err
        said.append(json.loads(out))
    assert said[0].pop("collection").startswith("postgresql://postgres@/postgres?host=") and said[1].pop("collection")
    assert said[0] == said[1] and said[0]["added"] == 20
    query = sorted(photos.rglob("*.png"))[3]
    changed = photos.parent / "changed.png"
    changed.write_bytes(png(500))
    for options in ([query, "-k", 4], [changed], ["--like", 3, "--radius", 20], [changed, "--rerank", "logits"]):
        found = [json.loads(run(capsys, "search", place, *options, "--json")[1]) for place in (address, folder)]
        assert [hit["item"] for hit in found[0][0]["hits"]] == [hit["item"] for hit in found[1][0]["hits"]]
        assert "recall" not in found[0][0]
    near = postgres.also(address, search="hnsw")
    assert "no HNSW index" in run(capsys, "search", near, query)[2]
    assert run(capsys, "index", near)[0] == 0
    (found,) = json.loads(run(capsys, "search", near, query, "--json")[1])
    assert found["recall"]["effort"] == 100 and 0 < found["recall"]["share"] <= 1
    status, out, err = run(capsys, "search", near, query)
    assert status == 0 and "approximate: such searches found" in err and len(out.splitlines()) == 12
    assert json.loads(run(capsys, "remove", address, query, "--json")[1]) == {"removed": 1, "items": 19}
    assert run(capsys, "remove", folder, query)[0] == 0
    files = [photos.parent / "there.npz", photos.parent / "here.npz"]
    for place, file in zip((address, folder), files, strict=True):
        assert run(capsys, "export", place, file)[0] == 0
    assert Codes.load(files[0]) == Codes.load(files[1]) and len(Codes.load(files[0])) == 19
    status, _, err = run(capsys, "export", postgres.address(user="postgres:S3cret"), files[0].with_name("no.npz"))
    assert status == 1 and "there is no collection at postgresql://postgres@/" in err
    for command in ("dedup", "verify"):
        status, out, err = run(capsys, command, address)
        assert status == 1 and out == "" and ("PostgreSQL" in err or "in a folder only" in err)
    status, _, err = run(capsys, "index", address, photos, "--features")
    assert status == 1 and "is there already" in err
    status, _, err = run(capsys, "search", postgres.address(user="postgres:S3cret"), query)
    assert status == 1 and "there is no collection at postgresql://postgres@/" in err


def test_service(photos, model, tmp_path):
    """The page's questions, against the same collection in a folder."""
    from starlette.testclient import TestClient

    from bitseek.portable import load
    from bitseek.server import Settings, create_app

    hasher, address = load(model), postgres.address()
    with create_collection(address, hasher=hasher) as made:
        made.update(photos, hasher=hasher)
    with Collection.create(tmp_path / "folder", hasher=hasher) as made:
        made.update(photos, hasher=hasher)
    (tmp_path / "added").mkdir()
    settings = Settings(token="a-token-for-the-tests-0123456789", add_to=tmp_path / "added", rate=None)
    answers = []
    for place in (address, tmp_path / "folder"):
        base = "http://127.0.0.1:8765"
        with open_collection(place) as opened, TestClient(create_app(opened, settings), base_url=base) as client:
            code = opened.item(2).code
            asked = [
                client.get("/api/items?limit=7&start=2"),
                client.get("/api/items?label=b"),
                client.get("/api/items/5/similar?k=3"),
                client.get(f"/api/search?code={code}&radius=30"),
                client.get(f"/api/search?code={code}&label=zebra"),
                client.get("/api/items/99"),
                client.post("/api/search?k=4", files={"image": ("x.png", png(900), "image/png")}),
            ]
            answers.append([(answer.status_code, answer.json()) for answer in asked])
            assert client.get("/api/items/5/thumbnail").content == opened.thumbnail(5)
            assert client.get("/api/items/5/image").content == Path(opened.item(5).path).read_bytes()
            assert client.get("/api/statistics").json()["items"] == 20
            assert client.get("/api/health").json()["items"] == 20
            if place is address:
                for path in ("/api/duplicates?radius=2", "/api/map"):
                    refused = client.get(path)
                    assert refused.status_code == 422 and "in a folder only" in refused.json()["detail"]
                bearer = {"Authorization": "Bearer a-token-for-the-tests-0123456789"}
                added = client.post("/api/images", files={"image": ("x.png", png(901), "image/png")}, headers=bearer)
                assert added.status_code == 201 and added.json()["id"] == 20
                assert client.delete("/api/items/20", headers=bearer).status_code == 204
                assert client.get("/api/items/20").status_code == 404
    assert answers[0] == answers[1]


def test_service_in_a_process_of_its_own(photos, model, tmp_path):
    from tests.server.harness import served

    from bitseek.portable import load

    hasher, address = load(model), postgres.address(user="postgres:S3cret")
    with create_collection(address, hasher=hasher) as made:
        made.update(photos, hasher=hasher)
    with served(address, tmp_path) as (page, _), urllib.request.urlopen(f"{page}/api/health", timeout=60) as answer:
        assert json.load(answer) == {"status": "ok", "items": 20, "generation": 1}
    assert "S3cret" not in (tmp_path / "log.jsonl").read_text()
