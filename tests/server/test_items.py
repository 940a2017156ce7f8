"""Items, thumbnails, files, groups, statistics: as the collection has them."""

import io
import os
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient
from tests.server.harness import draw

from bitseek.collection import Collection
from bitseek.errors import LabelError
from bitseek.images import decode
from bitseek.server import Settings, create_app


def test_items_are_listed_page_by_page(client, collection, photos):
    every = client.get("/api/items", params={"limit": 1000}).json()
    assert every["total"] == 24 == len(every["items"])
    names = {os.path.relpath(file, photos) for file in photos.rglob("*.png")}
    assert {item["name"] for item in every["items"]} == names
    pages = [client.get("/api/items", params={"start": start, "limit": 5}).json()["items"] for start in range(0, 30, 5)]
    assert [item for page in pages for item in page] == every["items"]
    cats = client.get("/api/items", params={"label": "cats"}).json()
    assert cats["total"] == 13 and {item["label"] for item in cats["items"]} == {"cats"}
    assert client.get("/api/items", params={"label": "horses"}).json() == {"total": 0, "items": []}


def test_an_item_is_told_without_its_place(client, collection, photos):
    path = photos / "dogs" / "01.png"
    item = collection.find(path)
    status = path.stat()
    assert client.get(f"/api/items/{item.id}").json() == {
        "id": item.id,
        "name": "dogs/01.png",
        "folder": "photos",
        "label": "dogs",
        "width": 24,
        "height": 20,
        "size": status.st_size,
        "modified": datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="milliseconds"),
        "code": collection.codes[item.id].hex()[0],
    }
    assert client.get("/api/items/99").status_code == 404


def test_a_thumbnail_is_a_small_jpeg_that_is_sent_once(client, collection):
    answer = client.get("/api/items/3/thumbnail")
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.format == "JPEG" and max(image.size) <= 256
    assert answer.headers["content-type"] == "image/jpeg"
    tag = answer.headers["etag"]
    again = client.get("/api/items/3/thumbnail", headers={"If-None-Match": tag})
    assert again.status_code == 304 and not again.content
    assert client.get("/api/items/99/thumbnail").status_code == 404


def test_the_file_of_an_item_is_sent_as_it_is(client, collection, photos):
    item = collection.find(photos / "cats" / "04.png")
    answer = client.get(f"/api/items/{item.id}/image")
    assert answer.content == (photos / "cats" / "04.png").read_bytes()
    assert answer.headers["content-type"] == "image/png"
    assert np.array_equal(decode(io.BytesIO(answer.content)), decode(photos / "cats" / "04.png"))


def test_statistics_are_those_of_the_codes(client, collection):
    found = client.get("/api/statistics").json()
    bits = collection.codes[collection.alive].to_bits()
    assert found["bit_balance"] == pytest.approx(bits.mean(axis=0), abs=1e-6)
    assert (found["items"], found["bits"], found["ignored"]) == (24, 70, 0)
    assert found["labels"] == {"cats": 13, "dogs": 11}
    assert found["fingerprint"] == collection.fingerprint and found["bytes"]["codes"] >= 24 * 16


@pytest.mark.parametrize("linkage", ["connected", "complete"])
@pytest.mark.parametrize("radius", [0, 12, 30])
def test_groups_are_those_of_the_collection(client, collection, radius, linkage):
    answer = client.get("/api/duplicates", params={"radius": radius, "linkage": linkage, "limit": 500}).json()
    expected = collection.duplicates(radius).groups(radius, linkage)
    assert [[item["id"] for item in group["items"]] for group in answer["groups"]] == [g.ids.tolist() for g in expected]
    assert answer["total"] == len(expected) and answer["radius_max"] >= radius
    bits = collection.codes[collection.alive].to_bits()
    distances = (bits[:, None] != bits[None]).sum(axis=2)[np.triu_indices(24, 1)]
    assert answer["histogram"] == np.bincount(distances, minlength=71)[: answer["radius_max"] + 1].tolist()


def test_copies_are_an_exact_group(client, collection):
    groups = client.get("/api/duplicates").json()["groups"]
    names = {tuple(sorted(item["name"] for item in group["items"])): group["exact"] for group in groups}
    assert names[("cats/22.png", "cats/copy.png")] is True


def test_health_and_progress_of_a_service_at_rest(client, collection):
    assert client.get("/api/health").json() == {"status": "ok", "items": 24, "generation": collection.generation}
    assert client.get("/api/progress").json()["running"] is False


def test_a_thumbnail_is_made_of_the_file_that_was_indexed_and_of_no_other(tmp_path, photos, folder, hasher):
    """Neither a link in its place nor a format that no upload may have is decoded."""
    strange = photos / "dogs" / "strange.ppm"
    draw(strange, 90)
    secret = draw(tmp_path / "private" / "secret.png", 91, size=(60, 50))
    with Collection.create(tmp_path / "plain", hasher=hasher, thumbnails=False) as source:
        source.update(photos)
        source.export(tmp_path / "all.npz")
        ids = [source.find(photos / "dogs" / name).id for name in ("01.png", "03.png", "strange.ppm")]
        bare = [photos / "cats" / "00.png", photos / "cats" / "02.png"]
        codes = hasher.encode(bare)
    with Collection.create(tmp_path / "imported", hasher=hasher) as collection:
        collection.add_codes(tmp_path / "all.npz")
        collection.add_codes(codes, paths=bare)  # without stamps, so nobody knows which file was encoded
        with TestClient(create_app(collection, Settings()), base_url="http://127.0.0.1:8765") as client:
            unknown = [collection.find(path).id for path in bare]
            (photos / "dogs" / "03.png").unlink()
            (photos / "dogs" / "03.png").symlink_to(secret)
            bare[0].unlink()
            bare[0].symlink_to(secret)
            statuses = [client.get(f"/api/items/{id}/thumbnail").status_code for id in (*ids, *unknown)]
    assert statuses == [200, 404, 404, 404, 404]


def test_of_paths_imported_from_anywhere_the_last_name_is_told(tmp_path, photos, hasher, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    paths = [photos / "cats" / "00.png"]
    with Collection.create(tmp_path / "imported", hasher=hasher) as collection:
        collection.add_codes(hasher.encode(paths), paths=paths)
        with TestClient(create_app(collection, Settings()), base_url="http://127.0.0.1:8765") as client:
            item = client.get("/api/items/0").json()
    assert (item["name"], item["folder"]) == ("00.png", "")


def test_a_label_that_this_service_does_not_show_yet(client, collection, folder, photos, hasher, monkeypatch):
    """Another process has published it; items, labels and searches are all of the update that is shown."""
    monkeypatch.setattr(collection, "refresh", lambda: False)
    draw(photos / "new" / "first.png", 92)
    with Collection.open(folder) as other:
        other.update(hasher=hasher)
        assert other.labels()["new"] == 1
    assert client.get("/api/items", params={"label": "new"}).json() == {"total": 0, "items": []}
    found = client.get("/api/items/0/similar", params={"label": "new"})
    assert found.status_code == 422 and "no item has this label" in found.json()["detail"]
    assert client.get("/api/items", params={"label": "cats"}).json()["total"] == collection.labels()["cats"] == 13
    with pytest.raises(LabelError, match=r"labels are cats, dogs$"):
        collection.items(label="new")
