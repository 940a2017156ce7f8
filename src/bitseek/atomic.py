"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bitseek.errors import BitseekError


@contextmanager
def atomic(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A place to write to, which becomes `path` when the block ends; after an error or a kill, `path` is as before.

    Raises:
        BitseekError: the file cannot be written.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise BitseekError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
