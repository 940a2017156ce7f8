"""Collection: what can be done with somebody's images on disk; each method stands on the module of its concept."""

import json
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bitseek._checks import as_array, as_ids, whole_number
from bitseek._files import FilePath, user_path
from bitseek.codes import Codes
from bitseek.collection import _create, _formats, _import, _items, _roots
from bitseek.collection._batch import ROWS, Batch
from bitseek.collection._connections import transaction
from bitseek.collection._contents import Contents
from bitseek.collection._duplicates import Duplicates
from bitseek.collection._encoder import AnyEncoder, Encoder
from bitseek.collection._items import DATABASE, get_meta, is_pending
from bitseek.collection._lock import Progress
from bitseek.collection._published import MakeSearch
from bitseek.collection._roots import roots_of
from bitseek.collection._sentences import sentences
from bitseek.collection._update import Update, Updater
from bitseek.collection._verify import Verification, Verifier
from bitseek.collection._writer import Writer, writer
from bitseek.errors import BitseekError, RunError
from bitseek.images import printable

REMOVED = "it was removed from the collection by hand"


class Collection(Contents):
    """A folder on disk with items and their codes. `open` one that is there, or `create` one; both work in a `with`.

    Any number of threads and processes may search while one updates. A collection object shows the items as of the
    update that was the last when it was opened, or when `refresh` was called, or when it updated itself.

    Attributes:
        folder: where it is.
        bits: length of its codes.
        fingerprint: of the model that made them.
    """

    _is_new = False

    @classmethod
    def create(
        cls,
        folder: FilePath,
        *,
        hasher: Encoder,
        features: bool = False,
        thumbnails: bool = True,
        made_with: Mapping[str, Any] | None = None,
    ) -> "Collection":
        """Make an empty collection for the codes of a hasher, which is copied into it.

        In a `with` that fails before anything was added, it is removed again.

        Args:
            folder: which does not exist, or is empty.
            hasher: what `bitseek.load` gives.
            features: whether to keep the features of each image too (2 bytes a number), to re-rank hits by them.
            thumbnails: whether to keep a small picture of each image.
            made_with: what to record of how it is made, by name, of values that JSON can hold; see `made_with`.

        Raises:
            BitseekError: the folder holds something already, or cannot be made; the hasher is none, or cannot be saved.
        """
        if not isinstance(hasher, Encoder):
            raise BitseekError(f"a hasher is what bitseek.load gives, got {hasher!r:.80}")
        made = cls(cls._make(folder, hasher, features=features, thumbnails=thumbnails, made_with=made_with))
        made._is_new = True
        return made

    @staticmethod
    def _make(
        folder: FilePath, hasher: Encoder, *, features: bool, thumbnails: bool, made_with: Mapping[str, Any] | None
    ) -> FilePath:
        """Make the place of an empty collection."""
        return _create.make(folder, hasher, features=features, thumbnails=thumbnails, made_with=made_with)

    @classmethod
    def open(cls, folder: FilePath, *, index: MakeSearch | None = None) -> "Collection":
        """Open a collection; what a killed update left behind is taken over.

        Args:
            folder: of the collection.
            index: makes the search over the codes of all items, from the folder, the codes, and the ids that are gone;
                None for a `HammingIndex` (see `bitseek.engines` for others).

        Raises:
            RunError: there is none, or it is damaged or may not be read, or an older bitseek made it.
        """
        if not cls.exists(folder):
            raise RunError(_no_collection(user_path(folder)))
        return cls(folder, index)

    @staticmethod
    def exists(folder: FilePath) -> bool:
        """Whether there is a collection.

        Raises:
            RunError: that cannot be found out, as a folder on the way to it may not be looked into.
        """
        file = user_path(folder) / DATABASE
        with sentences(file):
            try:
                return stat.S_ISREG(file.stat().st_mode)
            except (FileNotFoundError, NotADirectoryError):
                return False

    @property
    def made_with(self) -> dict[str, Any] | None:
        """What `create` was told to record of how it was made; None if that was nothing.

        Raises:
            RunError: it is damaged.
        """
        with self._items.reading() as connection:
            recorded = _items.get_made_with(connection)
        try:
            return None if recorded is None else dict(json.loads(recorded))
        except (TypeError, ValueError) as error:
            raise RunError(f"what {printable(self.folder)} was made with is damaged: {error}") from error

    def __enter__(self) -> "Collection":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        useless = False
        if self._is_new and error is not None:
            with suppress(BitseekError), self._items.reading() as connection:
                meta = get_meta(connection, self.folder / DATABASE)
                useless = not meta.size and not is_pending(connection, meta)
        self.close()
        if useless:
            _create.unmake(self.folder)

    def update(
        self,
        folders: FilePath | Iterable[FilePath] | None = None,
        *,
        hasher: AnyEncoder | None = None,
        threads: int | None = None,
        progress: Callable[[Progress], None] | None = None,
        wait: float = 0.0,
    ) -> Update:
        """Encode the images that are new or were changed, and take out those that are gone.

        A file that was renamed, moved, copied or touched keeps its code. Unreadable files are remembered, and tried
        again when they change. Items elsewhere stay as they are, and no image file is touched. Stopped or killed, an
        update keeps what it has done, and the next one goes on from there.

        Args:
            folders: images, and folders of images (see `bitseek.images.find_images`), which are remembered; None for
                all that were ever given, as far as they are there: of the others the items stay, and `Update.missing`
                names them.
            hasher: that of the collection, or what loads it; if not given, the copy in the collection is loaded.
            threads: how many read, decode and encode; by default one a processor.
            progress: called with the progress while it works.
            wait: seconds to wait if another program is writing.

        Raises:
            BitseekError: a folder is not there, the hasher is another one, another program is writing, or nothing can
                be written.
        """
        threads = None if threads is None else whole_number(threads, "threads")
        with self._writing(wait) as one:
            encoder = cache(lambda: self._model.given(hasher))
            return Updater(one, self._items, encoder, progress, threads).run(folders)

    def remove(self, ids: Any, *, wait: float = 0.0) -> int:
        """Take items out of the collection; their files stay, and are left out until they change. How many there were.

        Raises:
            ShapeError: what is no whole number, as a mask of bool is not.
            BitseekError: an id that was never given; nothing can be written.
        """
        with self._writing(wait) as one:
            given = as_array(ids, "ids").reshape(-1)
            numbers = np.unique(as_ids(given, one.meta.size, of="this collection")).tolist()
            with transaction(one.connection):
                one.connection.executemany(
                    "INSERT OR REPLACE INTO ignored SELECT root, path, size, mtime_ns, ?, 1 FROM items "
                    "WHERE id = ? AND removed_in IS NULL AND path NOT NULL",
                    ((REMOVED, id) for id in numbers),
                )
                return _items.remove(one.connection, numbers, one.generation)

    def forget(self, folder: FilePath, *, wait: float = 0.0) -> int:
        """Take a folder that was indexed out of the collection, whether it is there or not; how many items it had.

        Raises:
            BitseekError: no such folder was indexed; nothing can be written.
        """
        with self._writing(wait) as one:
            roots = _roots.meant(_roots.roots_of(one.connection, self.folder), folder)
            with transaction(one.connection):
                return sum(_roots.forget(one.connection, root, one.generation) for root in roots)

    def add_codes(
        self,
        codes: Codes | FilePath,
        *,
        paths: Sequence[FilePath | None] | None = None,
        labels: Sequence[str | None] | None = None,
        root: FilePath = ".",
        progress: Callable[[Progress], None] | None = None,
        wait: float = 0.0,
    ) -> Update:
        """Add codes that were made elsewhere, by the same model: all of them or, if it fails, none.

        Their files are neither read nor looked for, and an update leaves such items alone; but one of a folder that
        they lie in takes them over, and need not encode those whose stamp or hash came with them. A path that is in
        the collection gets the new code.

        Args:
            codes: n of them; or a file of items that `export` wrote, or of codes from elsewhere (.npz, .parquet,
                .faiss).
            paths: of the files of n codes: absolute, or relative to `root`; None if they are not known.
            labels: of n codes: texts, or None for an item without one; None if no item has one.
            root: folder of relative paths.
            progress: called with the progress.
            wait: seconds to wait if another program is writing.

        Raises:
            BitseekError: codes of another length or model, a path that comes twice, a file that cannot be read, or
                nothing can be written.
        """
        with ExitStack() as stack:
            if isinstance(codes, Codes):
                size, batches = len(codes), _import.batches_of(codes, paths, labels)
            else:
                source = stack.enter_context(_formats.read(codes, bits=self.bits))
                self._model.check_fingerprint(source.fingerprint or self.fingerprint, source.bits)
                size, batches = source.size, source.batches
            one = stack.enter_context(self._writing(wait))
            added = _import.add_codes(one, batches, root, progress, size)
        return Update(added, 0, 0, 0, {}, {}, {})

    def verify(self, repair: bool = True, *, hasher: AnyEncoder | None = None, wait: float = 0.0) -> Verification:
        """Check all that was written against its checksums, and repair what can be repaired.

        Args:
            repair: whether to write; if not, a collection that cannot be written can be checked too.
            hasher: of which to compare the fingerprint; if not given, the copy in the collection is loaded.
            wait: seconds to wait if another program is writing.

        Raises:
            BitseekError: another program is writing, or nothing can be written.
        """

        def fingerprint() -> str:
            self._model.given(hasher)  # or it is another model, and it says so
            return self.fingerprint

        if not repair:
            with self._items.reading() as connection:
                return Verifier(self.folder, connection, self._thumbnails, fingerprint, repair=False).run()
        with self._writing(wait, mend=False) as one:
            return Verifier(self.folder, one.connection, self._thumbnails, fingerprint, repair=True).run()

    # --- in other forms ---------------------------------------------------------------------------------------

    def duplicates(
        self,
        radius: int = 0,
        *,
        threads: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Duplicates:
        """Find all pairs of items within a radius, exactly; see `Duplicates` for the groups that they form.

        Args:
            radius: 0 or more, in bits.
            threads: at most so many for the search.
            progress: called with the number of codes that were searched for, and of all.
        """
        with self._reading() as (connection, published):
            hashes = dict(connection.execute("SELECT id, hash FROM items WHERE id < ?", (published.meta.size,)))
        alive = published.alive
        contents = [hashes.get(id) for id in alive.tolist()]
        return Duplicates.find(
            published.codes[alive], radius, ids=alive, hashes=contents, threads=threads, progress=progress
        )

    def export(self, file: FilePath) -> Path:
        """Write the items and their codes to a file for other programs.

        Args:
            file: whose name ends in .npz, .parquet or .faiss (codes by ids alone); where nothing is, or an earlier
                export.

        Returns:
            the file.

        Raises:
            BitseekError: another name, something else is there, or it cannot be written.
        """
        return _formats.write(file, self._batches(), bits=self.bits, fingerprint=self.fingerprint)

    # --- inside -----------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self, wait: float, *, mend: bool = True) -> Iterator[Writer]:
        """The one writer, in a block; what it did is published at the end, and shown by this object."""
        try:
            with writer(self.folder, self._items, self._thumbnails, wait=wait, mend=mend) as one:
                yield one
                one.publish()
                one.keep_clusters()
        finally:
            with suppress(BitseekError):
                self.refresh()

    def _batches(self) -> Iterator[Batch]:
        """All items as columns, as of one moment."""
        with self._reading() as (connection, published):
            roots = {root.id: root for root in roots_of(connection, self.folder)}
            ids = published.alive
            for start in range(0, len(ids), ROWS):
                some = ids[start : start + ROWS]
                stored = _items.rows_of(connection, some.tolist())
                rows = [stored[id] for id in some.tolist()]
                yield Batch(
                    ids=some,
                    codes=published.codes[some],
                    paths=[
                        None if row.root is None or row.path is None else roots[row.root].file(row.path) for row in rows
                    ],
                    labels=[row.label for row in rows],
                    widths=np.array([row.width for row in rows], np.int64),
                    heights=np.array([row.height for row in rows], np.int64),
                    sizes=np.array([row.size for row in rows], np.int64),
                    modified=np.array([row.mtime_ns for row in rows], np.int64),
                    hashes=[row.hash for row in rows],
                )


def _no_collection(folder: Path) -> str:
    """What to do where a folder is not a collection: name the one that `bitseek open` has made in it, or make one."""
    name = printable(folder)
    inside = next((entry for entry in sorted(folder.glob(".bitseek*")) if Collection.exists(entry)), None)
    if inside is not None:
        return f"{name} is not a collection, but holds one; name that: {shlex.quote(printable(inside))}"
    return f"{name} is not a collection; make one with: bitseek index {shlex.quote(name)} FOLDER --model RUN"
