"""Commands for a collection of images: index, search."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli._arguments import COMPUTE, Compute, Files, Flag, Json
from bitseek.cli._console import note, note_unreadable, say, show, show_json, show_table, updating
from bitseek.errors import BitseekError, CodeWidthError

if TYPE_CHECKING:
    from bitseek.collection import Collection, Encoder, Hit, Item, Update


def index(
    collection: str,
    folders: Files | None = None,
    /,
    *,
    model: str | None = None,
    bits: int | None = None,
    features: Flag = False,
    codes: Path | None = None,
    wait: float = 0.0,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Make a collection of images searchable, or bring it up to date.

    Only images that are new or were changed are encoded; those that are gone from the folders are taken out, and one
    that was renamed or moved keeps its code. The images themselves are never touched. Labels are those of a labels.csv
    in a folder (columns path,label), else the names of its sub-folders.

    Example: `bitseek index my-photos ~/Pictures --model runs/my-run`, later `bitseek index my-photos`

    Args:
        collection: folder of the collection, or postgresql://USER@HOST/DATABASE?collection=NAME; it is made if it is
            not there.
        folders: images, and folders of images; without any, those that the collection knows.
        model: run folder, FILE.onnx or org/name of the hub: for a new collection, which keeps a copy of it.
        bits: of nested codes, how many first bits a new collection holds: a length of the model; all by default.
        features: keep the backbone's features too, for `search --rerank features`; for a new collection.
        codes: take codes from a file instead of images: what `export` wrote, or another .npz, .parquet or .faiss file
            of the same model's codes.
        wait: seconds to wait while another program writes to the collection.
    """
    from bitseek.engines import collection_exists, create_collection, open_collection, without_password

    name = without_password(collection)
    is_new = not collection_exists(collection)
    if is_new and model is None:
        raise BitseekError(
            f"{name} is a new collection; say which model shall encode it: --model RUN or --model FILE.onnx (or "
            "let one be fitted to a folder: bitseek open FOLDER)"
        )
    if is_new and not folders and codes is None:
        raise BitseekError(f"{name} is a new collection; say which folders it shall hold")
    if codes is not None and folders:
        raise BitseekError(
            f"--codes takes its images from {codes}, so {folders[0]} would not be looked at; leave it out, or index it "
            "by a second command"
        )
    if features and not is_new:
        raise BitseekError(f"{name} is there already; features are kept from the beginning, or not at all")
    hasher = None if model is None else loader(model, compute)
    if is_new:
        assert hasher is not None
        whole: Any = hasher()
        opened = create_collection(collection, hasher=whole if bits is None else whole.prefix(bits), features=features)
    else:
        opened = open_collection(collection)
    with opened:
        if bits not in (None, opened.bits):
            raise BitseekError(f"{name} holds codes of {opened.bits} bits, not of {bits}; make a new collection")
        load = hasher or partial(opened.encoder, compute.device, compute.threads)
        if hasher is not None and not is_new:
            _check(opened, hasher())
        try:
            with updating() as progress:
                if codes is None:
                    done = opened.update(
                        folders or None, hasher=load, threads=compute.threads, progress=progress, wait=wait
                    )
                else:
                    done = opened.add_codes(codes, progress=progress, wait=wait)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped; {len(opened)} images are indexed and can be found, and the same command goes on from there"
            ) from None
        items = len(opened)
    show(
        {"collection": name, "items": items, **done._asdict()},
        f"{name}: {in_words(items, done, 'encoded' if codes is None else 'imported')}",
        json,
    )
    note_left_out(done)


