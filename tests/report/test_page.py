"""The page: one file that holds all it needs, says what the report says, and copes with data of every kind."""

import base64
import hashlib
import json
import os
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.report.harness import Page, report_of

import bitseek
from bitseek.data import Pool, RelevanceLists
from bitseek.errors import BitseekError
from bitseek.evaluation import evaluate, figure_name
from bitseek.images import Paths
from bitseek.report import render_page, write_page

SECTIONS = ["ranking", "training", "map", "classes", "bits", "queries", "origin"]


def shown(report, **options):
    return Page(render_page(report, **{"sample": 40, "threads": 1, **options}))


# --- one file ---------------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_fetches_nothing(page):
    assert all(link.startswith(("data:image/png;base64,", "data:image/jpeg;base64,", "#")) for link in page.links)
    assert not re.search(r"url\((?!data:)|@import|https?://|\bfetch\(|XMLHttpRequest|<link|<iframe|\son\w+=", page.html)
    assert len(set(page.ids)) == len(page.ids)
    inside = [link[1:] for link in page.links if link.startswith("#")]
    assert inside == SECTIONS and set(inside) <= set(page.ids)
    assert page.tags["section"] == len(SECTIONS) and page.tags["h1"] == page.tags["title"] == 1


def test_the_browser_is_told_to_run_no_script_but_ours_and_to_load_nothing(page):
    (policy,) = [given["content"] for _, given in page.attributes if "http-equiv" in given]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    script = re.search(r"<script>(.*?)</script>", page.html, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert rules == {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert page.tags["script"] == 2  # ours, and the data of the map, which nothing runs


def test_it_is_light_or_dark_as_the_system_is_and_fits_a_phone(page):
    metas = {given.get("name"): given.get("content") for name, given in page.attributes if name == "meta"}
    assert metas["color-scheme"] == "light dark" and metas["viewport"].startswith("width=device-width")
    light, dark = (
        set(re.findall(r"--[\w-]+(?=:)", block)) for block in re.findall(r":root \{(.*?)\}", page.html, re.S)
    )
    assert light == dark and len(light) > 10


def test_it_is_written_atomically(report, tmp_path, monkeypatch):
    target = tmp_path / "a.html"
    assert write_page(target, report, sample=10) == target
    assert target.read_text(encoding="utf-8") == render_page(report, sample=10)
    before = target.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "no space left")))
        with pytest.raises(BitseekError, match="cannot write"):
            write_page(target, report, sample=12)
    assert target.read_bytes() == before and list(tmp_path.iterdir()) == [target]
    with pytest.raises(BitseekError, match="cannot write"):
        write_page(tmp_path / "none" / "a.html", report, sample=10)


def test_the_same_report_gives_the_same_page(report, history):
    assert render_page(report, history=history, sample=30) == render_page(report, history=history, sample=30)


def test_what_cannot_be_drawn_is_refused(report):
    with pytest.raises(BitseekError, match="at least 1 item, got sample=0"):
        render_page(report, sample=0)


# --- what it says -----------------------------------------------------------------------------------------------------


def figures(page, report):
    """Check every figure of the ranking and the bits against the JSON of the report; return the rows of the ranking."""
    stored = report.to_json()
    rows = page.rows("measure")
    levels = list(stored["levels"].values())
    assert all(report.figure(level) in page.tips() for level in report.levels)
    assert page.text.count(report.title) >= 4  # tile, ranking, classes, queries
    assert rows["mAP"][:-1] == [f"{x['mAP']:.4f}" for x in levels]
    assert rows["bounds over ties"][:-1] == [f"{x['mAP_worst']:.4f} … {x['mAP_best']:.4f}" for x in levels]
    intervals = [level.interval() for level in report.levels.values()]
    assert rows["95 % interval"][:-1] == [f"{x.low:.4f} … {x.high:.4f}" for x in intervals]
    for name, key in {
        "without a hit": "queries_without_hit",
        "without relevant items": "queries_without_relevant",
        "left out": "excluded",
    }.items():
        assert rows[name][:-1] == [f"{x[key]:,}" for x in levels]
    ranks = [k for k in levels[0]["precision_at"] if int(k) <= levels[0]["database"]]
    assert ranks and [f"precision@{int(k):,}" for k in ranks] == [row for row in rows if row.startswith("precision@")]
    for k in ranks:
        assert rows[f"precision@{int(k):,}"][:-1] == [f"{x['precision_at'][k]:.4f}" for x in levels]
    within = stored["within_radius"]
    place = list(report.levels).index(report.level)
    for name in ("precision", "recall"):
        cells = rows[f"{name} within radius {within['radius']}"][:-1]
        assert cells.pop(place) == f"{within[name]:.4f}" and not any(cells)
    return rows


