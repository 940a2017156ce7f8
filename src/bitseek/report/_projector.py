"""Codes for the embedding projector of TensorBoard: signs, labels and a sprite of the images."""

import os
import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from bitseek.errors import MissingExtra
from bitseek.evaluation import Report
from bitseek.images import Images, printable
from bitseek.report._map import SAMPLE, sampled
from bitseek.report._pictures import CELL, GREY, thumbnails

COLUMNS = ["classes", "code", "name"]


def write_projector(
    folder: str | os.PathLike[str], report: Report, *, sample: int = SAMPLE, seed: int = 0, threads: int | None = None
) -> Path:
    """Write a sample of the database for `tensorboard --logdir FOLDER`, tab Projector; return the folder.

    A point is the code as −1 and +1, so that Euclidean distances grow with Hamming distances. An image that cannot be
    read is a grey square; features have no images.

    Args:
        folder: where TensorBoard looks; the training curves may be there already.
        report: of `bitseek.evaluate`.
        sample: at most so many items.
        seed: of the sample.
        threads: how many decode images.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("tensorboard", "plots") from error
    import torch

    chosen = sampled(len(report.database.ids), sample, seed)
    ids, codes, pool = report.database.ids[chosen], report.database.codes[chosen], report.protocol.pool
    classes = [
        ", ".join(pool.classes[number] for number in np.flatnonzero(own)) for own in pool.labels[ids].multi_hot()
    ]
    rows = [
        [" ".join(names.split()) or "none", code, printable(key)]
        for names, code, key in zip(classes, codes.hex(), pool.keys_of(ids), strict=True)
    ]
    pictures = _squares(pool.images, ids, threads)
    with SummaryWriter(str(folder)) as writer:
        writer.add_embedding(
            torch.from_numpy(codes.to_signs().astype(np.float32)),
            metadata=rows,
            metadata_header=COLUMNS,
            label_img=None if pictures is None else torch.from_numpy(pictures),
            tag=re.sub(r"[^\w.-]", "_", f"codes of {report.protocol.name}"),
        )
    return Path(folder)


def _squares(images: Images, ids: np.ndarray, threads: int | None) -> np.ndarray | None:
    """The images of items as (m, 3, s, s) float32 in [0, 1]; None if there are none."""
    found = thumbnails(images, ids, CELL, threads)
    if not found:
        return None
    side = max(max(picture.size) for picture in found.values())
    blank = Image.new("RGB", (side, side), GREY)
    squares = [
        ImageOps.pad(found[index].convert("RGB"), blank.size, color=GREY) if index in found else blank
        for index in ids.tolist()
    ]
    return np.stack([np.asarray(square, np.float32).transpose(2, 0, 1) / 255 for square in squares])
