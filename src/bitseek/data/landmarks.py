"""Instance retrieval on stored descriptors: Google Landmarks v2, revisited Oxford and Paris.

Relevance is given by lists, not by labels. Descriptors are `.npy` files (n, D) float32 that stay on disk and are
memory-mapped. The ground truth of revisited Oxford and Paris is published as a pickle; it is read by
`bitseek.data.plain_pickle`, which runs nothing, or from the same contents as JSON.
"""

import csv
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.data.plain_pickle import load_plain
from bitseek.data.pool import Features, Pool
from bitseek.data.protocol import GroundTruth, Protocol
from bitseek.data.sources import require
from bitseek.data.spec import ProtocolSpec
from bitseek.errors import DataError

GLDV2_NEEDS = (
    "Put into ROOT/gldv2: train.npy, query.npy and index.npy, descriptors (n, D) float32; train_labels.npy, the "
    "landmark of each training row; query_ids.txt and index_ids.txt, the image id of each row, one a line; and "
    "retrieval_solution_v2.1.csv (github.com/cvdfoundation/google-landmark)"
)
REVISITED_NEEDS = (
    "Put into ROOT/{name}: database.npy and query.npy, descriptors (n, D) float32 in the order of imlist and qimlist; "
    "and gnd_{name}.pkl (cmp.felk.cvut.cz/revisitop), or its contents as gnd_{name}.json"
)


def gldv2(root: Path, seed: int) -> Protocol:
    """The 1,129 counted test images ask the index; GLDv2-clean trains (Weyand et al. 2020)."""
    folder = root / "gldv2"
    names = ("train.npy", "query.npy", "index.npy", "train_labels.npy", "query_ids.txt", "index_ids.txt")
    solution = folder / "retrieval_solution_v2.1.csv"
    require([*(folder / name for name in names), solution], GLDV2_NEEDS.replace("ROOT", str(root)))
    train, query, index, landmarks = (_mapped(folder / name) for name in names[:4])
    query_ids, index_ids = ((folder / name).read_text(encoding="utf-8").split() for name in names[4:])
    for file, rows, ids in (("train_labels.npy", train, landmarks), ("query_ids.txt", query, query_ids),
                            ("index_ids.txt", index, index_ids)):  # fmt: skip
        if len(rows) != len(ids):
            raise DataError(f"{folder / file} has {len(ids)} entries for {len(rows)} descriptors")
    names_of_classes, labels = np.unique(landmarks, return_inverse=True)
    start = len(train) + len(query)
    relevant = _solution(solution, {image: start + row for row, image in enumerate(index_ids)})
    unknown = [image for image in query_ids if image not in relevant]
    if unknown:
        raise DataError(f"{solution} has no solution for {len(unknown)} queries, {unknown[0]!r} for one")
    for file, ids in (("query_ids.txt", query_ids), ("index_ids.txt", index_ids)):
        if len(set(ids)) < len(ids):
            raise DataError(f"{folder / file} lists an image more than once")
    none = np.full(len(query) + len(index), -1)
    pool = Pool(
        Features((train, query, index)),
        np.concatenate([labels, none]).astype(np.int64),
        tuple(str(name) for name in names_of_classes.tolist()),
        keys=(*(f"train/{row}" for row in range(len(train))), *query_ids, *index_ids),
    )
    nothing = tuple(np.empty(0, np.int64) for _ in query_ids)
    return Protocol(
        "gldv2",
        pool,
        np.arange(len(train)),
        np.arange(len(train), start),
        np.arange(start, start + len(index)),
        at=100,
        denominator="min",
        ground_truth=GroundTruth({"all": tuple(relevant[image] for image in query_ids)}, {"all": nothing}),
    )


