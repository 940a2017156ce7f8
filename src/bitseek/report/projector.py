"""Codes for the embedding projector of TensorBoard: signs, labels and a sprite of the images."""

import os
from pathlib import Path

import numpy as np

from bitseek.errors import MissingExtra
from bitseek.report.code_map import SAMPLE
from bitseek.report.findings import Findings
from bitseek.report.thumbnails import CELL, thumbnails

COLUMNS = ["classes", "code", "name"]


def write_projector(
    folder: str | os.PathLike[str], findings: Findings, sample: int = SAMPLE, seed: int = 0, threads: int | None = None
) -> Path:
    """Write a sample of the database for `tensorboard --logdir FOLDER`, tab Projector.

    A point is the code as −1 and +1, so that Euclidean distances are monotonous in Hamming distances. An image that
    cannot be read is a grey square; features have no images.

    Args:
        folder: where TensorBoard looks; the training curves may be there already.
        findings: of `look`.
        sample: at most so many items.
        seed: of the sample.
        threads: how many decode files.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "plots") from error
    import torch

    ids = findings.database.ids
    chosen = np.sort(np.random.default_rng(seed).permutation(len(ids))[:sample])
    codes, pool = findings.codes[chosen], findings.protocol.pool
    hot, names = pool.multi_hot(ids[chosen]), pool.keys_of(ids[chosen])
    rows = [
        [_one_line(", ".join(pool.classes[c] for c in np.flatnonzero(hot[i])) or "none"), code, _one_line(names[i])]
        for i, code in enumerate(codes.hex())
    ]
    pictures = _squares(findings, ids[chosen], threads)
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            torch.from_numpy(codes.to_signs().astype(np.float32)),
            metadata=rows,
            metadata_header=COLUMNS,
            label_img=None if pictures is None else torch.from_numpy(pictures),
            tag=f"codes of {findings.protocol.name}".replace(" ", "_").replace("/", "_").replace(":", "_"),
        )
    return Path(folder)


def _squares(findings: Findings, ids: np.ndarray, threads: int | None) -> np.ndarray | None:
    """The images of items as (m, 3, s, s) float32 in [0, 1]; None if there are none."""
    found = thumbnails(findings.protocol.pool.images, ids, CELL, threads)
    if not found:
        return None
    side = max(max(picture.size) for picture in found.values())
    squares = np.full((len(ids), 3, side, side), 0.5, np.float32)
    for i, index in enumerate(ids.tolist()):
        if index in found:
            pixels = np.asarray(found[index].convert("RGB"), np.float32) / 255
            top, left = (side - pixels.shape[0]) // 2, (side - pixels.shape[1]) // 2
            squares[i, :, top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels.transpose(2, 0, 1)
    return squares


def _one_line(text: str) -> str:
    """Text without what ends a cell or a row of a table."""
    return " ".join(text.split())
