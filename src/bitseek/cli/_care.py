"""Commands that look after a collection: dedup, verify, remove."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from bitseek.cli._arguments import Json
from bitseek.cli._collection import item_of
from bitseek.cli._console import counting, say, show, show_json, show_table
from bitseek.errors import BitseekError

if TYPE_CHECKING:
    from bitseek.collection import Item

SHOWN = 20
"""Groups that are shown; a file has all of them."""


def dedup(
    collection: str,
    /,
    *,
    radius: int | None = None,
    linkage: Literal["connected", "complete"] = "connected",
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Group the exact and near duplicates of a collection. Nothing is ever deleted.

    Exact are files with the same content, however they are called; near are images whose codes differ in at most
    --radius bits. The largest groups come first. The pairs at each distance, and the groups that a smaller radius would
    give, help to choose one.

    Example: `bitseek dedup my-photos --radius 4 --out groups.csv`

    Args:
        collection: folder of the collection.
        radius: most bits in which two duplicates differ; a sixteenth of the code by default.
        linkage: connected, where a chain of duplicates is one group; or complete, where every two of a group are near.
        out: .csv (a row an item) or .json file to write the groups to.
    """
    from bitseek.collection import write_groups
    from bitseek.engines import open_collection

    if out is not None and out.suffix.lower() not in (".csv", ".json"):
        raise BitseekError(f"groups are written as .csv or .json, got {out}")
    with open_collection(collection) as opened:
        wanted = opened.bits // 16 if radius is None else radius
        with counting("searching") as progress:
            found = opened.duplicates(wanted, progress=progress)
        wanted = found.radius  # not more than there are bits
        groups = found.groups(wanted, linkage)
        if out is not None:
            write_groups(out, groups, found, lambda ids: map(opened.item, ids))
        rows: list[dict[str, Any]] = [
            {"distance": distance, "exact": exact, "items": [_facts(opened.item(id)) for id in ids.tolist()]}
            for ids, distance, exact in (groups if json else groups[:SHOWN])
        ]
    histogram = found.histogram.tolist()
    smaller = [found.groups(each, linkage) for each in range(wanted + 1)]
    within = [{"radius": i, "groups": len(each), "images": len(each.ids)} for i, each in enumerate(smaller)]
    if json:
        show_json({"radius": wanted, "linkage": linkage, "groups": rows, "histogram": histogram, "within": within})
        return
    for number, row in enumerate(rows, 1):
        kind = "the same content" if row["exact"] else f"up to {row['distance']} bits apart"
        show_table([_shown(item) for item in row["items"]], f"{number}. {len(row['items'])} images, {kind}")
    if len(groups) > SHOWN:
        say(f"… and {len(groups) - SHOWN} more groups; all of them: --out groups.csv")
    show_table(
        [
            {"distance": i, "pairs": pairs, "groups within it": each["groups"], "images": each["images"]}
            for i, (pairs, each) in enumerate(zip(histogram, within, strict=True))
        ]
    )
    same, images = int(groups.exact.sum()), len(groups.ids)
    say(f"{len(groups)} groups of {images} images within {wanted} bits ({linkage}), {same} of them of the same content")


def verify(collection: str, /, *, repair: bool = True, json: Json = False) -> None:
    """Check every checksum of a collection, and repair what can be repaired.

    Codes, features and thumbnails are compared with what was recorded of them; a code that was damaged is restored,
    and an item that cannot be is encoded anew by the next `bitseek index`. The images themselves are only read.

    Example: `bitseek verify my-photos`

    Args:
        collection: folder of the collection.
        repair: whether to write; with --no-repair it is only told what is wrong.
    """
    from bitseek.engines import open_collection, without_password

    with open_collection(collection) as opened:
        found = opened.verify(repair=repair)
    if json:
        show_json({**asdict(found), "ok": found.ok})
    else:
        show_table([each._asdict() for each in found.findings], prose=True)
        files = f"{found.gone} of their files are not there now, {found.changed} were changed since"
        say(f"{without_password(collection)}: {found.items} images, {len(found.findings)} findings; {files}")
    if left := sum(not each.mended for each in found.findings):
        raise BitseekError(f"{left} findings in {collection} are not repaired; each of them says what to do")


def remove(
    collection: str, items: Annotated[list[str], Parameter(negative_iterable="")], /, *, json: Json = False
) -> None:
    """Take items out of a collection, so that no search finds them; their files are left alone.

    It is remembered: later updates do not take them in again, unless their file changes. A folder that was indexed is
    forgotten with all that is in it, also if it is not there any more.

    Example: `bitseek remove my-photos ~/Pictures/private.jpg`

    Args:
        collection: folder of the collection.
        items: paths of images, numbers of items, or folders that were indexed (one with digits for a name as ./7).
    """
    from bitseek.engines import open_collection, without_password
    from bitseek.images import printable

    with open_collection(collection) as opened:
        roots = opened.roots()
        folders = [each for each in items if not each.isdecimal() and os.path.realpath(each) in roots]
        others = [each for each in items if each not in folders]
        for each in others:
            if not each.isdecimal() and Path(each).is_dir():
                known = ", ".join(map(printable, roots))
                raise BitseekError(
                    f"{printable(each)} was not indexed by itself; the folders that were are {known}; give one of "
                    "these, or the images that shall go"
                )
        ids = [item_of(opened, each).id for each in others]
        count = sum(opened.forget(folder) for folder in folders) + (opened.remove(ids) if ids else 0)
        left = len(opened)
    value = {"removed": count, "items": left}
    show(value, f"{without_password(collection)}: {count} removed, {left} images left", json)


def _facts(item: "Item") -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("id", "path", "label", "width", "height", "size", "hash")}


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    pixels = f"{item['width']} × {item['height']}" if item["width"] else ""
    return {"id": item["id"], "pixels": pixels, "bytes": item["size"], "label": item["label"], "image": item["path"]}
