"""Plain arrays by name in one file; nothing in it is executed."""

import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from bitseek.atomic import atomic
from bitseek.errors import BitseekError


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file.

    Raises:
        BitseekError: no such file, or one that is damaged or holds objects.
    """
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise ValueError("it is not an archive")
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise BitseekError(f"there is no file {os.fspath(path)}") from error
    except OSError as error:
        raise BitseekError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    except (ValueError, TypeError, AttributeError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise BitseekError(f"{os.fspath(path)} is not an .npz file of plain arrays: {error}") from error


def write_npz(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Write arrays, atomically.

    Raises:
        BitseekError: the file cannot be written.
    """
    with atomic(path) as part, part.open("wb") as file:
        np.savez(file, **arrays)
