"""Every length of nested codes from one encoding: each row is what that length alone gives."""

import json

import numpy as np
import pytest
import torch
from unchecked import unchecked

from bitseek.data import Pool, Protocol
from bitseek.errors import BitseekError, CodeWidthError
from bitseek.evaluation import evaluate
from bitseek.images import Features
from bitseek.methods import METHODS
from bitseek.runs import Hasher, RunConfig, encode


class Counting(torch.nn.Linear):
    """The features are the logits; how often it was asked."""

    calls = 0

    def forward(self, features):
        self.calls += 1
        return super().forward(features)


def nested_hasher(bits=24, lengths=(4, 12), checksum="0" * 64):
    head = Counting(bits, bits, bias=False)
    with torch.no_grad():
        head.weight.copy_(torch.eye(bits))
    recipe = METHODS["orthohash"].recipe_class(lengths=lengths)
    config = RunConfig(
        method="orthohash", recipe=recipe.model_dump(mode="json"), bits=bits, protocol="toy", checksum=checksum,
        classes=("a", "b", "c"), items=20, features=bits,
    )  # fmt: skip
    hasher = Hasher(None, head, bits, config=config)
    hasher.codewords = torch.from_numpy(np.where(np.random.default_rng(4).random((3, bits)) < 0.5, -1.0, 1.0)).float()
    return hasher


def toy(n=60, bits=24, seed=0, width=None):
    rng = np.random.default_rng(seed)
    features, labels = rng.normal(size=(n, bits)).astype(np.float32), rng.integers(0, 3, n)
    features[:, :8] += labels[:, None] - 1
    pool = Pool(Features((features[:, :width],)), labels, ("a", "b", "c"), name="toy")
    ids = np.arange(n)
    return Protocol("toy", pool, ids[10:30], ids[:10], ids[10:], k=20)


def bounds(data, bits, score):
    """Mean average precision in the worst and in the best order of tied scores, the score taken of the first bits."""
    x, y = data.pool.images.array[:, :bits], data.pool.labels.numbers
    means = []
    for sign in (1, -1):
        values = []
        for q in data.query:
            relevant = y[data.database] == y[q]
            scores = np.array([round(score(x[q].astype(np.float64), x[d]), 4) for d in data.database])
            found = relevant[np.lexsort((sign * relevant, -scores))]
            values.append((np.cumsum(found) / np.arange(1, len(found) + 1))[found].mean())
        means.append(np.mean(values))
    return means


def test_every_row_is_that_of_its_length_alone():
    data, hasher = toy(), nested_hasher()
    report = evaluate(hasher, data)
    assert list(report.prefixes) == [4, 12] and list(report.by_length) == [4, 12, 24] and report.bits == 24
    for bits, row in report.by_length.items():
        alone = evaluate(nested_hasher(bits, ()), toy(width=bits))  # a hasher that never had more bits
        assert row.mAP == alone.mAP and row.main.to_json() == alone.main.to_json() and row.bits == bits
        assert (row.mAP_worst, row.mAP_best) == (alone.mAP_worst, alone.mAP_best)
        assert row.by_radius == alone.by_radius and row.database.codes == alone.database.codes
        ours, theirs = ({**each.diagnostics, "codeword_accuracy": None} for each in (row, alone))
        assert ours == theirs
        one = evaluate(hasher, data, bits=bits)
        assert one.to_json() == row.to_json() | {"prefixes": {}} and not one.prefixes
        assert row.fingerprint == hasher.prefix(bits).fingerprint and row.config.bits == bits
    assert len({row.mAP for row in report.by_length.values()}) == 3


@pytest.mark.parametrize("ranking", ["asymmetric", "reranked"])
def test_other_rankings_take_the_first_logits(ranking):
    data = toy()
    report = evaluate(nested_hasher(), data, k=None, ranking=ranking, candidates=10**6)
    for bits, row in report.by_length.items():
        worst, best = bounds(data, bits, lambda q, d: float(q @ np.where(d >= 0, 1, -1)))
        assert (row.mAP_worst, row.mAP_best) == pytest.approx((worst, best))


def test_ternary_of_the_first_logits():
    data, ternary = toy(), lambda v: np.where(np.abs(v) < 0.5, 0, np.sign(v))
    report = evaluate(nested_hasher(), data, ternary=0.5)
    for bits, row in report.by_length.items():
        x = data.pool.images.array
        alone = evaluate(nested_hasher(bits, ()), toy(width=bits), ternary=0.5)
        assert row.mAP == alone.mAP and (ternary(x[:, :bits]) == 0).any()


def test_images_go_through_the_network_once():
    data, hasher = toy(), nested_hasher()
    evaluate(hasher, data, bits="all", batch_size=1000)
    assert hasher.head.calls == 1
    evaluate(hasher, data, bits=4, batch_size=1000)
    assert hasher.head.calls == 2


def test_codewords_are_those_of_the_whole_code_only():
    report = evaluate(nested_hasher(), toy())
    assert report.diagnostics["codeword_accuracy"] is not None
    assert [row.diagnostics["codeword_accuracy"] for row in report.prefixes.values()] == [None, None]


def test_json_has_a_row_a_length():
    report = evaluate(nested_hasher(), toy())
    value = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert value["bits"] == 24 and list(value["prefixes"]) == ["4", "12"]
    for bits, row in value["prefixes"].items():
        expected = report.prefixes[int(bits)]
        assert row["mAP"] == expected.mAP and row["bits"] == int(bits) and row["fingerprint"] == expected.fingerprint
        assert row["levels"]["all"]["mAP"] == expected.mAP and row["figure"] == value["figure"]
        assert {"interval", "within_radius", "precision_recall", "diagnostics"} <= row.keys()
        assert not {"protocol", "unreadable", "prefixes"} & row.keys()  # which are those of the whole


def test_a_prefix_has_its_own_shorter_ones_and_own_split():
    data = toy()
    hasher = nested_hasher(checksum=data.checksum)
    report = evaluate(hasher.prefix(12), data)
    assert list(report.by_length) == [4, 12] and report.own_split and report.plain
    assert report.to_json()["fingerprint"] == f"{hasher.fingerprint}:12"
    plain = evaluate(nested_hasher(lengths=()), data)
    assert plain.prefixes == {} and plain.to_json()["prefixes"] == {}


def test_lengths_that_are_not_there_are_refused_before_anything_is_encoded():
    hasher = nested_hasher()
    with pytest.raises(CodeWidthError, match="4 or 12 or 24 bits, not of 16"):
        evaluate(hasher, toy(), bits=16)
    for bad in ("every", "16", 0, None, 4.0):
        with pytest.raises(BitseekError, match="bits"):
            unchecked(evaluate)(hasher, toy(), bits=bad)
    assert hasher.head.calls == 0


def test_rows_of_items_that_could_not_be_read_stay_together():
    data, hasher = toy(), nested_hasher()
    encoded = encode(hasher, data.pool.images)
    part = encoded.part(np.array([5, 99, 3]))
    np.testing.assert_array_equal(part.prefix(4).ids, [5, 3])
    np.testing.assert_array_equal(part.prefix(4).logits, data.pool.images.array[[5, 3], :4])
    assert part.prefix(4).codes == encoded.codes[[5, 3]].prefix(4)
