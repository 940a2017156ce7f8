"""Image files to pixels: every readable file becomes (H, W, 3) uint8 RGB, every other one an `ImageError` by name.

What is done to the picture, and nothing else:

* the EXIF orientation is applied; of an animation the first frame is taken;
* transparency (RGBA, LA, a transparent palette entry or colour) is composited on white;
* 16-bit grey is scaled to 8 bits by round(v / 257), never clipped;
* CMYK and YCCK are converted by Pillow's formula (Adobe's inverted JPEGs included); colour profiles are not applied.
"""

import io
import itertools
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from bitseek.errors import ImageError

Source = str | os.PathLike[str] | BinaryIO | io.IOBase

IMAGE_EXTENSIONS = frozenset({
    ".avif", ".bmp", ".dib", ".gif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".mpo", ".pbm", ".pgm", ".png",
    ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp",
})  # fmt: skip
"""The file name endings (lower case) that `find_images` takes for images inside a folder."""


def decode(source: Source, *, min_side: int | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """Read one image as RGB.

    Args:
        source: a path, or a binary file open for reading.
        min_side: a hint for speed. A JPEG may then be decoded at 1/2, 1/4 or 1/8 of its size, as long as no side
            falls below `min_side` pixels. libjpeg shrinks by leaving out the high frequencies, so the result is
            close to, but not bit for bit, what decoding in full and shrinking gives. None: exact.

    Returns:
        (H, W, 3) uint8, RGB, an array of its own.

    Raises:
        ImageError: no such file, empty, truncated, corrupt, not an image, or more pixels than
            `PIL.Image.MAX_IMAGE_PIXELS` (a decompression bomb); the message names the file.
    """
    name = _name(source)
    try:
        if isinstance(source, str | os.PathLike):
            status = Path(source).stat()
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{name} is not a file")
            if status.st_size == 0:
                raise ImageError(f"{name} is empty (0 bytes)")
        with Image.open(cast(BinaryIO, source)) as image:
            _refuse_bomb(image, name)
            if min_side is not None:
                image.draft(None, (min_side, min_side))  # other formats than JPEG ignore it
            image.load()
            rgb, turn = _to_rgb(image, name), _UPRIGHT.get(_orientation(image))
            return np.array(rgb if turn is None else rgb.transpose(turn))
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(f"there is no file {name}") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not an image that can be read, or its beginning is damaged") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large an image: {error}") from error
    # A damaged file makes Pillow's many readers raise nearly anything (SyntaxError, struct.error, IndexError, …).
    except Exception as error:
        raise ImageError(f"{name} cannot be decoded: {error or type(error).__name__}") from error


def decode_many(
    paths: Iterable[str | os.PathLike[str]],
    threads: int | None = None,
    *,
    min_side: int | None = None,
    then: Callable[[np.ndarray], Any] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Decode images by threads, ahead of whoever consumes them, in the order given.

    At most 4 × `threads` images are decoded or waiting at any time, so `paths` may be endless. A file that cannot be
    decoded yields its `ImageError` instead of an array; nothing is raised for it, and nothing is left out.

    Args:
        paths: the files; read lazily.
        threads: how many threads decode; by default the number of processors, 8 at most.
        min_side: see `decode`.
        then: what else the threads do with each decoded array (resize it, say).

    Yields:
        (i, image) for i = 0, 1, 2, …: image is (H, W, 3) uint8, or what `then` made of it, or the `ImageError`.

    Raises:
        ImageError: `threads` is less than 1.
    """
    if threads is None:
        threads = min(8, os.cpu_count() or 1)
    if threads < 1:
        raise ImageError(f"images are decoded by 1 thread or more, got threads={threads}")
    return _decode_ahead(iter(paths), threads, min_side, then)


def find_images(paths: Iterable[str | os.PathLike[str]] | str | os.PathLike[str]) -> list[Path]:
    """The image files among files and below folders, always in the same order.

    A file is taken whatever its name; of a folder, all files below it whose extension is in `IMAGE_EXTENSIONS`, in
    the order of their paths. Left out are hidden files and folders (a leading dot), links to folders, and links to
    files outside of the folder. A file that is met twice is listed once.

    Args:
        paths: one path or several.

    Raises:
        ImageError: a path does not exist, or a folder cannot be read.
    """
    found: dict[Path, None] = {}
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(path)
        if path.is_dir():
            found.update(dict.fromkeys(sorted(_walk(path), key=lambda file: file.relative_to(path).parts)))
        elif path.exists():
            found[path] = None
        else:
            raise ImageError(f"there is no file or folder {path}")
    return list(found)


def _name(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return str(getattr(source, "name", "the image given"))


def _refuse_bomb(image: Image.Image, name: str) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and image.width * image.height > limit:
        raise ImageError(
            f"{name} is too large an image: {image.width} × {image.height} pixels, more than {limit}; if it is meant "
            "to be, shrink it or raise PIL.Image.MAX_IMAGE_PIXELS"
        )


def _to_rgb(image: Image.Image, name: str) -> Image.Image:
    mode, transparent = image.mode, image.info.get("transparency")
    if mode.startswith("I") or mode == "F":
        return Image.fromarray(_grey_to_8_bits(np.asarray(image), mode, transparent, name)).convert("RGB")
    if transparent is not None or image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


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


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(274, 1))
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


def _walk(folder: Path) -> Iterator[Path]:
    inside = folder.resolve()

    def unreadable(error: OSError) -> None:
        raise ImageError(f"cannot read the folder {error.filename}: {error.strerror}") from error

    for parent, below, names in os.walk(folder, onerror=unreadable, followlinks=False):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            file = Path(parent, name)
            if name.startswith(".") or file.suffix.lower() not in IMAGE_EXTENSIONS:
                continue
            if file.is_symlink() and not (file.is_file() and file.resolve().is_relative_to(inside)):
                continue
            yield file


def _decode_ahead(
    paths: Iterator[str | os.PathLike[str]],
    threads: int,
    min_side: int | None,
    then: Callable[[np.ndarray], Any] | None,
) -> Iterator[tuple[int, Any]]:
    def attempt(path: str | os.PathLike[str]) -> Any:
        try:
            image = decode(path, min_side=min_side)
            return image if then is None else then(image)
        except ImageError as error:
            return error

    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[Future[Any]] = deque()
    try:
        waiting.extend(pool.submit(attempt, path) for path in itertools.islice(paths, 4 * threads))
        for i in itertools.count():
            if not waiting:
                return
            image = waiting.popleft().result()
            waiting.extend(pool.submit(attempt, path) for path in itertools.islice(paths, 1))
            yield i, image
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
