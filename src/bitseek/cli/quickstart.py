"""The command that shows everything once: quickstart."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from bitseek.cli.console import note, say, show_json, training_bar
from bitseek.errors import BitseekError

EPOCHS, BITS, QUERIES, HITS = 30, 32, 8, 10


def quickstart(folder: Path = Path("quickstart"), /, *, json: Annotated[bool, Parameter(negative="")] = False) -> None:
    """Train, measure, index and search, offline, in a minute: handwritten digits of scikit-learn, OrthoHash, 32 bits.

    Leaves in the folder a run, the images, a collection, and `hits.png`: queries with what was found for them.

    Example: `bitseek quickstart`

    Args:
        folder: where to put it; what an earlier quickstart left there is made anew.
        json: print the result as JSON.
    """
    import shutil

    from bitseek.data import protocol as load_protocol
    from bitseek.evaluation import evaluate
    from bitseek.training import train

    parts = [folder / name for name in ("run", "images", "collection", "hits.png")]
    if folder.exists() and not (folder / "run" / "config.json").is_file() and any(folder.iterdir()):
        raise BitseekError(f"{folder} holds something that is no quickstart; give another folder")
    for part in parts:
        shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    run, images, collection, picture = parts

    note("1/4  training OrthoHash on 1,200 digits …")
    data = load_protocol("digits")
    with training_bar() as bar:
        hasher = train("orthohash", data, bits=BITS, out=run, progress=bar, **RECIPE)
    note("2/4  measuring …")
    from bitseek.cli.learn import keep_report

    report = evaluate(hasher, data)
    keep_report(run, report)
    note("3/4  indexing the database …")
    files = _write_images(data, data.database, images)
    from bitseek.collection import Collection

    with Collection.create(collection, bits=BITS, model=str(run.resolve()), fingerprint=hasher.fingerprint) as target:
        stamps = [(file.stat().st_size, file.stat().st_mtime_ns) for file in files]
        target.add([str(file.resolve()) for file in files], stamps, hasher.encode(files))
        note("4/4  searching …")
        _draw(target, hasher, data, picture)
    result = {
        "mAP": report.mAP,
        "mAP_worst": report.mAP_worst,
        "mAP_best": report.mAP_best,
        "bits": BITS,
        "queries": report.retrieval.queries,
        "database": report.retrieval.database,
        "run": str(run),
        "collection": str(collection),
        "picture": str(picture),
    }
    if json:
        show_json(result)
        return
    say(f"mAP@all {report.mAP:.4f} (bounds over ties {report.mAP_worst:.4f} … {report.mAP_best:.4f}), {BITS} bits")
    say(f"{picture}: digits that the model has not seen, and the nearest in the database")
    example = files[0]
    say(f"next: bitseek search {collection} {example}   or   bitseek train orthohash folder:YOUR-PICTURES")


RECIPE: dict[str, Any] = {"epochs": EPOCHS, "batch_size": 64, "lr": 1e-3, "augment": "crop", "codebook": "spread"}


def _write_images(data: Any, indices: Any, folder: Path) -> list[Path]:
    """Items of a protocol in memory as PNG files, one folder a class."""
    from PIL import Image

    files = []
    for i in indices.tolist():
        place = folder / data.pool.classes[data.pool.labels[i]]
        place.mkdir(parents=True, exist_ok=True)
        files.append(place / f"{i:05d}.png")
        Image.fromarray(data.pool.images.array[i]).save(files[-1])
    return files


def _draw(target: Any, hasher: Any, data: Any, picture: Path) -> None:
    """The first query of each of some classes, with its nearest items."""
    import numpy as np

    from bitseek.images import decode
    from bitseek.picture import Tile, hits_picture

    labels, pixels = data.pool.labels[data.query], data.pool.images.array
    chosen = [data.query[np.flatnonzero(labels == c)[0]] for c in range(QUERIES)]
    codes = hasher.encode([pixels[i] for i in chosen])
    rows = []
    for i, hits in zip(chosen, target.search(codes, HITS), strict=True):
        name = data.pool.classes[data.pool.labels[i]]
        row = [Tile(pixels[i], f"query {name}")]
        row += [Tile(decode(hit.path), f"d = {hit.distance}", Path(hit.path).parent.name == name) for hit in hits]
        rows.append(row)
    hits_picture(rows).save(picture)
