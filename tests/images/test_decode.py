import io
import os
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from bitseek.errors import ImageError, ShapeError
from bitseek.images import decode, decode_many, upright


def gradient(height=24, width=32):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 8, y * 10, (x + y) * 4], axis=-1).astype(np.uint8)


def saved(path, image, **kwargs):
    image.save(path, **kwargs)
    return path


def test_rgb_png_is_exact(tmp_path):
    pixels = gradient()
    decoded = decode(saved(tmp_path / "a.png", Image.fromarray(pixels)))
    assert decoded.dtype == np.uint8 and decoded.flags.writeable
    np.testing.assert_array_equal(decoded, pixels)


def test_binary_file(tmp_path):
    buffer = io.BytesIO()
    Image.fromarray(gradient()).save(buffer, "PNG")
    buffer.seek(0)
    np.testing.assert_array_equal(decode(buffer), gradient())
    with saved(tmp_path / "a.png", Image.fromarray(gradient())).open("rb") as file:
        np.testing.assert_array_equal(decode(file), gradient())


def test_grey(tmp_path):
    grey = gradient()[..., 0]
    decoded = decode(saved(tmp_path / "grey.png", Image.fromarray(grey)))
    np.testing.assert_array_equal(decoded, np.stack([grey] * 3, axis=-1))


def test_black_and_white(tmp_path):
    bits = gradient()[..., 0] > 100
    decoded = decode(saved(tmp_path / "bw.png", Image.fromarray(bits)))
    np.testing.assert_array_equal(decoded[..., 1], np.where(bits, 255, 0))


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(tmp_path, ending):
    values = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    decoded = decode(saved(tmp_path / f"deep.{ending}", Image.fromarray(values)))
    expected = np.rint(values / 65535 * 255)
    np.testing.assert_array_equal(decoded, np.stack([expected] * 3, axis=-1))


def test_16_bit_grey_with_a_transparent_value_is_white_there(tmp_path):
    values = np.array([[0, 1000, 65535]], np.uint16)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", 3, 1, 16, 0, 0, 0, 0)
    path = tmp_path / "t.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"tRNS", struct.pack(">H", 1000))
        + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )  # fmt: skip
    np.testing.assert_array_equal(decode(path)[0, :, 0], [0, 255, 255])


def test_16_bit_rgb_png(tmp_path):
    values = np.stack([np.arange(0, 65536, 257, dtype=np.uint16)] * 3, axis=-1)[None]

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", values.shape[1], 1, 16, 2, 0, 0, 0)
    path = tmp_path / "rgb16.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" + values.astype(">u2").tobytes())) + chunk(b"IEND", b"")
    )  # fmt: skip
    np.testing.assert_array_equal(decode(path)[0, :, 0], np.arange(256))


def test_floating_point_tiff(tmp_path):
    unit = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    decoded = decode(saved(tmp_path / "unit.tif", Image.fromarray(unit)))
    np.testing.assert_array_equal(decoded[..., 0], np.rint(unit * 255))
    with pytest.raises(ImageError, match=r"far.tif.*outside"):
        decode(saved(tmp_path / "far.tif", Image.fromarray(unit * 1e4)))


def test_32_bit_integers_have_no_agreed_range(tmp_path):
    with pytest.raises(ImageError, match=r"i32.tif.*65535"):
        decode(saved(tmp_path / "i32.tif", Image.fromarray(np.full((4, 4), 70_000, np.int32))))


def test_cmyk_jpeg_adobe_inverted(tmp_path):
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # red ink
    path = saved(tmp_path / "cmyk.jpg", cmyk, quality=95)
    assert b"Adobe" in path.read_bytes()  # Pillow writes such files inverted, as Photoshop does
    r, g, b = decode(path).reshape(-1, 3).mean(axis=0)
    assert r > 240 and g < 15 and b < 15


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_composited_on_white(tmp_path, mode):
    alpha = np.array([[0, 255, 128]], np.uint8)
    grey = np.zeros((1, 3), np.uint8)
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha))).convert(mode)
    decoded = decode(saved(tmp_path / "alpha.png", image))
    np.testing.assert_allclose(decoded[0, :, 0], [255, 0, 127], atol=1)