def test_the_page_says_what_the_report_says(page, report):
    assert report.plain
    rows = figures(page, report)
    assert rows["without a hit"] == ["0", "queries; they count as 0"]
    assert f"{report.mAP:.4f} {report.interval.low:.4f} … {report.interval.high:.4f} (95 %)" in page.text
    assert "divided by the number of relevant items among the ranks that count" in page.text
    assert "queries 300 300 in the protocol database 1,497 1,497 in the protocol" in page.text
    assert f"bits 16 {len(set(report.database.codes.hex())):,} different codes" in page.text


def test_the_bits_are_those_of_the_diagnostics(page, report):
    rows, found = page.rows("measure"), report.diagnostics
    for name, key, digits in (
        ("imbalance", "bit_imbalance", 4),
        ("correlation", "bit_correlation", 4),
        ("quantisation error", "quantisation_error", 4),
        ("distance within classes", "intra_class_distance", 2),
        ("distance between classes", "inter_class_distance", 2),
        ("codeword accuracy", "codeword_accuracy", 4),
    ):
        assert rows[name][0] == f"{found[key]:.{digits}f}"
    ones = report.database.codes.to_bits()
    assert [tip for tip in page.tips() if tip.startswith("bit ")] == [
        f"bit {i}: {100 * share:.1f} % ones" for i, share in enumerate(ones.mean(axis=0))
    ]
    pairs = np.corrcoef(ones.T) - np.eye(16)
    assert rows["strongest pair"][0] == f"{np.abs(pairs).max():.4f}" and rows["dead bits"][0] == "0"


def test_the_curve_by_radius_is_that_of_the_report(page, report):
    curve = report.by_radius["precision_recall"]
    for radius, (precision, recall) in enumerate(zip(curve["precision"], curve["recall"], strict=True)):
        assert f"radius {radius}, recall {recall:.4f}: precision {precision:.4f}" in page.tips()
        assert f"radius in bits {radius}: precision {precision:.4g}, recall {recall:.4g}" in page.tips()


def test_the_training_curves_are_those_of_the_log(page, history):
    assert [record["epoch"] for record in history] == [1, 2]
    for record in history:
        for name in ("loss", "codeword_accuracy", "lr"):
            assert f"epoch {record['epoch']}: {name} {record[name]:.4g}" in page.tips()


def test_it_says_where_the_codes_come_from(page, report):
    config, text = report.config, page.text
    assert page.html.count(f"<title>{config.title}</title>") == 1
    assert f"checksum {report.protocol.checksum[:16]}" in text and report.fingerprint in text
    assert "Hoe et al., One Loss for All" in text and "Backbone small-cnn at 28 px; 1,200 training items" in text
    assert f"lr {config.recipe['lr']}" in text and f"digest {config.backbone.digest}" in text
    assert f"bitseek {bitseek.__version__}" in text
    assert "warning" not in {given.get("class") for _, given in page.attributes}


def test_another_ranking_is_named_wherever_its_figure_stands(hasher):
    found = evaluate(hasher, ranking="asymmetric", ties="best", k=50, denominator="min", no_hit="skip", threads=1)
    page = shown(found)
    figures(page, found)
    name = "mAP@50 (best ties, denominator min, asymmetric ranking, queries without a hit left out)"
    assert figure_name(found.main, "asymmetric") == found.title == name
    assert "queries; they are left out" in page.text and "or by k if that is less" in page.text
    assert "expected" not in page.text


# --- other kinds of data ----------------------------------------------------------------------------------------------


def test_a_hasher_that_comes_from_no_run():
    page = shown(report_of(np.arange(60) % 3, "abc"))
    assert "<title>16-bit codes on toy</title>" in page.html
    assert "trained on" not in page.text and "recipe" not in page.text and "There are no curves" in page.text
    assert page.tags["cite"] == 0


