"""What every protocol keeps to, as far as its data can be loaded here."""

import json
import subprocess
import sys

import numpy as np
import pytest

from bitseek.data import PROTOCOLS, Paths, Pixels, cifar, load_split, protocol

CIFAR10 = [name for name in PROTOCOLS if name.startswith("cifar10-")]
LISTS = {"imagenet100": "imagenet", "mirflickr25k": "mirflickr", "voc2012": "voc2012"}
LOADABLE = ["digits", "mnist", *CIFAR10, *LISTS]

# Whether anything is drawn, and who overlaps with whom: (seeded, queries in database, training items in database).
RULES = {
    "digits": (True, 0, 1_200),
    "mnist": (False, 0, 60_000),
    "cifar10-1": (True, 0, 5_000),
    "cifar10-2": (False, 0, 50_000),
    "cifar10-2-random": (True, 0, 50_000),
    "cifar10-54k": (True, 0, 0),
    "cifar10-ii": (True, 0, 5_000),
    "cifar10-cib": (True, 0, 5_000),
    "cifar10-dsh": (False, 10_000, 0),
    "imagenet100": (False, 0, 13_000),
    "mirflickr25k": (False, 0, 0),
    "voc2012": (False, 0, 0),
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
    "imagenet100": "f592edeaeaf6757f678e58e02eb2b3214ca6f5acee3a1c7b5dbb5b03347766c7",
    "mirflickr25k": "7137ed1d490eb5ab2d315a7785b8f21c0c3375a8fc127bf1c47266d766c4acf9",
    "voc2012": "29242cc48190c26a72d9226bbb0e975e57a892b35fd0e75f8ff39d3b2b005509",
}


@pytest.fixture(scope="module")
def load(request):
    """Loads a protocol, and reads CIFAR's files once for all of them; skips where the data are absent."""
    kept = {}
    patch = pytest.MonkeyPatch()

    def loader(name, seed=0):
        if (name, seed) in kept:
            return kept[name, seed]
        if name in LISTS:
            folder = request.getfixturevalue("shared_data") / "lists" / LISTS[name]
            if not folder.is_dir():
                pytest.skip(f"no published lists in {folder}")
            loaded = protocol(name, seed=seed, lists=folder, check_images=False)
        elif name == "digits":
            pytest.importorskip("sklearn")
            loaded = protocol(name, seed=seed)
        else:
            loaded = protocol(name, request.getfixturevalue("real_data_root"), seed, download=False)
            if name in CIFAR10:
                patch.setattr(cifar, "pool", lambda *_: loaded.pool)
        kept[name, seed] = loaded
        return loaded

    yield loader
    patch.undo()


@pytest.fixture(params=LOADABLE)
def name(request):
    return request.param


def test_split(load, name):
    split, spec, pool = load(name), PROTOCOLS[name], load(name).pool
    seeded, queries_in_database, train_in_database = RULES[name]
    assert split.name == name and split.at == spec.at
    assert split.seed == (0 if seeded else None)
    for role, size in zip(("train", "query", "database"), spec.sizes, strict=True):
        ids = getattr(split, role)
        assert ids.dtype == np.int64 and len(ids) == size == len(set(ids.tolist()))
        assert ids.min() >= 0 and ids.max() < len(pool) and (np.diff(ids) > 0).all()
    query, train, database = (set(getattr(split, role).tolist()) for role in ("query", "train", "database"))
    assert not query & train
    assert len(query & database) == split.queries_in_database == queries_in_database
    assert len(train & database) == train_in_database
    assert split.denominator == "retrieved" and split.ground_truth is None
    assert split.checksum == CHECKSUMS[name]
    json.dumps(split.describe())


def test_pool(load, name):
    split = load(name)
    pool, some = split.pool, split.query[:50]
    hot = pool.multi_hot(some)
    assert hot.shape == (50, len(pool.classes)) and hot.dtype == bool
    for row, i in zip(hot, some, strict=True):
        expected = np.flatnonzero(pool.labels[i]) if pool.multi_label else [pool.labels[i]]
        np.testing.assert_array_equal(np.flatnonzero(row), expected)
    rows = pool.images.rows(some)
    assert len(rows) == 50 and isinstance(pool.images, Pixels | Paths)
    assert len({*pool.keys_of()}) == len(pool)


@pytest.mark.parametrize("name", [name for name in LOADABLE if RULES[name][0]])
def test_another_seed_is_another_split_of_the_same_kind(load, name):
    split, other = load(name), load(name, seed=1)
    assert split.checksum != other.checksum and other.seed == 1
    for role in ("query", "train", "database"):
        first, second = getattr(split, role), getattr(other, role)
        assert len(first) == len(second)
        np.testing.assert_array_equal(
            np.bincount(split.pool.labels[split.query]), np.bincount(other.pool.labels[other.query])
        )
    assert len(np.intersect1d(split.query, other.query)) < len(split.query)


@pytest.mark.parametrize("name", CIFAR10)
def test_cifar_is_balanced_and_keeps_to_the_official_sets(load, name):
    split = load(name)
    for role in ("query", "train", "database"):
        assert len(set(np.bincount(split.pool.labels[getattr(split, role)]).tolist())) == 1
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
    assert loaded.checksum == split.checksum
    np.testing.assert_array_equal(loaded.query, split.query)


def test_a_fresh_process_with_another_hash_seed_has_the_same_split():
    pytest.importorskip("sklearn")
    code = "from bitseek.data import protocol; print(protocol('digits').checksum)"
    run = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "12"}, capture_output=True, text=True)
    assert run.stdout.strip() == CHECKSUMS["digits"], run.stderr
