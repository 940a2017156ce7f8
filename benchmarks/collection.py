"""What a collection costs: opening and growing one of ten million items, an update without news, indexing PNG files.

    python benchmarks/collection.py large --items 10000000      # opening, first answer, adding 1,000 images
    python benchmarks/collection.py unchanged --items 1000 60000 # a second update, whole process
    BITSEEK_DATA=… python benchmarks/collection.py indexing --models RUN int8.onnx --images 60000
                                                                 # CIFAR-10 as PNG files against the bare forward pass

`large` and `unchanged` use a random projection as encoder and time whole processes, with the start of Python.
`indexing` takes run folders and ONNX files. Parts of the files alternate with the forward pass on ready squares, and
the models take turns, so that all meet the machine in the same state, the files in its memory; rates are compared with
those of the first model.
Beside the share of the bare rate stands what it would be if nothing but the images' own were added to the pass:
reading, hashing, decoding, resizing and the thumbnail, by one thread with no other beside it, shared out among all
processors.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.collection.projection import Projection

from bitseek.codes import Codes
from bitseek.collection import Collection
from bitseek.collection._compare import Wanted
from bitseek.collection._prepare import Claims, Preparer
from bitseek.collection._roots import Root
from bitseek.kernels.threads import thread_count
from record import record

FIRST = """
import time; began = time.perf_counter()
import sys
from bitseek.codes import Codes
from bitseek.collection import Collection
imported = time.perf_counter()
with Collection.open(sys.argv[1]) as collection:
    opened = time.perf_counter()
    query = Codes.from_hex([sys.argv[2]], collection.bits)
    first = collection.search(query, k=10)[0]
    answered = time.perf_counter()
    collection.search(query, k=10)
    print(imported - began, opened - imported, answered - opened, time.perf_counter() - answered, first[0].item.id)
"""
ADD = """
import sys
sys.path.insert(0, sys.argv[3])
from tests.collection.projection import Projection
from bitseek.collection import Collection
with Collection.open(sys.argv[1]) as collection:
    print(collection.update(sys.argv[2], hasher=lambda: Projection.load(collection.model)).added)
"""
UNCHANGED = """
import sys
from bitseek.collection import Collection
with Collection.open(sys.argv[1]) as collection:
    print(collection.update().unchanged, *sorted({"torch", "timm", "numba", "scipy", "onnxruntime"} & set(sys.modules)))
