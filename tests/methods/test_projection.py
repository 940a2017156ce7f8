"""LSH, PCA hashing and ITQ: centred projections that are fitted in one go."""

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.decomposition import PCA

from bitseek.errors import BitseekError
from bitseek.methods import METHODS, Task, make_recipe
from bitseek.methods.itq import random_rotation, rotation

PROJECTIONS = ["lsh", "pcah", "itq"]


def cloud(n=300, d=8, seed=0):
    """Correlated points far from the origin, as features after a ReLU are; no labels."""
    generator = np.random.default_rng(seed)
    points = generator.normal(size=(n, d)) * np.linspace(3, 0.5, d) @ random_rotation(d, generator)
    return torch.from_numpy(points + 20).float()


def fitted(name, features, bits, seed=0, **recipe):
    cls = METHODS[name]
    task = Task(features=features.shape[1], bits=bits, classes=0, items=len(features), seed=seed)
    method = cls(task, make_recipe(cls, recipe))
    method.fit(features, torch.zeros(len(features), 0))
    return method.eval()


def codes(method, features):
    with torch.inference_mode():
        return method.head(features) >= 0


@pytest.mark.parametrize("name", PROJECTIONS)
def test_features_are_centred_on_the_training_mean(name):
    """Queries too: alone, they have the codes that they have in company; and half of the bits are set on average."""
    features = cloud()
    method = fitted(name, features, 6)
    assert method.head.mean.numpy() == pytest.approx(features.mean(dim=0).numpy(), rel=1e-5)
    assert codes(method, features).double().mean(dim=0).tolist() == pytest.approx([0.5] * 6, abs=0.15)
    query = cloud(5, seed=1)
    alone = torch.cat([codes(method, query[i : i + 1]) for i in range(5)])
    assert torch.equal(alone, codes(method, query))


@pytest.mark.parametrize("name", PROJECTIONS)
def test_moving_all_features_changes_no_code(name):
    features = cloud().double()
    centred = fitted(name, features - 20, 5)
    moved = fitted(name, features, 5)
    assert (codes(centred, (features - 20).float()) == codes(moved, features.float())).double().mean() > 0.999


def test_lsh_bits_differ_with_probability_angle_over_pi():
    generator = np.random.default_rng(0)
    features = torch.from_numpy(generator.normal(size=(6, 8))).float()
    features -= features.mean(dim=0)
    method = fitted("lsh", features, 20_000)
    bits = codes(method, features)
    for i in range(6):
        for j in range(i):
            angle = math.acos(float(torch.cosine_similarity(features[i], features[j], dim=0)))
            assert float((bits[i] != bits[j]).double().mean()) == pytest.approx(angle / math.pi, abs=0.02)


def test_lsh_takes_any_number_of_bits_and_its_directions_from_the_seed():
    features = cloud()
    one, same, other = (fitted("lsh", features, 50, seed=seed).head.projection for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_pca_logits_are_the_scores_of_scikit_learn_and_of_an_eigendecomposition():
    features = cloud()
    method = fitted("pcah", features, 5)
    logits = method.head(features).numpy()
    expected = PCA(5, svd_solver="full").fit_transform(features.double().numpy())
    assert logits == pytest.approx(expected, abs=1e-3)
    values, vectors = np.linalg.eigh(np.cov(features.double().numpy().T))
    for k in range(5):
        overlap = vectors[:, -1 - k] @ method.head.projection[:, k].double().numpy()
        assert abs(overlap) == pytest.approx(1, abs=1e-4)
        assert logits[:, k].var(ddof=1) == pytest.approx(values[-1 - k], rel=1e-3)


@pytest.mark.parametrize("name", ["pcah", "itq"])
def test_more_bits_than_features_are_refused_with_advice(name):
    assert fitted(name, cloud(), 8).head.projection.shape == (8, 8)
    with pytest.raises(BitseekError, match=r"8; got bits=9: take fewer bits.* lsh or spectral"):
        METHODS[name](Task(features=8, bits=9, classes=0, items=300))


@pytest.mark.parametrize("name", ["pcah", "itq"])
def test_too_few_items_are_refused(name):
    assert fitted(name, cloud(7), 6).head.projection.shape == (8, 6)
    with pytest.raises(BitseekError, match="at least 7 training items, got 6"):
        fitted(name, cloud(6), 6)


def test_itq_steps_are_procrustes_solutions_and_lower_the_quantisation_error():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 5)) * [3, 2, 1, 0.6, 0.3]
    start = random_rotation(5, generator)
    expected, errors = start, []
    for count in range(12):
        turned = rotation(scores, start, count)
        assert turned == pytest.approx(expected, abs=1e-9)
        assert turned.T @ turned == pytest.approx(np.eye(5), abs=1e-9)
        signs = np.sign(scores @ expected)
        errors.append(np.linalg.norm(signs - scores @ expected))
        expected, _ = scipy.linalg.orthogonal_procrustes(scores, signs)
    assert (np.diff(errors) <= 1e-9).all()
    assert errors[-1] < 0.99 * errors[0]


def test_itq_only_turns_the_principal_components():
    features = cloud()
    turned, plain = (fitted(name, features, 5).head.projection.double().numpy() for name in ("itq", "pcah"))
    assert turned.T @ turned == pytest.approx(np.eye(5), abs=1e-5)
    assert turned @ turned.T == pytest.approx(plain @ plain.T, abs=1e-5)


def test_random_rotations_have_no_preferred_direction():
    generator = np.random.default_rng(0)
    entries = np.array([random_rotation(3, generator) for _ in range(3000)])
    assert entries.mean(axis=0) == pytest.approx(np.zeros((3, 3)), abs=0.05)
    assert (entries**2).mean(axis=0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.02)


@pytest.mark.parametrize("name", PROJECTIONS)
def test_the_head_alone_carries_all_that_encoding_needs(name):
    features, method = cloud(), fitted("lsh" if name == "lsh" else name, cloud(), 5)
    other = METHODS[name].build_head(method.task, method.recipe)
    other.load_state_dict(method.head.state_dict())
    assert torch.equal(other(features), method.head(features))
    assert not list(method.parameters())


def test_items_that_are_all_the_same_get_one_code():
    features = torch.ones(20, 4)
    for name in PROJECTIONS:
        assert len(codes(fitted(name, features, 3), features).unique(dim=0)) == 1
