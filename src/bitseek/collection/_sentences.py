"""What goes wrong with the files of a collection, in sentences."""

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitseek.errors import RunError
from bitseek.images import printable

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def sentences(file: Path) -> Iterator[None]:
    """Turn every error of SQLite and of the system in the block into a `RunError` that says what to do.

    Args:
        file: which is read or written.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise RunError(_of_sqlite(printable(file), error)) from error
    except OSError as error:
        name = printable(file)
        if error.errno in _FULL:
            raise RunError(_full(name)) from error
        why = os.strerror(error.errno) if error.errno else str(error)
        raise RunError(f"cannot read or write {name}: {why}; see to its permissions and those of its folder") from error


def _of_sqlite(name: str, error: sqlite3.Error) -> str:
    kind = getattr(error, "sqlite_errorname", "") or ""
    if kind == "SQLITE_FULL":
        return _full(name)
    if kind.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return f"another program is writing to {name}; try again when it has finished"
    if kind.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        verb = "write to" if kind.startswith("SQLITE_READONLY") else "read or write"
        return f"cannot {verb} {name}: {error}; see to its permissions and those of its folder"
    if kind.startswith("SQLITE_IOERR"):
        return f"cannot read or write {name}: {error}; the disk may be full, or damaged. What was added before is kept"
    if kind.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return f"{name} is damaged ({error}); see what bitseek verify can repair, or index the images into a new folder"
    return f"{name} cannot be used: {error}"


def _full(name: str) -> str:
    return f"the disk is full: {name} could not grow. What was added before is kept; make room and try again"
