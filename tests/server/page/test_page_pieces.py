"""Parts of the page that compute something, in the browser, against slow loops in Python."""

import csv
import io

import numpy as np
import pytest


@pytest.fixture
def run(at):
    """Calls a JavaScript function with the modules of the page."""
    at.open("#/search")
    return lambda script, argument=None: at.page.evaluate(script, argument)


@pytest.mark.parametrize("n", [1, 7, 3000])
def test_the_nearest_points_are_those_of_a_brute_force_search(run, n):
    rng = np.random.default_rng(n)
    xy = np.concatenate([rng.random((n - n // 3, 2)), 0.5 + 0.01 * rng.standard_normal((n // 3, 2))])
    places = [*rng.uniform(-0.3, 1.3, (30, 2)).tolist(), [0.5, 0.5], [0.0, 1.0], xy[0].tolist()]
    asked = [{"place": place, "k": k, "reach": reach} for place in places for k, reach in ((1, 9), (8, 9), (8, 0.04))]
    found = run(
        """async ([xy, asked]) => {
            const { Nearest } = await import("/static/nearest.js");
            const near = new Nearest((i) => xy[i][0], (i) => xy[i][1], xy.length);
            return asked.map(({ place, k, reach }) =>
                near.find(...place, k, reach, (i) => i % 5 !== 4).map(({ distance }) => distance));
        }""",
        [xy.tolist(), asked],
    )
    allowed = xy[np.arange(n) % 5 != 4]
    for question, distances in zip(asked, found, strict=True):
        apart = np.sort(np.linalg.norm(allowed - question["place"], axis=1))
        np.testing.assert_allclose(distances, apart[apart <= question["reach"]][: question["k"]], atol=1e-12)


def test_the_points_in_a_rectangle(run):
    xy = np.random.default_rng(0).random((2000, 2))
    boxes = [[0.1, 0.2, 0.4, 0.3], [-1, -1, 2, 2], [0.5, 0.5, 0.5, 0.5], [0.9, 0.0, 1.5, 1.0]]
    found = run(
        """async ([xy, boxes]) => {
            const { Nearest } = await import("/static/nearest.js");
            const near = new Nearest((i) => xy[i][0], (i) => xy[i][1], xy.length);
            const found = boxes.map((box) => near.inside(...box, 1e6).sort((a, b) => a - b));
            return [...found, near.inside(-1, -1, 2, 2, 1999)];
        }""",
        [xy.tolist(), boxes],
    )
    assert found.pop() is None
    for (left, top, right, bottom), points in zip(boxes, found, strict=True):
        inside = (xy >= [left, top]).all(axis=1) & (xy <= [right, bottom]).all(axis=1)
        assert points == np.flatnonzero(inside).tolist()


def test_a_zoom_leaves_the_place_under_the_pointer(run):
    moved = run(
        """async () => {
            const { Camera } = await import("/static/camera.js");
            const camera = Object.assign(new Camera(), { width: 800, height: 500 });
            const before = camera.toUnit(610, 120);
            const way = [];
            camera.zoom(7.5, 610, 120);
            for (let i = 0; i < 400 && camera.step(16, false); i += 1) way.push(camera.toUnit(610, 120));
            const end = camera.toUnit(610, 120);
            return { before, way, end, zoom: camera.now.zoom, back: camera.toScreen(...end) };
        }"""
    )
    assert 5 < len(moved["way"]) < 100 and moved["zoom"] == pytest.approx(0.94 * 7.5)
    np.testing.assert_allclose([moved["end"], *moved["way"]], [moved["before"]] * (1 + len(moved["way"])), atol=1e-9)
    assert moved["back"] == pytest.approx([610, 120])


def test_differing_bits(run):
    rng = np.random.default_rng(3)
    for bits in (1, 4, 12, 70, 129):
        a, b = (rng.integers(0, 2, bits) for _ in range(2))
        codes = [f"{int(''.join(map(str, code)), 2) << (-bits % 4):0{-(-bits // 4)}x}" for code in (a, b)]
        found = run(
            """async ([a, b, bits]) => {
                const { differing, ones } = await import("/static/bits.js");
                return [differing(a, b, bits), ones(a, bits)];
            }""",
            [*codes, bits],
        )
        assert found == [np.flatnonzero(a != b).tolist(), np.flatnonzero(a).tolist()]


def test_colours_are_those_of_the_report(run):
    from bitseek.report._map import colour

    found = run("async () => (await import('/static/colours.js')).colour && (await Promise.all([...Array(40).keys()]"
                ".map(async (rank) => (await import('/static/colours.js')).colour(rank))))")  # fmt: skip
    for rank, channels in enumerate(found):
        expected = [int(colour(rank)[at : at + 2], 16) for at in (1, 3, 5)]
        assert np.abs(np.subtract(channels, expected)).max() <= 1
    assert len({tuple(channels) for channels in found}) == 40


def test_a_table_is_read_back_by_another_reader(run):
    names = ["a.png", 'quote " and, comma', "two\nlines", "ünïcode ‮", "-minus", "=SUM(A1)", "@x", "+1", ""]
    items = [
        {"id": id, "folder": "f", "name": name, "label": None, "width": 3, "height": 4, "size": 5, "modified": "2024"}
        for id, name in enumerate(names)
    ]
    groups = [{"exact": True, "distance": 0, "size": 20, "items": items}]
    text = run("async (groups) => (await import('/static/csv.js')).groupsAsCsv(groups)", groups)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["name"] for row in rows] == [
        f"'{name}" if name[:1] in tuple("=+-@") and name else name for name in names
    ]
    assert {(row["group"], row["images"], row["exact"], row["label"]) for row in rows} == {("1", "20", "true", "")}
    assert [int(row["id"]) for row in rows] == list(range(len(names)))