@pytest.mark.parametrize("ending", ["png", "gif"])
def test_palette_with_transparency(tmp_path, ending):
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    decoded = decode(saved(tmp_path / f"p.{ending}", image, transparency=1))
    np.testing.assert_array_equal(decoded, [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]])


def test_palette_without_transparency(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([255, 0, 0, 0, 255, 0])
    image.putdata([1, 0])
    np.testing.assert_array_equal(decode(saved(tmp_path / "p.png", image)), [[[0, 255, 0], [255, 0, 0]]])


def test_transparent_colour_of_rgb(tmp_path):
    image = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    decoded = decode(saved(tmp_path / "key.png", image, transparency=(4, 5, 6)))
    np.testing.assert_array_equal(decoded, [[[1, 2, 3], [255, 255, 255]]])


# What a camera stores for each orientation: the upright picture, turned the other way (EXIF 2.32, table of tag 274).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation(tmp_path, orientation, ending):
    exif = Image.Exif()
    exif[274] = orientation
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](gradient())))
    options = {"lossless": True} if ending == "webp" else {}
    decoded = decode(saved(tmp_path / f"turned.{ending}", stored, exif=exif, **options))
    np.testing.assert_array_equal(decoded, gradient())


def test_exif_orientation_of_a_grey_16_bit_and_a_draft_jpeg(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    values = np.arange(12, dtype=np.uint16).reshape(3, 4) * 5000
    decoded = decode(saved(tmp_path / "t.png", Image.fromarray(values), exif=exif))
    np.testing.assert_array_equal(decoded[..., 0], np.rint(np.rot90(values, -1) / 257))
    big = Image.fromarray(np.zeros((128, 256, 3), np.uint8))
    assert decode(saved(tmp_path / "t.jpg", big, exif=exif), min_side=32).shape == (64, 32, 3)


def test_damaged_exif_does_not_lose_the_picture(tmp_path):
    path = saved(tmp_path / "exif.png", Image.fromarray(gradient()), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    np.testing.assert_array_equal(decode(path), gradient())


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_first_frame_of_an_animation(tmp_path, ending):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if ending == "webp" else {}
    path = saved(tmp_path / f"many.{ending}", frames[0], save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode(path), np.full((8, 8, 3), (255, 0, 0)))


def test_min_side_draft(tmp_path):
    smooth = np.stack([np.add.outer(np.arange(512) // 4, np.arange(768) // 8)] * 3, axis=-1).astype(np.uint8)
    path = saved(tmp_path / "big.jpg", Image.fromarray(smooth), quality=95)
    full, draft = decode(path), decode(path, min_side=120)
    assert full.shape == (512, 768, 3) and draft.shape == (128, 192, 3)
    assert decode(path, min_side=129).shape == (256, 384, 3)
    np.testing.assert_array_equal(decode(path, min_side=600), full)
    shrunk = np.asarray(Image.fromarray(full).resize((192, 128), Image.Resampling.BOX))
    assert np.abs(shrunk.astype(int) - draft).max() <= 4
    png = saved(tmp_path / "big.png", Image.fromarray(smooth))
    np.testing.assert_array_equal(decode(png, min_side=32), smooth)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.png", b"not an image at all, but long enough to look at", "not an image"),
        ("head.png", b"\x89PNG\r\n\x1a\n", "head.png"),
        ("head.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF", "head.jpg"),
    ],
)
def test_no_image_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message) as caught:
        decode(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_absent_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match="there is no file"):
        decode(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="is not a file"):
        decode(tmp_path)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_truncated_files_are_errors(tmp_path, ending):
    whole = saved(tmp_path / f"whole.{ending}", Image.fromarray(gradient(96, 96))).read_bytes()
    path = tmp_path / f"cut.{ending}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=f"cut.{ending}"):
        decode(path)


def test_decompression_bomb(tmp_path, monkeypatch):
    path = saved(tmp_path / "bomb.png", Image.new("1", (20_000, 20_000)))
    assert path.stat().st_size < 100_000
    with pytest.raises(ImageError, match=r"bomb.png is too large"):
        decode(path)
    small = saved(tmp_path / "small.png", Image.new("1", (50, 30)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1400)
    with pytest.raises(ImageError, match=r"small.png is too large"):
        decode(small)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert decode(small).shape == (30, 50, 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ending=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]), data=st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow warns about some of the damage before it fails
def test_damage_gives_an_image_or_an_image_error(tmp_path, ending, data):
    buffer = io.BytesIO()
    Image.fromarray(gradient()).save(buffer, ending)
    raw = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "damaged").write_bytes(raw)
    try:
        decoded = decode(tmp_path / "damaged")
    except ImageError as error:
        assert "damaged" in str(error)
    else:
        assert decoded.dtype == np.uint8 and decoded.ndim == 3 and decoded.shape[2] == 3


@pytest.fixture
def opened():
    """Opens a PIL image and closes it after the test."""
    images = []

    def open_one(path):
        images.append(Image.open(path))
        return images[-1]

    yield open_one
    for image in images:
        image.close()


# The same picture in every way in: each file is compared with Pillow's own conversion, and with itself as a PIL image
# that is loaded or not, as a binary file, as a path of bytes, and as the array that Pillow has of it.
def pictures():
    rgb = Image.fromarray(gradient(40, 56))
    grey = Image.fromarray(gradient(40, 56)[..., 0])
    alpha = Image.fromarray(np.add.outer(np.arange(40) * 6, np.arange(56)).clip(0, 255).astype(np.uint8))
    deep = Image.fromarray(np.arange(40 * 56, dtype=np.uint16).reshape(40, 56) * 29)
    turned = Image.Exif()
    turned[274] = 6
    return {
        "rgb.png": (rgb, {}),
        "grey.png": (grey, {}),
        "bw.png": (grey.convert("1"), {}),
        "rgba.png": (Image.merge("RGBA", (*rgb.split(), alpha)), {}),
        "la.png": (Image.merge("LA", (grey, alpha)), {}),
        "deep.png": (deep, {}),
        "deep.tif": (deep, {}),
        "palette.png": (rgb.quantize(32), {}),
        "palette.gif": (rgb.quantize(32), {"transparency": 3}),
        "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 90}),
        "cmyk.tif": (rgb.convert("CMYK"), {}),
        "photo.jpg": (rgb, {"quality": 90}),
        "grey.jpg": (grey, {}),
        "turned.jpg": (rgb, {"exif": turned}),
        "turned.png": (Image.merge("RGBA", (*rgb.split(), alpha)), {"exif": turned}),
        "grey turned.tif": (grey, {"exif": turned}),
        "deep turned.tif": (deep, {"exif": turned}),
        "photo.webp": (Image.merge("RGBA", (*rgb.split(), alpha)), {"lossless": True}),
    }


def by_pillow(path):
    with Image.open(io.BytesIO(path.read_bytes())) as image:  # by a path, Pillow 13 turns a raw TIFF wrongly
        upright = ImageOps.exif_transpose(image)
        if upright.mode == "I;16":
            return np.stack([np.rint(np.asarray(upright) / 257).astype(np.uint8)] * 3, axis=-1)
        if upright.has_transparency_data:
            colours = upright.convert("RGBA")
            white = Image.new("RGBA", colours.size, (255, 255, 255, 255))
            white.alpha_composite(colours)
            return np.asarray(white.convert("RGB"))
        return np.asarray(upright.convert("RGB"))


@pytest.mark.parametrize("name", pictures())
def test_the_same_pixels_whichever_way_a_picture_comes_in(tmp_path, opened, name):
    image, options = pictures()[name]
    path = saved(tmp_path / name, image, **options)
    expected = by_pillow(path)
    assert expected.shape[:2] == ((56, 40) if "turned" in name else (40, 56))
    loaded, unloaded = opened(io.BytesIO(path.read_bytes())), opened(path)
    loaded.load()
    ways = {"path": path, "string": str(path), "bytes": os.fsencode(path), "file": io.BytesIO(path.read_bytes())}
    ways |= {"unloaded": unloaded, "loaded": loaded, "copy": loaded.copy()}
    if loaded.mode in ("RGB", "RGBA", "L", "1", "I;16") and "turned" not in name:
        ways["array"] = np.asarray(loaded)
    for way, source in ways.items():
        np.testing.assert_array_equal(decode(source), expected, err_msg=way)
        if way == "unloaded":
            np.testing.assert_array_equal(decode(source), expected, err_msg="a second time")


@pytest.mark.parametrize("min_side", [None, 1, 40, 100, 128, 300, 5000])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_unloaded_jpeg_is_drafted_as_its_file_is_and_left_alone(tmp_path, mode, min_side):
    exif = Image.Exif()
    exif[274] = 8
    smooth = np.stack([np.add.outer(np.arange(600) // 4, np.arange(808) // 8)] * 3, axis=-1).astype(np.uint8)
    path = saved(tmp_path / "big.jpg", Image.fromarray(smooth).convert(mode), exif=exif)
    expected = decode(path, min_side=min_side)
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or 600 // s >= (min_side or 601))  # 808 and 600 are multiples of 8
    assert expected.shape == (808 // scale, 600 // scale, 3)
    with Image.open(path) as image:
        np.testing.assert_array_equal(decode(image, min_side=min_side), expected)
        assert image.size == (808, 600) and image.tile  # neither shrunk nor loaded
        np.testing.assert_array_equal(decode(image), decode(path))
        whole = np.asarray(image.convert("RGB"))
    with Image.open(path) as image:
        np.testing.assert_array_equal(whole, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF", "MPO"])
@pytest.mark.parametrize("orientation", [None, *range(10)])
def test_the_size_in_full_is_told_beside_the_pixels(tmp_path, kind, orientation):
    options = {}
    if orientation is not None:
        options["exif"] = Image.Exif()
        options["exif"][274] = orientation
    path = saved(tmp_path / "a", Image.fromarray(gradient(201, 403)), format=kind, **options)
    with Image.open(path) as unloaded:
        for source in (path, unloaded):
            for min_side in (None, 20, 100, 300):
                picture, size = upright(source, min_side=min_side)
                np.testing.assert_array_equal(np.asarray(picture), decode(path, min_side=min_side))
                assert size == ((201, 403) if orientation in (5, 6, 7, 8) else (403, 201))
                assert (picture.size != size) == (kind in ("JPEG", "MPO") and min_side in (20, 100))


def test_what_a_user_did_to_a_pil_image_counts(tmp_path, opened):
    path = saved(tmp_path / "a.jpg", Image.fromarray(gradient(64, 64)))
    own = opened(path)
    own.draft(None, (16, 16))
    assert decode(own, min_side=64).shape == (16, 16, 3)
    own = opened(path)
    own.paste((255, 0, 0), (0, 0, 64, 64))
    np.testing.assert_array_equal(decode(own, min_side=8), np.full((64, 64, 3), (255, 0, 0)))


def test_the_frame_at_which_a_pil_image_stands(tmp_path):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    for ending in ("gif", "png", "tif"):
        frames[0].save(tmp_path / f"many.{ending}", save_all=True, append_images=frames[1:])
        with Image.open(tmp_path / f"many.{ending}") as image:
            image.seek(2)
            np.testing.assert_array_equal(decode(image), np.full((8, 8, 3), (0, 0, 255)))
            assert image.tell() == 2


def test_one_unloaded_image_in_several_threads(tmp_path):
    path = saved(tmp_path / "a.png", Image.fromarray(gradient(200, 300)))
    with Image.open(path) as image:
        for _, pixels in decode_many([image] * 32, threads=8):
            np.testing.assert_array_equal(pixels, gradient(200, 300))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, ">u2"])
def test_grey_arrays(dtype):
    values = np.arange(12).reshape(3, 4)
    array = (
        (values > 5).astype(dtype)
        if dtype == np.bool_
        else (values * (20 if dtype == np.uint8 else 5000)).astype(dtype)
    )
    scale = {"b": 255, "u": 1}[array.dtype.kind] / (257 if array.dtype.itemsize == 2 else 1)
    expected = np.stack([np.rint(array.astype(np.float64) * scale)] * 3, axis=-1)
    for grey in (array, array[..., None], np.asfortranarray(array)):
        np.testing.assert_array_equal(decode(grey), expected)


def test_colour_arrays():
    rgb = gradient()
    decoded = decode(rgb)
    np.testing.assert_array_equal(decoded, rgb)
    assert decoded.flags.writeable and not np.shares_memory(decoded, rgb)
    np.testing.assert_array_equal(decode(rgb[::-1, ::-1]), rgb[::-1, ::-1])
    alpha = np.linspace(0, 255, 24 * 32).astype(np.uint8).reshape(24, 32, 1)
    blended = rgb * (alpha / 255) + 255 * (1 - alpha / 255)
    assert np.abs(decode(np.concatenate([rgb, alpha], axis=2)) - blended).max() <= 1


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((4, 4, 3), np.uint16),
        np.zeros((4, 4), np.int64),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_other_arrays_are_no_images(array):
    with pytest.raises(ImageError, match=r"an image is \(H, W\)") as caught:
        decode(array)
    assert str(array.shape) in str(caught.value) and str(array.dtype) in str(caught.value)


def png_claiming(width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk + struct.pack(">I", 4) + b"IDAT" + b"\0" * 8


def jpeg_claiming(width, height):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    raw = buffer.getvalue()
    at = raw.index(b"\xff\xc0") + 5
    return raw[:at] + struct.pack(">HH", height, width) + raw[at + 4 :]


@pytest.mark.parametrize("min_side", [None, 64])
@pytest.mark.parametrize("content", [png_claiming(100_000, 100_000), jpeg_claiming(65_500, 65_500)])
def test_a_few_bytes_that_claim_billions_of_pixels(tmp_path, content, min_side):
    (tmp_path / "claim").write_bytes(content)
    with pytest.raises(ImageError, match="claim is too large"):
        decode(tmp_path / "claim", min_side=min_side)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_the_limit_of_pixels_holds_for_files_and_pil_images_alike(tmp_path, opened, monkeypatch, factor):
    path = saved(tmp_path / "a.jpg", Image.fromarray(gradient(64, 64)))
    image = opened(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", int(64 * 64 * factor))
    for source in (path, image):
        if factor > 1:
            assert decode(source, min_side=8).shape == (8, 8, 3)
        else:
            with pytest.raises(ImageError, match=r"a\.jpg is too large"):
                decode(source, min_side=8)


def test_postscript_is_not_run(tmp_path):
    path = saved(tmp_path / "program.png", Image.new("RGB", (8, 8)), format="EPS")
    with pytest.raises(ImageError, match=r"program\.png is PostScript"):
        decode(path)


def test_an_error_without_words_is_called_by_its_name(tmp_path, monkeypatch):
    def damaged(*_):
        raise struct.error

    monkeypatch.setattr(Image, "open", damaged)
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ImageError, match=r"a\.png cannot be decoded: error"):
        decode(tmp_path / "a.png")


def test_what_is_no_image_at_all(tmp_path, unchecked):
    for wrong in (None, 3, [1, 2], object()):
        with pytest.raises(ImageError, match="an image is a path"):
            decode(wrong)
    closed = Image.open(saved(tmp_path / "a.png", Image.new("RGB", (8, 8))))
    closed.close()
    with pytest.raises(ImageError, match=r"a\.png"):
        decode(closed)


@settings(max_examples=60, deadline=None)
@given(ending=st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"]), cut=st.floats(0, 0.999))
@pytest.mark.filterwarnings("ignore")
def test_a_cut_file_gives_an_image_or_an_image_error_in_every_way(ending, cut):
    buffer = io.BytesIO()
    Image.fromarray(gradient()).save(buffer, ending)
    raw = buffer.getvalue()[: int(cut * buffer.tell())]
    results = []
    for min_side in (None, 4):
        try:
            results.append(decode(io.BytesIO(raw), min_side=min_side).shape)
        except ImageError as error:
            results.append("BytesIO" in str(error))
    try:
        with Image.open(io.BytesIO(raw)) as image:
            results.append(decode(image).shape)
    except (ImageError, OSError, SyntaxError, ValueError):
        results.append(True)
    assert all(results) and len({result is True for result in results}) == 1


@pytest.mark.parametrize("min_side", [0, -1, 1.5, float("nan"), True, "8"])
def test_a_min_side_that_is_none_does_not_blame_the_file(min_side, unchecked):
    with pytest.raises(ShapeError, match="min_side is a whole number of 1 or more"):
        decode(np.zeros((2, 2), np.uint8), min_side=min_side)


def test_the_content_of_a_file_in_place_of_its_path_is_not_repeated_in_the_message(unchecked):
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((90, 90, 3), np.uint8)).save(buffer, "PNG")
    with pytest.raises(ImageError, match=r"bytes that are no path .*io\.BytesIO") as caught:
        decode(buffer.getvalue())
    assert len(str(caught.value)) < 400
