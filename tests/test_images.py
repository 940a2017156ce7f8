import io
import itertools
import os
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from bitseek.errors import ImageError
from bitseek.images import decode, decode_many, find_images


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


def test_find_images_order_links_and_hidden(tmp_path):
    folder, outside = tmp_path / "in", tmp_path / "out"
    for name in ["b/2.PNG", "b/10.png", "a.jpg", "b.jpeg", "b/c/1.webp", "notes.txt", ".hidden.png", ".git/x.png"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    outside.mkdir()
    (outside / "secret.png").touch()
    (folder / "away").symlink_to(outside)
    (folder / "away.png").symlink_to(outside / "secret.png")
    (folder / "broken.png").symlink_to(folder / "nothing.png")
    (folder / "loop").symlink_to(folder)
    (folder / "z.png").symlink_to(folder / "a.jpg")
    names = [path.relative_to(folder).as_posix() for path in find_images([folder])]
    assert names == ["a.jpg", "b/10.png", "b/2.PNG", "b/c/1.webp", "b.jpeg", "z.png"]
    assert find_images(folder) == find_images(str(folder)) == find_images([folder, folder / "a.jpg"])
    assert find_images([folder / "notes.txt", folder / "a.jpg"]) == [folder / "notes.txt", folder / "a.jpg"]
    with pytest.raises(ImageError, match=r"no file or folder .*absent"):
        find_images([folder, tmp_path / "absent"])


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything is readable here")
def test_unreadable_folder(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(ImageError, match="cannot read the folder"):
        find_images(tmp_path)


def test_decode_many_is_in_order_and_names_the_damaged(tmp_path):
    paths = []
    for i in range(40):
        path = tmp_path / f"{i:02d}.png"
        Image.fromarray(np.full((1 + i % 3 * 200, 5, 3), i, np.uint8)).save(path)
        paths.append(path)
    paths[7].write_bytes(b"")
    paths[20] = tmp_path / "absent.png"
    result = list(decode_many(paths, threads=4))
    assert [i for i, _ in result] == list(range(40))
    for i, image in result:
        if i in (7, 20):
            assert isinstance(image, ImageError) and str(paths[i]) in str(image)
        else:
            assert image.shape == (1 + i % 3 * 200, 5, 3) and (image == i).all()
    assert list(decode_many([])) == []
    with pytest.raises(ImageError, match="threads=0"):
        decode_many(paths, threads=0)


def test_decode_many_reads_ahead_by_a_bounded_number_and_stops(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (2, 2)))
    taken = itertools.count()
    before = threading.active_count()
    stream = decode_many((path for _ in iter(lambda: next(taken), -1)), threads=2)  # endless
    for i in range(100):
        assert next(stream)[0] == i
    assert next(taken) <= 100 + 4 * 2 + 1
    stream.close()
    assert threading.active_count() == before


def test_decode_many_lets_errors_of_the_path_iterator_through():
    def paths():
        yield Path("absent.png")
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(decode_many(paths(), threads=1))


def test_decode_many_applies_a_function_in_its_threads(tmp_path):
    path = saved(tmp_path / "a.png", Image.new("RGB", (2, 3)))
    me = threading.get_ident()
    results = list(decode_many([path, tmp_path / "absent.png"], 2, then=lambda a: (a.shape, threading.get_ident())))
    assert results[0][1][0] == (3, 2, 3) and results[0][1][1] != me
    assert isinstance(results[1][1], ImageError)
