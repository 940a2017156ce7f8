"""Instance retrieval on stored descriptors: Google Landmarks v2, revisited Oxford and Paris.

Relevance is given by lists, not by labels. Descriptors are `.npy` files (n, D) float32 that stay on disk and are
memory-mapped.
"""

import csv
from pathlib import Path

import numpy as np

from bitseek._files import parse
from bitseek.data._pool import Pool
from bitseek.data._protocol import Protocol, RelevanceLists
from bitseek.data._sources import require, require_once
from bitseek.data._spec import ProtocolSpec
from bitseek.data.revisited import read_truth
from bitseek.errors import DataError
from bitseek.images import Features


def gldv2(spec: ProtocolSpec, root: Path, seed: int) -> Protocol:
    """The 1,129 counted test images are the queries, the index is searched, GLDv2-clean trains (Weyand et al. 2020)."""
    folder = root / "gldv2"
    names = ("train.npy", "query.npy", "index.npy", "train_labels.npy", "query_ids.txt", "index_ids.txt")
    solution = folder / "retrieval_solution_v2.1.csv"
    require([*(folder / name for name in names), solution], spec.needs, root)
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
        require_once(folder / file, ids)
    none = np.full(len(query) + len(index), -1)
    pool = Pool(
        Features((train, query, index)),
        np.concatenate([labels, none]),
        tuple(str(name) for name in names_of_classes.tolist()),
        keys=(*(f"train/{row}" for row in range(len(train))), *query_ids, *index_ids),
        name=spec.data_set,
    )
    nothing = tuple(np.empty(0, np.int64) for _ in query_ids)
    return Protocol(
        spec.name,
        pool,
        np.arange(len(train)),
        np.arange(len(train), start),
        np.arange(start, start + len(index)),
        k=spec.k,
        denominator="min",
        lists=RelevanceLists({"all": tuple(relevant[image] for image in query_ids)}, {"all": nothing}),
    )


def oxford_paris(spec: ProtocolSpec, root: Path, seed: int) -> Protocol:
    """70 queries with lists of easy, hard and junk images (Radenović et al. 2018). Nothing is trained on."""
    name = spec.name
    folder = root / name
    pickled, plain = folder / f"gnd_{name}.pkl", folder / f"gnd_{name}.json"
    files = [folder / "database.npy", folder / "query.npy"]
    file = plain if plain.is_file() else pickled
    require([*files, file], spec.needs, root)
    database, query = map(_mapped, files)
    truth = read_truth(file)
    images, queries = truth.images, truth.queries
    for names in (images, queries):
        require_once(file, names)
    if (len(database), len(query)) != (len(images), len(queries)):
        raise DataError(
            f"{folder}: the ground truth is for {len(images)} images and {len(queries)} queries, the descriptors are "
            f"{len(database)} and {len(query)}"
        )
    rows = np.arange(len(images) + len(queries))
    keys = (*images, *(f"query/{image}" for image in queries))
    pool = Pool(Features((database, query)), np.full(len(rows), -1), (), keys, name=spec.data_set)
    return Protocol(
        name,
        pool,
        rows[:0],
        rows[len(images) :],
        rows[: len(images)],
        denominator="relevant",
        lists=truth.lists,
    )


def _mapped(path: Path) -> np.ndarray:
    return parse(path, "an array that NumPy has saved", lambda path: np.lib.format.open_memmap(path, mode="r"))


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