def test_several_labels_and_features_without_images():
    labels = np.random.default_rng(1).random((60, 3)) < 0.4
    found = report_of(labels, ("a", "b", "c"))
    page = shown(found, sample=60)
    figures(page, found)
    points = page.points()
    assert points["sheet"] is None and set(points["places"]) == {-1} and page.tags["img"] == 3 + 1
    assert [set(own) for own in points["labels"]] == [set(np.flatnonzero(row)) for row in labels[12:]]
    assert "the colour of the rarest of them" in page.text
    unlabelled = int((~labels[12:].any(axis=1)).sum())
    assert unlabelled and f"{unlabelled} items without a label are left out" in page.text
    assert page.html.count('<div class="blank">') == 12 * 11  # the names stand for pictures


def test_nothing_is_relevant_without_labels():
    found = report_of(np.full(60, -1), ())
    assert found.levels == {} and np.isnan(found.mAP)
    page = shown(found)
    assert "there is no mAP" in page.text and "mAP@" not in page.text and "no relevance" not in page.text
    assert "classes" not in page.ids and page.tags["section"] == 6 and "#classes" not in page.links
    assert {kind for kind, _ in page.tiles()} == {"query", "plain"} and "Some queries" in page.text
    assert not re.search("[✓✗]|AP is|<b>AP", page.html)
    assert page.points()["classes"] == [] and "within classes" not in page.text


def levels_report(ap="trapezoid", **more):
    """Lists with junk as those of revisited Oxford: easy and hard items of each query; a query without easy ones."""
    rng = np.random.default_rng(2)
    easy, hard = (tuple(np.sort(rng.permutation(np.arange(12, 60))[:7]) for _ in range(12)) for _ in range(2))
    hard = tuple(np.setdiff1d(h, e) for h, e in zip(hard, easy, strict=True))
    easy = (np.zeros(0, np.int64), *easy[1:])
    nothing = tuple(np.zeros(0, np.int64) for _ in range(12))
    both = tuple(np.union1d(e, h) for e, h in zip(easy, hard, strict=True))
    lists = RelevanceLists(
        {"easy": easy, "medium": both, "hard": hard}, {"easy": hard, "medium": nothing, "hard": easy}, ap=ap
    )
    return report_of(np.full(60, -1), (), lists=lists, **more), lists


@pytest.mark.parametrize("ap", ["trapezoid", "standard"])
def test_levels_of_relevance_have_a_column_each(ap):
    found, _ = levels_report(ap)
    assert list(found.levels) == ["easy", "medium", "hard"] and found.level == "medium"
    page = shown(found)
    (heading,) = [table[0] for table in page.tables if "medium" in table[0]]
    assert heading == ["measure", "easy", "medium", "hard", "meaning"]
    rows = page.rows("measure")
    assert rows["mAP"][:3] == [f"{level.mAP:.4f}" for level in found.levels.values()]
    assert rows["without relevant items"][:3] == ["1", "0", "0"]
    for level in found.levels:
        assert found.figure(level).startswith(f"{level}: mAP@all (") and found.figure(level) in page.tips()
    assert "listed for the query" in page.text
    assert ("trapezoidal AP" in page.text) == ("to the last relevant item" in page.text) == (ap == "trapezoid")
    assert ("AP is divided by" in page.text) == (ap == "standard")
    assert f"<dt>{found.title}</dt><dd>{found.mAP:.4f}<" in page.top and found.title.startswith("medium: ")


def test_unreadable_images_are_named_and_left_out(tmp_path, hasher, report):
    for colour in ("red", "green"):
        (tmp_path / colour).mkdir()
        for i in range(8):
            Image.new("RGB", (60, 40), colour).save(tmp_path / colour / f"{i}.png")
    (tmp_path / "red" / "3.png").write_bytes(b"no image")
    found = evaluate(hasher, f"folder:{tmp_path}", query=2, threads=1)
    page = shown(found)
    assert "1 images could not be read" in page.text and "red/3.png is not an image" in page.text
    keys = found.protocol.pool.keys_of(found.database.ids)
    assert len(keys) == 11 and set(page.points()["names"]) == set(keys)
    assert "training items of digits" in page.text and "of digits" not in shown(report).top
    (tmp_path / "green" / "0.png").unlink()  # gone since it was encoded: the page does without it
    assert shown(found).tags["section"] == 7


def test_many_unreadable_images_are_counted(report):
    page = shown(replace(report, unreadable=tuple(f"<{i}>" for i in range(25))))
    assert "25 images could not be read" in page.text and "<19> and 5 more" in page.text and "<20>" not in page.text


