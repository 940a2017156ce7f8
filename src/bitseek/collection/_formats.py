"""Items and codes in files of other programs: NumPy's .npz, Parquet, and a binary index of faiss.

    .npz       `words` and `bits`, as `Codes.save` writes them, and the other columns (see `_format_npz`)
    .parquet   one row an item (see `_format_parquet`)
    .faiss     an IndexBinaryIDMap of the codes by the ids of the items, and nothing else of them

They are written and read in batches, so that ten million items need no more memory than some thousands.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bitseek._files import FilePath, atomic, free_target, user_path
from bitseek.collection import _format_faiss, _format_npz, _format_parquet
from bitseek.collection._batch import Batch as Batch
from bitseek.collection._batch import Format, Source
from bitseek.errors import BitseekError, CodeWidthError, MissingExtra, ShapeError

FORMATS = {
    ".npz": Format(_format_npz.is_ours, _format_npz.write, _format_npz.read),
    ".parquet": Format(_format_parquet.is_ours, _format_parquet.write, _format_parquet.read),
    ".faiss": Format(_format_faiss.is_ours, _format_faiss.write, _format_faiss.read),
}
"""The formats by the ending of a file's name."""


def write(file: FilePath, batches: Iterable[Batch], *, bits: int, fingerprint: str) -> Path:
    """Write items to a file, atomically, in the format that the end of its name says.

    Args:
        file: where nothing is, or an earlier export of the same format.
        batches: the items.
        bits: length of their codes.
        fingerprint: of the model that made the codes.

    Returns:
        The file.

    Raises:
        BitseekError: another name, something else is there, or it cannot be written.
        MissingExtra: Parquet without pyarrow.
    """
    path = user_path(file)
    form = _format(path)
    with _extras():
        target = free_target(path, f"an export of bitseek to {path.suffix.lower()}", form.is_ours)
        with atomic(target) as part:
            form.write(part, batches, bits, fingerprint)
    return target


@contextmanager
def read(file: FilePath, *, bits: int | None = None) -> Iterator[Source]:
    """Open a file of items and codes that `write` or another program wrote; nothing in it is executed.

    Args:
        file: whose name says the format.
        bits: length of the codes that are wanted; needed for a foreign faiss or Parquet file whose codes do not fill
            whole bytes.

    Raises:
        CodeWidthError: the codes are of another length.
        BitseekError: another name, no such file, or something else is in it. So do its batches.
        MissingExtra: Parquet without pyarrow.
    """
    path = user_path(file)
    form = _format(path)
    with _extras(), _sentences(path):
        opening = form.read(path, bits)
        source = opening.__enter__()
    try:
        if bits is not None and source.bits != bits:
            raise CodeWidthError(f"{path} holds codes of {source.bits} bits, not {bits}; they are of another model")
        yield source._replace(batches=_checked(path, source))
    finally:
        opening.__exit__(None, None, None)


def _checked(path: Path, source: Source) -> Iterator[Batch]:
    """The batches, as many items as were announced, or a sentence."""
    found = 0
    with _sentences(path):
        for batch in source.batches:
            found += len(batch)
            yield batch
        if found != source.size:
            raise ValueError(f"{source.size} items are announced, and there are {found}")


def _format(path: Path) -> Format:
    form = FORMATS.get(path.suffix.lower())
    if form is None:
        raise BitseekError(f"{path} should end in one of {', '.join(FORMATS)}, which say what is written or read")
    return form


@contextmanager
def _extras() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise MissingExtra.for_import(error) or error from error


@contextmanager
def _sentences(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BitseekError(f"there is no file {path}") from error
    except ImportError:
        raise
    except Exception as error:
        if isinstance(error, BitseekError) and not isinstance(error, ShapeError):
            raise
        kind = path.suffix.lower()
        raise BitseekError(f"{path} is not a {kind} file of items that can be read: {error}") from error
