"""IndexWriter: an index of any size, written to a folder as its codes come."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, SupportsIndex

import numpy as np
from jaxtyping import Int64

from bitseek._checks import as_ids, whole_number
from bitseek._files import user_path
from bitseek.codes import Codes, check_codes, words_per_code
from bitseek.errors import BitseekError, CodeWidthError, RunError
from bitseek.index import _build, _store
from bitseek.index._arrays import ArrayFolder
from bitseek.index._database import with_more
from bitseek.index._store import Stored
from bitseek.kernels.layout import NOTHING_GONE, Words

_LOCK = "index.lock"
_APPENDED = "codes-appended.npy"

_BLOCK_BYTES = 1 << 30
"""When so many bytes of codes have come together, they are committed."""


class IndexWriter:
    """Writes an index to a folder, in bounded memory; `HammingIndex.open` opens it, also while it grows.

        with IndexWriter("big", bits=64) as index:
            for codes in portions:
                index.append(codes)
            index.build()

    Codes go to the disk as they come. What was appended and removed is kept for good, and seen by those who open the
    index, from the next `commit` on, which comes by itself with every gigabyte of codes and at the end of the block. A
    process that is killed loses what came later, and no more. One process writes an index at a time.

    Args:
        folder: of an index, to go on with; or for a new one.
        bits: length of the codes; must be given for a new one.
        threads: at most so many for `build`; as many as there are processors if None (see `BITSEEK_THREADS`).

    Raises:
        BitseekError: there is no index and no length, or the folder cannot be written.
        CodeWidthError: the index holds codes of another length.
        RunError: the index is damaged, or another process is writing it.
    """

    def __init__(
        self, folder: str | os.PathLike[str], bits: SupportsIndex | None = None, *, threads: SupportsIndex | None = None
    ) -> None:
        wanted = None if bits is None else whole_number(bits, "bits")
        self._threads = None if threads is None else whole_number(threads, "threads")
        self._folder = user_path(folder)
        is_new = not (self._folder / "index.json").exists()
        if is_new and wanted is None:
            raise BitseekError(f"there is no index in {self._folder}; give bits=… to begin one")
        with ExitStack() as held:
            held.enter_context(_locked(self._folder))
            none = np.zeros((0, words_per_code(wanted or 1)), np.uint64)
            self._index = Stored(wanted or 1, [none], NOTHING_GONE, None) if is_new else self._read()
            if wanted not in (None, self.bits):
                raise CodeWidthError(f"the index in {self._folder} holds codes of {self.bits} bits, not of {wanted}")
            self._held = held.pop_all()
        self._rows: _Rows | None = None
        self._gone, self._changed = self._index.gone, is_new

    @property
    def bits(self) -> int:
        """Length of the codes."""
        return self._index.bits

    @property
    def size(self) -> int:
        """Number of ids given so far: items that can be found and items that were removed."""
        return sum(map(len, self._index.blocks)) + (0 if self._rows is None else self._rows.count)

    def __len__(self) -> int:
        """Number of items that can be found."""
        return self.size - int(np.bitwise_count(self._gone).sum())

    def append(self, codes: Codes) -> Int64[np.ndarray, " n"]:
        """Put more items into the index; their ids, which follow on those given so far.

        Raises:
            CodeWidthError: codes of another length.
            BitseekError: the folder cannot be written.
        """
        check_codes(codes, bits=self.bits)
        first = self.size
        if len(codes):
            if self._rows is None:
                self._rows = _Rows(ArrayFolder(self._folder, "index").scratch(_APPENDED), codes.words.shape[1])
            self._rows.append(codes.words)
            if self._rows.nbytes >= _BLOCK_BYTES:
                self.commit()
        return np.arange(first, self.size)

    def remove(self, ids: Any) -> int:
        """Take items out of the index, for ever; how many. Those that are already removed are ignored.

        Raises:
            BitseekError: an id that was never given.
        """
        before = len(self)
        self._gone = with_more(self._gone, as_ids(ids, self.size), self.size)
        self._changed |= len(self) < before
        return before - len(self)

    def commit(self) -> None:
        """Keep for good what was appended and removed.

        Raises:
            BitseekError: the folder cannot be written.
        """
        blocks = list(self._index.blocks)
        if self._rows is not None and self._rows.count:
            blocks.append(self._rows.mapped())
        if self._changed or len(blocks) > len(self._index.blocks):
            self._save(Stored(self.bits, blocks, self._gone, self._index.built))
            self._drop_rows()

    def build(self) -> None:
        """Sort the codes into clusters, for the pruned plan; or sort in those that came since they were.

        In bounded memory, on the disk: there must be room for 12 to 24 bytes a code of 64 bits, beside the codes. A
        build that is killed goes on, when it is called again, with what it had not yet done.

        Raises:
            BitseekError: the folder cannot be written.
        """
        self.commit()
        built, work = _build.build(self._folder, self._index, self._threads)
        self._save(Stored(self.bits, self._index.blocks, self._gone, built))
        work.remove()

    def close(self) -> None:
        """Commit, and let others write."""
        try:
            self.commit()
        finally:
            self._drop_rows()
            self._held.close()

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            self._drop_rows()
            self._held.close()

    def __repr__(self) -> str:
        return f"IndexWriter({self._folder}, {len(self)} × {self.bits} bits)"

    def _save(self, index: Stored) -> None:
        _store.save(self._folder, index)
        self._index, self._changed = self._read(), False

    def _drop_rows(self) -> None:
        if self._rows is not None:
            self._rows.close()
            self._rows = None

    def _read(self) -> Stored:
        return _store.read(self._folder, verify=False)


class _Rows:
    """Rows of words on their way to a file, an .npy whose header tells how many there are when they are mapped."""

    def __init__(self, path: Path, width: int) -> None:
        self._path, self._width, self.count = path, width, 0
        with _sentences(path):
            self._file = path.open("wb")
            self._write_header()
            self._start = self._file.tell()

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return 8 * self._width * self.count

    def append(self, words: Words) -> None:
        """Write more rows; if that fails, there are as many as before."""
        with _sentences(self._path):
            self._file.seek(self._start + self.nbytes)
            np.ascontiguousarray(words).tofile(self._file)
        self.count += len(words)

    def mapped(self) -> Words:
        """All rows, mapped from the file."""
        with _sentences(self._path):
            self._file.truncate(self._start + self.nbytes)
            self._file.seek(0)
            self._write_header()  # as long as the first one: NumPy leaves room for any number
            self._file.flush()
            os.fsync(self._file.fileno())
            return np.lib.format.open_memmap(self._path, mode="r")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _write_header(self) -> None:
        header = {"descr": "<u8", "fortran_order": False, "shape": (self.count, self._width)}
        np.lib.format.write_array_header_1_0(self._file, header)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Keep other writers away in a block; the lock ends with its process."""
    from filelock import FileLock, Timeout  # takes a tenth of a second

    file = folder / _LOCK
    with _sentences(file):
        folder.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size:
            raise BitseekError(f"{file} exists and was not written by bitseek; move it away, or use another folder")
        lock = FileLock(file, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise RunError(f"another process is writing the index in {folder}; try again when it is done") from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _sentences(file: Path) -> Iterator[None]:
    """An error of the system as one of ours that names the file."""
    try:
        yield
    except OSError as error:
        raise BitseekError(f"cannot write {file}: {error.strerror or error}") from error
