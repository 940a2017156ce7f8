"""Deep supervised discrete hashing."""

import numpy as np
import pytest
from tests.methods.harness import batch_of, build, check_gradient, check_loss, terms_of
from tests.methods.oracles import bank_list, batch_list, likelihood, mean
from tests.methods.oracles_classification import BITS, ITEMS, LABELS, one_hot, random, tensor


def objective(codes, weights, labels, outputs, mu, nu, eta):
    """μ ‖Y − B W‖² + ν ‖W‖² + η ‖B − U‖², entry by entry."""
    fit = sum(
        (y - b @ w) ** 2 for b, row in zip(codes, labels, strict=True) for y, w in zip(row, weights.T, strict=True)
    )
    return mu * fit + nu * (weights**2).sum() + eta * ((codes - outputs) ** 2).sum()


@pytest.mark.parametrize("case", LABELS)
def test_loss_is_that_of_a_slow_loop(case):
    method, rows = build("dsdh", quantisation=5.0), {}
    for seed, labels in enumerate([LABELS["several"], LABELS[case]]):
        logits, index = random((len(labels), BITS), seed=seed), range(len(labels))
        rows |= {i: (logits[i], labels[i]) for i in index}
        method.start_epoch(seed)
        solved = method.codes.numpy().copy()

        def slow(u):
            codes = np.where(solved[: len(u)] == 0, np.sign(u), solved[: len(u)])  # noqa: B023
            return {
                "likelihood": likelihood(bank_list(u, labels, index, rows), 0.5),  # noqa: B023
                "quantisation": 5.0 / ITEMS * mean(((b - v) ** 2).sum() for b, v in zip(codes, u, strict=True)),
            }

        check_loss(method, slow, logits, labels)


@pytest.mark.parametrize("case", ["single", "several", "unlabelled"])
def test_codes_and_weights_are_solved_for_in_turn(case):
    labels, method = LABELS[case], build("dsdh", classification=2.0, ridge=0.3, quantisation=0.5, sweeps=1)
    logits = random((6, BITS))
    method.loss(batch_of(logits, labels))
    method.start_epoch(1)
    codes = method.codes[:6].numpy()
    assert (np.abs(codes) == 1).all()
    assert (method.codes[6:] == 0).all()
    start = np.sign(logits)
    weights = np.linalg.inv(start.T @ start + 0.15 * np.eye(BITS)) @ start.T @ labels
    slow = start.copy()
    for k in range(BITS):
        for i in range(6):
            costs = []
            for bit in (-1.0, 1.0):
                slow[i, k] = bit
                costs.append(objective(slow, weights, labels, logits, 2.0, 0.3, 0.5))
            slow[i, k] = -1.0 if costs[0] < costs[1] else 1.0
    assert (codes == slow).all()


def test_solving_makes_the_objective_of_the_paper_smaller():
    labels, logits = LABELS["several"], random((6, BITS))
    values = []
    for sweeps in (1, 2, 10):
        method = build("dsdh", sweeps=sweeps, quantisation=0.5)
        method.loss(batch_of(logits, labels))
        method.start_epoch(1)
        codes = method.codes[:6]
        weights = method.regression(codes, method.bank.labels[:6]).numpy()
        values.append(objective(codes.numpy(), weights, labels, logits, 1.0, 0.1, 0.5))
    assert values == sorted(values, reverse=True)


def test_the_labels_reach_the_network_through_the_codes():
    """In swuxyj's version the classification has no gradient, and the logits are pulled to nothing."""
    logits, fits = 0.1 * random((ITEMS, BITS)), []
    for labels in (one_hot(*(i % 2 for i in range(ITEMS))), one_hot(*(i // 6 for i in range(ITEMS)))):
        method = build("dsdh", quantisation=0.01)
        method.loss(batch_of(logits, labels))
        method.start_epoch(1)
        fits += [
            objective(codes, method.regression(tensor(codes), tensor(labels)).numpy(), labels, logits, 1, 0.1, 0)
            for codes in (np.sign(logits), method.codes.numpy())
        ]
    assert fits[1] < 0.5 * fits[0] and fits[3] < 0.5 * fits[2]


def test_an_item_that_was_not_solved_for_is_pulled_to_its_own_signs():
    logits, method = random((6, BITS)), build("dsdh", quantisation=1.0)
    expected = mean(((np.sign(u) - u) ** 2).sum() for u in logits) / ITEMS
    assert terms_of(method, logits, LABELS["single"])["quantisation"] == pytest.approx(expected)


@pytest.mark.parametrize("case", LABELS)
def test_pairs_of_the_batch_alone(case):
    method, labels = build("dsdh", memory=False, quantisation=5.0), LABELS[case]
    terms_of(method, random((6, BITS), seed=5), LABELS["single"])
    method.start_epoch(1)
    codes = method.codes[: len(labels)].numpy()
    logits = random((len(labels), BITS))

    def slow(u):
        error = mean(((b - v) ** 2).sum() for b, v in zip(codes, u, strict=True))
        return {"likelihood": likelihood(batch_list(u, labels), 0.5), "quantisation": 5.0 / ITEMS * error}

    check_loss(method, slow, logits, labels)
    check_gradient(method, logits, labels)  # not with the memory: the bank moves with the codes
    assert method.bank.codes[: len(labels)].numpy() == pytest.approx(logits), "what the codes are solved for from"
