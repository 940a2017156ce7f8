import json
import pickle

import numpy as np
import pytest

from bitseek.data import PROTOCOLS, load_protocol
from bitseek.data import landmarks as module
from bitseek.errors import BitseekError, DataError

DATABASE = ["all_souls_1", "all_souls_2", "ashmolean_1", "ashmolean_2", "bodleian_1", "bodleian_2"]
TRUTH = {
    "imlist": DATABASE,
    "qimlist": ["q_a", "q_b"],
    "gnd": [
        {"bbx": [1.0, 2.0, 3.0, 4.0], "easy": [0, 1], "hard": [2], "junk": [5]},
        {"bbx": [1.0, 2.0, 3.0, 4.0], "easy": [], "hard": [4, 3], "junk": []},
    ],
}


@pytest.fixture
def oxford(tmp_path):
    folder = tmp_path / "roxford5k"
    folder.mkdir()
    rng = np.random.default_rng(0)
    np.save(folder / "database.npy", rng.normal(size=(6, 8)).astype(np.float32))
    np.save(folder / "query.npy", rng.normal(size=(2, 8)).astype(np.float32))
    with (folder / "gnd_roxford5k.pkl").open("wb") as file:
        pickle.dump({**TRUTH, "gnd": [{k: np.array(v) for k, v in entry.items()} for entry in TRUTH["gnd"]]}, file)
    return folder


def check(split, folder):
    assert len(split.train) == 0 and split.denominator == "relevant" and split.k is None
    names = [split.pool.key(i) for i in split.database]
    assert names == DATABASE
    truth = split.lists
    assert truth.ap == "trapezoid"
    positives = {level: [list(row) for row in rows] for level, rows in truth.positives.items()}
    junk = {level: [list(row) for row in rows] for level, rows in truth.junk.items()}
    assert positives == {"easy": [[0, 1], []], "medium": [[0, 1, 2], [3, 4]], "hard": [[2], [3, 4]]}
    assert junk == {"easy": [[2, 5], [3, 4]], "medium": [[5], []], "hard": [[0, 1, 5], []]}
    np.testing.assert_array_equal(split.pool.images.rows(split.query), np.load(folder / "query.npy"))
    np.testing.assert_array_equal(split.pool.images.rows(split.database), np.load(folder / "database.npy"))


def test_revisited_from_its_pickle_and_from_json(oxford, tmp_path):
    split = module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    check(split, oxford)
    (oxford / "gnd_roxford5k.pkl").unlink()
    (oxford / "gnd_roxford5k.json").write_text(json.dumps(TRUTH))
    again = module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    check(again, oxford)
    assert split.checksum == again.checksum
    with pytest.raises(DataError, match="roxford5k has 70 items in query, these files have 2"):
        load_protocol("roxford5k", tmp_path)


def test_descriptors_need_no_box(oxford, tmp_path):
    """They were computed already; what boxes there are, and whether they are boxes, is nobody's concern."""
    (oxford / "gnd_roxford5k.pkl").unlink()
    checksums = set()
    for box in ([1.0, 2.0, 3.0, 4.0], [9, 9, 1, 1], [-1, 0, 5, 5], "none", None):
        gnd = [entry | {"bbx": box} for entry in TRUTH["gnd"]]
        (oxford / "gnd_roxford5k.json").write_text(json.dumps(TRUTH | {"gnd": gnd}))
        split = module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
        check(split, oxford)
        checksums.add(split.checksum)
    assert len(checksums) == 1


