"""What every protocol keeps to, as far as its data can be loaded here."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from bitseek.data import PROTOCOLS, ROLES, cifar, load_protocol, load_split
from bitseek.images import Paths, Pixels

CIFAR10 = [name for name in PROTOCOLS if name.startswith("cifar10-")]
LISTS = {"imagenet100": "imagenet", "mirflickr25k": "mirflickr", "voc2012": "voc2012"}
LOADABLE = ["digits", "mnist", "cifar100", *CIFAR10, *LISTS]

# The roles that are drawn from the seed, and who overlaps with whom: queries, training items in the database.
ALL, NONE = frozenset(ROLES), frozenset()
RULES = {
    "digits": (ALL, 0, 1_200),
    "mnist": (NONE, 0, 60_000),
    "cifar10-1": (ALL, 0, 5_000),
    "cifar10-2": (NONE, 0, 50_000),
    "cifar10-2-random": (ALL, 0, 50_000),
    "cifar10-54k": (ALL, 0, 0),
    "cifar10-ii": (ALL, 0, 5_000),
    "cifar10-cib": (frozenset({"train", "query"}), 0, 5_000),
    "cifar10-dsh": (NONE, 10_000, 0),
    "cifar100": (NONE, 0, 50_000),
    "imagenet100": (NONE, 0, 13_000),
    "mirflickr25k": (NONE, 0, 0),
    "voc2012": (NONE, 0, 0),
}

# A split that changes makes every figure measured on it void: these are compared, not computed again.
CHECKSUMS = {
    "digits": "c5899399b1a2953db538b8890ca40a398d0a9b935453ba082f8333e8aec7be55",
    "mnist": "c35b944f1eb4bc3cccd8a06b526f6b66bf0c1ef7adfd9dfeeeff5c6f734cd47d",
    "cifar10-1": "b6e53bd4d058ea3f36a76778e91b7830f885109a2fdf123691c1a6836071030e",
    "cifar10-2": "6441de9db2c7bc08da1565461192b5ba0ea73d5242ff358cae98c5011b4427e9",
    "cifar10-2-random": "aa88036910a880127093bd083f8e47e339479eb9474eeb7e6812eff79d9e4f5e",
    "cifar10-54k": "1d8f78180b29daacea21a06b11b9e5d19e840f6cf35cce355a4782d3ed3602a9",
    "cifar10-ii": "76b39e77e712433d4a998e2611275f42554386e7c3e60ba203d617c7c81993fa",
    "cifar10-cib": "90c1d188936123c526ab82d44bed65f212441c05e25a86bdbe2381d91e0c29fc",
    "cifar10-dsh": "ba59cc55cd6626e5518d9dc370959e6d3e4b28650a2ab399cc61d58f4b62a211",
    "cifar100": "23c7b7de7096c948a04fe26737863c426682f1aef82a706fa949a05f1aa03aa7",
    "imagenet100": "f592edeaeaf6757f678e58e02eb2b3214ca6f5acee3a1c7b5dbb5b03347766c7",
    "mirflickr25k": "7137ed1d490eb5ab2d315a7785b8f21c0c3375a8fc127bf1c47266d766c4acf9",
    "voc2012": "29242cc48190c26a72d9226bbb0e975e57a892b35fd0e75f8ff39d3b2b005509",
}
CHECKSUMS_OF_SEED_1 = {
    "digits": "98368db334f3aca5d7de128be9f48803308f5a5ee24a78f625bf1cf8e4a41e8e",
    "cifar10-1": "7d340e409d22f5f480ac5baa5ed0faea4aead5186a8312b0d7a33a6a8acde17f",
    "cifar10-2-random": "d428b377eab4b3c23be1432940ecef59331aa0acc101be99add04024caf62ff8",
    "cifar10-54k": "5b59872d5952b35196dec02b60cd514a5ad52a4e850266a0a6f72877a84b229e",
    "cifar10-ii": "39cdb304e24ec08f50ae328aee85df421cbd88920ab819ca2607034c3823e05a",
    "cifar10-cib": "7cb96a6ed310b0a3edd8c08908e89adc88ffee2d01ae0992507aaa3912002076",
}


@pytest.fixture(scope="module")
def load(request):
    """Loads a protocol, and reads CIFAR's files once for all of them; skips where the data are absent."""
    kept, pools, read_pool = {}, {}, cifar.read_pool

    def read_once(spec, *arguments):
        if spec.data_set not in pools:
            pools[spec.data_set] = read_pool(spec, *arguments)
        return pools[spec.data_set]

    patch = pytest.MonkeyPatch()
    patch.setattr(cifar, "read_pool", read_once)

    def loader(name, seed=0):
        if (name, seed) in kept:
            return kept[name, seed]
        if name in LISTS:
            folder = request.getfixturevalue("shared_data") / "lists" / LISTS[name]
            if not folder.is_dir():
                pytest.skip(f"no published lists in {folder}")
            loaded = load_protocol(name, seed=seed, lists=folder, check_images=False)
        elif name == "digits":
            pytest.importorskip("sklearn")
            loaded = load_protocol(name, seed=seed)
        else:
            root = request.getfixturevalue("real_data_root")
            if name == "cifar100" and not (root / "cifar-100-python").is_dir():
                pytest.skip(f"no CIFAR-100 in {root}")
            loaded = load_protocol(name, root, seed, download=False)
        kept[name, seed] = loaded
        return loaded

    yield loader
    patch.undo()


