"""Images from strangers: what is one is decoded as `bitseek.images.decode` does it, what is none is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.images import decode
from bitseek.server._pictures import FORMATS, jpeg_scans, media_type, picture
from bitseek.server._refusal import Refusal

LIMIT = 4_000_000


def saved(form, size=(61, 40), mode="RGB", **options):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


def refused(data, **options):
    with pytest.raises(Refusal) as error:
        picture(data, **{"max_pixels": LIMIT} | options)
    assert "/" not in error.value.sentence.replace("multipart/form-data", "")
    return error.value.status


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF"])
@pytest.mark.parametrize("min_side", [None, 8])
def test_pixels_are_those_of_decode(form, min_side):
    data = saved(form, (640, 480))
    found = picture(data, max_pixels=LIMIT, min_side=min_side)
    assert found.format == form and np.array_equal(found.pixels, decode(io.BytesIO(data), min_side=min_side))


def test_the_orientation_is_applied():
    exif = Image.Exif()
    exif[274] = 6
    assert picture(saved("JPEG", exif=exif), max_pixels=LIMIT).pixels.shape == (61, 40, 3)


@pytest.mark.parametrize("form", ["EPS", "PDF", "TGA", "PPM", "ICO", "PCX", "JPEG2000"])
def test_other_formats_are_not_even_opened(form):
    assert refused(saved(form)) == 415


def test_postscript_is_not_run(tmp_path):
    trace = tmp_path / "trace"
    program = b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 9 9\n(%s) (w) file closefile\n" % str(trace).encode()
    assert refused(program) == 415 and not trace.exists()


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, data):
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_an_image_that_claims_to_be_huge_is_refused_by_its_header():
    assert refused(png(100_000, 100_000, zlib.compress(b"\0" * 1000))) == 413
    bmp = bytearray(saved("BMP"))
    bmp[18:26] = struct.pack("<ii", 100_000, 100_000)
    assert refused(bytes(bmp)) == 413
    gif = bytearray(saved("GIF"))
    gif[6:10] = struct.pack("<HH", 65535, 65535)
    assert refused(bytes(gif)) == 413


def test_a_decompression_bomb_is_refused():
    """A few kilobytes that would be 300 megabytes."""
    bomb = png(10_000, 10_000, zlib.compress(b"\0" * (30_001 * 10_000), 9))
    assert len(bomb) < 400_000 and refused(bomb) == 413
    assert refused(saved("PNG", (200, 200)), max_pixels=39_999) == 413
    assert picture(saved("PNG", (200, 200)), max_pixels=40_000).pixels.shape == (200, 200, 3)


def test_a_tiff_of_one_pixel_with_a_huge_tile_is_refused():
    tags = {256: 1, 257: 1, 258: 8, 259: 8, 262: 1, 277: 1, 322: 65536, 323: 65536, 324: 8, 325: 16}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    head = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    assert refused(head + b"\0" * 64) == 413


def test_a_jpeg_of_endless_scans_is_refused():
    """A progressive file may add scans of a few bytes, each of which costs a pass over the picture."""
    data = saved("JPEG", (64, 64), progressive=True)
    real = jpeg_scans(data, 100)
    with Image.open(io.BytesIO(data)) as image:
        assert image.info.get("progressive") and 5 <= real <= 12
    assert jpeg_scans(saved("JPEG"), 100) == 1
    first = data.index(b"\xff\xda")
    scan = data[first : data.index(b"\xff", first + 20)]
    assert refused(data[:first] + scan * 500 + data[first:]) == 422


def test_scans_are_not_counted_where_there_are_none():
    noise = np.random.default_rng(0).integers(0, 256, 2_000_000, np.uint8).tobytes()
    comment = b"\xff\xfe" + struct.pack(">H", 60_002) + noise[:60_000].replace(b"\0\0", b"\xff\xda")
    data = saved("JPEG")
    assert jpeg_scans(data[:2] + comment + data[2:] + noise, 100) == 1  # a film behind the end, as phones write it


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_what_is_cut_off_is_refused(form):
    data = saved(form)
    for length in (len(data) // 2, 20, 3):
        assert refused(data[:length]) in (415, 422)


def test_what_is_no_image_is_refused():
    assert refused(b"<!doctype html><script>alert(1)</script>") == 415
    assert refused(b"\0" * 1000) == 415
    assert refused(b'<svg xmlns="http://www.w3.org/2000/svg"/>') == 415


@pytest.mark.parametrize("form", sorted(set(FORMATS) - {"MPO"}))
def test_the_type_is_told_by_content(form):
    assert media_type(io.BytesIO(saved(form))) == FORMATS[form][0]
    assert media_type(io.BytesIO(b"<html>")) is None


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(form=st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]), data=st.data())
def test_a_mutated_image_is_decoded_or_refused(form, data):
    """benchmarks/hostile.py does it 10,000 times."""
    content = bytearray(saved(form, (33, 17)))
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, min(len(content) - 1, 400)))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = picture(bytes(content[: data.draw(st.integers(1, len(content)))]), max_pixels=LIMIT)
        assert found.pixels.dtype == np.uint8 and found.pixels.shape[2] == 3
    except Refusal as refusal:
        assert refusal.status in (413, 415, 422)
