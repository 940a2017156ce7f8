"""From a file to what is known of it, by threads: its bytes, their hash, and, if they are new, its pixels and code.

Contents that are known already, or that another thread has just begun with, are neither decoded nor encoded again.
"""

import hashlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bitseek.codes import Codes
from bitseek.collection._compare import Wanted
from bitseek.collection._encoder import Encoder, logits_and_features
from bitseek.collection._thumbnails import SIDE, thumbnail_of
from bitseek.collection._writer import features_of
from bitseek.errors import ImageError, ImageTooLarge
from bitseek.images import printable, stamp, upright

LARGEST = 1 << 30
"""Bytes of the largest file that is read."""

_TICK = 0.02
"""Seconds within which a file system may give two changes of a file the same time."""

HASH_BYTES = 16


class Picture(NamedTuple):
    """An image that must be encoded.

    Attributes:
        width, height: of the image, upright.
        thumbnail: JPEG; None if none are kept.
    """

    width: int
    height: int
    thumbnail: bytes | None


class Prepared(NamedTuple):
    """What a thread has found out about a file.

    Attributes:
        wanted: the file.
        size, mtime_ns: its stamp when it was read; −1 if it could not be.
        hash: of its bytes; None if they were not read.
        picture: if it must be encoded.
        reason: why it cannot be.
        is_gone: whether it is not there any more.
    """

    wanted: Wanted
    size: int = -1
    mtime_ns: int = -1
    hash: bytes | None = None
    picture: Picture | None = None
    reason: str | None = None
    is_gone: bool = False


class Claims:
    """Which contents are being encoded, so that no two threads begin with the same.

    Args:
        is_known: whether the code of a content is stored, by its hash.
    """

    def __init__(self, is_known: Callable[[bytes], bool]) -> None:
        self._is_known = is_known
        self._taken: set[bytes] = set()
        self._lock = threading.Lock()

    def take(self, key: bytes) -> bool:
        """Whether the caller is the one to encode a content: it is not known, and nobody else is at it."""
        with self._lock:
            if key in self._taken or self._is_known(key):
                return False
            self._taken.add(key)
            return True

    def settle(self, keys: set[bytes]) -> None:
        """Forget contents that are stored, or cannot be read."""
        with self._lock:
            self._taken -= keys


class Coded(NamedTuple):
    """What is stored of a picture by its encoder.

    Attributes:
        code: little-endian words.
        features: see `features_of`; None if none are kept.
    """

    code: bytes
    features: bytes | None


class Preparer:
    """What each thread does with files.

    Args:
        encoder: gives the encoder; called when the first image must be decoded.
        claims: see there.
        thumbnails: whether to make them.
        features: whether to keep them.
    """

    def __init__(self, encoder: Callable[[], Encoder], claims: Claims, *, thumbnails: bool, features: bool) -> None:
        self._encoder, self._claims, self._thumbnails, self._features = encoder, claims, thumbnails, features
        self._turns: threading.Semaphore | None = None
        self._lock = threading.Lock()

    def by_caller(self) -> bool:
        """Whether the encoder is one that no two threads shall ask at a time."""
        return self._at_once() == 1

    def coded(self, squares: np.ndarray) -> list[Coded]:
        """What is stored of the pictures with these squares; of several threads each waits for its turn."""
        encoder = self._encoder()
        with self._lock:
            turns = self._turns = self._turns or threading.Semaphore(self._at_once())
        rows = None
        with turns:
            if self._features:
                logits, rows = logits_and_features(encoder, squares)
            else:
                logits = encoder.logits_of(squares)
        words = Codes.from_logits(logits).words.astype("<u8")
        kept = [None] * len(words) if rows is None else [row.tobytes() for row in features_of(rows)]
        return [Coded(code.tobytes(), of_one) for code, of_one in zip(words, kept, strict=True)]

    def prepared(self, wanted: Wanted) -> tuple[Prepared, np.ndarray | None]:
        """Read a file, and decode it if its code is not known; the (s, s, 3) uint8 that the encoder sees then."""
        if wanted.same:
            return Prepared(wanted, hash=wanted.hash), None
        path = wanted.root.file(wanted.path)
        name = printable(path)
        try:
            contents, status = _read(path, name)
        except FileNotFoundError:
            return Prepared(wanted, reason=f"there is no file {name} any more", is_gone=True), None
        except OSError as error:  # tried again each time, as permissions and disks change without the file
            return Prepared(wanted, reason=f"cannot read {name}: {error.strerror or error}"), None
        except ImageError as error:
            return Prepared(wanted, *_stamp_of(path), reason=str(error)), None
        found = Prepared(wanted, *stamp(status), hashlib.blake2b(contents, digest_size=HASH_BYTES).digest())
        assert found.hash is not None
        if not self._claims.take(found.hash):
            return found, None
        try:
            picture, square = self._picture(contents, name)
        except ImageTooLarge as error:  # not the file's fault, so it is tried again each time
            return found._replace(size=-1, mtime_ns=-1, reason=str(error)), None
        except ImageError as error:
            return found._replace(reason=str(error)), None
        return found._replace(picture=picture), square

    def _at_once(self) -> int:
        return int(getattr(self._encoder(), "at_once", 1))

    def _picture(self, contents: bytes, name: str) -> tuple[Picture, np.ndarray]:
        preprocess = self._encoder().preprocess
        picture, (width, height) = upright(_Named(contents, name), min_side=preprocess.min_side)
        square = np.ascontiguousarray(preprocess.square(picture))
        thumbnail = None
        if self._thumbnails:
            if max(picture.size) < min(SIDE, max(width, height)):  # a JPEG, decoded at a smaller scale
                picture, _ = upright(_Named(contents, name), min_side=SIDE)
            thumbnail = thumbnail_of(picture)
        return Picture(width, height, thumbnail), square


class _Named(io.BytesIO):
    """The bytes of a file, which messages call by its name."""

    def __init__(self, contents: bytes, name: str) -> None:
        super().__init__(contents)
        self.name = name


def _read(path: bytes, name: str) -> tuple[bytes, os.stat_result]:
    """The bytes of a file, and its status from before they were read."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not block
    handle = os.open(path, flags)  # Python's file object would let the other threads in twice as often
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise ImageError(f"{name} is not a file")
        if not status.st_size:
            raise ImageError(f"{name} is empty (0 bytes)")
        if status.st_size > LARGEST:
            raise ImageError(f"{name} is larger than {LARGEST >> 20} MiB")
        age = time.time() - status.st_mtime
        if 0 <= age < _TICK:  # or a change that follows at once could not be told by the time
            time.sleep(_TICK - age)
            status = os.fstat(handle)
        contents = os.read(handle, status.st_size + 1)
        if len(contents) != status.st_size:  # it was changed, or is more than the system gives at once
            contents += b"".join(iter(lambda: os.read(handle, 1 << 24), b""))
        return contents, status
    finally:
        os.close(handle)


def _stamp_of(path: bytes) -> tuple[int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return -1, -1
    return stamp(status)
