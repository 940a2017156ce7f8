import numpy as np
import pytest

from bitseek.data import Features, GroundTruth, Pool, Protocol, protocol, save_features
from bitseek.errors import BitseekError, DataError


def arrays(n=12):
    return {
        "features": np.random.default_rng(0).normal(size=(n, 5)).astype(np.float32),
        "labels": np.arange(n) % 3,
        "train": np.arange(6),
        "query": np.arange(6, 8),
        "database": np.arange(8, n),
    }


@pytest.fixture
def folder_protocol(tmp_path):
    from PIL import Image

    for name in ("a", "b ü"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (2, 2)).save(tmp_path / "images" / name / f"{i}.png")
    return protocol(f"folder:{tmp_path / 'images'}", query=2, at=3, seed=5)


@pytest.mark.parametrize("source", ["digits", "folder"])
def test_features_keep_the_protocol_and_its_checksum(tmp_path, folder_protocol, source):
    pytest.importorskip("sklearn")
    original = folder_protocol if source == "folder" else protocol("digits", seed=2)
    features = np.random.default_rng(0).normal(size=(len(original.pool), 7)).astype(np.float32)
    save_features(tmp_path / "features.npz", original, features)
    loaded = protocol(f"features:{tmp_path / 'features.npz'}")
    assert loaded.describe() == original.describe()
    assert loaded.pool.classes == original.pool.classes
    assert isinstance(loaded.pool.images, Features)
    np.testing.assert_array_equal(loaded.pool.images.array, features)
    np.testing.assert_array_equal(loaded.pool.labels, original.pool.labels)
    assert not list(tmp_path.glob(".*"))


def test_a_file_of_the_users_own(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **(arrays() | {"features": arrays()["features"].astype(np.float64)}))
    loaded = protocol(f"features:{path}", at=4)
    assert loaded.pool.images.array.dtype == np.float32
    assert loaded.pool.classes == ("0", "1", "2") and loaded.at == 4 and loaded.seed is None
    hot = np.eye(3)[arrays()["labels"]]
    np.savez(path, **(arrays() | {"labels": hot, "classes": np.array(["x", "y", "z"])}))
    loaded = protocol(f"features:{path}")
    assert loaded.multi_label and loaded.pool.classes == ("x", "y", "z") and loaded.at is None
    np.testing.assert_array_equal(loaded.pool.multi_hot(), hot)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.full((12, 3), 2)}, "labels are"),
        ({"labels": np.linspace(0, 1, 12)}, "labels are"),
        ({"train": np.array([0.5])}, "train is"),
        ({"train": np.array([7])}, "1 of 2 queries are training items"),
        ({"query": np.array([12])}, "outside of the pool"),
        ({"features": np.zeros((12, 5), np.int64)}, "real numbers"),
        ({"features": np.zeros((12,), np.float32)}, "features are"),
        ({"features": np.zeros((11, 5), np.float32)}, "labels of 11 items"),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, message):
    np.savez(tmp_path / "f.npz", **(arrays() | change))
    with pytest.raises(DataError, match=message):
        protocol(f"features:{tmp_path / 'f.npz'}")


def test_damaged_and_absent_files(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(DataError, match="there is no file"):
        protocol(f"features:{path}")
    np.savez(path, **{name: array for name, array in arrays().items() if name != "query"})
    with pytest.raises(DataError, match="no array query"):
        protocol(f"features:{path}")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"f\.npz"):
        protocol(f"features:{path}")
    path.write_text("text")
    with pytest.raises(DataError, match=r"f\.npz"):
        protocol(f"features:{path}")
    np.savez(path, **(arrays() | {"labels": np.array([{}] * 12, dtype=object)}))  # would have to be unpickled
    with pytest.raises(DataError, match=r"f\.npz"):
        protocol(f"features:{path}")


def test_save_refuses_what_does_not_fit(tmp_path):
    a = arrays()
    pool = Pool(Features((a["features"],)), a["labels"], ("0", "1", "2"))
    split = Protocol("p", pool, a["train"], a["query"], a["database"])
    with pytest.raises(DataError, match="12 items, got features of 11"):
        save_features(tmp_path / "f.npz", split, a["features"][:11])
    with pytest.raises(BitseekError, match="cannot write"):
        save_features(tmp_path / "no" / "f.npz", split, a["features"])
    none = (np.empty(0, np.int64),) * 2
    listed = Protocol(
        "p", pool, a["train"], a["query"], a["database"], ground_truth=GroundTruth({"a": none}, {"a": none})
    )
    with pytest.raises(DataError, match="relevance lists"):
        save_features(tmp_path / "f.npz", listed, a["features"])
