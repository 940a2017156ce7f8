"""A picture of queries with their hits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from bitseek._checks import whole_number
from bitseek.errors import ShapeError
from bitseek.images._decode import decode

RIGHT, WRONG, PLAIN = (34, 139, 84), (200, 50, 50), (120, 120, 120)


@dataclass(frozen=True)
class Tile:
    """One image of a row.

    Attributes:
        pixels: an array that `decode` takes: (H, W) or (H, W, 3) uint8, say.
        caption: a few letters below it.
        right: whether it is a right hit; None where nobody knows, or for the query.
    """

    pixels: np.ndarray
    caption: str
    right: bool | None = None


def hits_picture(rows: Sequence[Sequence[Tile]], *, side: int = 72, gap: int = 8) -> Image.Image:
    """Rows of images: the query first, then its hits, framed in green where right and in red where wrong.

    Args:
        rows: query and hits.
        side: of an image, in pixels.
        gap: between images.

    Raises:
        ShapeError: no images, or sizes that are no sizes.
        ImageError: pixels that are no image.
    """
    columns = max(map(len, rows), default=0)
    if not columns:
        raise ShapeError("there are no images to make a picture of")
    side, gap = whole_number(side, "side"), whole_number(gap, "gap", 0)
    text = 16
    step, lift = side + gap, side + gap + text
    picture = Image.new("RGB", (gap + columns * step + 2 * gap, gap + len(rows) * lift), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            left, top = gap + x * step + (2 * gap if x else 0), gap + y * lift
            image = Image.fromarray(decode(tile.pixels)).resize((side, side), Image.Resampling.NEAREST)
            picture.paste(image, (left, top))
            colour = PLAIN if tile.right is None else RIGHT if tile.right else WRONG
            draw.rectangle((left - 2, top - 2, left + side + 1, top + side + 1), outline=colour, width=2)
            draw.text((left, top + side + 2), tile.caption, fill=colour, font=font)
    return picture