"""


class Labels(Sequence):
    """A hundred labels in turn, without a list of them."""

    def __init__(self, items: int) -> None:
        self.items = range(items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, which):
        chosen = self.items[which]
        return f"label {chosen % 100}" if isinstance(which, int) else [f"label {i % 100}" for i in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    large = commands.add_parser("large")
    large.add_argument("--items", type=int, default=10_000_000)
    large.add_argument("--random", action="store_true", help="codes without clusters")
    unchanged = commands.add_parser("unchanged")
    unchanged.add_argument("--items", type=int, nargs="+", default=[1000, 60_000])
    indexing = commands.add_parser("indexing")
    indexing.add_argument("--models", nargs="+", required=True)
    indexing.add_argument("--images", type=int, default=60_000)
    indexing.add_argument("--part", type=int, default=2000, help="files of one update, between two forward passes")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        if arguments.what == "large":
            result = _large(arguments.items, Path(place), random=arguments.random)
        elif arguments.what == "unchanged":
            result = {str(items): _unchanged(items, Path(place)) for items in arguments.items}
        else:
            result = _indexing(arguments.models, arguments.images, arguments.part, Path(place))
    print(json.dumps(result, indent=1))
    record(f"collection_{arguments.what}", result)


def _large(items: int, place: Path, *, random: bool) -> dict[str, object]:
    rng = np.random.default_rng(0)
    centres = rng.integers(0, 1 << 64, 1000, np.uint64)
    words = rng.integers(0, 1 << 64, items, np.uint64)
    if not random:  # near 1,000 centres, each bit flipped with probability 1/16, as codes of a trained hasher lie
        flips = words & rng.integers(0, 1 << 64, items, np.uint64)
        flips &= rng.integers(0, 1 << 64, items, np.uint64) & rng.integers(0, 1 << 64, items, np.uint64)
        words = centres[rng.integers(0, len(centres), items)] ^ flips
    codes = Codes(words[:, None], 64)
    began = time.perf_counter()
    with Collection.create(place / "c", hasher=Projection(bits=64)) as collection:
        collection.add_codes(codes, labels=Labels(items))
    imported = time.perf_counter() - began
    stamp = (place / "c" / "codes.bin").stat().st_ino
    first = [_first(place / "c", codes[i].hex()[0]) for i in range(5)]
    photos = _pictures(1000, place / "photos")
    growing = _timed(ADD, place / "c", photos, Path(__file__).parents[1])
    with Collection.open(place / "c") as collection:
        verified = time.perf_counter()
        assert len(collection) == items + 1000 and collection.codes[:items] == codes
        found = collection.verify(hasher=Projection(bits=64))
        verified = time.perf_counter() - verified
        assert found.ok and not found.findings, found
    return {
        "items": items,
        "codes": "random" if random else "in 1,000 clusters",
        "import_seconds": round(imported, 1),
        "import_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10,
        "first_answer_seconds_whole_process": [run["process"] for run in first],
        "of_which": first[-1],
        "adding_1000_images_seconds_whole_process": round(growing[0], 2),
        "codes_file_rewritten": (place / "c" / "codes.bin").stat().st_ino != stamp,
        "first_answer_after_adding": _first(place / "c", codes[0].hex()[0]),
        "verify_seconds": round(verified, 1),
        "bytes": {path.name: path.stat().st_size for path in (place / "c").iterdir() if path.is_file()},
    }


def _first(folder: Path, code: str) -> dict[str, float]:
    seconds, told = _timed(FIRST, folder, code)
    names = ("imports", "open", "first_search", "second_search")
    parts = dict(zip(names, map(float, told.split()[:4]), strict=True))
    return {name: round(value, 4) for name, value in {"process": seconds, **parts}.items()}


def _unchanged(items: int, place: Path) -> dict[str, object]:
    photos = _pictures(items, place / f"photos{items}")
    with Collection.create(place / f"c{items}", hasher=Projection(bits=64)) as collection:
        began = time.perf_counter()
        collection.update(photos, hasher=Projection(bits=64))
        first = time.perf_counter() - began
    seconds = []
    for _ in range(7):
        each, told = _timed(UNCHANGED, place / f"c{items}")
        assert told.split() == [str(items)], told
        seconds.append(round(each, 3))
    return {"whole_process_seconds": seconds, "median": statistics.median(seconds), "first_update": round(first, 1)}


def _indexing(models: list[str], images: int, part: int, place: Path) -> dict[str, object]:
    from bitseek.data import load_protocol
    from bitseek.portable import load

    pool = load_protocol("cifar10-1").pool.images.array[:images]
    for start in range(0, len(pool), part):
        folder = place / "photos" / f"{start:06d}"
        folder.mkdir(parents=True)
        for i, pixels in enumerate(pool[start : start + part]):
            Image.fromarray(pixels).save(folder / f"{i:05d}.png")
    hashers = [load(model) for model in models]
    taken = [_Taken(hasher, pool[: min(part, 512)], place / f"c{i}") for i, hasher in enumerate(hashers)]
    for folder in sorted((place / "photos").iterdir()):
        for each in taken:
            each.go_on(folder)
    found: dict[str, object] = {"images": len(pool)}
    for model, each in zip(models, taken, strict=True):
        indexing, bare, own = sum(each.indexing), sum(each.forward), sum(each.preparing)
        unchanged = [_timed(UNCHANGED, each.folder)[0] for _ in range(3)]
        found[Path(model).name] = {
            "fingerprint": each.hasher.fingerprint,
            "images_per_second": round(len(pool) / indexing, 1),
            "bare_forward_images_per_second": round(len(pool) / bare, 1),
            "share_of_the_bare_rate": round(bare / indexing, 4),
            "share_median_over_parts": round(float(np.median(np.divide(each.forward, each.indexing))), 4),
            "preparing_an_image_milliseconds_of_one_thread": round(1000 * own / len(pool), 3),
            "share_if_nothing_but_preparing_were_added": round(bare / (bare + own / thread_count()), 4),
            "rate_over_that_of_the_first": round(sum(taken[0].indexing) / indexing, 3),
            "second_update_whole_process_seconds": [round(seconds, 3) for seconds in unchanged],
        }
    return found


class _Taken:
    """Seconds that one model takes: for its forward pass alone, and for updates of its collection."""

    def __init__(self, hasher, pixels: np.ndarray, folder: Path) -> None:
        self.hasher, self.folder = hasher, folder
        squares = np.stack([hasher.preprocess.square(image) for image in pixels])
        self.images = len(squares)
        self.batches = [squares[i : i + 64] for i in range(0, len(squares), 64)]
        self.forward: list[float] = []
        self.preparing: list[float] = []
        self.indexing: list[float] = []
        hasher.logits_of(self.batches[0])
        Collection.create(folder, hasher=hasher).close()

    def go_on(self, photos: Path) -> None:
        files = sum(bool(path.read_bytes()) for path in photos.iterdir())
        began = time.perf_counter()
        for batch in self.batches:
            self.hasher.logits_of(batch)
        self.forward.append((time.perf_counter() - began) * files / self.images)
        self.preparing.append(self._prepare(photos) * files)
        with Collection.open(self.folder) as collection:
            began = time.perf_counter()
            assert collection.update(photos, hasher=self.hasher).added == files
            self.indexing.append(time.perf_counter() - began)

    def _prepare(self, photos: Path) -> float:
        """Seconds that the images themselves take, each."""
        preparer = Preparer(lambda: self.hasher, Claims(lambda key: False), thumbnails=True, features=False)
        root = Root(1, "folder", os.fsencode(photos), True)
        names = sorted(path.name for path in photos.iterdir())[:1000]
        files = [Wanted(root, os.fsencode(name), None, None, None, False) for name in names]
        began = time.perf_counter()
        assert all(preparer.prepared(file)[1] is not None for file in files)
        return (time.perf_counter() - began) / len(files)


def _pictures(items: int, folder: Path) -> Path:
    rng = np.random.default_rng(1)
    for i in range(items):
        path = folder / f"{i % 100:02d}" / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    return folder


def _timed(code: str, *arguments: object) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False, env=os.environ
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return time.perf_counter() - began, done.stdout


if __name__ == "__main__":
    main()
