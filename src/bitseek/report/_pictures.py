"""Pictures inside the page, as data URIs: thumbnails one by one and on a sheet, and matrices."""

import base64
import io

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

from bitseek.errors import ImageError
from bitseek.images import Features, Images, Pixels, decode_many

TILE, CELL = 96, 48
"""Largest side of a single thumbnail and of one on a sheet, in pixels; smaller images keep their size."""

POSITIVE, NEGATIVE = (72, 120, 207), (214, 96, 20)
GREY = (127, 127, 127)
MOST_PIXELS = 256


def thumbnails(images: Images, indices: np.ndarray, side: int, threads: int | None = None) -> dict[int, Image.Image]:
    """Pictures of some items by their index, without features and without what can no longer be read.

    Args:
        images: of a pool.
        indices: (m,) int64, of the items.
        side: of the square into which each picture fits, in pixels; proportions are kept.
        threads: how many decode.
    """
    if isinstance(images, Features):
        return {}

    def shrunk(pixels: np.ndarray) -> Image.Image:
        picture = Image.fromarray(pixels)
        if max(picture.size) > side:
            picture = ImageOps.contain(picture, (side, side), Image.Resampling.LANCZOS)
        small = np.asarray(picture)
        return picture.convert("L") if small.ndim == 3 and (small == small[..., :1]).all() else picture

    rows = images.rows(indices)
    decoded = isinstance(images, Pixels)
    found = enumerate(map(shrunk, rows)) if decoded else decode_many(rows, threads, min_side=side, then=shrunk)
    return {int(indices[i]): picture for i, picture in found if not isinstance(picture, ImageError)}


def data_uri(picture: Image.Image, exact: bool = True) -> str:
    """The picture as the address of an image: PNG if it must be exact, else JPEG."""
    buffer = io.BytesIO()
    if exact:
        picture.save(buffer, "PNG", optimize=True)
    else:
        picture.save(buffer, "JPEG", quality=80)
    return f"data:image/{'png' if exact else 'jpeg'};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sheet(pictures: list[Image.Image]) -> tuple[str, dict[str, int]] | None:
    """All pictures on one, each centred in its place along the rows; None if there are none.

    Returns:
        the address of the sheet; and for page.js: `cell`, the side of a place in pixels, `columns` and `rows`.
    """
    if not pictures:
        return None
    cell = max(max(picture.size) for picture in pictures)
    columns = int(np.ceil(np.sqrt(len(pictures))))
    rows = -(-len(pictures) // columns)
    grey = all(picture.mode == "L" for picture in pictures)
    canvas = (
        Image.new("L", (columns * cell, rows * cell)) if grey else Image.new("RGB", (columns * cell, rows * cell), GREY)
    )
    for place, picture in enumerate(pictures):
        left, top = place % columns * cell, place // columns * cell
        canvas.paste(picture, (left + (cell - picture.width) // 2, top + (cell - picture.height) // 2))
    return data_uri(canvas, exact=grey and cell < CELL), {"cell": cell, "columns": columns, "rows": rows}


def heatmap(values: Float[np.ndarray, "rows columns"]) -> str:
    """A matrix of numbers from −1 to +1: blue for positive, orange for negative, the more transparent the nearer to 0.

    A matrix of more than 256 rows or columns is shown by the value of largest magnitude of each block.
    """
    block = -(-max(values.shape) // MOST_PIXELS)
    padded = np.pad(values, [(0, -n % block) for n in values.shape])
    blocks = padded.reshape(len(padded) // block, block, -1, block)
    high, low = blocks.max(axis=(1, 3)), blocks.min(axis=(1, 3))
    small = np.where(high >= -low, high, low)
    colours = np.where(small[..., None] >= 0, POSITIVE, NEGATIVE).astype(np.uint8)
    opacity = np.rint(255 * np.clip(np.abs(small), 0, 1)).astype(np.uint8)
    return data_uri(Image.fromarray(np.concatenate([colours, opacity[..., None]], axis=2), "RGBA"))