def test_what_must_be_known_before_the_figures_are_believed_is_said(report):
    config = report.config.changed(complete=False, checksum="0" * 64)
    page = shown(replace(report, config=config, trained_queries=0.677, adapted=True))
    warnings = [given for _, given in page.attributes if given.get("class") == "warning"]
    assert len(warnings) == 4
    assert "stopped before its end" in page.text and "67.7 % of the queries were training items" in page.text
    assert "Batch norm was estimated anew" in page.text and "the checksum differs" in page.text


def test_a_head_on_features_whose_backbone_is_unknown(report):
    page = shown(replace(report, config=report.config.changed(backbone=None)))
    assert "A head on features of length 256" in page.text and "preprocessing" not in page.text


HOSTILE = (
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)',
    "</script><img src=x onerror=alert(1)>",
    "a\nb",
    "{{ 7 * 7 }}",
    "&lt;b&gt; ' \\u003c",
    "–—ß東京",
)


def test_names_are_text_and_never_markup():
    labels = np.arange(70) % len(HOSTILE)
    keys = tuple(f"{HOSTILE[i % len(HOSTILE)]}{i}" for i in range(70))
    found = report_of(labels, HOSTILE, n=70, keys=keys, name=HOSTILE[0], overlap=True)
    found = replace(found, unreadable=HOSTILE, fingerprint=HOSTILE[1])
    page, tame = shown(found, sample=70), shown(report_of(labels, "abcdefg", n=70, overlap=True), sample=70)
    more = {"li": len(HOSTILE), "ul": 1, "details": 1, "summary": 1}
    assert page.tags - tame.tags == more and not tame.tags - page.tags
    assert not any(key.startswith("on") for _, given in page.attributes for key in given)
    for name in HOSTILE:
        assert " ".join(name.split()) in page.text
        assert any(name in tip for tip in page.tips())
    points = page.points()
    assert tuple(points["classes"]) == HOSTILE
    order = [keys[i].replace("\n", "\\n") for i in found.database.ids]
    assert [order.index(name) for name in points["names"]] == sorted(range(70))


def test_file_names_that_are_not_utf8(tmp_path):
    names = [os.fsdecode(b"caf\xe9%d.png" % i) for i in range(20)]
    for i, name in enumerate(names):
        Image.new("RGB", (30, 20), (10 * i, 0, 0)).save(tmp_path / name)
    found = report_of(np.arange(20) % 2, ("\udce9", "b"), n=20, queries=4)
    pool = Pool(Paths(tmp_path, tuple(names)), np.arange(20) % 2, ("\udce9", "b"))
    page = shown(replace(found, protocol=replace(found.protocol, pool=pool)))
    page.html.encode("utf-8")
    assert page.points()["names"] == [f"caf\\xe9{i}.png" for i in range(4, 20)]
    assert "\\udce9" in page.text and page.points()["sheet"] == {"cell": 30, "columns": 4, "rows": 4}


def test_one_class_one_bit_and_very_few_items():
    page = shown(report_of(np.zeros(4, np.int64), ("only",), logits=[[1.0], [-1.0], [1.0], [1.0]], queries=1))
    assert "nearest class" in page.text and "the same code" not in page.text and "random codes" not in page.text
    assert "strongest pair 0.0000" in page.text


def test_codes_that_are_all_the_same():
    page = shown(report_of(np.arange(20) % 2, "ab", logits=np.ones((20, 16)), queries=4))
    assert "b, the same code" in page.text and "dead bits 16" in page.text
    assert "none" not in page.text.split("Origin")[0].split("Bits")[1]


def test_no_query_has_a_relevant_item():
    found = report_of(np.repeat([0, 1, 2], [12, 24, 24]), "abc")
    page = shown(found)
    assert found.mAP == 0 and found.main.queries_without_relevant == 12
    assert "Some queries" in page.text and "Best" not in page.text and "AP 0.000, 0 of 10 relevant" in page.text


def test_many_classes_are_a_picture_instead_of_a_table():
    page = shown(report_of(np.arange(120) % 30, map(str, range(30)), n=120))
    assert "orange is further than random" in page.text
    assert not any(given.get("class") == "matrix" for _, given in page.attributes)
    assert page.html.count("<text x") and not re.search(r'<text [^>]*data-class="', page.html)  # too many to name


def test_the_data_of_the_map_are_plain_json(page):
    raw = re.search(r'id="points">(.*?)</script>', page.html, re.S)[1]
    assert "<" not in raw and json.loads(raw).keys() == {"classes", "labels", "codes", "names", "places", "sheet"}
