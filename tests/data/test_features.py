import numpy as np
import pytest

from bitseek.data import Pool, Protocol, RelevanceLists, load_protocol, save_features
from bitseek.errors import BitseekError, DataError, ShapeError
from bitseek.images import Features


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
    return load_protocol(f"folder:{tmp_path / 'images'}", query=2, k=3, seed=5)


@pytest.mark.parametrize("source", ["digits", "folder"])
def test_features_keep_the_protocol_and_its_checksum(tmp_path, folder_protocol, source):
    pytest.importorskip("sklearn")
    original = folder_protocol if source == "folder" else load_protocol("digits", seed=2)
    features = np.random.default_rng(0).normal(size=(len(original.pool), 7)).astype(np.float32)
    save_features(tmp_path / "features.npz", original, features)
    loaded = load_protocol(f"features:{tmp_path / 'features.npz'}")
    assert loaded.describe() == original.describe()
    assert loaded.pool.classes == original.pool.classes
    assert isinstance(loaded.pool.images, Features)
    np.testing.assert_array_equal(loaded.pool.images.array, features)
    assert loaded.pool.labels == original.pool.labels
    assert not list(tmp_path.glob(".*"))
    assert loaded.pool.name == original.pool.name and loaded.pool.mirror == original.pool.mirror
    np.testing.assert_array_equal(loaded.pool.item_hashes(loaded.train), original.pool.item_hashes(original.train))
    again = loaded.origin.load()
    assert again.checksum == loaded.checksum and again.origin == loaded.origin


BACKBONE = {"name": "resnet18", "options": {"a": [1, None]}, "weights": "/w.safetensors", "preprocess": {"size": 224}}


@pytest.mark.parametrize("backbone", [None, BACKBONE])
def test_features_keep_what_computed_them(tmp_path, backbone):
    """Bug 16: a head trained on the file can be joined with its backbone."""
    a = arrays()
    split = Protocol(
        "p", Pool(Features((a["features"],)), a["labels"], tuple("abc")), a["train"], a["query"], a["database"]
    )
    save_features(tmp_path / "f.npz", split, a["features"], backbone)
    assert load_protocol(f"features:{tmp_path / 'f.npz'}").pool.images.backbone == backbone
    with pytest.raises(DataError, match="by what JSON can hold"):
        save_features(tmp_path / "g.npz", split, a["features"], {"weights": tmp_path})
    assert not (tmp_path / "g.npz").exists()


def test_a_file_of_the_users_own(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **(arrays() | {"features": arrays()["features"].astype(np.float64)}))
    loaded = load_protocol(f"features:{path}", k=4)
    assert loaded.pool.images.array.dtype == np.float32
    assert loaded.pool.classes == ("0", "1", "2") and loaded.k == 4 and loaded.seed is None
    hot = np.eye(3)[arrays()["labels"]]
    np.savez(path, **(arrays() | {"labels": hot, "classes": np.array(["x", "y", "z"])}))
    loaded = load_protocol(f"features:{path}")
    assert loaded.multi_label and loaded.pool.classes == ("x", "y", "z") and loaded.k is None
    np.testing.assert_array_equal(loaded.pool.labels.multi_hot(), hot)


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
        ({"features": np.zeros((11, 5), np.float32)}, "11 items need 11 labels, got 12"),
        ({"features": np.full((12, 5), np.nan)}, "60 values of the features are NaN or infinite"),
        ({"features": np.full((12, 5), 1e300)}, "60 values of the features are NaN or infinite"),
        ({"labels": np.full(12, -2)}, "labels are"),
        ({"classes": np.array(["a"])}, "class number 2"),
        ({"keys": np.array(["a"])}, "12 items need 12 keys"),
        ({"denominator": np.array("all")}, "denominator"),
        ({"k": np.array(-1)}, "k is a whole number of 1 or more"),
        ({"k": np.array(1.5)}, "k cannot be 1.5"),
        ({"k": np.array(True)}, "k cannot be True"),
        ({"seed": np.array("1")}, "seed cannot be '1'"),
        ({"mirror": np.array("no")}, "mirror cannot be 'no'"),
        ({"pool": np.array(3)}, "pool cannot be 3"),
        ({"name": np.array(3)}, "name cannot be 3"),
        ({"keys": np.arange(12)}, "keys of a pool are text, got 0"),
        ({"classes": np.arange(3)}, "classes of a pool are text, got 0"),
        ({"keys": np.array(["a"] * 12)}, "11 items have the key of another"),
        ({"backbone": np.array("{")}, r"f\.npz: "),
        ({"backbone": np.array("[1]")}, "a JSON object"),
        ({"name": np.array(["a", "b"])}, r"f\.npz: "),
    ],
)
def test_wrong_files_are_refused(tmp_path, change, message, unchecked):
    np.savez(tmp_path / "f.npz", **(arrays() | change))
    with pytest.raises(DataError, match=message):
        load_protocol(f"features:{tmp_path / 'f.npz'}")


def test_damaged_and_absent_files(tmp_path):
    path = tmp_path / "f.npz"
    with pytest.raises(DataError, match="there is no file"):
        load_protocol(f"features:{path}")
    np.savez(path, **{name: array for name, array in arrays().items() if name != "query"})
    with pytest.raises(DataError, match="no array query"):
        load_protocol(f"features:{path}")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"f\.npz"):
        load_protocol(f"features:{path}")
    path.write_text("text")
    with pytest.raises(DataError, match=r"f\.npz"):
        load_protocol(f"features:{path}")
    np.savez(path, **(arrays() | {"labels": np.array([{}] * 12, dtype=object)}))  # would have to be unpickled
    with pytest.raises(DataError, match=r"f\.npz"):
        load_protocol(f"features:{path}")


def test_save_refuses_what_does_not_fit(tmp_path, unchecked):
    a = arrays()
    pool = Pool(Features((a["features"],)), a["labels"], ("0", "1", "2"))
    split = Protocol("p", pool, a["train"], a["query"], a["database"])
    with pytest.raises(DataError, match="12 items, got features of 11"):
        save_features(tmp_path / "f.npz", split, a["features"][:11])
    for odd in (np.full((12, 5), np.nan, np.float32), np.full((12, 5), np.inf), np.zeros((12, 5), int), np.zeros(12)):
        with pytest.raises(ShapeError, match="features"):
            save_features(tmp_path / "f.npz", split, odd)
    assert not list(tmp_path.iterdir())
    with pytest.raises(BitseekError, match="cannot write"):
        save_features(tmp_path / "no" / "f.npz", split, a["features"])
    none = (np.empty(0, np.int64),) * 2
    listed = Protocol(
        "p", pool, a["train"], a["query"], a["database"], lists=RelevanceLists({"all": none}, {"all": none})
    )
    with pytest.raises(DataError, match="relevance lists"):
        save_features(tmp_path / "f.npz", listed, a["features"])
