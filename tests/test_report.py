"""The page about a run: it says what is true, holds all it needs, and copes with data of every kind."""

import base64
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import bitseek
from bitseek.codes import Codes
from bitseek.data import Features, Pool, Protocol
from bitseek.data.pool import Paths
from bitseek.data.protocol import GroundTruth
from bitseek.encode import Encoded
from bitseek.errors import BitseekError, ShapeError
from bitseek.metrics import report_of
from bitseek.report import class_codes, look, page, write_page, write_projector
from bitseek.report.charts import Scale, line_chart
from bitseek.report.examples import any_of, best, worst
from bitseek.report.findings import Findings, _count, _level, _rank, read_history
from bitseek.report.heatmap import heatmap
from bitseek.report.html import EMPTY, Html, data, tag
from bitseek.report.layout import layout
from bitseek.report.thumbnails import CELL, data_uri, sheet, thumbnails
from bitseek.training import train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    train("orthohash", "digits", bits=16, out=folder, epochs=2, batch_size=64, lr=1e-3, precision="fp32")
    return folder


@pytest.fixture(scope="module")
def findings(run):
    return look(run, threads=1)


@pytest.fixture(scope="module")
def html(findings):
    return page(findings, sample=60)


class Reader(HTMLParser):
    """Checks that elements are closed in order, and collects what a browser would fetch."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.ids, self.texts, self.tags = [], [], [], [], Counter()

    def handle_starttag(self, name, attributes):
        self.tags[name] += 1
        self.links += [v for k, v in attributes if k in ("src", "href", "srcset", "data", "action", "poster")]
        self.ids += [v for k, v in attributes if k == "id"]
        if name not in ("img", "meta"):
            self.open.append(name)

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        self.open = self.open if name in ("img", "meta") else self.open[:-1]

    def handle_endtag(self, name):
        assert self.open.pop() == name

    def handle_data(self, text):
        self.texts.append(text)


def read(html):
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


def text_of(html):
    return " ".join(" ".join(read(html).texts).split())


def points_of(html):
    return json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', html, re.S)[1])


# --- the page -----------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_fetches_nothing(html):
    reader = read(html)
    assert all(link.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#")) for link in reader.links)
    assert not re.search(r"url\((?!data:)|@import|https?://|\bfetch\(|XMLHttpRequest|<link|<iframe", html)
    assert 'http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;; img-src data:;' in html
    assert len(set(reader.ids)) == len(reader.ids)
    inside = {link[1:] for link in reader.links if link.startswith("#")}
    assert inside == {"ranking", "training", "map", "classes", "bits", "queries", "origin"}
    assert inside <= set(reader.ids)


def test_the_page_says_what_evaluate_says(html, run):
    report = bitseek.evaluate(bitseek.load(run), "digits").to_json()
    text = text_of(html)
    for name in ("mAP", "mAP_worst", "mAP_best"):
        assert f"{report[name]:.4f}" in text
    for value in (*report["precision_at"].values(), report["within_radius"]["precision"], *[
        report["interval"][end] for end in ("low", "high")
    ]):  # fmt: skip
        assert f"{value:.4f}" in text
    inside = report["diagnostics"]
    for name in ("bit_imbalance", "bit_correlation", "quantisation_error"):
        assert f"{inside[name]:.4f}" in text
    assert report["protocol"]["checksum"][:16] in text and report["fingerprint"] in text
    assert "The data are not those" not in text


def test_the_curves_are_those_of_the_log(html, run):
    history = read_history(run)
    assert [record["epoch"] for record in history] == [1, 2]
    for record in history:
        assert f"loss {record['loss']:.4g}" in html
        assert f"codeword_accuracy {record['codeword_accuracy']:.4g}" in html


def test_the_map_shows_items_with_their_codes_labels_and_images(html, findings):
    points, pool = points_of(html), findings.protocol.pool
    assert len(points["names"]) == 60 == re.search(r'<svg [^>]*id="plane">.*?</svg>', html, re.S)[0].count("<circle")
    hasher = bitseek.load(findings.run)
    ids = np.array([int(name) for name in points["names"]])
    assert set(ids) <= set(findings.protocol.database)
    assert hasher.encode(list(pool.images.array[ids])).hex() == points["codes"]
    assert [points["classes"][own] for (own,) in points["labels"]] == [pool.classes[c] for c in pool.labels[ids]]
    uri = re.search(r"\.shot\{background-image:url\(data:image/png;base64,([^)]*)\)\}", html)[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
    cell, columns = points["sheet"]["cell"], points["sheet"]["columns"]
    for i, place in zip(ids, points["places"], strict=True):
        top, left = place // columns * cell, place % columns * cell
        assert np.array_equal(picture[top : top + cell, left : left + cell], pool.images.array[i])


def test_right_and_wrong_are_marked_by_colour_and_sign(html, findings):
    parts = re.findall(r'<figure class="tile (\w+)".*?<figcaption>(.*?)</figcaption>', html, re.S)
    kinds = Counter(kind for kind, _ in parts)
    assert kinds["query"] == 12 and kinds["right"] + kinds["wrong"] == 120 and kinds["wrong"] > 0
    for kind, caption in parts:
        assert ("✓" in caption) == (kind == "right") and ("✗" in caption) == (kind == "wrong")
    labels = findings.protocol.pool.labels
    for example in (*best(findings, 6, 10), *worst(findings, 6, 10)):
        assert example.right.tolist() == (labels[example.ids] == labels[example.query]).tolist()


def test_it_is_written_atomically_and_by_the_command(run, tmp_path, capsys):
    from bitseek.cli import main

    target = tmp_path / "pages" / "a.html"
    main(["report", str(run), "--sample", "20", "--out", str(tmp_path / "a.html"), "--device", "cpu"])
    assert capsys.readouterr().out == f"{tmp_path / 'a.html'}\n"
    read((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert [path.name for path in tmp_path.iterdir()] == ["a.html"]
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(run), "--sample", "20", "--out", str(target), "--device", "cpu"])
    assert "cannot write" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="1"):
        main(["report", str(tmp_path)])
    assert "is not a run folder" in capsys.readouterr().err


def test_a_failure_keeps_the_page_of_before(findings, tmp_path, monkeypatch):
    target = tmp_path / "a.html"
    target.write_text("before")
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
    with pytest.raises(BitseekError, match="cannot write"):
        write_page(target, findings, sample=10)
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]


def test_the_codes_go_to_the_projector(findings, tmp_path):
    pytest.importorskip("tensorboard")
    write_projector(tmp_path, findings, sample=30)
    (folder,) = tmp_path.glob("*/codes_of_digits")
    signs = np.loadtxt(folder / "tensors.tsv", delimiter="\t")
    rows = (folder / "metadata.tsv").read_text().splitlines()
    assert rows[0] == "classes\tcode\tname" and len(rows) == 31 and signs.shape == (30, 16)
    assert Codes.from_bits(signs).hex() == [row.split("\t")[1] for row in rows[1:]]
    labels = findings.protocol.pool.labels
    assert all(row.split("\t")[0] == str(labels[int(row.split("\t")[2])]) for row in rows[1:])
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (6 * 8, 6 * 8)
    assert "codes_of_digits" in (tmp_path / "projector_config.pbtxt").read_text()


# --- other kinds of data ------------------------------------------------------------------------------------------


def findings_of(data, logits, config):
    """Findings without a network: the logits of all items of a pool are given."""
    queries, database = (Encoded(ids, logits[ids], {}) for ids in (data.query, data.database))
    level = None if data.ground_truth is None else _level(tuple(data.ground_truth.positives))
    counts = _count(data, queries, database, level)
    ranked = None if counts is None else _rank(data, counts, {"at": data.at, "denominator": data.denominator})
    return Findings(config["run"], config, [], data, queries, database, level, counts, ranked, "0" * 16)


@pytest.fixture
def config(run):
    stored = json.loads((run / "config.json").read_text())
    return {**stored, "run": run}


def random_data(config, labels, classes, n=60, bits=16, queries=12, overlap=False, **more):
    rng = np.random.default_rng(0)
    ids = np.arange(n)
    pool = Pool(Features((rng.normal(size=(n, 4)).astype(np.float32),)), labels, classes)
    data = Protocol("toy", pool, ids[:0], ids[:queries], ids if overlap else ids[queries:], **more)
    return findings_of(data, rng.normal(size=(n, bits)).astype(np.float32), config)


def test_several_labels_and_features_without_images(config):
    labels = np.random.default_rng(1).random((60, 3)) < 0.4
    found = random_data(config, labels, ("<b>&", "b", "c"))
    html = page(found)
    text, points = text_of(html), points_of(html)
    assert points["sheet"] is None and set(points["places"]) == {-1}
    assert [set(own) for own in points["labels"]] == [set(np.flatnonzero(row)) for row in labels[found.database.ids]]
    assert "the colour of the rarest of them" in text and "<b>&" in text and "<b>&" not in html
    unlabelled = int((~labels[12:].any(axis=1)).sum())
    assert unlabelled and f"{unlabelled} items without a label are left out" in text
    for example in worst(found, 6, 10):
        assert example.right.tolist() == (labels[example.ids] & labels[example.query]).any(axis=1).tolist()
        assert labels[example.query].any()


def test_nothing_is_relevant_without_labels(config):
    found = random_data(config, np.full(60, -1), ())
    assert found.retrieval is None and best(found, 3, 5) == worst(found, 3, 5) == []
    html = page(found)
    text = text_of(html)
    assert "there is no mAP" in text and "Some queries" in text and "✓" not in text and "mAP@" not in text
    assert 'id="classes"' not in html and "tile right" not in html and html.count("tile query") == 6
    assert points_of(html)["classes"] == []


def test_a_query_is_not_its_own_hit(config):
    found = random_data(config, np.arange(60) % 3, ("a", "b", "c"), overlap=True)
    assert found.retrieval.excluded == 12
    for example in any_of(found, 12, 60):
        assert example.query not in example.ids and len(example.ids) == 59


def test_relevance_by_lists(config):
    rng = np.random.default_rng(2)
    lists = {level: tuple(np.sort(rng.permutation(np.arange(12, 60))[:7]) for _ in range(12)) for level in "abc"}
    truth = GroundTruth({"easy": lists["a"], "medium": lists["b"]}, {"easy": lists["c"], "medium": tuple(
        np.setdiff1d(lists["c"][q], lists["b"][q]) for q in range(12)
    )}, ap="revisited")  # fmt: skip
    found = random_data(config, np.full(60, -1), (), ground_truth=truth)
    assert found.level == "medium" and 0 < found.retrieval.mAP < 1
    for place, example in enumerate(any_of(found, 12, 48)):
        ignored = truth.ignored["medium"][place]
        assert set(example.ids) == set(range(12, 60)) - set(ignored)
        assert example.right.tolist() == np.isin(example.ids, lists["b"][place]).tolist()
    text = text_of(page(found))
    assert "listed, medium" in text and "trapezoid" in text


def test_codes_that_are_all_the_same(config):
    ids, labels = np.arange(20), np.arange(20) % 2
    pool = Pool(Features((np.ones((20, 4), np.float32),)), labels, ("a", "b"))
    data = Protocol("same", pool, ids[:0], ids[:4], ids[4:])
    text = text_of(page(findings_of(data, np.ones((20, 16), np.float32), config)))
    assert "b, the same code" in text and "dead bits 16" in text


def test_unreadable_images_are_told_and_left_out(tmp_path, run):
    for colour in ("red", "green"):
        (tmp_path / colour).mkdir()
        for i in range(8):
            Image.new("RGB", (60, 40), colour).save(tmp_path / colour / f"{i}.png")
    (tmp_path / "red" / "3.png").write_bytes(b"no image")
    found = look(run, f"folder:{tmp_path}", query=2, threads=1)
    assert list(found.unreadable) == [found.protocol.pool.keys_of().index("red/3.png")]
    html = page(found, threads=1)
    text = text_of(html)
    assert "1 images could not be read" in text and "red/3.png is not an image" in text
    assert set(points_of(html)["names"]) == {found.protocol.pool.key(i) for i in found.database.ids}
    assert f"trained on {found.config['protocol']}" in text
    (tmp_path / "green" / "0.png").unlink()  # gone since it was encoded: the page does without it
    assert read(page(found, threads=1)).tags["section"] == 7


def test_a_log_that_a_kill_has_cut(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 2.0}\n{"epoch": 2, "lo')
    assert read_history(tmp_path) == [{"epoch": 1, "loss": 2.0}]
    assert read_history(tmp_path / "none") == []


# --- the parts ----------------------------------------------------------------------------------------------------


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
    apart = lambda a, b: sum(x != y for x, y in zip(a, b, strict=True))  # noqa: E731
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
    assert found.classes.tolist() == [1, 2] and found.items.tolist() == [5, 4]


def test_near_codes_are_near_on_the_map():
    rng = np.random.default_rng(0)
    centres = rng.random((4, 32)) < 0.5
    group = np.repeat(np.arange(4), 25)
    codes = Codes.from_bits(centres[group] ^ (rng.random((100, 32)) < 0.05))
    places = layout(codes)
    assert places.shape == (100, 2) and places.min() >= 0 and places.max() <= 1
    assert np.array_equal(places, layout(codes))
    assert len(np.unique(places.round(6), axis=0)) == 100  # items with one code do not hide each other
    apart = np.linalg.norm(places[:, None] - places[None], axis=2) + 9 * np.eye(100)
    assert (group[apart.argmin(axis=1)] == group).all()


@pytest.mark.parametrize("rows", [[[1]], [[1, 0]] * 9, [[1, 0], [0, 1]] * 4, np.eye(4), np.tri(5)])
def test_maps_of_few_or_equal_codes(rows):
    places = layout(Codes.from_bits(rows))
    assert places.shape == (len(rows), 2) and np.isfinite(places).all()


def test_a_map_is_tsne_or_umap():
    with pytest.raises(BitseekError, match="tsne or umap, got 'pca'"):
        layout(Codes.from_bits(np.eye(6)), "pca")


def test_best_and_worst_are_so(findings):
    values = findings.retrieval.per_query
    place = {int(i): k for k, i in enumerate(findings.queries.ids)}
    assert [e.ap for e in worst(findings, 5, 3)] == np.sort(values)[:5].tolist()
    chosen = best(findings, 10, 3)
    assert sorted(findings.protocol.pool.labels[[e.query for e in chosen]]) == list(range(10))
    for example in chosen:
        label = findings.protocol.pool.labels[example.query]
        own = values[findings.protocol.pool.labels[findings.queries.ids] == label]
        assert example.ap == own.max() == values[place[example.query]]
        codes, query = findings.codes, findings.queries.codes[place[example.query]]
        distances = (codes.to_bits() != query.to_bits()).sum(axis=1)
        assert example.distances.tolist() == np.sort(distances)[:3].tolist()


def test_report_of_a_protocol_with_other_ranks(run):
    found = look(run, at=50, denominator="min", threads=1)
    assert (found.retrieval.at, found.retrieval.denominator) == (50, "min")
    assert found.retrieval.mAP == report_of(found.counts, at=50, denominator="min").mAP
    assert "mAP@50" in page(found, sample=10)


# --- what it is drawn with ----------------------------------------------------------------------------------------


@given(st.text(), st.text())
@settings(max_examples=60)
def test_what_data_say_is_never_markup(text, value):
    html = tag("p", text, title=value)
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.tags == {"p": 1} and reader.open == []
    assert html.count("<") == 2
    assert "<" not in data("x", {"a": text})[len('<script type="application/json" id="x">') : -len("</script>")]


def test_elements():
    assert tag("b", Html("<i>"), "<i>", None) == "<b><i>&lt;i&gt;</b>"
    assert all(tag(name).endswith("/>") for name in EMPTY)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
def test_a_scale_holds_all_values_and_its_ticks_are_within(values):
    scale = Scale.of(values, 0.0, 100.0)
    assert all(-1e-6 <= scale(v) <= 100 + 1e-6 for v in values)
    assert 1 <= len(scale.ticks()) <= 12 and all(-1e-6 <= scale(t) <= 100 + 1e-6 for t in scale.ticks())


def test_a_wide_loss_is_logarithmic():
    svg = line_chart([1.0, 2.0, 3.0], {"loss": [500.0, 5.0, 0.5]}, x_name="epoch", label="loss")
    ticks = re.findall(r'class="tick" text-anchor="end">([^<]*)<', svg)
    assert ticks == ["0.1", "1", "10", "100", "1,000"]
    assert len(read(line_chart([1.0], {"a": [None]}, x_name="x", label="nothing")).texts) > 1


def test_many_epochs_are_thinned():
    epochs = [*map(float, range(4001))]
    svg = line_chart(epochs, {"loss": [1 / (epoch + 1) for epoch in epochs]}, x_name="epoch", label="loss")
    assert 200 < svg.count("data-tip") <= 240 and "epoch 0:" in svg and "epoch 4,000:" in svg


def test_a_large_matrix_keeps_its_strongest_values():
    values = np.zeros((600, 600))
    values[17, 599] = -0.9
    uri = re.search(r'src="data:image/png;base64,([^"]*)"', heatmap(values, "x"))[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))))
    assert pixels.shape == (200, 200, 4)
    rows, columns = np.nonzero(pixels[..., 3])
    assert (rows.tolist(), columns.tolist(), pixels[5, 199, 3]) == ([5], [199], 230)


def test_thumbnails_fit_and_keep_their_proportions(tmp_path):
    Image.new("RGB", (200, 100), "red").save(tmp_path / "a.jpg")
    Image.new("RGB", (20, 30), "blue").save(tmp_path / "b.png")
    found = thumbnails(Paths(tmp_path, ("a.jpg", "b.png", "gone.png")), np.arange(3), CELL, threads=1)
    assert {i: image.size for i, image in found.items()} == {0: (48, 24), 1: (20, 30)}
    assert data_uri(found[0]).startswith("data:image/jpeg") and data_uri(found[1]).startswith("data:image/png")
    on_sheet = sheet(found)
    assert (on_sheet.cell, on_sheet.columns, on_sheet.rows, on_sheet.place) == (48, 2, 1, {0: 0, 1: 1})
    assert sheet({}) is None and thumbnails(Features((np.ones((2, 2), np.float32),)), np.arange(2), 9) == {}
