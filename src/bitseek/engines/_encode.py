"""Encoding shards, by whatever process: this one, that of another machine, or an actor."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bitseek._files import FilePath
from bitseek.codes import Codes, words_per_code
from bitseek.collection import Encoder
from bitseek.engines._shards import Origin, ShardFolder
from bitseek.engines._slice import Slice, digest
from bitseek.errors import CodeWidthError

_AT_ONCE = 1 << 14
"""Files whose logits are in memory together."""


class Work(NamedTuple):
    """What is to be encoded, the same for all shards.

    Attributes:
        folder: of shards.
        origin: what they are of.
        total: into how many the list of files is cut.
        base: folder that relative paths begin at.
    """

    folder: Path
    origin: Origin
    total: int
    base: Path

    @classmethod
    def of(cls, folder: FilePath, fingerprint: str, bits: int, files: Sequence[str], total: int) -> "Work":
        """The work on a list of files, begun here; the folder is checked.

        Args:
            folder: of shards.
            fingerprint: of the model.
            bits: of its codes.
            files: all of them, as `listed` gives them.
            total: number of shards.

        Raises:
            BitseekError: the folder holds shards of something else.
        """
        shards = ShardFolder(folder)
        origin = Origin(fingerprint, bits, digest(files), len(files))
        shards.check(origin, total)
        return cls(shards.folder.absolute(), origin, total, Path.cwd())


class Done(NamedTuple):
    """What there is of a shard now.

    Attributes:
        slice: which one.
        items: number of codes.
        bits: of them.
        unreadable: messages of the files that could not be read.
        skipped: whether it was complete before.
    """

    slice: Slice
    items: int
    bits: int
    unreadable: list[str]
    skipped: bool


def complete(work: Work, slice: Slice) -> Done | None:
    """What there is of a shard that is complete; None if it must be encoded."""
    shards = ShardFolder(work.folder)
    if not shards.is_complete(slice):
        return None
    shard = shards.read(slice)
    return Done(slice, len(shard.codes), shard.codes.bits, list(shard.unreadable.values()), skipped=True)


def encode_shard(
    work: Work,
    slice: Slice,
    files: Sequence[str],
    hasher: Encoder,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Done:
    """Encode one shard and write it; nothing is written before all of it is encoded.

    Args:
        work: of which it is.
        slice: which shard.
        files: those of the slice.
        hasher: images → codes.
        threads: how many decode.
        progress: called with the number of files that are done, and of all in the slice.

    Raises:
        CodeWidthError: the hasher is another one than the work is for.
        BitseekError: the shard cannot be written.
    """
    if (hasher.fingerprint, hasher.bits) != (work.origin.fingerprint, work.origin.bits):
        raise CodeWidthError(
            f"the shards are for model {work.origin.fingerprint} ({work.origin.bits} bits), this one is "
            f"{hasher.fingerprint} ({hasher.bits} bits); every machine must load the same file"
        )
    none = np.zeros((0, words_per_code(hasher.bits)), np.uint64)
    parts = [Codes(none, hasher.bits)]
    unreadable: dict[str, str] = {}
    for start in range(0, len(files), _AT_ONCE):
        some = files[start : start + _AT_ONCE]
        failed: dict[int, str] = {}

        def count(done: int, _: int, start: int = start) -> None:
            if progress is not None:
                progress(start + done, len(files))

        whole = [work.base / file for file in some]
        parts.append(hasher.encode(whole, threads=threads, progress=count, unreadable=failed))
        unreadable |= {some[i]: message for i, message in failed.items()}
    codes = Codes.concat(parts)
    paths = [file for file in files if file not in unreadable]
    ShardFolder(work.folder).write(slice, work.origin, codes, paths, unreadable)
    return Done(slice, len(codes), codes.bits, list(unreadable.values()), skipped=False)


def encode_shards(
    hasher: Encoder,
    files: Sequence[str],
    folder: FilePath,
    slices: Sequence[Slice],
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Done]:
    """Encode some shards of a list of files in this process, one after the other; those that are complete are skipped.

    Args:
        hasher: images → codes.
        files: the whole list, as `listed` gives it.
        folder: of shards.
        slices: one or more, all of one cut.
        threads: how many decode.
        progress: called with the number of files that are done, and of all in these shards.

    Raises:
        BitseekError: the folder holds shards of something else, or cannot be written.
    """
    work = Work.of(folder, hasher.fingerprint, hasher.bits, files, slices[0].total)
    total, before, done = sum(len(each.of(files)) for each in slices), 0, []
    for each in slices:
        some = each.of(files)

        def count(now: int, _: int, before: int = before) -> None:
            if progress is not None:
                progress(before + now, total)

        done.append(complete(work, each) or encode_shard(work, each, some, hasher, threads=threads, progress=count))
        before += len(some)
    return done