def test_revisited_damaged(oxford, tmp_path):
    truth = oxford / "gnd_roxford5k.json"
    for change, message in [
        ({"gnd": TRUTH["gnd"][:1]}, "ground truth is for"),
        ({"imlist": [*DATABASE, "seventh"]}, "ground truth is for 7 images"),
        ({"gnd": [{"easy": [], "hard": []}] * 2}, "no imlist, qimlist and gnd"),
        ({"gnd": [{"easy": [6], "hard": [], "junk": []}] * 2}, "easy images outside of imlist"),
        ({"qimlist": ["q_a", "q_a"]}, r"gnd_roxford5k\.json lists 1 images more than once, 'q_a' for one"),
        ({"imlist": [*DATABASE[:5], "ashmolean_1"]}, "lists 1 images more than once, 'ashmolean_1' for one"),
    ]:
        truth.write_text(json.dumps(TRUTH | change))
        with pytest.raises(DataError, match=message):
            module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    truth.write_text("{")
    with pytest.raises(BitseekError, match="is not JSON"):
        module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    truth.write_text(json.dumps(TRUTH))
    (oxford / "query.npy").write_bytes(b"half a file")
    with pytest.raises(BitseekError, match=r"query\.npy is not an array"):
        module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    (oxford / "query.npy").unlink()
    with pytest.raises(DataError, match=r"there is no file .*query\.npy.* Put into"):
        module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)


def test_the_lists_is_not_executed(oxford, tmp_path):
    class Evil:
        def __reduce__(self):
            return eval, (f"open({str(tmp_path / 'victim')!r}, 'w')",)

    (oxford / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(TRUTH | {"x": Evil()}))
    with pytest.raises(BitseekError, match=r"asks to run .*eval"):
        module.oxford_paris(PROTOCOLS["roxford5k"], tmp_path, 0)
    assert not (tmp_path / "victim").exists()


@pytest.fixture
def gldv2(tmp_path):
    folder = tmp_path / "gldv2"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, n in (("train", 5), ("query", 2), ("index", 4)):
        np.save(folder / f"{name}.npy", rng.normal(size=(n, 8)).astype(np.float32))
    np.save(folder / "train_labels.npy", np.array([7, 1, 7, 203, 1]))
    (folder / "query_ids.txt").write_text("q1\nq2\n")
    (folder / "index_ids.txt").write_text("i1\ni2\ni3\ni4\n")
    (folder / "retrieval_solution_v2.1.csv").write_text(
        "id,images,Usage\nq0,None,Ignored\nq2,i4 i1 i4,Public\nq1,i2,Private\n"
    )
    return folder


def test_gldv2(gldv2, tmp_path):
    split = module.gldv2(PROTOCOLS["gldv2"], tmp_path, 0)
    assert split.pool.classes == ("1", "7", "203")
    assert split.pool.labels.numbers.tolist() == [1, 0, 1, 2, 0, -1, -1, -1, -1, -1, -1]
    assert split.k == 100 and split.denominator == "min"
    assert [split.pool.key(i) for i in split.query] == ["q1", "q2"]
    relevant = [[split.pool.key(i) for i in row] for row in split.lists.positives["all"]]
    assert relevant == [["i2"], ["i1", "i4"]]
    assert all(np.isin(row, split.database).all() for row in split.lists.positives["all"])
    np.testing.assert_array_equal(split.pool.images.rows(split.database), np.load(gldv2 / "index.npy"))
    assert isinstance(split.pool.images.parts[0], np.memmap)
    with pytest.raises(DataError, match="gldv2 has 1129 items in query, these files have 2"):
        load_protocol("gldv2", tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("query_ids.txt", "q1\n", "has 1 entries for 2 descriptors"),
        ("index_ids.txt", "i1\ni2\ni3\ni3\n", "lists 1 images more than once|is not in index_ids"),
        ("query_ids.txt", "q1\nq0\n", "no solution for 1 queries, 'q0'"),
        ("retrieval_solution_v2.1.csv", "id,images,Usage\nq1,i9,Public\nq2,i1,Public\n", "'i9' is not in index_ids"),
        ("retrieval_solution_v2.1.csv", "query,images\nq1,i1\n", "no columns id, images and Usage"),
    ],
)
def test_gldv2_damaged(gldv2, tmp_path, file, text, message):
    (gldv2 / file).write_text(text)
    with pytest.raises(DataError, match=message):
        module.gldv2(PROTOCOLS["gldv2"], tmp_path, 0)