def search(
    collection: str,
    images: Files | None = None,
    /,
    *,
    k: Annotated[int | None, Parameter(name=("-k", "--k"))] = None,
    radius: int | None = None,
    label: str | None = None,
    like: str | None = None,
    code: str | None = None,
    rerank: Literal["logits", "features"] | None = None,
    model: str | None = None,
    compute: Compute = COMPUTE,
    json: Json = False,
) -> None:
    """Find the most similar images of a collection: to images, to one of its own, or to a code.

    Example: `bitseek search my-photos sunset.jpg -k 5`, `bitseek search my-photos --like 17 --radius 6`

    Args:
        collection: folder of the collection, or an address: postgresql://…, ray://….
        images: what to search for.
        k: how many images to find for each; by default 10, or with --radius all.
        radius: only those at most this Hamming distance away.
        label: only those with this label.
        like: search for what is like an item of the collection, given by its path or its number.
        code: search for a code in hexadecimal digits.
        rerank: order the nearest anew by the query's logits, or by features where the collection keeps them.
        model: the collection's model as another file, such as the .onnx of its run.
    """
    from bitseek.engines import open_collection

    if (bool(images) + (like is not None) + (code is not None)) != 1:
        raise BitseekError("a search is for one of three: images, --like ITEM, or --code HEX")
    with open_collection(collection) as opened:
        query: Any = images
        if like is not None:
            query = [item_of(opened, like)]
        elif code is not None:
            from bitseek.codes import Codes

            query = Codes.from_hex([code], opened.bits)
        found = opened.search(
            query,
            k=10 if k is None and radius is None else k,
            radius=radius,
            label=label,
            rerank=rerank,
            hasher=partial(opened.encoder, compute.device, compute.threads)
            if model is None
            else loader(model, compute),
        )
        recall = opened.recall
    names = [like or code] if images is None else [str(image) for image in images]
    if json:
        measured = {} if recall is None else {"recall": recall._asdict()}
        show_json([
            {"query": name, "hits": [_as_json(hit) for hit in hits]} | measured
            for name, hits in zip(names, found, strict=True)
        ])  # fmt: skip
        return
    if recall is not None:
        note(
            f"approximate: such searches found {100 * recall.share:.1f} % of the {recall.k} nearest of each of "
            f"{recall.queries} sampled queries"
        )
    for name, hits in zip(names, found, strict=True):
        show_table(_rows(hits), name)
        if not hits:
            say("nothing is that near" if radius is not None else "there is nothing to find")


def loader(model: str, compute: Compute) -> "Callable[[], Encoder]":
    """What loads a model, once, when it is needed."""

    @cache
    def load() -> "Encoder":
        from bitseek.portable import load as load_model

        return load_model(model, device=compute.device, threads=compute.threads)

    return load


def _check(opened: "Collection", encoder: "Encoder") -> None:
    """Refuse another model than that of the collection, also where there is nothing to encode.

    Raises:
        CodeWidthError: it is another one.
    """
    if not made_by(opened, encoder):
        raise CodeWidthError(
            f"the codes of {opened.folder} were made by model {opened.fingerprint}, not by {encoder.fingerprint}; "
            "leave out --model, or make a new collection"
        )


def made_by(opened: "Collection", encoder: "Encoder") -> bool:
    """Whether the codes of a collection are those of a model, or of its first bits."""
    from bitseek.collection import at_length
    from bitseek.portable import same_codes

    return same_codes(at_length(encoder, opened.bits).fingerprint, opened.fingerprint)


def item_of(opened: "Collection", name: str) -> "Item":
    """The item that a user means: a path, or a number.

    Raises:
        BitseekError: there is none.
    """
    item = opened.find(name) if name else None
    if item is not None:
        return item
    if name.isdecimal():
        return opened.item(int(name))
    raise BitseekError(
        f"{name or 'nothing'} is no item of {opened.folder}: give the path of an indexed image, or a number"
    )


def note_left_out(done: "Update") -> None:
    """Say what an update has left as it was, and what of a labels.csv it could not use.

    Raises:
        BitseekError: folders of the collection are not there; it is told after all else.
    """
    note_unreadable(list(done.unreadable.values()))
    for sentence in done.unmatched.values():
        note(sentence)
    if done.missing:
        raise BitseekError(f"all else is up to date, but {'; and '.join(done.missing.values())}")


def in_words(items: int, done: "Update", new: str = "encoded") -> str:
    """What an update did, and what there is now."""
    return (
        f"{items} images ({done.added} {new}, {done.moved} moved, {done.unchanged} unchanged, {done.removed} "
        f"removed, {len(done.unreadable)} unreadable)"
    )


def _as_json(hit: "Hit") -> dict[str, Any]:
    return {"distance": hit.distance, "score": hit.score, "item": hit.item._asdict()}


def _rows(hits: "list[Hit]") -> list[dict[str, Any]]:
    """The table of some hits, without columns that say nothing."""
    rows = [
        {
            "distance": hit.distance,
            "score": None if hit.score is None else f"{hit.score:.4f}",
            "label": hit.item.label,
            "image": hit.item.path or f"item {hit.item.id}",
        }
        for hit in hits
    ]
    empty = {name for name in ("score", "label") if all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]
