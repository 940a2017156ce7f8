"""Evaluation agrees with scikit-learn and with slow loops, and measures what the hasher's own run was trained for."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import average_precision_score

import bitseek
from bitseek import metrics
from bitseek.data import Pool, Protocol, RelevanceLists, load_protocol
from bitseek.errors import BitseekError
from bitseek.images import Features
from bitseek.models import BatchNormHead
from bitseek.runs import Hasher

FAST = {
    "bits": 16, "backbone": "small-cnn", "size": 8, "epochs": 1, "lr": 1e-3, "batch_size": 64, "precision": "fp32",
    "device": "cpu",
}  # fmt: skip


def identity_hasher(bits=24):
    """The features are the logits."""
    head = torch.nn.Linear(bits, bits, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(bits))
    return Hasher(None, head, bits)


def toy(n=60, bits=24, classes=3, queries=10, multi=False, overlap=False, seed=0, **options):
    rng = np.random.default_rng(seed)
    labels = rng.random((n, classes)) < 0.4 if multi else rng.integers(0, classes, n)
    features = rng.normal(size=(n, bits)).astype(np.float32)
    ids = np.arange(n)
    pool = Pool(Features((features,)), labels, tuple("abcdefg"[:classes]), name="toy")
    return Protocol("toy", pool, ids[queries:30], ids[:queries], ids if overlap else ids[queries:], **options)


def rankings(data, score):
    """Scores and relevance of the database for each query, by loops over the labels as they were given."""
    hot, x = data.pool.labels.multi_hot(), data.pool.images.array
    for q in data.query:
        items = [d for d in data.database if d != q]
        yield (
            np.array([score(x[q], x[d]) for d in items]),
            np.array([bool((hot[q] & hot[d]).any()) for d in items]),
        )


def average_precision(relevant):
    return (np.cumsum(relevant) / np.arange(1, len(relevant) + 1))[relevant].mean() if relevant.any() else 0.0


def bounds(data, score):
    """Mean AP in the worst and in the best order of tied scores."""
    means = []
    for sign in (1, -1):
        values = [average_precision(rel[np.lexsort((sign * rel, -s))]) for s, rel in rankings(data, score)]
        means.append(np.mean(values))
    return means


def signs(v):
    return np.where(v >= 0, 1, -1)


# --- rankings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("multi", [False, True])
@pytest.mark.parametrize("overlap", [False, True])
def test_asymmetric_map_is_scikit_learns(multi, overlap):
    data = toy(multi=multi, overlap=overlap)
    report = bitseek.evaluate(identity_hasher(), data, ranking="asymmetric")
    rows = rankings(data, lambda q, d: float(q.astype(np.float64) @ signs(d)))
    expected = np.mean([average_precision_score(rel, s) if rel.any() else 0.0 for s, rel in rows])
    assert report.mAP == pytest.approx(expected, abs=1e-6)
    assert report.main.excluded == (10 if overlap else 0)


def test_expected_map_is_the_mean_over_random_orders():
    data = toy()
    report = bitseek.evaluate(identity_hasher(), data)
    rng = np.random.default_rng(0)
    rows = list(rankings(data, lambda q, d: int(signs(q) @ signs(d))))
    means = [np.mean([average_precision(r[np.lexsort((rng.random(len(s)), -s))]) for s, r in rows]) for _ in range(400)]
    assert report.mAP == pytest.approx(np.mean(means), abs=4 * np.std(means) / 20)
    assert report.mAP_worst <= min(means) and max(means) <= report.mAP_best
    worst, best = bounds(data, lambda q, d: int(signs(q) @ signs(d)))
    assert (report.mAP_worst, report.mAP_best) == pytest.approx((worst, best))


def test_reranking_orders_the_nearest_by_logits_and_leaves_the_others():
    data = toy()
    report = bitseek.evaluate(identity_hasher(), data, ranking="reranked", candidates=8)
    expected = []
    for q in data.query:
        x, items = data.pool.images.array, data.database
        distances = np.array([(signs(x[q]) != signs(x[d])).sum() for d in items])
        last = np.sort(distances)[7]
        scores = np.array(
            [
                (1, float(x[q] @ signs(x[d]))) if distance <= last else (0, -distance)
                for d, distance in zip(items, distances, strict=True)
            ]
        )
        relevant = data.pool.labels.numbers[items] == data.pool.labels.numbers[q]
        expected.append(
            [
                average_precision(relevant[np.lexsort((sign * relevant, -scores[:, 1], -scores[:, 0]))])
                for sign in (-1, 1)
            ]
        )
    best, worst = np.mean(expected, axis=0)
    assert report.mAP_best == pytest.approx(best) and report.mAP_worst == pytest.approx(worst)
    everything = bitseek.evaluate(identity_hasher(), data, ranking="reranked", candidates=10**6)
    assert everything.mAP == pytest.approx(bitseek.evaluate(identity_hasher(), data, ranking="asymmetric").mAP)


def test_ternary_bits_abstain():
    data, threshold = toy(), 0.5
    ternary = lambda v: np.where(np.abs(v) < threshold, 0, signs(v))  # noqa: E731
    report = bitseek.evaluate(identity_hasher(), data, ternary=threshold)
    assert report.ranking == "ternary"
    assert (report.mAP_worst, report.mAP_best) == pytest.approx(bounds(data, lambda q, d: int(ternary(q) @ ternary(d))))
    zero = bitseek.evaluate(identity_hasher(), data, ranking="ternary", ternary=0.0)
    assert zero.mAP == pytest.approx(bitseek.evaluate(identity_hasher(), data).mAP)


@pytest.mark.parametrize("ranking", ["asymmetric", "reranked"])
def test_precision_follows_the_ranking(ranking):
    data = toy()
    report = bitseek.evaluate(identity_hasher(), data, ranking=ranking, candidates=10**6)
    rows = list(rankings(data, lambda q, d: float(q.astype(np.float64) @ signs(d))))
    for k in (1, 10):
        expected = [rel[np.argsort(-s, kind="stable")][:k].mean() for s, rel in rows]
        np.testing.assert_allclose(report.main.precision_at[k], expected)
    by_distance = bitseek.evaluate(identity_hasher(), data).main.precision_at
    assert report.main.precision_at[10].mean() != pytest.approx(by_distance[10].mean(), abs=1e-9)


def test_the_order_of_the_database_does_not_matter():
    data = toy()
    shuffled = Protocol("toy", data.pool, data.train, data.query, np.random.default_rng(3).permutation(data.database))
    a, b = (bitseek.evaluate(identity_hasher(), d) for d in (data, shuffled))
    assert a.mAP == pytest.approx(b.mAP, abs=1e-12) and a.to_json()["protocol"]["checksum"] == shuffled.checksum


# --- levels ---------------------------------------------------------------------------------------------------------

KINDS = ("easy", "hard", "junk")
LEVELS = {"easy": ("easy",), "medium": ("easy", "hard"), "hard": ("hard",)}


def listed(ap, levels, seed=0, queries=6, n=60):
    rng = np.random.default_rng(seed)
    pool = Pool(Features((rng.normal(size=(queries + n, 12)).astype(np.float32),)), np.full(queries + n, -1), ())
    ids = np.arange(queries + n)
    lists = [np.split(queries + rng.permutation(n)[:15], 3) for _ in range(queries)]
    kinds = [dict(zip(KINDS, of, strict=True)) for of in lists]
    positives = {level: tuple(np.concatenate([q[k] for k in names]) for q in kinds) for level, names in levels.items()}
    junk = {
        level: tuple(np.concatenate([q[k] for k in KINDS if k not in names]) for q in kinds)
        for level, names in levels.items()
    }
    database = rng.permutation(ids[queries:])  # a place in the database is not an index into the pool
    lists = RelevanceLists(positives, junk, ap)
    return Protocol("toy", pool, ids[:0], ids[:queries], database, k=None, denominator="relevant", lists=lists), kinds


def linear_hasher(dim=12, bits=16):
    torch.manual_seed(0)
    return Hasher(None, BatchNormHead(dim, bits), bits)


def revisited_ap(ranked):
    """The published procedure of revisited Oxford and Paris: trapezoids under the precision-recall curve."""
    positions, total = np.flatnonzero(ranked), ranked.sum()
    area = 0.0
    for j, rank in enumerate(positions):
        before = 1.0 if rank == 0 else j / rank
        area += (before + (j + 1) / (rank + 1)) / (2 * total)
    return area


def test_revisited_levels_are_the_published_procedure():
    data, kinds = listed("trapezoid", LEVELS)
    hasher = linear_hasher()
    report = bitseek.evaluate(hasher, data)
    codes = hasher.encode(data.pool.images).to_signs().astype(int)
    assert set(report.levels) == set(LEVELS) and report.level == "medium" and report.mAP == report.levels["medium"].mAP
    for level, names in LEVELS.items():
        ends = []
        for sign in (1, -1):  # worst and best order of ties
            values = []
            for q, query in enumerate(data.query):
                junk = np.concatenate([kinds[q][kind] for kind in KINDS if kind not in names])
                items = np.array([d for d in data.database if d not in junk])
                wanted = np.isin(items, np.concatenate([kinds[q][kind] for kind in names]))
                order = np.lexsort((sign * wanted, -(codes[items] @ codes[query])))
                values.append(revisited_ap(wanted[order]))
            ends.append(np.mean(values))
        found = report.levels[level]
        assert (found.mAP_worst, found.mAP_best) == pytest.approx(ends)
        assert found.mAP_worst <= found.mAP <= found.mAP_best
    assert report.title == "medium: mAP@all (expected ties, trapezoidal AP, Hamming ranking)"


def test_standard_lists_use_the_protocols_denominator():
    data, _ = listed("standard", {"all": ("easy", "hard")})
    report = bitseek.evaluate(linear_hasher(), data, denominator="min", k=20)
    assert report.main.denominator == "min" and report.main.k == 20 and 0 < report.mAP < 1
    assert bitseek.evaluate(linear_hasher(), data).main.denominator == "relevant"


def test_nothing_relevant_is_no_figure():
    data = toy()
    bare = Pool(data.pool.images, np.full(60, -1), (), name="bare")
    report = bitseek.evaluate(identity_hasher(), Protocol("bare", bare, data.train, data.query, data.database))
    assert report.levels == {} and np.isnan(report.mAP) and report.interval is None and report.level is None
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert value["mAP"] is None and value["levels"] == {} and "relevance" in report.title


# --- the report -----------------------------------------------------------------------------------------------------


def test_the_report_is_plain_json_and_repeats_what_was_asked():
    data = toy()
    report = bitseek.evaluate(identity_hasher(), data, k=7, denominator="min", ties="stable", no_hit="skip")
    value = report.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert (value["k"], value["denominator"], value["ties"], value["no_hit"]) == (7, "min", "stable", "skip")
    assert value["queries"] == 10 and value["database"] == 50 and value["bits"] == 24
    assert len(value["precision_recall"]["precision"]) == 25
    assert value["figure"] == report.title
    assert report.title == "mAP@7 (stable ties, denominator min, Hamming ranking, queries without a hit left out)"


def test_diagnostics_are_those_of_the_metrics():
    data = toy()
    report = bitseek.evaluate(identity_hasher(), data)
    codes = report.database.codes
    assert report.diagnostics["bit_imbalance"] == pytest.approx(np.abs(codes.to_bits().mean(axis=0) - 0.5).mean())
    distances = metrics.class_distances(codes, data.pool.labels[data.database])
    assert report.diagnostics["separability"] == distances.separability
    within = report.by_radius["within_radius"]
    near = [(s >= 24 - 4, rel) for s, rel in rankings(data, lambda q, d: int(signs(q) @ signs(d)))]
    assert within["radius"] == 2
    assert within["precision"] == pytest.approx(np.mean([rel[s].mean() if s.any() else 0.0 for s, rel in near]))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"k": 0}, "0"), ({"k": "all"}, "all"), ({"k": -3}, "-3"), ({"k": 2.5}, "2.5"),
        ({"ranking": "cosine"}, "cosine"), ({"candidates": 0}, "candidates"), ({"ternary": -1.0}, "ternary"),
        ({"denominator": "all"}, "denominator"), ({"no_hit": "one"}, "one"), ({"ties": "random"}, "random"),
        ({"batch_size": 0}, "batch_size"), ({"denominator": ""}, "denominator"), ({"ranking": []}, "ranking"),
        ({"radius": 1.5}, "radius"), ({"radius": "2"}, "radius"), ({"radius": None}, "radius"), ({"radius": -1}, "-1"),
        ({"candidates": "3"}, "candidates"), ({"candidates": 1.5}, "candidates"), ({"ternary": "1"}, "ternary"),
        ({"ternary": np.nan}, "ternary"), ({"ternary": np.inf}, "ternary"), ({"ternary": 10**400}, "ternary"),
        ({"ternary": True}, "ternary"), ({"ternary": np.float16("inf")}, "ternary"),
        ({"ternary": None}, "ternary"), ({"ternary": [1.0, 2.0]}, "ternary"), ({"k": np.array([1, 2])}, "k is a whole"),
        ({"ternary": 0.1, "ranking": "asymmetric"}, "ternary ranking, got ranking='asymmetric'"),
        ({"ternary": 0.1, "ranking": "reranked"}, "leave out one"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_is_refused(options, message, unchecked):
    with pytest.raises(BitseekError, match=message):
        bitseek.evaluate(identity_hasher(), toy(), **options)


@pytest.mark.parametrize("protocol", [3, b"digits", np.array(["digits", "mnist"])], ids=repr)
def test_what_is_no_protocol_is_refused(protocol, unchecked):
    with pytest.raises(BitseekError):
        bitseek.evaluate(identity_hasher(), protocol)


def test_what_is_no_hasher_is_refused(unchecked):
    with pytest.raises(BitseekError, match=r"a Hasher is measured.* got 'runs/digits'"):
        bitseek.evaluate("runs/digits")


def test_numbers_may_be_of_numpy_and_k_beyond_any_database(unchecked):
    data = toy()
    plain = bitseek.evaluate(identity_hasher(), data, k=None)
    huge = bitseek.evaluate(identity_hasher(), data, k=10**30, radius=10**30)
    assert huge.mAP == plain.mAP
    assert huge.by_radius["within_radius"]["recall"] == 1.0
    numbers = {"radius": np.int8(2), "candidates": np.int64(5), "ternary": np.float32(0)}
    report = bitseek.evaluate(identity_hasher(), data, k=None, **numbers)
    assert report.mAP == plain.mAP
    json.dumps(report.to_json(), allow_nan=False)


# --- the run's own split --------------------------------------------------------------------------------------------


def test_a_hasher_is_measured_on_the_split_that_it_was_trained_for(tmp_path):
    hasher = bitseek.train("orthohash", "digits", seed=1, out=tmp_path / "run", **FAST)
    own = load_protocol("digits", seed=1)
    report = bitseek.evaluate(hasher)
    assert report.own_split and report.plain and report.trained_queries == 0
    assert report.protocol.checksum == own.checksum
    assert report.mAP == bitseek.evaluate(hasher, "digits").mAP == bitseek.evaluate(bitseek.load(tmp_path / "run")).mAP
    assert bitseek.evaluate(hasher, own).own_split


def test_a_split_whose_queries_were_trained_on_is_refused_unless_asked_for():
    hasher = bitseek.train("orthohash", "digits", seed=1, **FAST)
    other = load_protocol("digits", seed=0)
    mine = load_protocol("digits", seed=1)
    share = np.isin(other.query, mine.train).mean()
    assert 0.5 < share < 0.8
    with pytest.raises(BitseekError, match=f"{100 * share:.1f} % of the queries .* allow_trained_queries"):
        bitseek.evaluate(hasher, seed=0)
    with pytest.raises(BitseekError, match="trained on"):
        bitseek.evaluate(hasher, other)
    report = bitseek.evaluate(hasher, other, allow_trained_queries=True)
    assert report.trained_queries == share and not report.own_split and not report.plain


def test_other_figures_are_not_the_plain_one():
    digits = load_protocol("digits")
    few = replace(digits, query=digits.query[:30], database=digits.database[:200])
    hasher = bitseek.train("lsh", few, bits=16, backbone="small-cnn", size=8, device="cpu", precision="fp32")
    assert bitseek.evaluate(hasher, few).plain
    for options in (
        {"ties": "best"}, {"ranking": "asymmetric"}, {"k": 5}, {"denominator": "min"}, {"no_hit": "skip"},
        {"ternary": 0.1},
    ):  # fmt: skip
        assert not bitseek.evaluate(hasher, few, **options).plain, options


def folder_of_images(folder, classes=3, each=12):
    for i in range(classes * each):
        place = folder / "abc"[i % classes]
        place.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 80, (28, 28, 3), np.uint8) + 60 * (i % classes)
        Image.fromarray(noise.astype(np.uint8)).save(place / f"{i}.png")
    return folder


def test_a_run_on_a_folder_is_measured_again_from_anywhere(tmp_path, monkeypatch):
    folder_of_images(tmp_path / "mine" / "pictures")
    monkeypatch.chdir(tmp_path / "mine")
    settings = {**FAST, "batch_size": 8, "size": 28}
    bitseek.train("orthohash", "folder:pictures", protocol_options={"query": 2}, out=tmp_path / "run", **settings)
    monkeypatch.chdir("/")
    report = bitseek.evaluate(bitseek.load(tmp_path / "run"))
    assert report.own_split and report.main.queries == 6


def test_a_run_on_lists_keeps_the_folder_of_the_images(tmp_path, monkeypatch):
    images = folder_of_images(tmp_path / "images")
    files = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    lines = [f"{name} {'abc'.index(name[0])}\n" for name in files]
    (tmp_path / "lists").mkdir()
    for name, part in (("test", lines[::4]), ("train", lines[1::4]), ("database", lines[2::4] + lines[3::4])):
        (tmp_path / "lists" / f"{name}.txt").write_text("".join(part))
    monkeypatch.chdir(tmp_path)
    settings = {**FAST, "batch_size": 8, "size": 28}
    hasher = bitseek.train("ce", "lists:lists", root="images", out="run", **settings)
    monkeypatch.chdir("/")
    assert bitseek.evaluate(hasher).own_split
    assert bitseek.evaluate(bitseek.load(tmp_path / "run")).mAP == bitseek.evaluate(hasher).mAP


def test_a_hasher_without_a_split_of_its_own_asks_for_one():
    with pytest.raises(BitseekError, match="give the protocol"):
        bitseek.evaluate(identity_hasher())
    hasher = bitseek.train("lsh", toy(), bits=8, device="cpu")
    with pytest.raises(BitseekError, match="made in Python"):
        bitseek.evaluate(hasher)
    assert bitseek.evaluate(hasher, toy()).own_split


def test_unreadable_images_are_left_out_by_name(tmp_path):
    folder = folder_of_images(tmp_path / "pictures")
    hasher = bitseek.train("lsh", f"folder:{folder}", bits=8, backbone="small-cnn", size=28, device="cpu")
    before = bitseek.evaluate(hasher)
    first = before.protocol.pool.key(int(before.protocol.query[0]))
    (folder / first).write_bytes(b"damaged")
    after = bitseek.evaluate(hasher)
    assert after.main.queries == before.main.queries - 1
    assert len(after.unreadable) == 1 and first.split("/")[1] in after.unreadable[0]
    for path in folder.rglob("*.png"):
        path.write_bytes(b"damaged")
    with pytest.raises(BitseekError, match="could be read"):
        bitseek.evaluate(hasher)
