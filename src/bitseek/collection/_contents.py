"""Contents of a collection: everything that only reads, by any number of threads and processes."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Literal, overload

import numpy as np
from jaxtyping import Int64

from bitseek._checks import whole_number
from bitseek._files import FilePath, user_path
from bitseek.codes import Codes, check_codes
from bitseek.collection import _map, _published, _search
from bitseek.collection._connections import Connections
from bitseek.collection._encoder import AnyEncoder, Encoder, Model
from bitseek.collection._item import Item, items_of
from bitseek.collection._items import DATABASE, get_meta, is_pending
from bitseek.collection._labels import as_label
from bitseek.collection._lock import Progress, holder, progress_of
from bitseek.collection._map import Map
from bitseek.collection._published import MakeSearch, Published
from bitseek.collection._roots import roots_of
from bitseek.collection._search import Hit, Limits, Queries, Rerank, queries_of, stored_features
from bitseek.collection._thumbnails import SIDE, Thumbnails, thumbnail_of
from bitseek.collection._writer import writer
from bitseek.errors import BitseekError, ImageError, RunError
from bitseek.images import decode, printable, stamp

MODEL, MAP = "model", "map.npz"

_AT = """
SELECT id FROM items WHERE root = ? AND path = ? AND removed_in IS NULL
UNION ALL SELECT id FROM items WHERE root = ? AND path = ? AND removed_in NOT NULL
"""
"""Rows of a path: that of now, and those of the last update, of which there are few."""


class Contents:
    """What can be asked of a collection; see `Collection`.

    Attributes:
        folder: where it is.
        bits: length of its codes.
        fingerprint: of the model that made them.
    """

    searches_here: ClassVar[bool] = True
    """Whether this process searches, rather than an engine."""

    def __init__(self, folder: FilePath, make_search: MakeSearch | None = None) -> None:
        self.folder = user_path(folder).absolute()  # for good: the program may go to another folder
        self._make_search = make_search
        self._items = Connections(self.folder / DATABASE)
        self._thumbnails = Thumbnails(self.folder / "thumbnails.sqlite")
        self._lock = threading.Lock()
        try:
            self._publish_what_was_left()
            with self._items.reading() as connection:
                self._published = self._load(connection)
        except BaseException:
            self.close()
            raise
        meta = self._published.meta
        self.bits, self.fingerprint = meta.bits, meta.fingerprint
        self._model = Model(self.model, self.bits, self.fingerprint)

    def close(self) -> None:
        """Close the files, and end the search."""
        if published := vars(self).get("_published"):
            published.close()
        self._items.close()
        self._thumbnails.close()

    def __repr__(self) -> str:
        return f"Collection({printable(self.folder)!r}, {len(self)} items of {self.bits} bits)"

    # --- what is in it ----------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self._published.meta.items

    @property
    def model(self) -> Path:
        """Folder of the model, for `bitseek.load`."""
        return self.folder / MODEL

    @property
    def generation(self) -> int:
        """Number of the update that this object shows."""
        return self._published.meta.generation

    @property
    def codes(self) -> Codes:
        """Codes of all ids that were ever given, memory-mapped; see `alive`."""
        return self._published.codes

    @property
    def alive(self) -> Int64[np.ndarray, " items"]:
        """The ids that can be found, ascending."""
        return self._published.alive

    def items(self, *, label: str | None = None, start: int = 0, limit: int | None = None) -> list[Item]:
        """Items by id.

        Args:
            label: only those with this label.
            start: how many to leave out at the beginning.
            limit: how many at most.

        Raises:
            LabelError: no item has the label.
        """
        whole_number(start, "start", 0)
        limit = None if limit is None else whole_number(limit, "limit", 0)
        label = None if label is None else as_label(label)
        with self._reading() as (connection, published):
            if label is None:
                ids = published.page(start, limit)
            else:
                ids = published.labelled(connection, label)[0][start : None if limit is None else start + limit]
            return list(self._items_of(connection, ids.tolist()).values())

    def item(self, id: int) -> Item:
        """One item.

        Raises:
            BitseekError: there is none with this id, or it is gone.
        """
        number = whole_number(id, "id", 0)
        with self._reading() as (connection, published):
            if number < published.meta.size and published.is_alive(number):
                return self._items_of(connection, [number])[number]
        raise BitseekError(f"there is no item {number} in {printable(self.folder)}, or it is gone")

    def find(self, path: FilePath) -> Item | None:
        """The item of a file; None if it is not in the collection."""
        given = os.fsencode(user_path(path))
        places = dict.fromkeys([os.path.abspath(given), os.path.realpath(given)])  # noqa: PTH100
        with self._reading() as (connection, published):
            for root in roots_of(connection, self.folder):
                for place in places:
                    below = root.relative(place)
                    if below is None:
                        continue
                    for (id,) in connection.execute(_AT, (root.id, below, root.id, below)):
                        if id < published.meta.size and published.is_alive(id):
                            return self._items_of(connection, [id])[id]
        return None

    def labels(self) -> dict[str, int]:
        """How many items have each label, by label."""
        with self._reading() as (_, published):
            return dict(published.labels)

    def ignored(self) -> dict[str, str]:
        """Files in the folders of the collection that are not items, by their paths, with the reason."""
        with self._reading() as (connection, _):
            roots = {root.id: root for root in roots_of(connection, self.folder)}
            rows = connection.execute("SELECT root, path, reason FROM ignored ORDER BY root, path").fetchall()
        return dict(roots[root].told(path, reason) for root, path, reason in rows if root in roots)

    def roots(self) -> list[str]:
        """The folders that were indexed; of the files that were given by name, their folders."""
        with self._reading() as (connection, _):
            roots = roots_of(connection, self.folder)
            return list(dict.fromkeys(os.fsdecode(root.folder) for root in roots if root.kind != "forgotten"))

    def thumbnail(self, id: int, *, make: bool = True) -> bytes:
        """A JPEG file of an item, of at most 256 px.

        Args:
            id: of the item.
            make: whether to make it from the image if none is stored.

        Raises:
            BitseekError: there is no such item.
            ImageError: none is stored, and none shall be made, or the image is gone, or is another one by now.
        """
        item = self.item(id)
        key = bytes.fromhex(item.hash)
        stored = self._stored_thumbnail(key) if key else None
        if stored is not None:
            return stored
        name = printable(item.path) if item.path else f"item {id}"
        if not make:
            raise ImageError(f"no thumbnail of {name} is stored")
        if not item.path or (item.hash and not self._is_as_indexed(item)):
            raise ImageError(f"there is no thumbnail of {name}, and its image is gone or was changed")
        return thumbnail_of(decode(item.path, min_side=SIDE))

    def statistics(self) -> dict[str, Any]:
        """Numbers about the collection: items, bits, labels, bytes on disk, and the share of ones of each bit."""
        return {
            "items": len(self),
            "bits": self.bits,
            "labels": self.labels(),
            "fingerprint": self.fingerprint,
            "ignored": len(self.ignored()),
            "bytes": self._bytes(),
            "generation": self.generation,
            "bit_balance": self._bit_balance(),
        }

    @property
    def recall(self) -> Any:
        """How much of the exact answer searches find, where an engine was asked for less; None if they are exact."""
        return None

    def progress(self) -> Progress | None:
        """How far the writer is, in whatever process; None if nobody writes."""
        return progress_of(self.folder)

    def refresh(self) -> bool:
        """Take over the newest update, if there is a newer one; searches that run keep theirs."""
        with self._lock:
            self._publish_what_was_left()
            with self._items.reading() as connection:
                meta = get_meta(connection, self.folder / DATABASE)
                if meta.generation == self._published.meta.generation:
                    return False
                self._published = self._load(connection)
        return True

    # --- search -----------------------------------------------------------------------------------------------

    def encoder(self, device: str = "cpu", threads: int | None = None) -> Encoder:
        """The hasher of the collection, loaded from its copy when it is first asked for."""
        return self._model_of().load(device, threads)

    @overload
    def search(
        self,
        query: Codes | list[Any] | tuple[Any, ...],
        *,
        k: int | None = 10,
        radius: int | None = None,
        label: str | None = None,
        rerank: Literal["logits", "features"] | None = None,
        hasher: AnyEncoder | None = None,
    ) -> list[list[Hit]]: ...
    @overload
    def search(
        self,
        query: Any,
        *,
        k: int | None = 10,
        radius: int | None = None,
        label: str | None = None,
        rerank: Literal["logits", "features"] | None = None,
        hasher: AnyEncoder | None = None,
    ) -> list[Hit]: ...
    def search(
        self,
        query: Any,
        *,
        k: int | None = 10,
        radius: int | None = None,
        label: str | None = None,
        rerank: Literal["logits", "features"] | None = None,
        hasher: AnyEncoder | None = None,
    ) -> list[Hit] | list[list[Hit]]:
        """The nearest items by (distance, id).

        Args:
            query: one image: a path, a binary file, a PIL image, an array; or an `Item`. Several: a list of such, or
                `Codes`. A file that is an unchanged item needs no hasher: its code is known.
            k: how many items at most; None for all within the radius.
            radius: only items at this distance or less, in bits.
            label: only items with this label.
            rerank: put the best candidates (ten for each wanted, 100 at least) into a better order: `logits` by the
                inner product of code and logits, `features` by the cosine of the features, if there are any; items
                that have none, as they were imported, come last with −1.
            hasher: that of the collection, or what loads it; if not given, the copy in the collection is loaded.

        Returns:
            hits of the image; or a list of the hits of each query.

        Raises:
            BitseekError: an image cannot be read, no item has the label, or the codes are of another model.
        """
        limits = Limits.of(k, radius, label, rerank)
        queries, single = self._queries(query, limits.rerank, hasher)
        with self._reading() as (connection, published):
            within = None if limits.label is None else published.labelled(connection, limits.label)
            found = _search.find(published, queries, limits, within)
            ids = np.unique(np.concatenate([np.zeros(0, np.int64), *(one.ids for one in found)]))
            items = self._items_of(connection, ids.tolist())
        hits = [_search.hits_of(one, items) for one in found]
        return hits[0] if single else hits

    def map(self) -> Map | None:
        """Places of the items in the plane, as `make_map` left them; None if it was not called yet."""
        published = self._published
        return _map.read(self.folder / MAP, published.codes, published.alive)

    def make_map(self, *, afresh: bool = False, threads: int | None = None) -> Map:
        """Give every item a place in the plane, near to items whose codes are at a small distance, and keep them.

        Args:
            afresh: whether to fit anew rather than to place new items beside those that have a place.
            threads: at most so many for the search of neighbours.

        Raises:
            BitseekError: the places cannot be written.
        """
        published = self._published
        generation = published.meta.generation
        return _map.make(
            self.folder / MAP, published.codes, published.alive, generation, afresh=afresh, threads=threads
        )

    # --- inside -----------------------------------------------------------------------------------------------

    def _queries(self, query: Any, rerank: Rerank | None, hasher: AnyEncoder | None) -> tuple[Queries, bool]:
        """What is searched for, as codes; and whether that is one image or item, rather than several."""
        single = not isinstance(query, Codes | list | tuple) or isinstance(query, Item)
        if isinstance(query, Codes):
            if rerank is not None:
                raise BitseekError(f"codes say nothing of {rerank}; re-rank the hits of images or items")
            queries = Queries(query)
        else:
            images = [(one, self._item_of(one)) for one in ([query] if single else query)]
            features = self._stored_features() if rerank == "features" else None
            queries = queries_of(images, self.bits, lambda: self._model_of().given(hasher), rerank, features)
        check_codes(queries.codes, bits=self.bits, of=f"this collection (model {self.fingerprint})")
        return queries, single

    def _model_of(self) -> Model:
        """The model of the collection."""
        return self._model

    def _stored_features(self) -> np.ndarray:
        """The features of the items; a BitseekError if there are none."""
        return stored_features(self._published)

    def _bytes(self) -> dict[str, int]:
        """Bytes on disk, by the name of the file or folder without its ending."""
        found: dict[str, int] = {}
        for entry in self.folder.iterdir():
            files = entry.rglob("*") if entry.is_dir() else [entry]
            name = entry.name.strip(".").partition(".")[0]
            found[name] = found.get(name, 0) + sum(file.stat().st_size for file in files if file.is_file())
        return dict(sorted(found.items()))

    def _bit_balance(self) -> list[float]:
        """The share of ones of each bit; empty if there are no items."""
        return self._published.bit_balance

    @contextmanager
    def _reading(self) -> Iterator[tuple[Any, Published]]:
        """A connection, and the update that this object shows, of which all rows are there."""
        with self._items.reading() as connection:
            published = self._published
            meta = get_meta(connection, self.folder / DATABASE)
            if meta.generation > published.meta.generation + 1:  # rows that it needs may be deleted
                published = self._load(connection)
                with self._lock:
                    if published.meta.generation > self._published.meta.generation:
                        self._published = published
            yield connection, published

    def _load(self, connection: Any) -> Published:
        """The last published update."""
        return _published.load(self.folder, connection, self._make_search)

    def _publish_what_was_left(self) -> None:
        """Publish what a writer left that was killed, if nobody is writing, and it is allowed."""
        with self._items.reading() as connection:
            pending = is_pending(connection, get_meta(connection, self.folder / DATABASE))
        if pending and holder(self.folder) is None:
            with suppress(RunError), writer(self.folder, self._items, self._thumbnails, wait=0.0, mend=False):
                pass  # what codes.bin lacks is left to the next writer, or to verify, which tells it

    def _items_of(self, connection: Any, ids: list[int]) -> dict[int, Item]:
        """Items by their ids, which are ascending, as are those that come back."""
        return items_of(connection, ids, roots_of(connection, self.folder), self.bits)

    def _stored_thumbnail(self, hash: bytes) -> bytes | None:
        return self._thumbnails.get(hash)

    def _item_of(self, query: Any) -> Item | None:
        """The item that a query is: itself, or that of a path whose file is as it was when it was encoded."""
        if isinstance(query, Item):
            return query
        if not isinstance(query, str | bytes | os.PathLike):
            return None
        item = self.find(query)
        return item if item is not None and self._is_as_indexed(item) else None

    @staticmethod
    def _is_as_indexed(item: Item) -> bool:
        try:
            status = os.stat(item.path)  # noqa: PTH116
        except OSError:
            return False
        return stamp(status) == (item.size, item.mtime_ns)
