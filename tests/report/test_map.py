"""The map of the codes."""

import base64
import io
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.report.harness import report_of

import bitseek
from bitseek.codes import Codes
from bitseek.errors import BitseekError, MissingExtra
from bitseek.images import Paths
from bitseek.report._map import COLOURS, UNLABELLED, code_map, colour, layout, sampled


def test_near_codes_are_near_on_the_map():
    rng = np.random.default_rng(0)
    centres = rng.random((4, 32)) < 0.5
    group = np.repeat(np.arange(4), 25)
    codes = Codes.from_bits(centres[group] ^ (rng.random((100, 32)) < 0.05))
    places = layout(codes)
    assert places.shape == (100, 2) and places.min() >= 0 and places.max() <= 1
    assert len(np.unique(places.round(6), axis=0)) == 100  # items with one code do not hide each other
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(100)
    assert (group[apart.argmin(axis=1)] == group).all()


def test_a_seed_gives_one_map():
    codes = Codes.from_bits(np.random.default_rng(1).random((50, 16)) < 0.5)
    assert np.array_equal(layout(codes), layout(codes)) and np.array_equal(layout(codes, seed=3), layout(codes, seed=3))
    assert not np.array_equal(layout(codes), layout(codes, seed=3))


@pytest.mark.parametrize("rows", [[[1]], [[1, 0]] * 9, [[1, 0], [0, 1]] * 4, np.eye(4), np.tri(5)])
def test_maps_of_few_or_equal_codes(rows):
    places = layout(Codes.from_bits(rows))
    assert places.shape == (len(rows), 2) and np.isfinite(places).all()
    assert places.min() >= 0 and places.max() <= 1


@given(st.integers(1, 60), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_items_of_one_code_fill_a_disc_around_one_place(n, codes):
    rows = np.arange(n) % codes
    places = layout(Codes.from_bits(np.eye(4)[rows]))
    assert len(np.unique(places.round(9), axis=0)) == n
    middles = np.stack([places[rows == c][0] for c in range(min(codes, n))])
    for place, row in zip(places, rows, strict=True):
        assert np.linalg.norm(middles - place, axis=1).argmin() == row


def test_a_map_is_tsne_or_umap(monkeypatch):
    codes = Codes.from_bits(np.eye(6))
    with pytest.raises(BitseekError, match="tsne or umap, got 'pca'"):
        layout(codes, "pca")
    monkeypatch.setitem(__import__("sys").modules, "umap", None)
    with pytest.raises(MissingExtra, match=r"bitseek\[plots\]"):
        layout(codes, "umap")


@pytest.mark.parametrize(("n", "most"), [(10, 4), (10, 10), (3, 9)])
def test_a_sample_is_of_different_items_in_their_order(n, most):
    chosen = sampled(n, most)
    assert chosen.tolist() == sorted(set(chosen.tolist())) and len(chosen) == min(n, most)
    assert np.array_equal(chosen, sampled(n, most)) and set(chosen) <= set(range(n))


def test_colours_differ_and_are_valid():
    colours = [colour(rank) for rank in range(200)]
    assert colours[:10] == list(COLOURS) and all(re.fullmatch("#[0-9a-f]{6}", one) for one in colours)
    assert all(a != b for a, b in itertools.pairwise(colours)) and len(set(colours)) > 150


def test_the_map_shows_items_with_their_codes_labels_and_images(page, report, hasher):
    points, pool = page.points(), report.protocol.pool
    plane = re.search(r'<svg [^>]*id="plane">.*?</svg>', page.html, re.S)[0]
    assert len(points["names"]) == 60 == plane.count("<circle")
    ids = np.array([int(name) for name in points["names"]])
    assert set(ids) <= set(report.protocol.database)
    assert hasher.encode(list(pool.images.array[ids])).hex() == points["codes"]
    assert [points["classes"][own] for (own,) in points["labels"]] == [
        pool.classes[c] for c in pool.labels.numbers[ids]
    ]
    uri = re.search(r"\.shot\{background-image:url\(data:image/png;base64,([^)]*)\)\}", page.html)[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
    cell, columns = points["sheet"]["cell"], points["sheet"]["columns"]
    for i, place in zip(ids, points["places"], strict=True):
        top, left = place // columns * cell, place % columns * cell
        assert np.array_equal(picture[top : top + cell, left : left + cell], pool.images.array[i])
    fills = re.findall(r'<circle [^>]*fill="([^"]*)"', plane)
    assert fills == [colour(own) for (own,) in points["labels"]]
    assert "60 of 1,497 items of the database by t-SNE on Hamming distances, seed 0" in page.text


def test_the_legend_counts_the_items_that_are_shown(page):
    points = page.points()
    found = re.findall(
        r'data-class="(\d+)" aria-pressed="false"><i style="background:([^"]*)"></i>(\d)<small>(\d+)', page.html
    )
    counted = np.bincount([own for (own,) in points["labels"]], minlength=10)
    assert [(int(number), fill, name, int(n)) for number, fill, name, n in found] == [
        (c, colour(c), str(c), counted[c]) for c in range(10)
    ]


def test_a_class_is_named_at_one_of_its_items():
    found = code_map(report_of(np.arange(60) % 3, ("ant", "bee", "cat")), sample=48)
    places = {(x, round(y + 4, 1)): fill for x, y, fill in found["points"]}
    assert [name for *_, name in found["names"]] == ["ant", "bee", "cat"]
    for x, y, number, _ in found["names"]:
        assert places[x, y] == colour(number)


def test_several_labels_are_coloured_by_the_rarest_and_none_are_grey():
    hot = np.zeros((60, 3), bool)
    hot[:, 0] = True
    hot[12:40, 1] = hot[12:20, 2] = True
    hot[59] = False
    found = code_map(report_of(hot, "abc"), sample=48)
    fills = [fill for *_, fill in found["points"]]
    assert fills == [colour(2)] * 8 + [colour(1)] * 20 + [colour(0)] * 19 + [UNLABELLED]
    assert found["several"] and found["data"]["labels"][-1] == []
    assert [(name, size) for _, name, _, size in found["legend"]] == [("a", 47), ("b", 28), ("c", 8)]


def test_without_labels_there_is_no_legend():
    found = code_map(report_of(np.full(60, -1), ("unused",)), sample=20)
    assert found["legend"] == found["names"] == [] and found["data"]["classes"] == [] and not found["several"]
    assert {fill for *_, fill in found["points"]} == {UNLABELLED}


def test_pictures_that_are_gone_leave_no_gap_on_the_sheet(tmp_path):
    found = report_of(np.arange(20) % 2, "ab", n=20, queries=4)
    for i in (5, 7, 8):
        Image.new("RGB", (40, 30), (0, 10 * i, 0)).save(tmp_path / f"{i}.png")
    pool = bitseek.data.Pool(Paths(tmp_path, tuple(f"{i}.png" for i in range(20))), np.arange(20) % 2, ("a", "b"))
    drawn = code_map(replace(found, protocol=replace(found.protocol, pool=pool)), sample=99)
    places = dict(zip(drawn["data"]["names"], drawn["data"]["places"], strict=True))
    assert [places[f"{i}.png"] for i in (5, 7, 8)] == [0, 1, 2] and sum(place == -1 for place in places.values()) == 13
    assert drawn["data"]["sheet"] == {"cell": 40, "columns": 2, "rows": 2}
