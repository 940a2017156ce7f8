"""The table of codes that stand for classes, against a slow count, and as the page shows it."""

import io
import re
from base64 import b64decode
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.report.harness import report_of
from tests.report.test_page import shown

from bitseek.codes import Codes
from bitseek.errors import ShapeError
from bitseek.labels import Labels
from bitseek.report import class_codes


def apart(a, b):
    return sum(x != y for x, y in zip(a, b, strict=True))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_class_codes_are_those_of_a_slow_count(data):
    n, bits, classes = data.draw(st.integers(1, 25)), data.draw(st.integers(1, 9)), data.draw(st.integers(1, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 999)))
    rows = rng.random((n, bits)) < 0.3
    hot = rng.random((n, classes)) < 0.6
    if data.draw(st.booleans()):
        labels = np.where(hot.any(axis=1), hot.argmax(axis=1), -1)
        hot = labels[:, None] == np.arange(classes)
    else:
        labels = hot
    codes = Codes.from_bits(rows)
    if not hot.any():
        with pytest.raises(ShapeError, match="no item has a label"):
            class_codes(codes, labels)
        return
    found = class_codes(codes, labels, radius=1)
    assert found.classes.tolist() == [c for c in range(classes) if hot[:, c].any()]
    text = ["".join("01"[int(b)] for b in row) for row in rows]
    modes = []
    for k, c in enumerate(found.classes):
        own = [text[i] for i in range(n) if hot[i, c]]
        often = Counter(own)
        candidates = [code for code in often if often[code] == max(often.values())]
        totals = {code: sum(apart(code, other) for other in own) for code in candidates}
        mode = min(code for code in candidates if totals[code] == min(totals.values()))
        assert "".join("01"[int(b)] for b in found.codes[k].to_bits()[0]) == mode
        assert (found.items[k], found.same[k], found.distinct[k]) == (len(own), often[mode], len(often))
        assert found.near[k] == sum(apart(mode, other) <= 1 for other in own)
        assert found.spread[k] == pytest.approx(totals[mode] / len(own))
        modes.append((mode, own))
    for i, (mode, own) in enumerate(modes):
        for j, (other, theirs) in enumerate(modes):
            assert found.distances[i, j] == apart(mode, other)
            pairs = [(a, b) for x, a in enumerate(own) for y, b in enumerate(theirs) if i != j or x != y]
            mean = np.mean([apart(a, b) for a, b in pairs]) if pairs else np.nan
            assert found.mean_distances[i, j] == pytest.approx(mean, nan_ok=True)


def test_only_the_largest_classes_where_there_are_many():
    labels = np.repeat([3, 1, 0, 2], [1, 5, 2, 4])
    found = class_codes(Codes.from_bits(np.eye(12)), labels, most=2)
    assert found.classes.tolist() == [1, 2] and found.items.tolist() == [5, 4] and len(found) == 2


def test_labels_come_in_any_form_but_one_for_each_code():
    codes = Codes.from_bits(np.eye(4))
    numbers = np.array([0, 1, 1, -1])
    forms = (numbers, Labels.of(numbers), numbers.tolist(), numbers[:, None] == np.arange(2))
    assert len({class_codes(codes, form).spread.tobytes() for form in forms}) == 1
    with pytest.raises(ShapeError, match="4 codes and labels of 3 items"):
        class_codes(codes, numbers[:3])


def test_the_table_of_the_page_is_that_of_the_codes(page, report):
    labels = report.protocol.pool.labels
    found = class_codes(report.database.codes, labels[report.database.ids], radius=2)
    of_query = labels.numbers[report.queries.ids]
    rows = page.rows("class")
    assert list(rows) == [str(c) for c in range(10)]
    for i, row in enumerate(rows.values()):
        others = [d if j != i else 99 for j, d in enumerate(found.distances[i])]
        assert row == [
            found.codes[i].hex()[0],
            "",
            f"{found.items[i]:,}",
            f"{100 * found.same[i] / found.items[i]:.1f} %",
            f"{100 * found.near[i] / found.items[i]:.1f} %",
            str(found.distinct[i]),
            f"{found.spread[i]:.2f}",
            f"{np.argmin(others)}, {min(others)} bits",
            f"{report.main.per_query[of_query == i].mean():.3f}",
        ]
    strips = re.findall(r'<img src="data:image/png;base64,([^"]*)" alt="bits of the code"', page.html)
    for strip, code in zip(strips, found.codes, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(b64decode(strip))).convert("RGBA"))
        assert (pixels[0, :, 3] > 0).tolist() == code.to_bits()[0].tolist()


def test_the_matrix_of_the_page_is_that_of_the_codes(page, report):
    labels = report.protocol.pool.labels[report.database.ids]
    found = class_codes(report.database.codes, labels)
    (matrix,) = [table for table in page.tables if table[0][0] == ""]
    assert matrix[0][1:] == [row[0] for row in matrix[1:]] == [str(c) for c in range(10)]
    for i, row in enumerate(matrix[1:]):
        assert row[1:] == ["·" if i == j else str(found.distances[i, j]) for j in range(10)]
    least, mean = found.distances[~np.eye(10, dtype=bool)].min(), found.distances[~np.eye(10, dtype=bool)].mean()
    assert f"{least} at least, {mean:.2f} on average (8.0 for random codes)" in page.text
    for i in range(10):
        for j in range(10):
            name = f"{i}: {found.mean_distances[i, i]:.2f} on average between its items"
            pair = f"{i} and {j}: {found.mean_distances[i, j]:.2f} on average between their items"
            assert (name if i == j else pair) in page.tips()


@pytest.mark.parametrize(("bits", "radius"), [(1, "1 bit"), (8, "1 bit"), (16, "2 bits"), (130, "2 bits")])
def test_the_radius_fits_the_length_of_the_codes(bits, radius):
    page = shown(report_of(np.arange(60) % 2, "ab", bits=bits))
    (heading,) = [table[0] for table in page.tables if table[0][0] == "class"]
    assert f"within {radius}" in heading
    strips = sum(given.get("class") == "bits" for _, given in page.attributes)
    assert strips == (2 if bits <= 128 else 0)


def test_a_class_without_queries_has_no_figure():
    page = shown(report_of(np.append(np.zeros(12, np.int64), np.arange(48) % 2), "ab"))
    assert page.rows("class")["b"][-1] == "none" != page.rows("class")["a"][-1]


def test_classes_beyond_the_most_that_are_shown_are_counted(monkeypatch):
    monkeypatch.setattr("bitseek.report._sections.MOST_CLASSES", 5)
    page = shown(report_of(np.arange(60) % 8, "abcdefgh"))
    assert len(page.rows("class")) == 5 and "the 5 largest of 8 classes are shown" in page.text
