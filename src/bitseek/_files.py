"""Files that are written whole or not at all, and the record of which files in a folder are bitseek's own."""

import json
import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np

from bitseek.errors import BitseekError, ShapeError

Value = TypeVar("Value")

FilePath = str | bytes | os.PathLike[str]

_PART = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.part", re.DOTALL)
"""Name of the temporary file of `atomic`, and in it the name of the file that it becomes."""


def user_path(path: FilePath, *, resolve: bool = False) -> Path:
    """A path that a user gave: a leading `~` is the home folder, unless there is a file of that very name.

    Args:
        path: text, bytes or a path object.
        resolve: whether to make it absolute and without links.

    Raises:
        BitseekError: something else, nothing, or what no file can be called.
    """
    try:
        text = os.fsdecode(os.fsencode(path))
    except (TypeError, UnicodeEncodeError):
        text = ""
    if not text or "\0" in text:
        raise BitseekError(f"a path is text, bytes or a Path, not empty and without NUL, got {path!r:.80}")
    if text.startswith("~") and not os.path.lexists(text):
        text = os.path.expanduser(text)  # noqa: PTH111  # it leaves the name of an unknown user as it is
    return Path(os.path.realpath(text) if resolve else text)


def free_target(path: FilePath, what: str, is_ours: Callable[[Path], bool] = lambda _: False) -> Path:
    """Where a result may be written: where nothing is, or an earlier result of the same kind.

    Args:
        path: of the result.
        what: such as "a page of bitseek report", for the message.
        is_ours: whether a file that is there is such a result.

    Raises:
        BitseekError: something else is there, or no folder for it.
    """
    target = user_path(path)
    if not target.parent.is_dir():
        raise BitseekError(f"cannot write {target}: there is no folder {target.parent}")
    try:
        taken = os.path.lexists(target) and not (target.is_file() and is_ours(target))  # a pipe would be read for ever
    except (OSError, ValueError, zipfile.BadZipFile):
        taken = True
    if taken:
        raise BitseekError(f"{target} exists and is not {what}; move it away, or give another name")
    return target


def names_in_npz(path: Path) -> set[str]:
    """Names of the arrays of an `.npz` file, without reading them."""
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


@contextmanager
def atomic(path: FilePath) -> Iterator[Path]:
    """A file beside `path` that replaces it when the block ends; after an error or a kill, `path` is as before.

    A link stays one, and what it leads to is replaced; a file that is replaced hands on its permissions.

    Raises:
        BitseekError: the file cannot be written, or `path` is a folder or a device.
    """
    target = user_path(path, resolve=True)
    part = target.parent / f".{target.name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        if target.exists() and not target.is_file():
            raise BitseekError(f"cannot write {target}: it exists and is not a file")
        yield part
        _sync(part)
        with suppress(FileNotFoundError):
            shutil.copymode(target, part)
        part.replace(target)
        with suppress(OSError):  # some systems cannot synchronise folders
            _sync(target.parent)
    except OSError as error:
        raise BitseekError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            part.unlink()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def parse(path: FilePath, what: str, parser: Callable[[Path], Value]) -> Value:
    """What `parser` makes of a file.

    Raises:
        BitseekError: no such file, or it cannot be read, or is not `what`, whatever the parser raised to say so.
    """
    file = user_path(path)
    try:
        return parser(file)
    except FileNotFoundError as error:
        raise BitseekError(f"there is no file {file}") from error
    except OSError as error:
        raise BitseekError(f"cannot read {file}: {error.strerror or error}") from error
    except Exception as error:
        if isinstance(error, BitseekError) and not isinstance(error, ShapeError):
            raise  # it names the file
        raise BitseekError(f"{file} is not {what}: {error}") from error


