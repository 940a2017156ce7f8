"""Lists instead of labels, and batch norm estimated on the images that are searched."""

import numpy as np
import pytest
import torch

from bitseek import metrics
from bitseek.data import Features, GroundTruth, Pool, Protocol
from bitseek.encode import adapt
from bitseek.errors import BitseekError
from bitseek.instances import evaluate_instances
from bitseek.models import Hasher, build_backbone
from bitseek.models.batch_norm import estimate_batch_norm
from bitseek.models.head import BatchNormHead, LinearHead


def hasher(dim=12, bits=16):
    torch.manual_seed(0)
    return Hasher(build_backbone("features", dim=dim), BatchNormHead(dim, bits), bits)


def landmarks(ap, levels, seed=0, queries=6, n=60):
    rng = np.random.default_rng(seed)
    total = queries + n
    pool = Pool(Features((rng.normal(size=(total, 12)).astype(np.float32),)), np.full(total, -1), ("none",))
    ids = np.arange(total)
    shuffled = [queries + rng.permutation(n) for _ in range(queries)]
    kinds = [{k: order[5 * i : 5 * i + 5] for i, k in enumerate(("easy", "hard", "junk"))} for order in shuffled]
    positives = {level: tuple(np.concatenate([q[k] for k in names]) for q in kinds) for level, names in levels.items()}
    ignored = {
        level: tuple(np.concatenate([q[k] for k in ("easy", "hard", "junk") if k not in names]) for q in kinds)
        for level, names in levels.items()
    }
    truth = GroundTruth(positives, ignored, ap)
    database = rng.permutation(ids[queries:])  # a place in the database is not an index into the pool
    return Protocol("toy", pool, ids[:0], ids[:queries], database, at=100, denominator="min", ground_truth=truth), kinds


LEVELS = {"easy": ("easy",), "medium": ("easy", "hard"), "hard": ("hard",)}


def test_revisited_levels_are_those_of_the_metric():
    data, kinds = landmarks("revisited", LEVELS)
    model = hasher()
    report = evaluate_instances(model, data)
    place = {int(i): at for at, i in enumerate(data.database)}
    truth = [{k: [place[int(i)] for i in ids] for k, ids in query.items()} for query in kinds]
    features = data.pool.images.array
    expected = metrics.revisited(model.encode(features[data.query]), model.encode(features[data.database]), truth)
    for level in LEVELS:
        assert report.levels[level]["mAP"] == pytest.approx(expected[level].mAP)
        assert report.levels[level]["mP@5"] == pytest.approx(expected[level].mP[5])
        assert report.levels[level]["mAP_worst"] <= report.levels[level]["mAP"] <= report.levels[level]["mAP_best"]
    assert report.to_json()["protocol"]["name"] == "toy"


def test_standard_lists_use_the_protocols_denominator():
    data, _ = landmarks("standard", {"all": ("easy", "hard")})
    level = evaluate_instances(hasher(), data).levels["all"]
    assert level["denominator"] == "min" and level["at"] == 100 and 0 < level["mAP"] < 1


def test_batch_norm_is_that_of_the_whole_database_at_once():
    model, features = hasher(), torch.randn(50, 12, generator=torch.Generator().manual_seed(1)) * 3 + 2
    outputs = model.head[0](features).detach().double()
    estimate_batch_norm(model.head, features.split(7))
    adapted = model.head.eval()(features).detach()
    expected = (outputs - outputs.mean(0)) / (outputs.var(0) + model.head[1].eps).sqrt()
    assert torch.allclose(adapted.double(), expected, atol=1e-4)


def test_adapting_balances_the_bits_and_leaves_the_hasher_alone():
    data, _ = landmarks("standard", {"all": ("easy", "hard")}, n=400)
    model = hasher()
    model.head[1].running_mean.fill_(5.0)
    before = model.fingerprint
    adapted = adapt(model, data.pool.images, data.database)
    assert model.fingerprint == before != adapted.fingerprint
    share = metrics.bit_balance(adapted.encode(data.pool.images.array[data.database]))
    assert np.abs(share - 0.5).max() < 0.1
    assert metrics.bit_balance(model.encode(data.pool.images.array[data.database])).max() < 0.1


def test_what_cannot_be_adapted_or_measured_says_so():
    with pytest.raises(BitseekError, match="does not end in batch norm"):
        estimate_batch_norm(torch.nn.Sequential(LinearHead(3, 2)), [torch.zeros(2, 3)])
    with pytest.raises(BitseekError, match="at least 2 items"):
        estimate_batch_norm(BatchNormHead(3, 2), [torch.zeros(1, 3)])
    data, _ = landmarks("standard", {"all": ("easy",)})
    plain = Protocol("plain", data.pool, data.train, data.query, data.database)
    with pytest.raises(BitseekError, match=r"bitseek\.evaluate"):
        evaluate_instances(hasher(), plain)
    import bitseek

    with pytest.raises(BitseekError, match="evaluate_instances"):
        bitseek.evaluate(hasher(), data)
