"""Small pictures inside the page: as data URIs, one by one or many on one sheet."""

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from bitseek.data.pool import Features, Images, Paths
from bitseek.errors import ImageError
from bitseek.images import decode_many

TILE, CELL = 96, 48
"""Side of a single picture and of one on a sheet, in pixels; smaller images keep their size."""


def thumbnails(images: Images, indices: np.ndarray, side: int, threads: int | None = None) -> dict[int, Image.Image]:
    """Pictures of some items that fit into a square; without those that are features or cannot be read (any more).

    Args:
        images: of a pool.
        indices: (m,) int64, of the items.
        side: of the square, in pixels.
        threads: how many decode files.

    Returns:
        the pictures by index, none larger than the square, of their own proportions.
    """
    if isinstance(images, Features):
        return {}
    numbers = [int(i) for i in indices]
    if not isinstance(images, Paths):
        return {i: _shrunk(images.array[i], side) for i in numbers}
    found = decode_many(images.rows(np.asarray(indices)), threads, min_side=side, then=lambda a: _shrunk(a, side))
    return {i: image for i, (_, image) in zip(numbers, found, strict=True) if not isinstance(image, ImageError)}


def data_uri(image: Image.Image) -> str:
    """The picture as text that a browser shows: PNG where that is exact and small, else JPEG."""
    buffer = io.BytesIO()
    if image.mode in ("L", "RGBA") or max(image.size) < CELL:
        image.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        image.convert("RGB").save(buffer, "JPEG", quality=80)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Sheet:
    """Many pictures on one, in rows.

    Attributes:
        uri: the sheet.
        cell: side of each place, in pixels.
        columns: places in a row.
        rows: number of rows.
        place: number of the place of each item by its index, counted along the rows.
    """

    uri: str
    cell: int
    columns: int
    rows: int
    place: dict[int, int]

    def to_json(self) -> dict[str, Any]:
        """What the script of the page has to know."""
        return {"cell": self.cell, "columns": self.columns, "rows": self.rows}


def sheet(pictures: dict[int, Image.Image]) -> Sheet | None:
    """Put pictures of one size, or smaller, on one sheet; None if there are none."""
    if not pictures:
        return None
    cell = max(max(image.size) for image in pictures.values())
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    grey = all(image.mode == "L" for image in pictures.values())
    canvas = Image.new("L" if grey else "RGB", (columns * cell, rows * cell), 0 if grey else (127, 127, 127))
    for place, image in enumerate(pictures.values()):
        corner = (place % columns * cell, place // columns * cell)
        canvas.paste(image, (corner[0] + (cell - image.width) // 2, corner[1] + (cell - image.height) // 2))
    return Sheet(data_uri(canvas), cell, columns, rows, {index: place for place, index in enumerate(pictures)})


def _shrunk(array: np.ndarray, side: int) -> Image.Image:
    image = Image.fromarray(array)
    return image if max(image.size) <= side else ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)
