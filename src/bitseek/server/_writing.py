"""What changes the collection: one update at a time, in a thread of its own, and images that are added."""

import hashlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bitseek.collection import Collection, Encoder, Item
from bitseek.errors import BitseekError
from bitseek.server._logging import log
from bitseek.server._pictures import FORMATS
from bitseek.server._refusal import Refusal, busy

_WAIT = 10.0
"""Seconds to wait for a writer in another process."""


class _Stopped(Exception):
    """The service ends; what was done is kept by the collection."""


class Writer:
    """Updates the collection, adds to it and removes from it.

    Args:
        collection: to be changed.
        add_to: folder for added images; None refuses them.
        encoder: gives what encodes them.
    """

    def __init__(self, collection: Collection, add_to: Path | None, encoder: Callable[[], Encoder]) -> None:
        self._collection = collection
        self._add_to = add_to
        self._encoder = encoder
        self._turn = threading.Lock()
        self._state = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.failure = ""
        """Why the last update failed, without names of files."""

    @property
    def running(self) -> bool:
        """Whether an update runs in this process."""
        return self._thread is not None and self._thread.is_alive()

    def start_update(self) -> None:
        """Look for what changed in all folders of the collection, in the background; nothing new if it does already."""
        with self._state:
            if not self.running:
                self._thread = threading.Thread(target=self._update, name="update", daemon=True)
                self._thread.start()

    def add(self, data: bytes, format: str) -> Item:
        """Write an image file into the folder for added ones, under the hash of its content, and index it.

        Args:
            data: an image that was found to be one.
            format: its format, a key of `FORMATS`.

        Raises:
            Refusal: 403, there is no such folder; 409, it was removed before; 503, it cannot be written or indexed now.
        """
        folder = self._add_to
        if folder is None:
            raise Refusal(403, "images cannot be added here; the owner can name a folder for them (--add-to)")
        target = folder / (hashlib.blake2b(data, digest_size=16).hexdigest() + FORMATS[format][1])
        try:
            _write_new(target, data)
            with self._my_turn():
                item = self._collection.find(target)
                if item is None:
                    update = self._collection.update(folder, hasher=self._encoder, wait=_WAIT, progress=self._check)
                    item = self._collection.find(target)
                if item is None:
                    raise self._left_out(target, update.unreadable)
        except (BitseekError, OSError) as error:
            log("image not added", error=error)
            raise busy("the image cannot be added now; the log of the service says why") from error
        log("image added", id=item.id)
        return item

    def remove(self, number: int) -> None:
        """Take an item out of the collection; its file stays.

        Raises:
            Refusal: 503, the collection cannot be written now.
        """
        try:
            with self._my_turn():
                self._collection.remove([number])
        except BitseekError as error:
            log("item not removed", id=number, error=error)
            raise busy("the item cannot be removed now; the log of the service says why") from error
        log("item removed", id=number)

    def stop(self) -> None:
        """End an update that runs; it goes on where it was when it is started again."""
        self._stopping = True
        if self._thread is not None:
            self._thread.join(_WAIT)

    def _update(self) -> None:
        log("update begins")
        self.failure = ""
        try:
            with self._turn:
                update = self._collection.update(hasher=self._encoder, wait=0.0, progress=self._check)
        except _Stopped:
            log("update stopped")
        except Exception as error:  # in a thread nobody else would tell
            self.failure = "the last update failed; the log of the service says why"
            log("update failed", error=error)
        else:
            log("update ends", result=str(update)[:500])
            for sentence in update.missing.values():
                self.failure = "a folder of the collection is not there; the log of the service says which"
                log("folder not there", reason=sentence)

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """Raises: Refusal, 503: another change takes long."""
        if not self._turn.acquire(timeout=_WAIT):
            raise busy("the collection is being updated; try again when /api/progress says that it is done")
        try:
            yield
        finally:
            self._turn.release()

    def _left_out(self, target: Path, unreadable: Mapping[str, str]) -> Refusal:
        """Why an update left out a file; its reasons are of those that cannot be read, not of those removed by hand."""
        reason = _reason(target, unreadable)
        if reason is None and _reason(target, self._collection.ignored()) is not None:
            return Refusal(
                409,
                "this image was removed from the collection, and is left out since; to have it again, the owner "
                f"deletes the file {target.name} from the folder for added images (serve --add-to); then send it again",
            )
        log("image not indexed", file=target.name, reason=reason or "the update did not find it")
        return busy("the image was written, but not indexed; the log of the service says why")

    def _check(self, progress: object) -> None:
        if self._stopping:
            raise _Stopped


def _reason(file: Path, reasons: Mapping[str, str]) -> str | None:
    """What is said of a file, by whatever path it goes there."""
    whole = os.path.realpath(file)
    same = (path for path in reasons if path.endswith(file.name) and os.path.realpath(path) == whole)
    return next((reasons[path] for path in same), None)


def _write_new(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, and never over another one."""
    part = target.with_name(f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), 0o644)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # of this name there is only this content
            os.link(part, target)
    finally:
        part.unlink()
