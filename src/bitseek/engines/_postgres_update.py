"""One change of a collection in PostgreSQL: made in a mirror on this machine, and brought to the server by and by."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bitseek.collection import Mirror, Progress, StoredItem
from bitseek.engines._postgres_server import Connection
from bitseek.engines._postgres_tables import Tables
from bitseek.errors import BitseekError

_EVERY = 5.0
"""Seconds between two times that what is done is staged; a kill loses at most the work of so many."""


class Change:
    """What `change` gives.

    Args:
        connection: of the writer.
        tables: of the collection.
        folder: which is empty, for the mirror.

    Attributes:
        collection: in the mirror, to be changed.
    """

    def __init__(self, connection: Connection, tables: Tables, folder: Path) -> None:
        self._connection, self._tables = connection, tables
        meta = tables.meta(connection)
        self._bits = meta.bits
        self._mirror = Mirror(
            folder,
            bits=meta.bits,
            fingerprint=meta.fingerprint,
            thumbnails=bool(meta.thumbnails),
            size=meta.size,
            roots=tables.roots(connection),
            ignored=tables.ignored(connection),
            items=tables.items(connection),
        )
        self.collection = self._mirror.collection
        self._folder = str(folder)
        self._staged = time.monotonic()

    def close(self) -> None:
        """Close the mirror."""
        self._mirror.close()

    def named(self, words: str) -> str:
        """Words about the mirror as words about the collection: its folder is called by the address."""
        return words.replace(self._folder, self._tables.address.shown)

    def staging(self, tell: Callable[[Progress], None] | None) -> Callable[[Progress], None]:
        """A function that stages what is done, now and then, and tells the progress."""

        def step(progress: Progress) -> None:
            if time.monotonic() - self._staged > _EVERY:
                with self._connection.transaction():
                    self._stage()
                self._staged = time.monotonic()
            if tell is not None:
                tell(progress)

        return step

    def publish(self) -> None:
        """Make all of it visible, in one transaction."""
        with self._connection.transaction():
            self._stage()
            self._tables.put_ignored(self._connection, self._mirror.ignored())
            self._tables.publish(self._connection)

    def _stage(self) -> None:
        thumbnails: set[bytes] = set()

        def changed() -> Iterator[StoredItem]:
            for item in self._mirror.changed():
                if item.hash is not None:
                    thumbnails.add(item.hash)
                yield item

        self._tables.stage(self._connection, changed(), self._bits)
        self._tables.stage_roots(self._connection, self._mirror.roots())
        self._tables.put_thumbnails(
            self._connection,
            ((key, jpeg) for key in sorted(thumbnails) if (jpeg := self._mirror.thumbnail(key)) is not None),
        )


@contextmanager
def change(connection: Connection, tables: Tables) -> Iterator[Change]:
    """A change of a collection in a block; what was done when an error ends it is published too, as in a folder.

    Args:
        connection: of the writer.
        tables: of the collection.

    Raises:
        BitseekError: what the block raises; the mirror's folder is called by the address in it.
    """
    with tempfile.TemporaryDirectory(prefix="bitseek-") as folder:
        one = Change(connection, tables, Path(folder))
        try:
            yield one
            one.publish()
        except BitseekError as error:
            _publish_what_is_done(one)
            if folder not in str(error):
                raise
            raise type(error)(one.named(str(error))) from error
        except BaseException:
            _publish_what_is_done(one)
            raise
        finally:
            one.close()


def _publish_what_is_done(one: Change) -> None:
    with suppress(Exception):  # the server may be what has failed; the error that is known says more
        one.publish()
