"""Deep balanced discrete hashing."""

import numpy as np
import pytest
from tests.methods.harness import build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles import bank_list, batch_list, likelihood, mean
from tests.methods.oracles_classification import BITS, LABELS, numeric_gradient, random


def balance(codes, over="items"):
    rows = np.array(codes).T if over == "items" else codes
    return mean(mean(row) ** 2 for row in rows)


def slow(codes, pairs, over="items"):
    return {"likelihood": likelihood(pairs, 0.5), "balance": 0.3 * balance(codes, over)}


def clip(logits):
    return np.array([[min(max(u, -1.0), 1.0) for u in row] for row in logits])


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("over", ["items", "bits"])
def test_clipped_codes(case, over):
    labels = LABELS[case]
    method = build("dbdh", codes="clipped", balance_over=over, alpha=0.3)
    logits = random((len(labels), BITS), scale=0.7)
    check_loss(method, lambda u: slow(clip(u), batch_list(clip(u), labels), over), logits, labels)
    check_gradient(method, logits, labels)


@pytest.mark.parametrize("case", LABELS)
def test_signs_whose_gradient_is_that_of_the_clipped_logits(case):
    labels, method = LABELS[case], build("dbdh", alpha=0.3)
    logits = random((len(labels), BITS), scale=0.7)
    codes = np.sign(logits)
    assert terms_of(method, logits, labels) == pytest.approx(slow(codes, batch_list(codes, labels)))
    passed = numeric_gradient(lambda b: sum(slow(b, batch_list(b, labels)).values()), codes)
    assert gradient(method, logits, labels) == pytest.approx(passed * (np.abs(logits) <= 1), abs=1e-6)


@pytest.mark.parametrize("case", LABELS)
@pytest.mark.parametrize("kind", ["signs", "clipped"])
def test_pairs_with_the_memory_bank(case, kind):
    method, rows = build("dbdh", alpha=0.3, memory=True, codes=kind), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed, scale=0.7), range(len(labels))
        codes = np.sign(logits) if kind == "signs" else clip(logits)
        rows |= {i: (code, labels[i]) for i, code in enumerate(codes)}

        def of_bank(codes):
            return slow(codes, bank_list(codes, labels, index, rows))  # noqa: B023

        assert terms_of(method, logits, labels) == pytest.approx(of_bank(codes), rel=1e-6)
        passed = numeric_gradient(lambda b: sum(of_bank(b).values()), codes)
        assert gradient(method, logits, labels) == pytest.approx(passed * (np.abs(logits) <= 1), rel=1e-6, abs=1e-6)


def test_a_bit_that_is_the_same_for_all_items_is_not_balanced():
    """swuxyj's balance is over the bits of each item: it is content with this."""
    logits = np.tile([1.0, -1.0, 1.0, -1.0], (6, 1))
    by_items, by_bits = (
        terms_of(build("dbdh", bits=4, balance_over=over), logits, LABELS["single"])["balance"]
        for over in ("items", "bits")
    )
    assert by_items == pytest.approx(0.1)
    assert by_bits == 0
