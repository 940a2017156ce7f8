"""The map of a collection."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitseek.codes import Codes, hamming_distances
from bitseek.collection import _map
from bitseek.collection._map import make, placed, places, read, sampled, spread
from bitseek.kernels import jit


def clustered(n: int, bits: int = 32, groups: int = 4, seed: int = 0) -> tuple[Codes, np.ndarray]:
    """Codes around some far centres, and the group of each."""
    centres = np.kron(np.eye(groups), np.ones((1, bits // groups))) > 0
    rng = np.random.default_rng(seed)
    group = np.arange(n) % groups
    return Codes.from_bits(centres[group] ^ (rng.random((n, bits)) < 0.04)), group


@pytest.fixture
def no_umap(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)


def nearest_other(xy: np.ndarray) -> np.ndarray:
    apart = np.linalg.norm(xy[:, None].astype(np.float64) - xy[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return apart.argmin(axis=1)


def test_umap_puts_near_codes_at_near_places():
    codes, group = clustered(200)
    kind, xy = places(codes)
    assert kind == "umap" and xy.dtype == np.float32 and xy.min() >= 0 and xy.max() <= 1
    assert (group[nearest_other(spread(codes, xy))] == group).mean() > 0.98
    assert np.array_equal(places(codes)[1], xy)


@pytest.mark.skipif(not jit.COMPILED, reason="numba's compiler is disabled or absent")
def test_what_umap_compiles_is_kept_for_the_next_process():
    from umap import layouts, umap_

    places(clustered(30)[0])
    for loop in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        kept = [file for file in Path(loop.stats.cache_path).iterdir() if f".{loop.__name__}-" in file.name]
        assert Path(jit._CACHE) in kept[0].parents and {file.suffix for file in kept} == {".nbi", ".nbc"}


def test_without_umap_the_places_are_principal_components(no_umap):
    codes, _ = clustered(60, bits=16)
    kind, xy = places(codes)
    distinct = Codes(np.unique(codes.words, axis=0), 16)
    signs = distinct.to_signs().astype(float)
    left, values, _ = np.linalg.svd(signs - signs.mean(axis=0), full_matrices=False)  # an oracle by another way
    scores = left[:, :2] * values[:2]
    of = {word: row for row, word in enumerate(distinct.words[:, 0].tolist())}
    scores = scores[[of[word] for word in codes.words[:, 0].tolist()]]
    assert kind == "pca"
    for axis in (0, 1):
        assert abs(np.corrcoef(scores[:, axis], xy[:, axis])[0, 1]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("rows", [np.zeros((0, 8)), [[1]], [[1, 0]] * 9, [[1, 0], [0, 1]] * 4, np.eye(4), np.tri(5)])
def test_maps_of_few_or_equal_codes(rows):
    codes = Codes.from_bits(rows)
    kind, xy = places(codes)
    assert kind == ("pca" if len(rows) < 5 or len(np.unique(rows, axis=0)) < 5 else "umap")
    assert xy.shape == (len(rows), 2) and np.isfinite(xy).all()
    shown = spread(codes, xy)
    assert len(np.unique(shown, axis=0)) == len(rows) and (not len(rows) or 0 <= shown.min() <= shown.max() <= 1)


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_an_unknown_code_stands_among_its_nearest(n, m, seed):
    rng = np.random.default_rng(seed)
    known, xy = Codes.from_bits(rng.random((n, 10)) < 0.5), rng.random((n, 2)).astype(np.float32)
    new = Codes.from_bits(rng.random((m, 10)) < 0.5)
    for row, distances in enumerate(hamming_distances(new, known)):
        order = np.argsort(distances, kind="stable")[:3]
        if distances[order[0]] == 0:
            expected = xy[order[0]].astype(float)
        else:
            weights = [1 / distances[place] ** 2 for place in order]
            expected = sum(w * xy[place].astype(float) for w, place in zip(weights, order, strict=True)) / sum(weights)
        np.testing.assert_allclose(placed(new, known, xy)[row], expected, atol=1e-6)


def test_items_of_one_code_fill_a_disc_around_its_place():
    codes = Codes.from_bits(np.eye(4)[np.arange(400) % 2])
    xy = np.array([[0.25, 0.5], [0.75, 0.5]], np.float32)[np.arange(400) % 2]
    shown = spread(codes, xy)
    assert len(np.unique(shown, axis=0)) == 400
    for own in (0, 1):
        distances = np.linalg.norm(shown[own::2] - xy[own], axis=1)
        assert distances[0] < 1e-6 and np.pi * distances.max() ** 2 == pytest.approx(_map.FILLED / 2, rel=0.02)


def test_a_map_is_kept_while_items_come_and_go(tmp_path):
    file = tmp_path / "map.npz"
    codes, _ = clustered(120)
    assert read(file, codes, np.arange(120)) is None
    first = make(file, codes, np.arange(120), 1)
    centres = np.load(file)["xy"]
    again = read(file, codes, np.arange(120))
    assert again is not None and again.generation == 1 and again.kind == "umap"
    assert np.array_equal(again.ids, np.arange(120)) and np.array_equal(again.xy, first.xy)

    more = Codes.concat([codes, clustered(30, seed=9)[0]])
    alive = np.arange(10, 150)
    assert np.array_equal(read(file, more, alive).ids, np.arange(10, 120))  # before the map follows
    second = make(file, more, alive, 2)
    assert np.array_equal(second.ids, alive) and second.generation == read(file, more, alive).generation == 2
    assert np.array_equal(np.load(file)["xy"][:110], centres[10:])
    group = np.arange(150)[10:] % 4
    assert (group[nearest_other(second.xy)] == group).mean() > 0.95


def test_a_map_is_fitted_again_when_asked_or_outgrown(tmp_path, monkeypatch):
    fits = []
    real = _map.places
    monkeypatch.setattr(_map, "places", lambda codes, **options: fits.append(len(codes)) or real(codes, **options))
    file, codes = tmp_path / "map.npz", clustered(90)[0]
    make(file, codes, np.arange(20), 1)
    make(file, codes, np.arange(40), 2)
    assert fits == [20]
    make(file, codes, np.arange(41), 3)
    assert fits == [20, 41]
    make(file, codes, np.arange(41), 3, afresh=True)
    make(file, codes, np.arange(50, 60), 4)  # nothing of the old map is left
    assert fits == [20, 41, 41, 10]


@pytest.mark.parametrize("damage", ["cut", "other", "ids", "places", "kind"])
def test_a_damaged_map_counts_as_none(tmp_path, damage, caplog):
    file, codes = tmp_path / "map.npz", clustered(30)[0]
    make(file, codes, np.arange(30), 1)
    arrays = dict(np.load(file))
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:200])
    elif damage == "other":
        file.write_text("not a map")
    else:
        wrong = {"ids": arrays["ids"][::-1], "places": arrays["xy"] * np.nan, "kind": np.array("drawn")}
        name = {"places": "xy"}.get(damage, damage)
        np.savez(file, **arrays | {name: wrong[damage]})
    assert read(file, codes, np.arange(30)) is None and "map" in caplog.text
    assert len(make(file, codes, np.arange(30), 2).ids) == 30 and read(file, codes, np.arange(30)) is not None


def test_a_map_of_fewer_codes_than_it_names_counts_as_none(tmp_path):
    file, codes = tmp_path / "map.npz", clustered(30)[0]
    make(file, codes, np.arange(30), 1)
    assert read(file, codes[:29], np.arange(29)) is None


def test_more_codes_than_a_fit_takes_are_placed_by_their_nearest(monkeypatch):
    monkeypatch.setattr(_map, "FIT", 60)
    codes, group = clustered(400)
    kind, xy = places(codes)
    assert kind == "umap" and (group[nearest_other(spread(codes, xy))] == group).mean() > 0.95


def test_a_sample_of_ids_is_even_and_changes_little():
    ids = np.arange(10_000)
    kept = sampled(ids, 1000)
    assert len(kept) == 1000 and (np.diff(kept) > 0).all() and np.array_equal(sampled(ids[:1000], 1000), ids[:1000])
    assert np.histogram(kept, bins=10, range=(0, 10_000))[0].tolist() == pytest.approx([100] * 10, abs=5)
    assert len(np.intersect1d(kept, sampled(np.delete(ids, kept[::10]), 1000))) == 900
