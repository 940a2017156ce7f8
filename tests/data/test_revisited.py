"""`revisited:PATH`: layout, levels, boxes, what is refused, and a training and a measurement on such a folder."""

import itertools
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from bitseek.data import load_protocol
from bitseek.data.revisited import read_truth
from bitseek.errors import DataError
from bitseek.evaluation import evaluate
from bitseek.images import Loose, Paths, decode
from bitseek.training import train

TRUTH = {
    "imlist": ["castle_1", "castle_2.png", "deep/bridge_1", "other_1"],
    "qimlist": ["castle_q", "bridge_q"],
    "gnd": [{"easy": [0], "hard": [1], "junk": [3]}, {"easy": [], "hard": [2], "junk": [0, 1]}],
}
DATABASE = ["jpg/castle_1.png", "jpg/castle_2.png", "jpg/deep/bridge_1.png", "jpg/other_1.png"]
QUERIES = ["jpg/castle_q.png", "jpg/bridge_q.png"]
TRAINING = ["train/b/1.png", "train/b/2.png", "train/a/1.png", "train/a/2.png", "train/none.png"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in (*DATABASE, *QUERIES, *TRAINING):
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)).save(file)
    (tmp_path / "set" / "gnd_set.json").write_text(json.dumps(TRUTH))
    return tmp_path / "set"


def rewrite(folder, **change):
    (folder / "gnd_set.json").write_text(json.dumps(TRUTH | change))


def names(split, role):
    images = split.pool.images
    return [file.relative_to(images.root).as_posix() for file in images.rows(getattr(split, role))]


def test_the_layout(folder):
    split = load_protocol(f"revisited:{folder}")
    assert isinstance(split.pool.images, Paths)
    assert names(split, "database") == DATABASE and names(split, "query") == QUERIES
    labels = dict(zip(names(split, "train"), split.pool.labels.numbers[split.train].tolist(), strict=True))
    assert labels == {"train/a/1.png": 0, "train/a/2.png": 0, "train/b/1.png": 1, "train/b/2.png": 1,
                      "train/none.png": -1}  # fmt: skip
    assert split.pool.classes == ("a", "b")
    assert (split.pool.labels.numbers[np.r_[split.database, split.query]] == -1).all()
    assert (split.k, split.denominator, split.lists.ap) == (None, "relevant", "trapezoid")
    positives = {level: [row.tolist() for row in rows] for level, rows in split.lists.positives.items()}
    junk = {level: [row.tolist() for row in rows] for level, rows in split.lists.junk.items()}
    assert positives == {"easy": [[0], []], "medium": [[0, 1], [2]], "hard": [[1], [2]]}
    assert junk == {"easy": [[1, 3], [0, 1, 2]], "medium": [[3], [0, 1]], "hard": [[0, 3], [0, 1]]}
    again = split.origin.load()
    assert again.checksum == split.checksum and again.pool.name == split.pool.name
    assert load_protocol(f"revisited:{folder}", k=2).k == 2


def test_nothing_to_train_on(folder):
    (folder / "train").rename(folder / "later")
    split = load_protocol(f"revisited:{folder}")
    assert len(split.train) == 0 and split.pool.classes == () and names(split, "query") == QUERIES


def test_a_query_with_a_box_shows_only_that(folder):
    boxed, plain = TRUTH["gnd"]
    rewrite(folder, gnd=[boxed | {"bbx": [1.4, 2.0, 8.6, 11.0]}, plain])
    split = load_protocol(f"revisited:{folder}")
    assert isinstance(split.pool.images, Loose)
    first, second = split.pool.images.rows(split.query)
    np.testing.assert_array_equal(first, np.asarray(Image.open(folder / QUERIES[0]))[2:11, 1:9])
    np.testing.assert_array_equal(decode(second), np.asarray(Image.open(folder / QUERIES[1])))
    checksums = {split.checksum}
    for box in ([1, 2, 9, 11], [1.4, 2.0, 8.6, 12.0], None):
        rewrite(folder, gnd=[boxed | {"bbx": box}, plain | {"bbx": None}])
        checksums.add(load_protocol(f"revisited:{folder}").checksum)
    assert len(checksums) == 3  # the first of these shows the same pixels


