"""Adding, removing and updating over HTTP, while others search."""

import io
import threading
import time
from functools import partial

import numpy as np
from PIL import Image
from tests.server.harness import draw

from bitseek.collection import Collection
from bitseek.images import decode


def png(seed, size=(24, 20)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def finished(client, what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it was not finished in time")


def test_an_added_image_is_written_whole_and_found(client, collection, settings, bearer):
    data = png(100)
    answer = client.post("/api/images", files={"image": ("../../evil.html", data)}, headers=bearer)
    item = answer.json()
    assert answer.status_code == 201 and item["folder"] == "added"
    (file,) = settings.add_to.iterdir()
    assert file.read_bytes() == data and file.suffix == ".png" and "evil" not in file.name
    found = client.post("/api/search?k=1", files={"image": data}).json()["hits"][0]
    assert (found["item"]["id"], found["distance"]) == (item["id"], 0)
    assert client.get("/api/health").json()["items"] == 25


def test_the_same_image_again_changes_nothing(client, settings, bearer):
    first = client.post("/api/images", files={"image": png(100)}, headers=bearer).json()
    (file,) = settings.add_to.iterdir()
    stamp = file.stat()
    assert client.post("/api/images", files={"image": png(100)}, headers=bearer).json() == first
    assert file.stat() == stamp and len(list(settings.add_to.iterdir())) == 1


def test_what_is_no_image_is_not_written(client, settings, bearer):
    for data, status in ((b"<html>", 415), (png(1)[:200], 422), (b"", 422)):
        assert client.post("/api/images", files={"image": data}, headers=bearer).status_code == status
    assert list(settings.add_to.iterdir()) == []


def test_a_file_that_is_there_is_never_replaced(client, settings, bearer):
    client.post("/api/images", files={"image": png(5)}, headers=bearer)
    (file,) = settings.add_to.iterdir()
    file.write_bytes(b"what the owner put there")
    answer = client.post("/api/images", files={"image": png(5)}, headers=bearer)
    assert file.read_bytes() == b"what the owner put there"
    assert answer.status_code in (201, 503)


def test_a_removed_item_is_gone_and_its_file_is_not(client, collection, photos, bearer):
    item = collection.find(photos / "cats" / "06.png")
    assert client.delete(f"/api/items/{item.id}", headers=bearer).status_code == 204
    assert (photos / "cats" / "06.png").is_file()
    assert client.get(f"/api/items/{item.id}").status_code == 404
    hits = client.get("/api/search", params={"code": item.code, "k": 24}).json()["hits"]
    assert len(hits) == 23 and item.id not in [hit["item"]["id"] for hit in hits]
    assert client.delete(f"/api/items/{item.id}", headers=bearer).status_code == 404


def test_an_added_image_that_was_removed_is_refused_until_its_file_is_deleted(client, settings, bearer):
    def add():
        return client.post("/api/images", files={"image": png(100)}, headers=bearer)

    first = add().json()["id"]
    assert client.delete(f"/api/items/{first}", headers=bearer).status_code == 204
    refused = add()
    (file,) = settings.add_to.iterdir()
    assert refused.status_code == 409 and "retry-after" not in refused.headers
    assert "was removed" in refused.json()["detail"] and file.name in refused.json()["detail"]
    assert str(settings.add_to) not in refused.json()["detail"]
    file.unlink()
    again = add()
    assert again.status_code == 201 and again.json()["id"] != first


def test_why_an_added_image_is_not_indexed_is_logged(client, settings, bearer, caplog):
    add = partial(client.post, "/api/images", files={"image": png(5)}, headers=bearer)
    item = add().json()
    (file,) = settings.add_to.iterdir()
    file.write_bytes(b"what the owner put there")
    client.post("/api/update", headers=bearer)
    finished(client, lambda: client.get(f"/api/items/{item['id']}").status_code == 404)
    finished(client, lambda: not client.get("/api/progress").json()["running"])
    with caplog.at_level("INFO", "bitseek.server"):
        assert add().status_code == 503
    (record,) = [record for record in caplog.records if record.message == "image not indexed"]
    assert file.name in record.fields["reason"]


def test_an_update_takes_what_changed(client, photos, bearer):
    draw(photos / "birds" / "new.png", 77)
    (photos / "cats" / "00.png").unlink()
    before = client.get("/api/health").json()["generation"]
    assert client.post("/api/update", headers=bearer).status_code == 202
    finished(client, lambda: client.get("/api/health").json()["generation"] > before)
    names = {item["name"] for item in client.get("/api/items").json()["items"]}
    assert "birds/new.png" in names and "cats/00.png" not in names
    finished(client, lambda: not client.get("/api/progress").json()["running"])


def test_a_folder_that_is_not_there_is_told_without_its_place(client, collection, tmp_path, bearer, caplog):
    collection.update(draw(tmp_path / "disk" / "one.png", 90).parent)
    (tmp_path / "disk").rename(tmp_path / "unplugged")
    with caplog.at_level("INFO", "bitseek.server"):
        client.post("/api/update", headers=bearer)
        finished(client, lambda: "not there" in client.get("/api/progress").json()["what"])
    assert "/" not in client.get("/api/progress").json()["what"]
    (record,) = [record for record in caplog.records if record.message == "folder not there"]
    assert str(tmp_path / "disk") in record.fields["reason"] and client.get("/api/health").json()["items"] == 25


def test_an_update_that_fails_is_told_without_places(client, folder, photos, bearer, monkeypatch):
    def fail(self, *args, **options):
        raise OSError(28, "No space left on device", str(folder))

    monkeypatch.setattr(Collection, "update", fail)
    client.post("/api/update", headers=bearer)
    finished(client, lambda: client.get("/api/progress").json()["what"] != "")
    what = client.get("/api/progress").json()["what"]
    assert "failed" in what and "/" not in what


def test_the_update_of_another_process_is_picked_up(client, folder, photos, hasher):
    draw(photos / "cats" / "later.png", 55)
    with Collection.open(folder) as other:
        other.update(hasher=hasher)
    finished(client, lambda: client.get("/api/health").json()["items"] == 25)
    result = client.post("/api/search?k=1", files={"image": (photos / "cats" / "later.png").read_bytes()}).json()
    assert result["hits"][0]["item"]["name"] == "cats/later.png" and result["hits"][0]["distance"] == 0


def test_searches_go_on_while_items_come_and_go(client, photos, settings, bearer, hasher):
    """Every answer is of one whole update: its hits are sorted, whole, and each distance is that of the codes."""
    stop, wrong, count = threading.Event(), [], [0]

    def search(seed):
        rng = np.random.default_rng(seed)
        while not stop.is_set():
            code = "".join(rng.choice(list("0123456789abcdef"), 17)) + "0"
            answer = client.get("/api/search", params={"code": code, "k": 50})
            count[0] += 1
            if answer.status_code != 200:
                wrong.append(answer.text)
                return
            hits = [(hit["distance"], hit["item"]["id"]) for hit in answer.json()["hits"]]
            same = all(
                bin(int(hit["item"]["code"], 16) ^ int(code, 16)).count("1") == hit["distance"]
                for hit in answer.json()["hits"]
            )
            if hits != sorted(hits) or len({number for _, number in hits}) != len(hits) or not same:
                wrong.append(hits)
                return

    threads = [threading.Thread(target=search, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    try:
        added = [client.post("/api/images", files={"image": png(i)}, headers=bearer) for i in range(200, 206)]
        removed = [client.delete(f"/api/items/{answer.json()['id']}", headers=bearer) for answer in added[:3]]
        (photos / "dogs" / "01.png").unlink()
        updated = client.post("/api/update", headers=bearer)
        finished(client, lambda: client.get("/api/health").json()["items"] == 24 + 3 - 1)
        finished(client, lambda: wrong or count[0] > 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert [answer.status_code for answer in added + removed] == [201] * 6 + [204] * 3 and updated.status_code == 202
    assert not wrong and count[0] > 20
    for file in sorted(settings.add_to.iterdir()):
        assert decode(file).shape == (20, 24, 3)
