"""Pixels of an image as (H, W, 3) uint8 RGB, the same from a file, a PIL image and an array; else an `ImageError`.

What is done to the picture, and nothing else:

* the EXIF orientation is applied; of an animation the first frame is taken (of a PIL image, the one it stands at);
* transparency (RGBA, LA, a transparent palette entry or colour) is composited on white;
* 16-bit grey is scaled to 8 bits by round(v / 257), never clipped;
* CMYK and YCCK are converted by Pillow's formula (Adobe's inverted JPEGs included); colour profiles are not applied.
"""

import io
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFile, UnidentifiedImageError

from bitseek._checks import whole_number
from bitseek._files import FilePath, user_path
from bitseek.errors import ImageError, ImageTooLarge
from bitseek.images._find import printable
from bitseek.images._in_order import in_order

Source = FilePath | BinaryIO | io.IOBase | Image.Image | np.ndarray
"""One image: a path, a binary file open for reading, a PIL image, or an array."""

_PATH = (str, bytes, os.PathLike)
_READING = threading.Lock()


def decode(source: Source, *, min_side: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """One image as RGB.

    Args:
        source: a path; a binary file; a PIL image, which is left as it is; or an array: (H, W) or (H, W, 1) grey of
            bool, uint8 or uint16, (H, W, 3) RGB or (H, W, 4) RGBA of uint8.
        min_side: the least side in pixels that is needed. A JPEG, in a file or a PIL image that is not loaded yet, is
            decoded at the smallest of 1/8, 1/4, 1/2 or all of its size at which both sides are at least that. libjpeg
            shrinks by leaving out the high frequencies, so the result is close to, but not bit for bit, what decoding
            in full and shrinking gives. None: in full.

    Returns:
        (H, W, 3) uint8, RGB, an array of its own.

    Raises:
        ImageError: no such file, empty, truncated, corrupt, not an image, or an array of another kind; the message
            names the file.
        ImageTooLarge: more pixels than `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb), or no memory for them.
        ShapeError: `min_side` is not a whole number of 1 or more.
    """
    return np.array(upright(source, min_side=min_side)[0])


def upright(source: Source, *, min_side: int | None = None) -> tuple[Image.Image, tuple[int, int]]:
    """What `decode` gives, as a PIL image, and the width and height that it would have in full.

    A PIL image that is such a one already is returned as it is, not copied. Arguments and errors are those of `decode`.
    """
    if min_side is not None:
        whole_number(min_side, "min_side")
    with _opened(source, min_side) as (image, full, name):
        is_smaller = image.size != full
        rgb = _rgb(image, name)
        if not is_smaller:
            return rgb, rgb.size
        return rgb, full[::-1] if _orientation(image) in _LYING else full


def decode_many(
    sources: Iterable[Source],
    threads: int | None = None,
    *,
    min_side: int | None = None,
    then: Callable[[np.ndarray], Any] | None = None,
    ahead: int = 0,
) -> Iterator[tuple[int, Any]]:
    """Decode images by threads, ahead of the consumer, in the order given; see `in_order`.

    What cannot be decoded yields its `ImageError` instead of an array; nothing is raised for it, and nothing is left
    out.

    Args:
        sources: what `decode` takes; read lazily, and perhaps endless.
        threads: how many threads decode; by default the number of processors, 8 at most.
        min_side: see `decode`.
        then: applied to each decoded array by the threads (resizing, say).
        ahead: how many results may wait to be consumed, where 4 × `threads` are too few.

    Yields:
        (i, image) for i = 0, 1, 2, …: image is (H, W, 3) uint8, or what `then` made of it, or the `ImageError`.

    Raises:
        ShapeError: `threads` or `min_side` is not a whole number of 1 or more.
    """
    if min_side is not None:
        whole_number(min_side, "min_side")

    def attempt(source: Source) -> Any:
        try:
            image = decode(source, min_side=min_side)
            return image if then is None else then(image)
        except ImageError as error:
            return error

    results = in_order(attempt, sources, threads, ahead=ahead)
    return (pair for pair in enumerate(results))  # a generator, which can be closed


@contextmanager
def _opened(source: Any, min_side: int | None) -> Iterator[tuple[Image.Image, tuple[int, int], str]]:
    """The PIL image of any source, not too large, the size that its file says, and what messages call it.

    It is set to the scale that `min_side` allows. Its pixels need not have been read yet. Whatever is raised in the
    block becomes what `decode` raises.
    """
    name = _name(source)
    try:
        with ExitStack() as stack:
            yield *_open(source, name, min_side, stack), name
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read, or its beginning is damaged") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"{name} is too large an image: {error}") from error
    except MemoryError as error:
        raise ImageTooLarge(f"there is no memory to decode {name}") from error
    # A damaged file makes Pillow's many readers raise nearly anything (SyntaxError, struct.error, IndexError, …).
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {str(error) or type(error).__name__}") from error


def _name(source: Any) -> str:
    """What a message calls the image."""
    if isinstance(source, np.ndarray):
        return f"the array of shape {source.shape} and type {source.dtype}"
    if isinstance(source, bytes) and b"\0" in source:
        return f"what was given, {len(source):,} bytes that are no path (the content of a file goes in io.BytesIO),"
    path = source if isinstance(source, _PATH) else getattr(source, "filename", None) or getattr(source, "name", None)
    return printable(path) if path and isinstance(path, _PATH) else f"the {type(source).__name__} given"


def _open(source: Any, name: str, min_side: int | None, stack: ExitStack) -> tuple[Image.Image, tuple[int, int]]:
    file, frame = source, 0
    if isinstance(source, np.ndarray):
        image = _from_array(source)
        return image, image.size
    if isinstance(source, Image.Image):
        _refuse_bomb(source, name)
        file, frame = _unread(source), source.tell()
        if file is None:
            return source, source.size
    elif isinstance(source, _PATH):
        # As a file: by a path, Pillow maps raw TIFF into memory, and then turns it wrongly by its orientation.
        file = stack.enter_context(_regular(user_path(source), name).open("rb"))
    elif not hasattr(source, "read"):
        raise ImageError(f"an image is a path, a binary file, a PIL image or an array, got {name}")
    image = stack.enter_context(Image.open(file))
    _refuse_bomb(image, name)
    if image.format == "EPS":
        raise ImageError(f"{name} is PostScript, a program, which is not run; convert it to PNG")
    image.seek(frame)
    full = image.size
    if min_side is not None:
        image.draft(None, (min_side, min_side))  # other formats than JPEG ignore it
    return image, full


def _unread(image: Image.Image) -> io.BytesIO | None:
    """The file of a PIL image whose pixels have not been read yet, so that both are decoded alike; else None.

    The bytes are read again, and the image of the caller is neither loaded nor shrunk. Threads may have the same one.
    """
    if not isinstance(image, ImageFile.ImageFile) or image.fp is None or not image.tile or image.decoderconfig:
        return None
    with _READING:
        place = image.fp.tell()
        image.fp.seek(0)
        contents = image.fp.read()
        image.fp.seek(place)
    return io.BytesIO(contents)


def _regular(path: Path, name: str) -> Path:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(f"{name} is not a file")
    if status.st_size == 0:
        raise ImageError(f"{name} is empty (0 bytes)")
    return path


def _from_array(array: np.ndarray) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    colours = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype == np.uint8
    grey = array.ndim == 2 and array.dtype in (np.bool_, np.uint8, np.uint16)
    if not (colours or grey) or not array.size:
        raise ImageError(
            "an image is (H, W) of uint8 or uint16, or (H, W, 3) or (H, W, 4) of uint8, got an array of shape "
            f"{array.shape} and type {array.dtype}"
        )
    return Image.fromarray(array)


def _refuse_bomb(image: Image.Image, name: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ImageTooLarge(
            f"{name} is too large an image: {image.width} × {image.height} pixels, more than {limit}; if it is meant "
            "to be, shrink it or raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def _rgb(image: Image.Image, name: str) -> Image.Image:
    """Load, convert to RGB by the rules of this module, and bring upright."""
    image.load()
    mode, transparent = image.mode, image.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        rgb = Image.fromarray(_grey_to_8_bits(np.asarray(image), mode, transparent, name)).convert("RGB")
    elif transparent is not None or image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    else:
        rgb = image if mode == "RGB" else image.convert("RGB")
    turn = _UPRIGHT.get(_orientation(image))
    return rgb if turn is None else rgb.transpose(turn)


# What brings a picture upright, for each value of the EXIF orientation (TIFF 6.0, tag 274) but 1.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_LYING = (5, 6, 7, 8)
"""The orientations that exchange width and height."""


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 … 8, as far as the image is read; 1 where there is none."""
    try:
        return int(Image.Image.getexif(image).get(274, 1))  # that of PNG reads the whole image first
    except Exception:  # damaged EXIF data do not make the picture unreadable
        return 1


def _grey_to_8_bits(values: np.ndarray, mode: str, transparent: object, name: str) -> UInt8[np.ndarray, "height width"]:
    """Grey values of more than 8 bits: I;16 and I are 0 … 65535; F is 0 … 1, or 0 … 255 if any value is above 1."""
    low, high = values.min(), values.max()
    if mode == "F":
        if not (low >= 0 and high <= 255):
            raise ImageError(f"{name} has real pixels outside of 0 … 255, from {low} to {high}; which grey is meant?")
        scaled: np.ndarray = np.rint(values * (255 if high <= 1 else 1))
        return scaled.astype(np.uint8)
    if low < 0 or high > 65535:
        raise ImageError(f"{name} has integer pixels outside of 0 … 65535, from {low} to {high}; which grey is meant?")
    grey: np.ndarray = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return grey
