"""The command that shows everything once: quickstart."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bitseek.cli._arguments import Json
from bitseek.cli._console import note, say, show_json, training
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Collection
    from bitseek.data import Protocol
    from bitseek.runs import Hasher

BITS, QUERIES, HITS = 32, 8, 10
RECIPE: dict[str, Any] = {"epochs": 30, "batch_size": 64, "lr": 1e-3, "augment": "crop", "codebook": "spread"}
RUN = ("config.json", "model.safetensors", "metrics.jsonl", "report.json", "README.md", "checkpoint/state.pt")
COLLECTION = (
    "items.sqlite", "items.sqlite-wal", "items.sqlite-shm", "codes.bin", "thumbnails.sqlite", "writer.lock",
    "model/config.json", "model/model.safetensors", "model/README.md",
)  # fmt: skip


def quickstart(folder: Path = Path("quickstart"), /, *, json: Json = False) -> None:
    """Train, measure, index and search, offline, in a minute: handwritten digits of scikit-learn, OrthoHash, 32 bits.

    Leaves in the folder a run, the images, a collection, and `hits.png`: queries with what was found for them.

    Example: `bitseek quickstart`

    Args:
        folder: where to put it. What an earlier quickstart wrote there is made anew; other files are left alone.
    """
    from bitseek.collection import Collection
    from bitseek.data import load_protocol
    from bitseek.evaluation import evaluate
    from bitseek.runs import keep_report
    from bitseek.training import train

    data = load_protocol("digits")
    run, images, collection, picture = (folder / name for name in ("run", "images", "collection", "hits.png"))
    classes = data.pool.labels.numbers
    files = {int(i): images / data.pool.classes[classes[i]] / f"{i:05d}.png" for i in data.database}
    _make_room(
        folder, [*(run / name for name in RUN), *(collection / name for name in COLLECTION), *files.values(), picture]
    )

    note("1/4  training OrthoHash on 1,200 digits …")
    with training() as progress:
        hasher = train("orthohash", data, bits=BITS, out=run, progress=progress, **RECIPE)
    note("2/4  measuring …")
    report = evaluate(hasher, data)
    keep_report(run, report.to_json())
    note("3/4  indexing the database …")
    _write_images(data, files)
    with Collection.create(collection, hasher=hasher) as target:
        target.update(images, hasher=hasher)
        note("4/4  searching …")
        _draw(target, hasher, data, picture)
    result = {
        "figure": report.title,
        "mAP": report.mAP,
        "mAP_worst": report.mAP_worst,
        "mAP_best": report.mAP_best,
        "bits": BITS,
        "queries": len(report.queries.ids),
        "database": len(report.database.ids),
        "run": str(run),
        "collection": str(collection),
        "picture": str(picture),
    }
    if json:
        show_json(result)
        return
    say(f"{report.title}: {report.mAP:.4f}, {report.mAP_worst:.4f} … {report.mAP_best:.4f} over ties, {BITS} bits")
    say(f"{picture}: digits that the model has not seen, and the nearest in the database")
    say(f"next: bitseek search {collection} {next(iter(files.values()))}")
    say("  or: bitseek train orthohash folder:YOUR-PICTURES")


def _make_room(folder: Path, files: list[Path]) -> None:
    """Delete what an earlier quickstart wrote, and record which files this one is going to write.

    Raises:
        BitseekError: somebody else's file is in the way, or in the folders of the run and the collection.
    """
    from bitseek._files import OwnedFiles

    owned = OwnedFiles(folder, "quickstart.json")
    for part in (folder / "run", folder / "collection"):
        for file in part.rglob("*"):
            if file.relative_to(folder).as_posix() not in owned.names and not file.is_dir():
                raise BitseekError(f"{file} was not written by quickstart; move it away, or give another folder")
    names = [file.relative_to(folder).as_posix() for file in files]
    owned.add(names)
    owned.remove()
    owned.add(names)


def _write_images(data: "Protocol", files: dict[int, Path]) -> None:
    """Items of a protocol in memory as PNG files, one folder a class."""
    from PIL import Image

    for pixels, file in zip(data.pool.images.rows(list(files)), files.values(), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)


def _draw(target: "Collection", hasher: "Hasher", data: "Protocol", picture: Path) -> None:
    """The first query of each of some classes, with its nearest items."""
    import numpy as np

    from bitseek.images import Tile, decode, hits_picture

    classes = data.pool.labels.numbers
    chosen = [data.query[np.flatnonzero(classes[data.query] == c)[0]] for c in range(QUERIES)]
    pixels = data.pool.images.rows(chosen)
    rows = []
    for i, query, hits in zip(chosen, pixels, target.search(hasher.encode(pixels), k=HITS), strict=True):
        name = data.pool.classes[classes[i]]
        tiles = [Tile(decode(hit.item.path), f"d = {hit.distance}", hit.item.label == name) for hit in hits]
        rows.append([Tile(query, f"query {name}"), *tiles])
    hits_picture(rows).save(picture)
