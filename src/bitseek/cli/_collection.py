"""Commands for images of one's own: encode, index, search."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bitseek.cli._arguments import COMPUTE, Compute, Files, Json
from bitseek.cli._console import counting, note, show, show_json, show_table
from bitseek.errors import BitseekError, RunError

if TYPE_CHECKING:
    from bitseek.runs import Hasher


def encode(
    run: Path,
    images: Files,
    /,
    *,
    out: Path,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Write the codes of images to a file.

    The file has `words` and `bits` (read it with `bitseek.Codes.load`), `paths`, and the model's `fingerprint`.

    Example: `bitseek encode runs/my-run photos --out codes.npz`

    Args:
        run: run folder of the hasher.
        images: images, and folders of images.
        out: the .npz file to write.
    """
    import numpy as np

    from bitseek._files import free_target, names_in_npz
    from bitseek.images import find_images

    free_target(out, "a file of codes that encode wrote", lambda file: names_in_npz(file) >= {"words", "fingerprint"})
    files = find_images(images)
    if not files:
        raise BitseekError(f"there are no images in {', '.join(map(str, images))}")
    hasher = _loader(None, compute)(str(run))
    unreadable: dict[int, str] = {}
    with counting("encoding") as progress:
        codes = hasher.encode(files, threads=compute.threads, progress=progress, unreadable=unreadable)
    _note_unreadable(list(unreadable.values()))
    if not len(codes):
        raise BitseekError("none of the images could be read, so nothing was written")
    paths = [str(file) for i, file in enumerate(files) if i not in unreadable]
    codes.save(out, paths=np.array(paths, np.str_), fingerprint=np.str_(hasher.fingerprint))
    value = {"codes": str(out), "items": len(codes), "bits": codes.bits, "unreadable": list(unreadable.values())}
    show(value, f"{out}: {len(codes)} codes of {codes.bits} bits", json)


def index(
    collection: Path,
    folders: Files,
    /,
    *,
    model: Path | None = None,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Make a collection of images searchable, or bring it up to date.

    Only images that are new or were changed are encoded; those that are gone from the folders are taken out. The
    images themselves are never touched.

    Example: `bitseek index my-photos ~/Pictures --model runs/my-run`

    Args:
        collection: folder of the collection; it is made if it is not there.
        folders: images, and folders of images.
        model: run folder of the hasher; a collection that is there knows its own, and remembers where it is now.
    """
    from bitseek.collection import Collection

    load = _loader(model, compute)
    if Collection.exists(collection):
        opened = Collection.open(collection)
    elif model is not None:
        opened = Collection.create(collection, hasher=load(""), model=model)
    else:
        raise BitseekError(f"{collection} is a new collection; say which hasher shall encode it: --model RUN")
    with opened, counting("indexing") as progress:
        if model is not None:
            opened.move_model(model, load(""))
        done = opened.update(folders, hasher=load, threads=compute.threads, progress=progress)
        items = len(opened)
    _note_unreadable(list(done.unreadable.values()))
    show(
        {"collection": str(collection), "items": items, **done._asdict()},
        f"{collection}: {items} images ({done.added} encoded, {done.unchanged} unchanged, {done.removed} removed, "
        f"{len(done.unreadable)} unreadable)",
        json,
    )


def search(
    collection: Path,
    images: Files,
    /,
    *,
    k: Annotated[int, Parameter(name=("-k", "--k"))] = 10,
    model: Path | None = None,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Find the most similar images of a collection.

    Example: `bitseek search my-photos sunset.jpg -k 5`

    Args:
        collection: folder of the collection.
        images: what to search for.
        k: how many images to find for each.
        model: run folder of the hasher, if it is not where it was any more.
    """
    from bitseek.collection import Collection

    with Collection.open(collection) as source:
        codes = source.encode(images, hasher=_loader(model, compute), threads=compute.threads)
        found = source.search(codes, k=k)
    if json:
        show_json([
            {"query": str(image), "code": code, "hits": [hit._asdict() for hit in hits]}
            for image, code, hits in zip(images, codes.hex(), found, strict=True)
        ])  # fmt: skip
        return
    for image, hits in zip(images, found, strict=True):
        show_table([{"distance": hit.distance, "image": hit.path} for hit in hits], str(image))


def _loader(model: Path | None, compute: Compute) -> "Callable[[str], Hasher]":
    """What loads the hasher of a run folder, once: of `model` if it is given."""

    @cache
    def load(run: str) -> "Hasher":
        from bitseek.runs import load as load_run

        if model is None and not Path(run).exists():
            raise RunError(f"the hasher is not in {run} any more; say where it is now: --model RUN")
        return load_run(model or run, device=compute.device)

    return load


def _note_unreadable(messages: list[str]) -> None:
    if messages:
        from bitseek.images import printable

        note(f"{len(messages)} images could not be read and were left out:")
        for message in messages[:10]:
            note(f"  {printable(message)}")