def test_two_queries_may_show_parts_of_one_image(folder):
    boxes = [[0, 0, 5, 9], [5, 0, 10, 9]]
    rewrite(
        folder,
        qimlist=["castle_q"] * 2,
        gnd=[entry | {"bbx": box} for entry, box in zip(TRUTH["gnd"], boxes, strict=True)],
    )
    split = load_protocol(f"revisited:{folder}")
    whole = np.asarray(Image.open(folder / QUERIES[0]))
    for shown, (left, top, right, bottom) in zip(split.pool.images.rows(split.query), boxes, strict=True):
        np.testing.assert_array_equal(shown, whole[top:bottom, left:right])
    assert len(np.unique(split.pool.item_hashes(split.query))) == 2


def test_the_checksum_sees_the_ground_truth(folder):
    """Which images are right decides a figure as much as which are searched."""
    first, second = TRUTH["gnd"]
    checksums = {load_protocol(f"revisited:{folder}").checksum}
    for change in ({"easy": [1], "hard": [0]}, {"junk": []}, {"easy": [0, 2]}, {"hard": []}):
        rewrite(folder, gnd=[first | change, second])
        checksums.add(load_protocol(f"revisited:{folder}").checksum)
    assert len(checksums) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imlist": [*TRUTH["imlist"][:3], "no"]}, "1 of 4 images .* the first is 'no', of which there are 0"),
        ({"qimlist": ["castle_q", "../x"]}, r"the first is '\.\./x'"),
        ({"qimlist": ["castle_q"]}, "is for 1 queries, and lists images for 2"),
        ({"imlist": TRUTH["imlist"][:3]}, "lists junk images outside of imlist"),
        ({"imlist": [*TRUTH["imlist"][:3], "castle_1"]}, r"gnd_set\.json lists 1 images .* 'jpg/castle_1\.png'"),
        ({"imlist": [*TRUTH["imlist"][:3], "castle_1.png"]}, r"gnd_set\.json lists 1 images .* 'jpg/castle_1\.png'"),
        ({"qimlist": ["castle_q"] * 2}, r"gnd_set\.json lists 1 images more than once, 'query/castle_q'"),
        ({"imlist": "abcd"}, "expected a list of str, got 'abcd'"),
        ({"qimlist": ["castle_q", 3]}, "expected a list of str, got one with 3"),
        ({"gnd": [{"easy": [], "hard": []}] * 2}, "no imlist, qimlist and gnd as expected: KeyError"),
        ({"gnd": [[], []]}, "no imlist, qimlist and gnd as expected"),
        *(
            ({"gnd": [TRUTH["gnd"][0] | entry, TRUTH["gnd"][1]]}, message)
            for entry, message in (
                ({"bbx": [5, 5, 5, 9]}, r"gnd_set\.json: the box of the query 'castle_q' is empty or begins outside"),
                ({"bbx": [-0.5, 0, 3, 3]}, "'castle_q' is empty or begins outside"),
                ({"bbx": [0, 0, 1e999, 3]}, "'castle_q' is empty or begins outside"),
                ({"bbx": [50, 50, 60, 90]}, r"castle_q\.png lies outside of the image"),
                ({"bbx": [5.2, 5, 5.4, 9]}, r"castle_q\.png lies outside of the image"),
                ({"bbx": [5, 5]}, r"gnd_set\.json: the box of the query 'castle_q' is left, top, .*, got \[5, 5\]"),
                ({"bbx": "abcd"}, "'castle_q' is left, top, right and bottom in pixels, got 'abcd'"),
                ({"easy": [0.0]}, "expected a list of int, got one with 0.0"),
                ({"easy": [1.7]}, "expected a list of int, got one with 1.7"),
                ({"easy": ["0"]}, "expected a list of int, got one with '0'"),
                ({"easy": [False]}, "expected a list of int, got one with False"),
                ({"easy": [[0]]}, r"expected a list of int, got one with \[0\]"),
                ({"easy": "0"}, "expected a list of int, got '0'"),
                ({"easy": None}, "expected a list of int, got None"),
                ({"easy": [-1]}, "lists easy images outside of imlist"),
                ({"easy": [10**30]}, "lists easy images outside of imlist"),
                ({"junk": [0]}, "lists 'castle_1' both as easy and as junk for the query 'castle_q'"),
                ({"hard": [2, 0]}, "lists 'castle_1' both as easy and as hard for the query 'castle_q'"),
                ({"junk": [3, 1]}, "lists 'castle_2.png' both as hard and as junk for the query 'castle_q'"),
            )
        ),
    ],
)
def test_a_ground_truth_that_does_not_fit(folder, change, message):
    rewrite(folder, **change)
    with pytest.raises(DataError, match=message):
        load_protocol(f"revisited:{folder}")