@pytest.fixture(params=LOADABLE)
def name(request):
    return request.param


@pytest.mark.parametrize("seed", [0, 1])
def test_split(load, name, seed):
    split, spec = load(name, seed), PROTOCOLS[name]
    drawn, queries_in_database, train_in_database = RULES[name]
    assert split.name == name and split.k == spec.k and split.pool.name == spec.data_set
    assert split.seed == (seed if drawn else None)
    for role, size in zip(ROLES, spec.sizes, strict=True):
        ids = getattr(split, role)
        assert ids.dtype == np.int64 and len(ids) == size == len(set(ids.tolist()))
        assert ids.min() >= 0 and ids.max() < len(split.pool) and (np.diff(ids) > 0).all()
    train, query, database = (set(getattr(split, role).tolist()) for role in ROLES)
    assert not query & train
    assert len(query & database) == split.queries_in_database == queries_in_database
    assert len(train & database) == train_in_database
    assert split.denominator == "retrieved" and split.lists is None and split.levels == ("all",)
    assert json.loads(json.dumps(split.describe())) == split.describe()


def test_split_is_the_one_that_figures_were_measured_on(load, name):
    assert load(name).checksum == CHECKSUMS[name]
    assert load(name, seed=1).checksum == (CHECKSUMS | CHECKSUMS_OF_SEED_1)[name]


def test_another_seed_draws_other_items_of_the_same_classes_in_every_role(load, name):
    split, other = load(name), load(name, seed=1)
    for role in ROLES:
        first, second = getattr(split, role), getattr(other, role)
        if role in RULES[name][0]:
            assert split.role_checksums[role] != other.role_checksums[role]
            assert 0 < len(np.setdiff1d(first, second)) <= len(first)
            np.testing.assert_array_equal(split.pool.labels[first].counts, other.pool.labels[second].counts)
        else:
            assert split.role_checksums[role] == other.role_checksums[role]
            np.testing.assert_array_equal(first, second)
    assert (split.checksum != other.checksum) == bool(RULES[name][0])


def test_draws_from_two_seeds_are_independent(load, name):
    """They share as many items as independent draws would, within 6 standard deviations."""
    split, other = load(name), load(name, seed=1)
    for role in RULES[name][0]:
        first, second = getattr(split, role), getattr(other, role)
        pool = len(split.pool) if name != "cifar10-cib" else {"train": 50_000, "query": 10_000}[role]
        share = len(first) / pool
        spread = np.sqrt(pool * share**2 * (1 - share) ** 2)
        assert abs(len(np.intersect1d(first, second)) - pool * share**2) < 6 * spread