def read_npz(path: FilePath) -> dict[str, np.ndarray]:
    """All arrays of an `.npz` file, or a BitseekError; nothing in the file is executed."""

    def arrays(path: Path) -> dict[str, np.ndarray]:
        with path.open("rb") as raw:
            file = np.load(raw, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise ValueError("it is a single array")
            return {name: file[name] for name in file.files}

    return parse(path, "an .npz file of plain arrays", arrays)


def write_npy(path: FilePath, array: np.ndarray) -> None:
    """Write an array of numbers as an `.npy` file, atomically."""
    with atomic(path) as part, part.open("wb") as file:
        np.lib.format.write_array(file, array, allow_pickle=False)


def write_npz(path: FilePath, /, **arrays: Any) -> None:
    """Write arrays by name, atomically; equal arrays give equal bytes. Objects are refused with a BitseekError."""
    with atomic(path) as part, zipfile.ZipFile(part, "w") as archive:
        for name, value in arrays.items():
            try:
                array = np.asanyarray(value)
                if array.dtype.hasobject:
                    raise TypeError("it is not an array of numbers or text")
            except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths; tensors with a gradient
                raise BitseekError(f"{name!r} cannot be written to {user_path(path)}: {error}") from error
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_json(path: FilePath) -> Any:
    """The value in a JSON file, or a BitseekError."""
    return parse(path, "JSON", lambda path: json.loads(path.read_text(encoding="utf-8")))


def write_json(path: FilePath, value: Any) -> None:
    """Write a value as JSON, atomically; file names that are not UTF-8 are read back as they were.

    Raises:
        BitseekError: the file cannot be written, or JSON cannot hold the value (NaN and infinity among others).
    """
    try:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BitseekError(f"cannot write {user_path(path)}: {error}") from error
    with atomic(path) as part:
        part.write_bytes(f"{text}\n".encode("utf-8", "backslashreplace"))  # a lone surrogate becomes JSON's own escape


class OwnedFiles:
    """The files in a folder that bitseek wrote, as a manifest of its own lists them; all others are the user's.

    A writer records names with `add` before it writes the files, so a kill leaves no file that the manifest does not
    list. Whatever it does not list is neither deleted nor replaced. For one writer at a time.

    Args:
        folder: where the files are; need not exist.
        manifest: name of the manifest in it.
    """

    _FORMAT = "files written by bitseek"

    def __init__(self, folder: FilePath, manifest: str) -> None:
        self.folder = user_path(folder)
        self.manifest = self.folder / manifest

    @property
    def names(self) -> set[str]:
        """Relative names of the files, with slashes; none if there is no manifest, or it is damaged."""
        return {name for name in self._listed() or () if self._is_inside(name)}

    def add(self, names: Iterable[str]) -> None:
        """Record relative names of files, with slashes, that are about to be written; the folder is made if needed.

        Raises:
            BitseekError: a file or a manifest is there that bitseek did not write, or a name leads out of the folder.
        """
        own = self.names
        if os.path.lexists(self.manifest) and self._listed() is None:
            raise BitseekError(f"{self.manifest} is not a list of bitseek's files; move it away, or use another folder")
        for name in sorted(set(names) - own):
            path = self.folder / name
            if not self._is_inside(name):
                raise BitseekError(f"{path} is outside {self.folder}, or a link out of it; use another folder")
            if os.path.lexists(path):
                raise BitseekError(f"{path} exists and was not written by bitseek; move it away, or use another folder")
            own.add(name)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BitseekError(f"cannot make the folder {self.folder}: {error.strerror or error}") from error
        self._record(own)

    def remove(self, names: Iterable[str] | None = None) -> None:
        """Delete files that are listed, folders that become empty by that, and temporary files of killed writers.

        Args:
            names: which; those that are not listed are ignored. All if None, and then the manifest too.

        Raises:
            BitseekError: a file cannot be deleted.
        """
        own = self.names
        doomed = own if names is None else own & set(names)
        try:
            for name in doomed:
                path = self.folder / name
                if path.is_file() or path.is_symlink():
                    path.unlink()
            for folder in {path.parent for path in (self.manifest, *(self.folder / name for name in own))}:
                for path in folder.iterdir() if folder.is_dir() else ():
                    part = _PART.fullmatch(path.name)
                    if part and (folder / part[1]).relative_to(self.folder).as_posix() in own | {self.manifest.name}:
                        path.unlink()
            parents = {parent for name in doomed for parent in PurePosixPath(name).parents[:-1]}
            for parent in sorted(parents, reverse=True):  # the innermost first
                with suppress(OSError):  # not empty
                    (self.folder / parent).rmdir()
            if doomed != own:
                self._record(own - doomed)
            elif self._listed() is not None:
                self.manifest.unlink()
        except OSError as error:
            raise BitseekError(f"cannot remove {error.filename}: {error.strerror or error}") from error

    def _record(self, names: set[str]) -> None:
        if names != self.names:
            write_json(self.manifest, {"format": self._FORMAT, "files": sorted(names)})

    def _listed(self) -> list[str] | None:
        """What the manifest lists; None if there is none that bitseek wrote."""
        try:
            manifest = read_json(self.manifest)
            names = manifest["files"] if manifest["format"] == self._FORMAT else None
        except (BitseekError, TypeError, KeyError):
            return None
        return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None

    def _is_inside(self, name: str) -> bool:
        plain = PurePosixPath(name)
        if not plain.parts or ".." in plain.parts or plain.is_absolute() or set(name) & {"\0", "\\"}:
            return False
        with suppress(OSError, RuntimeError):  # a loop of links
            return (self.folder / plain).resolve().is_relative_to(self.folder.resolve())
        return False