def revisited(name: str, root: Path, seed: int) -> Protocol:
    """70 queries with lists of easy, hard and junk images (Radenović et al. 2018). Nothing is trained on.

    Easy: easy images count, hard and junk ones are ignored. Medium: easy and hard count, junk is ignored.
    Hard: hard images count, easy and junk ones are ignored.
    """
    folder = root / name
    pickled, plain = folder / f"gnd_{name}.pkl", folder / f"gnd_{name}.json"
    files = [folder / "database.npy", folder / "query.npy"]
    require(
        [*files, plain if plain.is_file() else pickled], REVISITED_NEEDS.format(name=name).replace("ROOT", str(root))
    )
    database, query = map(_mapped, files)
    truth = _json(plain) if plain.is_file() else load_plain(pickled)
    try:
        images, queries = [str(i) for i in truth["imlist"]], [str(i) for i in truth["qimlist"]]
        lists = {
            kind: tuple(np.asarray(entry[kind], np.int64).reshape(-1) for entry in truth["gnd"])
            for kind in ("easy", "hard", "junk")
        }
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{folder}: the ground truth has no imlist, qimlist and gnd as expected: {error!r}") from error
    if (len(database), len(query), len(lists["easy"])) != (len(images), len(queries), len(queries)):
        raise DataError(
            f"{folder}: the ground truth is for {len(images)} images and {len(queries)} queries, the descriptors are "
            f"{len(database)} and {len(query)}"
        )
    for kind, listed in lists.items():
        if any(len(row) and not (row.min() >= 0 and row.max() < len(images)) for row in listed):
            raise DataError(f"{folder}: the ground truth lists {kind} images outside of imlist")

    def joined(*kinds: str) -> tuple[np.ndarray, ...]:
        return tuple(np.unique(np.concatenate(each)) for each in zip(*(lists[kind] for kind in kinds), strict=True))

    truth_by_level = GroundTruth(
        {"easy": joined("easy"), "medium": joined("easy", "hard"), "hard": joined("hard")},
        {"easy": joined("junk", "hard"), "medium": joined("junk"), "hard": joined("junk", "easy")},
        ap="revisited",
    )
    rows = np.arange(len(images) + len(queries))
    keys = (*images, *(f"query/{image}" for image in queries))
    pool = Pool(Features((database, query)), np.full(len(rows), -1), (), keys)
    return Protocol(
        name,
        pool,
        rows[:0],
        rows[len(images) :],
        rows[: len(images)],
        denominator="relevant",
        ground_truth=truth_by_level,
    )


def _mapped(path: Path) -> np.ndarray:
    try:
        array: np.ndarray = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path} is not an array that NumPy has saved: {error}") from error
    return array


def _solution(path: Path, rows: dict[str, int]) -> dict[str, np.ndarray]:
    """For each query that counts: the pool indices of its relevant index images."""
    relevant = {}
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            if line.get("id") is None or line.get("images") is None or line.get("Usage") is None:
                raise DataError(f"{path} has no columns id, images and Usage")
            if line["Usage"] != "Ignored":
                images = [image for image in line["images"].split() if image != "None"]
                absent = [image for image in images if image not in rows]
                if absent:
                    raise DataError(f"{path}: {absent[0]!r} is not in index_ids.txt")
                relevant[line["id"]] = np.unique(np.array([rows[image] for image in images], np.int64))
    return relevant


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error


SPECS = (
    ProtocolSpec(
        name="gldv2",
        summary="Google Landmarks v2 on stored descriptors: 1,129 queries, 762 k index images, mAP@100",
        citation="Weyand et al. 2020; descriptors of Cao et al. 2020, DELG; OrthoHash's supplement",
        sizes=(None, 1_129, 761_757),
        at=100,
        needs=GLDV2_NEEDS,
        load=gldv2,
    ),
    *(
        ProtocolSpec(
            name=name,
            summary=f"revisited {city} on stored descriptors: 70 queries, easy / medium / hard; measures, never trains",
            citation="Radenović et al. 2018, Revisiting Oxford and Paris",
            sizes=(0, 70, images),
            at=None,
            needs=REVISITED_NEEDS.format(name=name),
            load=functools.partial(revisited, name),
        )
        for name, city, images in (("roxford5k", "Oxford", 4_993), ("rparis6k", "Paris", 6_322))
    ),
)
