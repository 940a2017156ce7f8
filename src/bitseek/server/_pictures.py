"""Images from strangers: only raster formats that are named here, only as large as allowed, and never for long.

What Pillow would take beyond that (PostScript, which is a program; dozens of rare formats) is not even looked at.
"""

import io
import re
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from bitseek.images import decode
from bitseek.server._refusal import Refusal, busy

FORMATS = {
    "JPEG": ("image/jpeg", ".jpg"),
    "MPO": ("image/jpeg", ".jpg"),
    "PNG": ("image/png", ".png"),
    "GIF": ("image/gif", ".gif"),
    "WEBP": ("image/webp", ".webp"),
    "BMP": ("image/bmp", ".bmp"),
    "TIFF": ("image/tiff", ".tiff"),
    "AVIF": ("image/avif", ".avif"),
}
"""Formats by Pillow's name that are taken, with the type and the file name ending that are given to them."""

_OPENED = tuple(name for name in FORMATS if name != "MPO")  # which Pillow finds out of JPEG by itself
_MOST_SCANS = 100
"""Of a JPEG. Progressive files have about ten; a few bytes more a scan would cost a pass over all of the picture."""
_LARGE = 12_000_000
"""Pixels from which pictures are decoded one at a time, so that their memory does not add up."""
_TILE_WIDTH, _TILE_LENGTH, _COMPRESSION = 322, 323, 259
_TIFF_JPEG = (6, 7)

_large = threading.Lock()


@dataclass(frozen=True, eq=False)
class Picture:
    """An image that was found to be one.

    Attributes:
        pixels: upright RGB, perhaps at a smaller scale.
        format: Pillow's name, one of `FORMATS`.
    """

    pixels: UInt8[np.ndarray, "height width 3"]
    format: str


def picture(data: bytes, *, max_pixels: int, min_side: int | None = None) -> Picture:
    """Decode the bytes of an image file.

    Args:
        data: the file.
        max_pixels: width times height that is allowed.
        min_side: see `bitseek.images.decode`.

    Raises:
        Refusal: 415 for another format, 413 for too many pixels, 422 for what is damaged.
    """
    try:
        with Image.open(io.BytesIO(data), formats=_OPENED) as image:
            name = str(image.format)
            _refuse_bomb(image, data, max_pixels)
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            if image.width * image.height < _LARGE:
                return Picture(_loaded(image), name)
            with _large:
                return Picture(_loaded(image), name)
    except Refusal:
        raise
    except UnidentifiedImageError as error:
        raise Refusal(415, f"this is not an image that can be read; send {', '.join(_OPENED)}") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_many(max_pixels) from error
    except MemoryError as error:
        raise busy("there is no memory for this image now") from error
    except Exception as error:  # a damaged file makes Pillow's readers raise nearly anything
        raise Refusal(422, "the image is damaged or cut off") from error


def _loaded(image: Image.Image) -> np.ndarray:
    image.load()  # here, by the reader that was chosen above; `decode` would choose among all of them
    return decode(image)


def _refuse_bomb(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """What the header says, before a pixel is decoded."""
    if image.width * image.height > max_pixels:
        raise _too_many(max_pixels)
    tags: Any = getattr(image, "tag_v2", None)
    if tags is not None:
        if int(tags.get(_TILE_WIDTH, 1)) * int(tags.get(_TILE_LENGTH, 1)) > max_pixels:
            raise _too_many(max_pixels)
        if int(tags.get(_COMPRESSION, 1)) in _TIFF_JPEG and data.count(b"\xff\xda") > _MOST_SCANS * 64:
            raise Refusal(422, "the image has more scans than any real one")
    if image.format in ("JPEG", "MPO") and jpeg_scans(data, _MOST_SCANS) > _MOST_SCANS:
        raise Refusal(422, f"the image has more than {_MOST_SCANS} scans; real ones have about ten")


def _too_many(max_pixels: int) -> Refusal:
    return Refusal(413, f"an image may have {max_pixels} pixels here; send a smaller one")


_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_ALONE = frozenset((0x01, 0xD8))
_END, _SCAN = 0xD9, 0xDA


def jpeg_scans(data: bytes, most: int) -> int:
    """Number of scans of a JPEG up to its end, or `most` + 1 if there are more."""
    place, scans = 2, 0
    while scans <= most:
        marker = _MARKER.search(data, place)  # skips entropy-coded data, in which 0xFF is followed by 0 or a restart
        if marker is None:
            break
        kind, place = data[marker.start() + 1], marker.end()
        if kind == _END:
            break
        if kind in _ALONE:
            continue
        scans += kind == _SCAN
        place += max(2, int.from_bytes(data[place : place + 2], "big"))
    return scans


def media_type(file: Any) -> str | None:
    """Type of an image, a binary file, by its content; None if it is none of `FORMATS`. Its pixels are not read."""
    try:
        with Image.open(file, formats=_OPENED) as image:
            return FORMATS[str(image.format)][0]
    except Exception:  # as above; a decompression bomb is for the browser to refuse
        return None