def test_pool(load, name):
    split = load(name)
    pool, some = split.pool, split.query[:50]
    hot = pool.labels.multi_hot(some)
    assert hot.shape == (50, len(pool.classes)) and hot.dtype == bool
    assert pool.labels.classes == len(pool.classes)
    if not pool.multi_label:
        np.testing.assert_array_equal(hot.argmax(axis=1), pool.labels.numbers[some])
        assert (hot.sum(axis=1) == 1).all()
    rows = pool.images.rows(some)
    assert len(rows) == 50 and isinstance(pool.images, Pixels | Paths)
    assert len({*pool.keys_of()}) == len(pool)


def test_items_are_known_by_their_hashes_in_another_split(load, name):
    """Which training items of seed 0 are queries of seed 1: what evaluation asks before it measures."""
    split, other = load(name), load(name, seed=1)
    hashes = split.pool.item_hashes(split.train)
    assert len(np.unique(hashes)) == len(hashes)
    leaks = np.isin(other.pool.item_hashes(other.query), hashes)
    np.testing.assert_array_equal(leaks, np.isin(other.query, split.train))
    assert not np.isin(split.pool.item_hashes(split.query), hashes).any()


def test_all_splits_of_cifar10_have_the_same_items(load):
    hashes = {name: load(name).pool.item_hashes(np.arange(5)).tolist() for name in CIFAR10}
    assert len({*map(tuple, hashes.values())}) == 1


def test_relevance(load, name):
    split = load(name)
    query, database = split.query[::97], split.database[::53]
    relevance = split.relevance(query, database)
    hot, searched = (split.pool.labels.multi_hot(ids).astype(np.int64) for ids in (query, database))
    expected = hot @ searched.T > 0
    itself = query[:, None] == database
    for i in range(0, len(query), 7):
        left_out = relevance.left_out(i)
        np.testing.assert_array_equal(left_out, itself[i])
        np.testing.assert_array_equal(relevance.relevant(i) & ~left_out, expected[i] & ~left_out)


@pytest.mark.parametrize("name", CIFAR10)
def test_cifar_is_balanced_and_keeps_to_the_official_sets(load, name):
    split = load(name)
    for role in ROLES:
        assert len(set(split.pool.labels[getattr(split, role)].counts.tolist())) == 1
    if name in ("cifar10-2", "cifar10-cib", "cifar10-dsh"):
        assert split.query.min() >= 50_000 and split.train.max() < 50_000
    else:
        assert split.query.min() < 50_000 <= split.query.max()


def test_cifar_54k_is_cifar_1_without_the_training_items(load):
    large, small = load("cifar10-1"), load("cifar10-54k")
    np.testing.assert_array_equal(large.query, small.query)
    np.testing.assert_array_equal(large.train, small.train)
    np.testing.assert_array_equal(np.setdiff1d(large.database, large.train), small.database)


def test_split_can_be_saved_and_loaded(load, name, tmp_path):
    split = load(name)
    split.save_split(tmp_path / "split.json")
    loaded = load_split(tmp_path / "split.json", split.pool)
    assert loaded.describe() == split.describe()
    for role in ROLES:
        np.testing.assert_array_equal(getattr(loaded, role), getattr(split, role))


def test_its_origin_loads_it_again(load, name):
    split = load(name, seed=1)
    origin = type(split.origin)(**json.loads(json.dumps(dataclasses.asdict(split.origin))))
    assert origin == split.origin and origin.name == name and origin.seed == 1
    assert origin.load().checksum == split.checksum


def test_a_fresh_process_with_another_hash_seed_has_the_same_split():
    pytest.importorskip("sklearn")
    code = "from bitseek.data import load_protocol; print(load_protocol('digits').checksum)"
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "12"}, capture_output=True, text=True)
    assert run.stdout.strip() == CHECKSUMS["digits"], run.stderr


def test_torch_is_not_loaded_with_the_data():
    code = "import sys, bitseek.data, bitseek.images; assert not {'torch', 'torchvision'} & sys.modules.keys()"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
