"""What the service finds is what a brute-force search finds, by every way of asking."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from tests.server.harness import BITS, draw

from bitseek.codes import Codes


def brute_force(collection, code, k):
    """(distance, id) of the nearest, by comparing all bits."""
    ids = collection.alive
    bits = collection.codes[ids].to_bits()
    distances = (bits != Codes.from_hex([code], BITS).to_bits()).sum(axis=1)
    return sorted(zip(distances.tolist(), ids.tolist(), strict=True))[:k]


def found(result):
    return [(hit["distance"], hit["item"]["id"]) for hit in result["hits"]]


def random_codes(n, seed=0):
    return Codes.from_bits(np.random.default_rng(seed).random((n, BITS)) < 0.5).hex()


def test_by_code(client, collection):
    for code in random_codes(5):
        result = client.get("/api/search", params={"code": code.upper(), "k": 7}).json()
        assert found(result) == brute_force(collection, code, 7)
        assert (result["code"], result["bits"], result["generation"]) == (code, BITS, collection.generation)


def test_by_item(client, collection):
    for number in (0, 5, 22):
        code = collection.item(number).code
        result = client.get(f"/api/items/{number}/similar", params={"k": 24}).json()
        assert found(result) == brute_force(collection, code, 24) and result["code"] == code
    assert client.get("/api/items/4000/similar").status_code == 404


def test_by_image_is_what_the_hasher_and_python_say(client, collection, photos, hasher, tmp_path):
    other = draw(tmp_path / "other.jpg", 99, (300, 200))
    for path in (*sorted(photos.rglob("*.png"))[:3], other):
        result = client.post("/api/search?k=9", files={"image": path.read_bytes()}).json()
        assert result["code"] == hasher.encode([path]).hex()[0]
        assert found(result) == brute_force(collection, result["code"], 9)
        assert found(result) == [(hit.distance, hit.item.id) for hit in collection.search(path, k=9)]


@pytest.mark.parametrize("verb", ["code", "item", "image"])
def test_radius_and_label_leave_out_the_others(client, collection, photos, verb):
    path = photos / "cats" / "00.png"
    item = collection.find(path)

    def ask(**params):
        if verb == "code":
            return client.get("/api/search", params={"code": item.code, **params}).json()
        if verb == "item":
            return client.get(f"/api/items/{item.id}/similar", params=params).json()
        return client.post("/api/search", params=params, files={"image": path.read_bytes()}).json()

    whole = brute_force(collection, item.code, 24)
    radius = whole[9][0]
    assert found(ask(k=24, radius=radius)) == [hit for hit in whole if hit[0] <= radius]
    dogs = [hit for hit in whole if collection.item(hit[1]).label == "dogs"]
    assert found(ask(k=5, label="dogs")) == dogs[:5]
    assert found(ask(k=5, radius=0, label="cats")) == [(0, item.id)]


def test_rerank_by_logits_is_pythons(client, collection, photos):
    path = photos / "dogs" / "03.png"
    result = client.post("/api/search?k=6&rerank=logits", files={"image": path.read_bytes()}).json()
    expected = collection.search(path, k=6, rerank="logits")
    assert [hit["item"]["id"] for hit in result["hits"]] == [hit.item.id for hit in expected]
    assert [hit["score"] for hit in result["hits"]] == pytest.approx([hit.score for hit in expected], rel=1e-5)
    refused = client.post("/api/search?rerank=features", files={"image": path.read_bytes()})
    assert refused.status_code == 422 and "features" in refused.json()["detail"]  # this collection keeps none


@pytest.mark.parametrize(
    ("params", "word"),
    [
        ({"code": "zz"}, "code"),
        ({"code": "ab"}, "18 hexadecimal digits"),
        ({"code": "f" * 18}, "the last 2 bits"),
        ({}, "code"),
        ({"code": "0" * 18, "k": 0}, "k"),
        ({"code": "0" * 18, "k": 1001}, "k"),
        ({"code": "0" * 18, "radius": -1}, "radius"),
        ({"code": "0" * 18, "radius": "x"}, "radius"),
        ({"code": "0" * 18, "radus": "1"}, "radus"),
        ({"code": "0" * 18, "label": "horses"}, "label"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence(client, params, word):
    answer = client.get("/api/search", params=params)
    assert answer.status_code == 422 and word in answer.json()["detail"]


def test_the_short_way_answers_as_the_route_does(client, monkeypatch):
    """`_lane` goes past the framework; both must say the same."""
    queries = [
        {"code": random_codes(1)[0]},
        {"code": random_codes(1)[0], "k": "3", "radius": "30", "label": "cats"},
        {"code": random_codes(1)[0], "k": " 3"},
        {"code": random_codes(1)[0], "k": "3.0"},
        {"code": random_codes(1)[0], "k": ""},
        {"code": random_codes(1)[0], "label": ""},
        {"code": "12"},
        {"code": random_codes(1)[0], "label": "ü\n\ud800".encode("utf-8", "surrogatepass")},
        {"code": [random_codes(1)[0], "zz"]},
        {"k": "3"},
    ]
    short = [client.get("/api/search", params=query) for query in queries]
    monkeypatch.setattr("bitseek.server._lane.search_by_code", lambda query_string: None)
    long = [client.get("/api/search", params=query) for query in queries]
    assert [(a.status_code, a.json()) for a in short] == [(a.status_code, a.json()) for a in long]
    assert {answer.status_code for answer in short} == {200, 422}


def test_searches_at_once_are_few_scans_and_each_gets_its_own_answer(client, collection, monkeypatch):
    scans = []
    search = collection.search

    def counted(query, **options):
        scans.append(len(query))
        return search(query, **options)

    monkeypatch.setattr(collection, "search", counted)
    codes = random_codes(200, seed=1)
    with ThreadPoolExecutor(32) as threads:
        answers = list(threads.map(lambda code: client.get("/api/search", params={"code": code, "k": 3}).json(), codes))
    assert [answer["code"] for answer in answers] == codes
    for answer in answers:
        assert found(answer) == brute_force(collection, answer["code"], 3)
    assert sum(scans) == 200 and len(scans) < 200


def test_an_image_of_any_kind_can_be_asked_for(client):
    for mode, form in (("L", "PNG"), ("RGBA", "PNG"), ("CMYK", "JPEG"), ("P", "GIF"), ("RGB", "WEBP"), ("RGB", "BMP")):
        buffer = io.BytesIO()
        Image.new("RGB", (31, 17), "teal").convert(mode).save(buffer, form)
        answer = client.post("/api/search?k=1", files={"image": ("a", buffer.getvalue())})
        assert answer.status_code == 200 and len(answer.json()["hits"]) == 1