def test_two_images_of_one_name(folder):
    Image.new("RGB", (4, 4)).save(folder / "jpg" / "castle_1.jpg")
    with pytest.raises(DataError, match="not alone with their name; the first is 'castle_1', of which there are 2"):
        load_protocol(f"revisited:{folder}")
    rewrite(folder, imlist=["castle_1.png", *TRUTH["imlist"][1:]])
    assert names(load_protocol(f"revisited:{folder}"), "database") == DATABASE


def test_no_ground_truth_or_two_or_no_images(folder, tmp_path):
    (folder / "gnd.json").write_text(json.dumps(TRUTH))
    with pytest.raises(DataError, match=r"got 2 files .* and a folder jpg"):
        load_protocol(f"revisited:{folder}")
    with pytest.raises(DataError, match=r"got 0 files .* and no folder jpg\. .*Put into one folder"):
        load_protocol(f"revisited:{tmp_path / 'absent'}")


def test_a_training_and_a_measurement_on_it(folder):
    """Levels are measured against the published formula, in expectation over all orders of ties."""
    network = {"backbone": "small-cnn", "size": 8, "device": "cpu", "bits": 16}
    (folder / "train" / "none.png").unlink()
    hasher = train("orthohash", f"revisited:{folder}", epochs=1, batch_size=4, augment="none", **network)
    split = load_protocol(f"revisited:{folder}")
    adapted = hasher.adapted(split.pool.images.rows(split.database))
    for report, encoder in ((evaluate(hasher), hasher), (evaluate(hasher, adapt_batch_norm=True), adapted)):
        codes = {role: encoder.encode(split.pool.images.rows(getattr(split, role))) for role in ("query", "database")}
        bits = {role: each.to_bits().astype(int) for role, each in codes.items()}
        distances = (bits["query"][:, None] != bits["database"]).sum(axis=2)
        for level, measured in report.levels.items():
            expected = [
                np.mean([published_ap(order, positives, split.lists.junk[level][i]) for order in orders(row)])
                for i, (row, positives) in enumerate(zip(distances, split.lists.positives[level], strict=True))
                if len(positives)
            ]
            assert measured.mAP == pytest.approx(np.mean(expected))
            assert (measured.queries, measured.queries_without_relevant) == (2, 2 - len(expected))


def orders(distances):
    """The ranking of each order that the items may have lain in: all orders of ties, equally often."""
    return [sorted(items, key=distances.__getitem__) for items in itertools.permutations(range(len(distances)))]


def published_ap(ranking, positives, junk):
    """Average precision as revisitop's compute_map has it: junk taken out, then trapezoids."""
    kept = [item for item in ranking if item not in junk]
    ranks = [rank for rank, item in enumerate(kept) if item in positives]
    parts = [((j / rank if rank else 1.0) + (j + 1) / (rank + 1)) / 2 for j, rank in enumerate(ranks)]
    return sum(parts) / len(positives)


def test_the_published_pickle_is_read(tmp_path):
    arrays = [{**{kind: np.array(rows, np.int64) for kind, rows in entry.items()}, "bbx": np.array([0, 0, 2, 3.5])}
              for entry in TRUTH["gnd"]]  # fmt: skip
    file = tmp_path / "gnd_set.pkl"
    file.write_bytes(pickle.dumps(TRUTH | {"gnd": arrays}))
    truth = read_truth(file)
    assert [box.tolist() for box in truth.boxes] == [[0, 0, 2, 3.5]] * 2 and truth.images == tuple(TRUTH["imlist"])
    arrays[0]["easy"] = np.array([0.0])
    file.write_bytes(pickle.dumps(TRUTH | {"gnd": arrays}))
    with pytest.raises(DataError, match=r"expected a list of int, got one with 0\.0"):
        read_truth(file)
