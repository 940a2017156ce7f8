"""Commands for images of one's own: encode, index, search."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from bitseek.cli.console import counting_bar, note, say, show_json, show_table
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Collection

BATCH = 256
"""Images that are added to a collection in one transaction."""


def encode(
    run: Path,
    paths: Annotated[list[Path], Parameter(negative_iterable="")],
    /,
    *,
    out: Path,
    device: str = "auto",
    threads: int | None = None,
) -> None:
    """Write the codes of images to a file.

    The file has `words` and `bits` (read it with `bitseek.Codes.load`), `paths`, and the model's `fingerprint`.

    Example: `bitseek encode runs/my-run photos --out codes.npz`

    Args:
        run: run folder of the hasher.
        paths: images, and folders of images.
        out: the .npz file to write.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
    """
    import numpy as np

    from bitseek.images import find_images
    from bitseek.run import load
    from bitseek.training import pick_device

    files = find_images(paths)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(str, paths))}")
    hasher = load(run, device=pick_device(device))
    with counting_bar("encoding") as bar:
        encoded = _encode_files(hasher, files, threads, bar)
    _report_unreadable(encoded.unreadable)
    if not len(encoded.ids):
        raise BitseekError("none of the images could be read, so nothing was written")
    kept = np.array([str(files[i]) for i in encoded.ids], np.str_)
    encoded.codes.save(out, paths=kept, fingerprint=np.str_(hasher.fingerprint))
    say(f"{out}: {len(kept)} codes of {hasher.bits} bits")


def index(
    collection: Path,
    folders: Annotated[list[Path], Parameter(negative_iterable="")],
    /,
    *,
    model: Path | None = None,
    device: str = "auto",
    threads: int | None = None,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Make a collection of images searchable, or bring it up to date.

    Only images that are new or were changed are encoded; those that are gone from the folders are taken out. The
    images themselves are never touched.

    Example: `bitseek index my-photos ~/Pictures --model runs/my-run`

    Args:
        collection: folder of the collection; it is made if it is not there.
        folders: images, and folders of images.
        model: run folder of the hasher; a collection that is there knows its own.
        device: cpu, cuda, cuda:1, mps or auto.
        threads: how many threads decode files.
        json: print the result as JSON.
    """
    from bitseek.collection import DATABASE, Collection
    from bitseek.images import find_images
    from bitseek.run import load
    from bitseek.training import pick_device

    there = (collection / DATABASE).is_file()
    if model is None and not there:
        raise BitseekError(f"{collection} is a new collection; say which hasher shall encode it: --model RUN")
    files = {str(file.resolve()): file for file in find_images(folders)}
    stamps = {path: _stamp(file) for path, file in files.items()}
    opened = Collection.open(collection) if there else None
    run = model if model is not None else Path(opened.model if opened else "")
    hasher = load(run, device=pick_device(device))
    if opened is None:
        opened = Collection.create(
            collection, bits=hasher.bits, model=str(run.resolve()), fingerprint=hasher.fingerprint
        )
    with opened as target:
        target.check_model(hasher.fingerprint)
        same = target.unchanged(stamps)
        wanted = [path for path in files if path not in same]
        removed = target.remove(_gone(target, folders, files))
        unreadable: dict[int, str] = {}
        with counting_bar("indexing") as bar:
            for start in range(0, len(wanted), BATCH):
                batch = wanted[start : start + BATCH]
                encoded = _encode_files(hasher, [files[path] for path in batch], threads, None)
                kept = [batch[i] for i in encoded.ids]
                target.add(kept, [stamps[path] for path in kept], encoded.codes)
                unreadable |= {start + i: text for i, text in encoded.unreadable.items()}
                target.remove(batch[i] for i in encoded.unreadable)
                bar(start + len(batch), len(wanted))
        _report_unreadable(unreadable)
        result = {
            "collection": str(collection),
            "items": len(target),
            "added": len(wanted) - len(unreadable),
            "unchanged": len(same),
            "removed": removed,
            "unreadable": [unreadable[i] for i in sorted(unreadable)],
        }
    if json:
        show_json(result)
    else:
        say(
            f"{collection}: {result['items']} images ({result['added']} encoded, {result['unchanged']} unchanged, "
            f"{removed} removed, {len(unreadable)} unreadable)"
        )


def search(
    collection: Path,
    images: Annotated[list[Path], Parameter(negative_iterable="")],
    /,
    *,
    k: Annotated[int, Parameter(name=("-k", "--k"))] = 10,
    model: Path | None = None,
    device: str = "auto",
    json: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Find the most similar images of a collection.

    Example: `bitseek search my-photos sunset.jpg -k 5`

    Args:
        collection: folder of the collection.
        images: what to search for.
        k: how many images to find for each.
        model: run folder of the hasher, if it is not where it was any more.
        device: cpu, cuda, cuda:1, mps or auto.
        json: print the result as JSON.
    """
    from bitseek.collection import Collection
    from bitseek.run import load
    from bitseek.training import pick_device

    if k < 1:
        raise BitseekError(f"-k is 1 or more, got {k}")
    for image in images:
        if not image.is_file():
            raise BitseekError(f"there is no image {image}")
    with Collection.open(collection) as source:
        hasher = load(model or source.model, device=pick_device(device))
        source.check_model(hasher.fingerprint)
        codes = hasher.encode(images)
        found = source.search(codes, k)
    if json:
        show_json([
            {"query": str(image), "code": code, "hits": [vars(hit) for hit in hits]}
            for image, code, hits in zip(images, codes.hex(), found, strict=True)
        ])  # fmt: skip
        return
    for image, hits in zip(images, found, strict=True):
        show_table([{"distance": hit.distance, "image": hit.path} for hit in hits], title=str(image))


def _encode_files(hasher: Any, files: list[Path], threads: int | None, progress: Any) -> Any:
    from bitseek.data.pool import Paths
    from bitseek.encode import encode as encode_pool

    return encode_pool(hasher, Paths(Path(), tuple(map(str, files))), threads=threads, progress=progress)


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise BitseekError(f"cannot look at {file}: {error.strerror}") from error
    return status.st_size, status.st_mtime_ns


def _gone(target: "Collection", folders: list[Path], files: dict[str, Path]) -> list[str]:
    """Items below the folders that are not there any more."""
    roots = [folder.resolve() for folder in folders]
    return [
        path for path in target.paths if path not in files and any(Path(path).is_relative_to(root) for root in roots)
    ]


def _report_unreadable(unreadable: dict[int, str]) -> None:
    if unreadable:
        note(f"{len(unreadable)} images could not be read and were left out:")
        for text in list(unreadable.values())[:10]:
            note(f"  {text}")
