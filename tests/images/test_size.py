"""Width and height from the header are those that decoding gives."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from bitseek.errors import ImageError
from bitseek.images import decode, image_size

FORMATS = ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "MPO"]


def saved(kind, orientation=None, size=(40, 24), **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[274] = orientation
        options["exif"] = exif
    Image.fromarray(noise).save(buffer, kind, **options)
    return buffer.getvalue()


def both(contents):
    """The size by decoding, that of the header of a file, and that of a PIL image which is not read yet."""
    with Image.open(io.BytesIO(contents)) as image:
        return decode(io.BytesIO(contents)).shape[1::-1], image_size(io.BytesIO(contents)), image_size(image)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", [None, *range(10)])
def test_what_decoding_gives_for_every_orientation(kind, orientation):
    decoded, header, picture = both(saved(kind, orientation))
    assert decoded == header == picture == ((24, 40) if orientation in (5, 6, 7, 8) else (40, 24))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "jpeg"])
def test_tiff_of_every_compression(compression):
    assert set(both(saved("TIFF", 6, compression=compression))) == {(24, 40)}


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "TGA", "JPEG2000"])
def test_formats_without_orientation(kind):
    assert set(both(saved(kind))) == {(40, 24)}


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("where", ["before", "behind"])
@pytest.mark.parametrize("kind", ["exif", "xmp"])
def test_the_orientation_of_a_png_may_stand_behind_its_pixels(where, kind):
    exif = Image.Exif()
    exif[274] = 6
    xmp = b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'
    data = chunk(b"eXIf", exif.tobytes()[6:]) if kind == "exif" else chunk(b"iTXt", xmp)
    whole = saved("PNG")
    place = whole.index(b"IDAT") - 4 if where == "before" else whole.index(b"IEND") - 4
    decoded, header, picture = both(whole[:place] + data + whole[place:])
    assert decoded == header == picture
    assert decoded == (24, 40) or kind == "xmp", "EXIF data count wherever they stand"


def test_text_behind_the_pixels_of_a_png_changes_nothing():
    text = PngImagePlugin.PngInfo()
    text.add(b"tEXt", b"Comment\0upright", after_idat=True)
    assert set(both(saved("PNG", pnginfo=text))) == {(40, 24)}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "PPM"])
def test_pixels_are_not_read(kind):
    contents = saved(kind, size=(400, 240))
    contents = contents[: len(contents) // 2] if kind != "TIFF" else contents.replace(contents[200:9000], b"\0" * 8800)
    assert image_size(io.BytesIO(contents)) == (400, 240)
    if kind != "TIFF":
        with pytest.raises(ImageError):
            decode(io.BytesIO(contents))


def test_paths_arrays_and_pictures(tmp_path):
    (tmp_path / "a.png").write_bytes(saved("PNG", 8))
    assert image_size(tmp_path / "a.png") == image_size(str(tmp_path / "a.png")) == (24, 40)
    assert image_size(np.zeros((3, 5), np.uint8)) == image_size(np.zeros((3, 5, 4), np.uint8)) == (5, 3)
    assert image_size(Image.new("L", (5, 3))) == (5, 3)
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image_size(image) == (24, 40)


def test_what_has_no_size(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no image")
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    for name, reason in (("absent", "no file"), ("empty", "0 bytes"), ("text", "not an image"), ("bomb", "too large")):
        with pytest.raises(ImageError, match=rf"{name}\.png.*|{reason}") as caught:
            image_size(tmp_path / f"{name}.png")
        assert reason in str(caught.value) and name in str(caught.value)
