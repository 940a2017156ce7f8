"""A search finds what brute force finds, whatever it is asked for, and needs a model only for what it does not know."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.collection.harness import files, network_is_not_needed, png
from tests.collection.projection import BITS, Projection

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.errors import BitseekError, ImageError, ShapeError
from bitseek.images import decode


@pytest.fixture
def featured(tmp_path, photos, hasher):
    """A collection that keeps features, with two items removed."""
    with Collection.create(tmp_path / "f", hasher=hasher, features=True) as collection:
        collection.update(photos, hasher=hasher)
        collection.remove([3, 11])
        yield collection


def brute(collection, code, label=None):
    """Ids and distances of all items, in order."""
    items = collection.items(label=label)
    bits = Codes.from_hex([item.code for item in items], BITS).to_bits()
    distances = (bits != code.to_bits()).sum(axis=1)
    order = np.lexsort(([item.id for item in items], distances))
    return [(items[i], int(distances[i])) for i in order]


def test_it_is_brute_force(featured):
    queries = Codes.from_bits(np.random.default_rng(1).random((4, BITS)) < 0.5)
    for label in (None, "a", "b"):
        for query, hits in zip(queries, featured.search(queries, k=7, label=label), strict=True):
            assert [hit[:2] for hit in hits] == brute(featured, query, label)[:7]
        for query, hits in zip(queries, featured.search(queries, k=None, radius=33, label=label), strict=True):
            assert [hit[:2] for hit in hits] == [pair for pair in brute(featured, query, label) if pair[1] <= 33]
        for query, hits in zip(queries, featured.search(queries, k=2, radius=33, label=label), strict=True):
            assert [hit[:2] for hit in hits] == [pair for pair in brute(featured, query, label) if pair[1] <= 33][:2]
    assert [len(hits) for hits in featured.search(queries, k=80)] == [18] * 4


def test_a_query_has_any_form(made, photos, hasher, tmp_path):
    path = files(photos)[3]
    copy = tmp_path / "copy.png"
    copy.write_bytes(png(6))
    with Collection.open(made) as collection:
        hits = collection.search(path, k=3, hasher=network_is_not_needed)
        assert (hits[0].item.path, hits[0].distance, hits[0].score) == (path, 0, None) and len(hits) == 3
        assert collection.search(hits[0].item, k=3, hasher=network_is_not_needed) == hits
        assert collection.search([path, hits[0].item], k=3, hasher=network_is_not_needed) == [hits] * 2
        assert collection.search(Codes.from_hex([hits[0].item.code], BITS), k=3) == [hits]
        assert hasher.encoded == 0
        with Image.open(path) as picture, Path(path).open("rb") as opened:
            for query in (copy, str(copy), bytes(copy), decode(path), picture, opened, io.BytesIO(copy.read_bytes())):
                assert collection.search(query, k=3, hasher=hasher) == hits
            assert collection.search([copy, decode(path), path], k=3, hasher=lambda: hasher) == [hits] * 3
        with pytest.raises(ImageError, match=r"absent\.png"):
            collection.search("absent.png", hasher=hasher)
        with pytest.raises(ImageError, match="not an image"):
            collection.search(io.BytesIO(b"nothing"), hasher=hasher)
        assert collection.search([], k=3) == []


def test_a_file_that_was_changed_is_encoded(made, photos, hasher):
    path = photos / "a" / "00.png"
    path.write_bytes(png(3))
    with Collection.open(made) as collection:
        hits = collection.search(path, k=1, hasher=hasher)
        assert (hits[0].item.path, hits[0].distance) == (str(photos / "b" / "03.png"), 0) and hasher.encoded == 1


def test_reranking(featured, hasher, tmp_path):
    (tmp_path / "query.png").write_bytes(png(500))
    square = np.stack([hasher.preprocess.square(decode(tmp_path / "query.png"))])
    items = featured.items()
    squares = np.stack([hasher.preprocess.square(decode(item.path)) for item in items])
    signs = Codes.from_hex([item.code for item in items], BITS).to_signs()

    def unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    scores = {
        "logits": signs @ hasher.logits_of(square)[0].astype(np.float64),
        "features": unit(hasher.features_of(squares)) @ unit(hasher.features_of(square))[0],
    }
    for rerank, expected in scores.items():
        for label in (None, "b"):
            chosen = [i for i, item in enumerate(items) if label in (None, item.label)]
            best = sorted(chosen, key=lambda i: -expected[i])[:4]
            hits = featured.search(tmp_path / "query.png", k=4, rerank=rerank, label=label, hasher=hasher)
            assert [hit.item for hit in hits] == [items[i] for i in best]
            assert np.allclose([hit.score for hit in hits], expected[best], atol=2e-3)
            distances = {item.id: distance for item, distance in brute(featured, hasher.encode(tmp_path / "query.png"))}
            assert [hit.distance for hit in hits] == [distances[items[i].id] for i in best]
    assert featured.search(items[2], k=1, rerank="features", hasher=network_is_not_needed)[0].item == items[2]
    assert featured.search(items[2], k=1, rerank="logits", hasher=hasher)[0].item == items[2]


def test_items_without_features(featured, photos, hasher, tmp_path):
    """They are imported: as queries, their files are encoded; as hits, they come last."""
    names = [tmp_path / "else" / f"{i}.png" for i in range(2)]
    names[0].parent.mkdir()
    for i, name in enumerate(names):
        name.write_bytes(png(700 + i))
    featured.add_codes(hasher.encode(names), paths=names)
    nameless = hasher.encode(names[:1])
    featured.add_codes(nameless)
    square = np.stack([hasher.preprocess.square(decode(names[0]))])
    query = hasher.features_of(square)[0]
    squares = np.stack([hasher.preprocess.square(decode(item.path)) for item in featured.items()[:18]])
    rows = hasher.features_of(squares)
    cosines = rows @ query / np.linalg.norm(rows, axis=1) / np.linalg.norm(query)
    assert cosines.min() < -0.01  # which a score of 0 would be above
    for one in (names[0], featured.find(names[0])):
        hits = featured.search(one, k=30, rerank="features", hasher=hasher)
        assert np.allclose([hit.score for hit in hits], [*np.sort(cosines)[::-1], -1, -1, -1], atol=2e-3)
        assert [hit.item.id for hit in hits[18:]] == [20, 21, 22]
    for rerank in ("features", "logits"):
        with pytest.raises(BitseekError, match=f"item 22 was imported without a path, .* its {rerank} from"):
            featured.search(featured.item(22), rerank=rerank, hasher=hasher)


def test_nothing_is_found_where_nothing_is(made, photos, hasher, tmp_path):
    query = photos / "a" / "00.png"
    with Collection.create(tmp_path / "empty", hasher=hasher) as empty, Collection.open(made) as removed:
        removed.remove(removed.alive)
        for collection in (empty, removed):
            assert collection.search(query, rerank="logits", hasher=hasher) == []
            assert collection.search([query, query], rerank="logits", hasher=hasher) == [[], []]
            assert collection.search(query, hasher=hasher) == []
    with Collection.create(tmp_path / "f", hasher=hasher, features=True) as collection:
        collection.update(photos, hasher=hasher)
        collection.remove(collection.alive)
        assert collection.search(query, rerank="features", hasher=hasher) == []


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_searched_is_told(made, featured, photos):
    code = Codes.from_bits(np.zeros((1, BITS), bool))
    with Collection.open(made) as collection:
        for options, message in (
            ({"k": None}, "limited by k, by a radius, or by both"),
            ({"rerank": "logits"}, "codes say nothing of logits"),
            ({"rerank": "colour"}, "re-ranked by 'logits' or 'features', got 'colour'"),
            ({"label": "x"}, "no item has the label 'x'; labels are a, b"),
        ):
            with pytest.raises(BitseekError, match=message):
                collection.search(code, **options)
        with pytest.raises(ShapeError, match="k is a whole number"):
            collection.search(code, k=0)
        with pytest.raises(BitseekError, match="keeps no features"):
            collection.search(files(photos)[0], rerank="features", hasher=Projection())
    with pytest.raises(BitseekError, match="re-ranking needs k"):
        featured.search(files(photos)[0], k=None, radius=9, rerank="features")


def test_the_model_in_the_collection_is_loaded_when_it_is_needed(made, photos, monkeypatch):
    """By `portable.load`, which knows runs and ONNX files; the tests of the command line do it with real ones."""
    import bitseek.portable

    loaded = []

    def load(folder, **options):
        loaded.append(options)
        return Projection.load(folder)

    monkeypatch.setattr(bitseek.portable, "load", load)
    with Collection.open(made) as collection:
        collection.search(files(photos)[0])
        assert not loaded
        assert collection.search(decode(files(photos)[0]), k=1)[0].item.path == files(photos)[0]
        collection.search(decode(files(photos)[0]))
        assert collection.encoder() is collection.encoder()
        assert loaded == [{"device": "cpu", "threads": None}]


@pytest.mark.usefixtures("unchecked")
def test_a_label_is_searched_in_the_form_in_which_it_is_kept(tmp_path, photos, hasher):
    odd = os.fsdecode(b"caf\xff")
    (photos / "a").rename(photos / odd)
    code = Codes.from_bits(np.zeros((1, BITS), bool))
    with Collection.create(tmp_path / "c", hasher=hasher) as collection:
        collection.update(photos, hasher=hasher)
        for label in (odd, "caf\\xff"):
            assert len(collection.items(label=label)) == len(collection.search(code, k=20, label=label)[0]) == 10
        for ask in (collection.items, lambda label: collection.search(code, label=label)):
            with pytest.raises(BitseekError, match="no item has the label"):
                ask(label="\udcff")
            with pytest.raises(BitseekError, match="a label is text, got 7"):
                ask(label=7)
        with pytest.raises(BitseekError, match="a label is text, got 7"):
            collection.add_codes(code, labels=[7])


def test_a_search_by_features_runs_the_network_once(featured, photos):
    class Counted(Projection):
        runs = 0

        def logits_and_features_of(self, squares):
            self.runs += 1
            return self.logits_of(squares), self.features_of(squares)

    hasher = Counted()
    query = decode(files(photos)[2])
    hits = featured.search(query, k=3, rerank="features", hasher=hasher)
    assert hasher.runs == hasher.encoded == 1
    assert hits == featured.search(query, k=3, rerank="features", hasher=Projection())


def test_features_that_are_cut_off_are_told(featured, photos, hasher):
    with (featured.folder / "features.bin").open("r+b") as file:
        file.truncate(10)
    with (
        Collection.open(featured.folder) as collection,
        pytest.raises(BitseekError, match=r"features\.bin is too short .*run bitseek verify"),
    ):
        collection.search(files(photos)[0], rerank="features", hasher=hasher)
