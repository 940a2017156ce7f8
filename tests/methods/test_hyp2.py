"""HyP²."""

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles import mean, share
from tests.methods.oracles_classification import BITS, CLASSES, LABELS, cosine, one_hot, random

from bitseek.methods._pairs import reachable_cosine

ZETA = 0.1


def slow(method, logits, labels):
    proxies = method.proxies.detach().numpy()
    found = [(cosine(u, p), y[c]) for u, y in zip(logits, labels, strict=True) for c, p in enumerate(proxies)]
    several = [i for i, y in enumerate(labels) if sum(y) > 1]
    pairs = [(i, j) for i in several for j in several if i != j and not share(labels[i], labels[j])]
    return {
        "own": mean(1 - c for c, y in found if y),
        "other": mean(max(c - ZETA, 0.0) for c, y in found if not y),
        "pairs": 0.5 * mean(max(cosine(logits[i], logits[j]) - ZETA, 0.0) for i, j in pairs),
    }


LABELS_OF_STRANGERS = {**LABELS, "strangers": one_hot((0, 1), (2, 3), (0, 2), (1, 3), 0, None)}


@pytest.mark.parametrize("case", LABELS_OF_STRANGERS)
def test_loss_is_that_of_a_slow_loop(case):
    labels, method = LABELS_OF_STRANGERS[case], build("hyp2", zeta=ZETA)
    logits = random((len(labels), BITS))
    logits[1:2] = 0.5 * logits[:1] + 0.3  # close to the first, with which it may share nothing
    check_loss(method, lambda u: slow(method, u, labels), logits, labels)
    check_gradient(method, logits, labels)


def test_pairs_are_of_items_with_several_classes_and_none_in_common():
    logits = np.tile(random((1, BITS)), (6, 1))
    measured = terms_of(build("hyp2", zeta=ZETA), logits, LABELS_OF_STRANGERS["strangers"])["pairs"]
    assert measured == pytest.approx(0.5 * (1 - ZETA))
    assert terms_of(build("hyp2", zeta=ZETA), logits, LABELS["single"])["pairs"] == 0


def test_nothing_is_pushed_past_the_cosine_that_codes_can_have():
    method = build("hyp2", zeta=ZETA)
    logits = -method.proxies.detach().numpy().sum(axis=0)[None]
    assert all(cosine(logits[0], proxy) < ZETA for proxy in method.proxies.detach().numpy())
    assert (gradient(method, logits, LABELS["one_unlabelled"]) == 0).all()


@pytest.mark.parametrize(("classes", "bits", "least"), [(2, 16, -1.0), (10, 64, -0.09375), (100, 16, 0.25)])
def test_zeta_is_the_cosine_of_the_nearest_codewords_that_are_known(classes, bits, least):
    """The released table of linear codes has −.031 for 10 classes and 64 bits, and the same .25 for 100 and 16."""
    assert reachable_cosine(classes, bits) == least
    assert build("hyp2").zeta == reachable_cosine(CLASSES, BITS)


def test_the_proxies_learn():
    method = build("hyp2")
    sum(method.loss(batch_of(random((6, BITS)), LABELS["several"])).values()).backward()
    assert (method.proxies.grad.abs().sum(dim=1) > 0).all()
