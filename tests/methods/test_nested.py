"""Nested codes: every prefix against the method alone, distillation and weights against slow loops, NHL's traps."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.codebooks.oracles import smallest_distance
from tests.methods.harness import batch_of, build, check_gradient, check_loss, gradient, terms_of
from tests.methods.oracles import mean
from tests.methods.oracles_classification import (
    BITS,
    CLASSES,
    FEATURES,
    LABELS,
    cosine,
    numeric_gradient,
    random,
    tensor,
)

from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task, make_method, make_recipe
from bitseek.methods._nested import cosines_from, dominance_weights

NESTED = {"lengths": (2, 4), "bits": 8}


def alone(part, logits, labels):
    return terms_of(part, logits, labels)


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.by_gradient and cls.nests])
def test_each_length_is_the_method_alone_on_the_first_bits(name):
    """Also the trap of the released code, in which CSQ is overwritten by another method."""
    whole, again = (build(name, **NESTED, second_view=0) for _ in range(2))
    labels = np.zeros((6, 0)) if METHODS[name].card.labels == "none" else LABELS["single"]
    logits = random((6 * whole.views, 8))
    torch.manual_seed(1)
    found = terms_of(whole, logits, labels)
    torch.manual_seed(1)
    expected = {
        f"{term}_{part.task.bits}": value
        for part in again.parts
        for term, value in alone(part, logits[:, : part.task.bits], labels).items()
    }
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert [type(part) for part in whole.parts] == [METHODS[name]] * 3
    assert whole.lengths == (2, 4, 8)


def slow_distillation(shorter, longer):
    n = range(len(shorter))
    return mean((cosine(shorter[i], shorter[j]) - cosine(longer[i], longer[j])) ** 2 for i in n for j in n)


@pytest.mark.parametrize("case", LABELS)
def test_a_length_learns_the_cosines_of_the_next_longer_one(case):
    labels = LABELS[case]
    method = build("orthohash", **NESTED, length_distillation=0.5)
    logits = random((len(labels), 8))

    def slow(u):
        parts = {b: alone(p, u[:, :b], labels)["cosine"] for b, p in zip((2, 4, 8), method.parts, strict=True)}
        distances = {
            f"distillation_{b}": 0.5 * slow_distillation(u[:, :b], logits[:, :longer]) for b, longer in ((2, 4), (4, 8))
        }
        return {f"cosine_{b}": value for b, value in parts.items()} | distances

    check_loss(method, slow, logits, labels)
    assert gradient(method, logits, labels).shape == logits.shape


def test_no_gradient_goes_to_the_teacher():
    shorter, longer = tensor(random((4, 3)), grad=True), tensor(random((4, 5), seed=1), grad=True)
    cosines_from(shorter, longer).backward()
    assert longer.grad is None
    expected = numeric_gradient(lambda u: slow_distillation(u, longer.detach().numpy()), shorter.detach().numpy())
    assert shorter.grad.numpy() == pytest.approx(expected, abs=1e-7)


def slow_weights(gradients):
    """By the definition: α for every pair of lengths, in the rows of the shorter."""
    count = len(gradients)
    alpha = {}
    for l, m in itertools.combinations(range(count), 2):  # noqa: E741
        own = gradients[l].ravel()
        product = sum(a * b for a, b in zip(own, gradients[m][: len(gradients[l])].ravel(), strict=True))
        square = sum(a * a for a in own)
        dominates = product < 0 and -product > square / (count - 1)
        alpha[l, m] = square / ((count - 1) * abs(product)) if dominates else 1.0
    for l, m in alpha:  # noqa: E741
        alpha[l, m] = min(alpha[l, m], alpha[l, l + 1])
    weights = [np.prod([alpha[l, m] for l in range(m)]) if m else 1.0 for m in range(count)]  # noqa: E741
    return [w * count / sum(weights) for w in weights]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("count", [2, 3, 4])
def test_dominance_weights_are_those_of_a_slow_loop(seed, count):
    rng = np.random.default_rng(seed)
    gradients = [rng.normal(size=(2 * (i + 1), 3)) * (1 + 4 * i) for i in range(count)]
    gradients[-1][:2] -= 3 * gradients[0]
    found = dominance_weights([tensor(g) for g in gradients])
    assert found == pytest.approx(slow_weights(gradients), rel=1e-9)
    assert sum(found) == pytest.approx(count)


def test_a_longer_length_cannot_turn_the_step_of_a_shorter_one_round():
    """With the norm of g_l itself; the released code always takes that of the shortest length."""
    own = np.ones((2, 1))
    against = np.concatenate([-50 * own, np.ones((2, 1))])
    weights = dominance_weights([tensor(own), tensor(against)])
    step = weights[0] * own + weights[1] * against[:2]
    assert (step * own).sum() == pytest.approx(0, abs=1e-12)
    assert dominance_weights([tensor(own), tensor(-against)]) == [1.0, 1.0]
    assert dominance_weights([tensor(0 * own), tensor(against)]) == [1.0, 1.0]


def through_head(method, features, labels):
    """A batch as training gives it: its logits come from the head."""
    return replace(batch_of(method.head(features), labels, features))


@pytest.mark.parametrize("name", ["orthohash", "csq", "mds", "hyp2", "dhd"])
@pytest.mark.parametrize("width", [7, 13])
def test_with_weights_and_distillation_no_length_loses_its_loss(name, width):
    """The released code zips losses with distillations, of which the longest has none; and it fixes D at 2048."""
    options = {"lengths": (2, 4), "bits": 8, "features": width, "second_view": 0}
    options |= {"dropout": 0.0} if name == "csq" else {}
    method = build(name, **options, length_weights="dominance", length_distillation=1.0)
    equal = build(name, **options, length_distillation=1.0)
    features = tensor(random((6, width)))
    terms = method.loss(through_head(method, features, LABELS["single"]))
    plain = equal.loss(through_head(equal, features, LABELS["single"]))
    assert terms.keys() == plain.keys()
    assert any(term.endswith("_8") for term in terms)
    ratios = {bits: [] for bits in (2, 4, 8)}
    for term in terms:
        if float(plain[term].detach()):
            ratios[int(term.rsplit("_", 1)[1])].append(float(terms[term].detach() / plain[term].detach()))
    assert all(np.ptp(found) < 1e-9 and found[0] > 0 for found in ratios.values())
    assert sum(found[0] for found in ratios.values()) == pytest.approx(3)


def test_the_weights_come_from_the_gradients_in_the_rows_of_the_shorter_length():
    method = build("orthohash", **NESTED, length_weights="dominance")
    features, labels = tensor(random((6, FEATURES))), LABELS["single"]
    weight = method.head[0].weight
    rows = []
    for part in method.parts:
        bits = part.task.bits
        term = part.loss(replace(batch_of(method.head(features)[:, :bits], labels, features)))["cosine"]
        rows.append(torch.autograd.grad(term, weight)[0][:bits].numpy())
    terms = method.loss(through_head(method, features, labels))
    plain = build("orthohash", **NESTED).loss(through_head(method, features, labels))
    found = [float(terms[f"cosine_{b}"].detach() / plain[f"cosine_{b}"].detach()) for b in (2, 4, 8)]
    assert found == pytest.approx(slow_weights(rows), rel=1e-6)


def test_the_base_is_told_how_far_training_is():
    """In the released code the epoch of MDS is always 0, so that its pairs never count; and it loses its batch norm."""
    method = build("mds", **NESTED, pairs_from=0.5)
    batch = batch_of(random((6, 8)), LABELS["single"])
    terms = method.loss(replace(batch, progress=0.75))
    assert all(float(terms[f"pairs_{bits}"].detach()) > 0 for bits in (2, 4, 8))
    assert isinstance(method.head[1], torch.nn.BatchNorm1d)


# --- what is nested ---------------------------------------------------------------------------------------------------


def task_of(bits=8):
    return Task(features=FEATURES, bits=bits, classes=CLASSES, items=12, multi_label=False, seed=3)


@pytest.mark.parametrize(
    ("given", "all_of_them"),
    [((), (8,)), ((8,), (8,)), ((4,), (4, 8)), ((4, 2, 4), (2, 4, 8)), ("2,8", (2, 8)), ("none", (8,))],
)
def test_lengths_are_ascending_and_the_last_is_the_whole_code(given, all_of_them):
    cls = METHODS["csq"]
    recipe = make_recipe(cls, {"lengths": given})
    assert cls.lengths_of(task_of(), recipe) == all_of_them
    method = make_method(cls, task_of(), recipe)
    assert method.lengths == all_of_them
    assert isinstance(method, cls) == (len(all_of_them) == 1)


def test_lengths_that_cannot_be_are_refused():
    with pytest.raises(BitseekError, match=r"prefixes of a code of 8 bits.*16 is longer"):
        make_method(METHODS["csq"], task_of(), make_recipe(METHODS["csq"], {"lengths": (4, 16)}))
    with pytest.raises(BitseekError, match=r"1 bits? .*only 2 words for 4 classes"):
        make_method(METHODS["csq"], task_of(), make_recipe(METHODS["csq"], {"lengths": (1,)}))
    with pytest.raises(BitseekError, match=r"^lengths "):
        make_recipe(METHODS["csq"], {"lengths": (0, 4)})


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if not cls.nests])
def test_a_code_whose_first_bits_are_no_code_is_not_nested(name):
    with pytest.raises(BitseekError, match="not a code in their own right"):
        make_method(METHODS[name], task_of(), make_recipe(METHODS[name], {"lengths": (4,)}))


@pytest.mark.parametrize("name", ["lsh", "pcah"])
def test_first_bits_that_are_found_without_the_others_are_nested_as_they_are(name):
    features = tensor(random((30, FEATURES))).float()
    long, short = (make_method(METHODS[name], task_of(bits)) for bits in (5, 3))
    nested = make_method(METHODS[name], task_of(5), make_recipe(METHODS[name], {"lengths": (3,)}))
    for method in (long, short, nested):
        method.fit(features, torch.zeros(30, 0))
    assert torch.equal(nested.head(features), long.head(features))
    if name == "pcah":
        assert torch.allclose(long.head(features)[:, :3], short.head(features), atol=1e-5)


def test_a_head_without_a_layer_of_k_outputs_has_no_dominance_weights():
    with pytest.raises(BitseekError, match=r"linear layer of 8 outputs.*DivideAndEncode.*equal"):
        build("dnnh", **NESTED, length_weights="dominance")


def test_the_head_is_one_and_what_it_would_be_without_lengths():
    plain, nested = build("csq", bits=8), build("csq", **NESTED)
    for key, value in plain.head.state_dict().items():
        assert torch.equal(nested.head.state_dict()[key], value)
    assert torch.equal(nested.codewords()[:, :4], nested.parts[1].codewords())
    heads = [key for key in nested.state_dict() if "head" in key]
    assert heads and all(key.startswith("head.") for key in heads)
    assert all(part.head is nested.head for part in nested.parts)


def test_every_hook_reaches_every_length():
    method = build("cnnh", **NESTED)
    from bitseek.labels import Labels

    next(iter(method.sample(Labels.of(np.arange(12) % CLASSES), np.random.default_rng(0))))
    assert all(float(part.labels.sum()) == 12 for part in method.parts)
    method = build("csq", **NESTED, assignment="nearest")
    before = [part.book.clone() for part in method.parts]
    rng = np.random.default_rng(0)
    labels = np.eye(CLASSES)[np.arange(12) % CLASSES]
    assert method.prepares
    method.prepare(tensor(rng.normal(size=(12, FEATURES))), tensor(labels), torch.arange(12))
    assert any(not torch.equal(a, part.book) for a, part in zip(before, method.parts, strict=True))
    assert method.item_codes() is None and build("asymmetric-dsh", **NESTED).item_codes().shape == (12, 8)


def test_bits_of_the_oracles_are_no_special_case():
    method = build("orthohash", lengths=(3,), second_view=0.2, strangers=0.3, zeta=0.1, length_distillation=0.4)
    labels = LABELS["several"]
    terms = terms_of(method, random((12, BITS)), labels)
    names = {"cosine", "strangers", "second_view"}
    assert set(terms) == {f"{name}_{bits}" for name in names for bits in (3, BITS)} | {"distillation_3"}
    assert method.views == 2
    check_gradient(build("orthohash", lengths=(3,), strangers=0.3, zeta=0.1), random((6, BITS)), labels)


def words_of(part):
    return part.codewords().numpy().astype(int)


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.takes_codebook])
@pytest.mark.parametrize("lengths", [(8, 16), (6, 16)])
def test_codewords_of_every_length_agree_in_the_bits_that_they_share(name, lengths):
    method = build(name, classes=40, bits=24, lengths=lengths, codebook="spread")
    books = [words_of(part) for part in method.parts]
    assert [book.shape[1] for book in books] == [*lengths, 24]
    for shorter, book in itertools.pairwise(books):
        assert np.array_equal(book[:, : shorter.shape[1]], shorter)
        assert len(np.unique(shorter, axis=0)) == 40


def test_the_longest_keeps_its_distances_and_the_shorter_ones_gain():
    """100 Hadamard codewords of 64 bits are 32 apart, and were 9 apart when they began with those of 16 and 32 bits."""
    parts = build("csq", classes=100, bits=64, lengths=(16, 32)).parts
    alone = [build("csq", classes=100, bits=bits) for bits in (16, 32, 64)]
    nested, own = ([smallest_distance(words_of(part) > 0) for part in each] for each in (parts, alone))
    assert nested[2] == own[2] == 32
    assert nested[0] >= own[0] and nested[1] >= own[1]
    columns = [sorted(map(tuple, words_of(part).T)) for part in (parts[2], alone[2])]
    assert columns[0] == columns[1]


def test_where_first_bits_repeat_the_shorter_length_keeps_its_own():
    """All 16 words of 4 bits are taken: the first 4 of 8 bits would have to be as good by luck."""
    parts = build("csq", classes=16, bits=9, lengths=(4,), codebook="bernoulli").parts
    alone = build("csq", classes=16, bits=4, codebook="bernoulli")
    assert np.array_equal(words_of(parts[0]), words_of(alone))
    assert np.array_equal(words_of(parts[1])[:, :4], words_of(alone))


@pytest.mark.parametrize("name", [name for name, cls in METHODS.items() if cls.takes_codebook])
def test_they_agree_when_they_were_assigned(name):
    rng = np.random.default_rng(5)
    labels = np.eye(CLASSES)[rng.integers(0, CLASSES, 40)]
    method = build(name, lengths=(4, 8), bits=16, assignment="nearest", codebook="spread")
    before = [part.codewords().clone() for part in method.parts]
    method.prepare(tensor(rng.normal(size=(40, FEATURES))), tensor(labels), torch.arange(40))
    books = [part.codewords() for part in method.parts]
    for shorter, book in itertools.pairwise(books):
        assert torch.equal(book[:, : shorter.shape[1]], shorter)
    for old, new in zip(before, books, strict=True):
        assert sorted(old.tolist()) == sorted(new.tolist())


def test_what_is_wrong_with_a_shorter_length_is_said_of_it():
    with pytest.raises(
        BitseekError, match=r"length 4 of nested codes: 4 bits have only 16 words.*leave it out of lengths"
    ):
        build("csq", classes=100, bits=9, lengths=(4, 8))
