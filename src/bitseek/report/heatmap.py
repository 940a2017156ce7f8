"""A matrix of numbers between −1 and +1 as a small picture that fits a light and a dark page."""

import numpy as np
from jaxtyping import Float
from PIL import Image

from bitseek.report.html import Html, tag
from bitseek.report.thumbnails import data_uri

POSITIVE, NEGATIVE = (31, 119, 180), (214, 96, 20)
MOST_PIXELS = 256


def heatmap(values: Float[np.ndarray, "rows columns"], label: str) -> Html:
    """The matrix: blue for positive, orange for negative, and the more transparent the nearer to 0.

    A matrix of more than 256 rows or columns is shown by the value of largest magnitude of each block.

    Args:
        values: from −1 to +1.
        label: what it is, for those who cannot see it.
    """
    small = _strongest(values, -(-max(values.shape) // MOST_PIXELS))
    colours = np.where(small[..., None] >= 0, POSITIVE, NEGATIVE).astype(np.uint8)
    opacity = np.rint(255 * np.clip(np.abs(small), 0, 1)).astype(np.uint8)
    picture = Image.fromarray(np.concatenate([colours, opacity[..., None]], axis=2), "RGBA")
    return tag("img", src=data_uri(picture), alt=label, class_="heat")


def _strongest(values: np.ndarray, block: int) -> np.ndarray:
    """The value of largest magnitude in each block × block square."""
    if block == 1:
        return values
    rows, columns = (-n % block for n in values.shape)
    padded = np.pad(values, ((0, rows), (0, columns)))
    blocks = padded.reshape(len(padded) // block, block, -1, block).swapaxes(1, 2)
    flat = blocks.reshape(*blocks.shape[:2], -1)
    return np.take_along_axis(flat, np.abs(flat).argmax(axis=2)[..., None], axis=2)[..., 0]
