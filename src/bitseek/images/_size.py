"""How large an image is, without decoding it."""

import struct
from typing import Any

from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin

from bitseek.images._decode import Source, opened, orientation


def image_size(source: Source) -> tuple[int, int]:
    """Width and height that `decode` gives in full, from the header of the image alone.

    Args:
        source: what `decode` takes.

    Returns:
        width and height in pixels, upright.

    Raises:
        ImageError: see `decode`; but pixels that are damaged are not noticed.
    """
    with opened(source) as (image, _):
        width, height = image.size
        return (height, width) if _lies(image) else (width, height)


def _lies(image: Image.Image) -> bool:
    """Whether width and height are exchanged once the picture is upright."""
    if isinstance(image, PngImagePlugin.PngImageFile) and image.tile and _has_metadata_behind(image.fp):
        image.load()  # the orientation may be among them
    if isinstance(image, TiffImagePlugin.TiffImageFile) and ExifTags.Base.Orientation in image.tag_v2:
        return False  # Pillow has exchanged them
    return orientation(image) in (5, 6, 7, 8)


def _has_metadata_behind(file: Any) -> bool:
    """Whether a PNG file has text or EXIF data behind its pixels."""
    place, pixels = 8, False
    while True:
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            return False
        length, kind = struct.unpack(">I4s", header)
        if kind == b"IEND":
            return False
        if pixels and kind in (b"eXIf", b"iTXt", b"tEXt", b"zTXt"):
            return True
        pixels |= kind == b"IDAT"
        place += 12 + length
