"""Reading pictures safely, and cutting crops out of them exactly."""

import io
import random
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientations import as_stored
from PIL import Image, ImageFile

from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop, crop_matrix
from anykeypoint.images import crop_pixels, limits, read_image, resampling, warp_pixels


def picture(width=48, height=32, seed=0) -> Image.Image:
    """A smooth coloured picture, so that lossy formats stay near it."""
    y, x = np.mgrid[0:height, 0:width]
    channels = [x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y + seed) % 256]
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def refusal(source) -> str:
    with pytest.raises(InputError) as caught:
        read_image(source)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


# --- what is read --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, options",
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_come_back_exactly(kind, options):
    original = picture()
    assert np.array_equal(read_image(encoded(original, kind, **options)), original)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_formats_come_back_nearly(kind):
    original = picture()
    found = read_image(encoded(original, kind, quality=95))
    assert np.abs(np.asarray(found, int) - np.asarray(original, int)).mean() < 12


def test_path_text_bytes_image_and_array_give_the_same_pixels(tmp_path):
    path = tmp_path / "näme, with 'odd' letters.png"
    picture().save(path)
    expected = np.asarray(picture())
    for source in (path, str(path), path.read_bytes(), Image.open(path), expected):
        found = read_image(source)
        assert found.mode == "RGB" and np.array_equal(found, expected)


def test_the_callers_image_is_not_touched():
    original = picture()
    original.info["note"] = "mine"
    found = read_image(original)
    found.putpixel((0, 0), (1, 2, 3))
    assert original.getpixel((0, 0)) == (0, 0, 0) and original.info == {"note": "mine"}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_once(kind, orientation):
    upright = Image.new("RGB", (64, 32), "black")
    upright.paste((255, 0, 0), (0, 0, 16, 16))  # red in the top-left corner
    stored = as_stored(upright, orientation)
    exif = Image.Exif()
    exif[274] = orientation
    found = read_image(encoded(stored, kind, exif=exif))
    assert found.size == (64, 32)
    assert found.getpixel((6, 6))[0] > 200 and found.getpixel((57, 25))[0] < 60
    assert np.array_equal(read_image(found), found)  # reading what was read changes nothing


def test_an_unreadable_exif_block_counts_as_none():
    data = encoded(picture(), "PNG", exif=b"Exif\0\0 nonsense")
    assert np.array_equal(read_image(data), picture())


def test_alpha_is_laid_on_white():
    for image in (
        Image.new("RGBA", (4, 4), (255, 0, 0, 0)),
        Image.new("LA", (4, 4), (0, 0)),
    ):
        assert read_image(encoded(image, "PNG")).getpixel((1, 1)) == (255, 255, 255)
    half = read_image(Image.new("RGBA", (4, 4), (255, 0, 0, 128)))
    assert half.getpixel((0, 0)) == (255, 127, 127)


def test_a_palette_with_a_clear_colour_is_laid_on_white():
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    found = read_image(encoded(image, "PNG", transparency=0))
    assert found.getpixel((0, 0)) == (255, 255, 255) and found.getpixel((1, 1)) == (10, 20, 30)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled(kind):
    values = np.array([[0, 128, 129, 257, 32896, 65535]], dtype=np.uint16)
    found = np.asarray(read_image(encoded(Image.fromarray(values), kind)))
    assert found[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]
    assert (found[..., 0] == found[..., 1]).all() and (found[..., 0] == found[..., 2]).all()


def test_one_bit_grey_and_cmyk_are_converted():
    one = Image.new("1", (9, 9), 1)
    assert read_image(encoded(one, "PNG")).getpixel((8, 8)) == (255, 255, 255)
    assert read_image(encoded(Image.new("L", (9, 9), 77), "PNG")).getpixel((8, 8)) == (77, 77, 77)
    red = read_image(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)).getpixel((8, 8))
    assert red[0] > 240 and max(red[1:]) < 15


def test_the_first_page_of_a_tiff_is_read():
    pages = encoded(picture(), "TIFF", save_all=True, append_images=[picture(seed=99)])
    assert np.array_equal(read_image(pages), picture())


def test_a_jpeg_with_a_second_picture_inside_is_read_as_its_first():
    data = encoded(picture(), "MPO", save_all=True, append_images=[picture(seed=99)], quality=95)
    assert read_image(data).size == (48, 32)


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["http://x.org/a.jpg", "HTTPS://x.org/a", "s3://b/a.png", "file:///etc/passwd", "data:,"]
)
def test_urls_are_never_fetched(url):
    assert "never fetched" in refusal(url)


def test_a_missing_file_a_folder_and_an_empty_file_are_refused(tmp_path):
    (tmp_path / "empty.jpg").touch()
    assert "no file" in refusal(tmp_path / "none.jpg") and "none.jpg" in refusal(tmp_path / "none.jpg")
    assert "folder" in refusal(tmp_path)
    assert "empty.jpg is empty" in refusal(tmp_path / "empty.jpg")
    refusal("a\0b.jpg")
    refusal("x" * 5000)


def test_a_named_pipe_is_refused_without_waiting(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.jpg")
    assert "regular file" in refusal(tmp_path / "pipe.jpg")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_truncated_picture_is_refused_with_one_sentence(tmp_path, kind, part):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8))
    data = encoded(noise, kind)
    path = tmp_path / f"half.{kind.lower()}"
    path.write_bytes(data[: int(len(data) * part)])
    assert "half." in refusal(path)


def test_a_truncated_progressive_jpeg_is_refused():
    data = encoded(picture(300, 200), "JPEG", progressive=True)
    assert "cut off" in refusal(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animated_pictures_are_refused(kind):
    frames = [picture(seed=80 * i) for i in range(3)]
    assert "animated" in refusal(encoded(frames[0], kind, save_all=True, append_images=frames[1:]))


def test_other_formats_are_refused():
    assert "PNG" in refusal(encoded(picture().convert("P"), "GIF"))
    assert "PNG" in refusal(b"this is a text, not a picture")
    refusal(encoded(picture(), "PPM"))


def huge(kind: str, width: int, height: int) -> bytes:
    """A small picture whose header claims a great one."""
    data = bytearray(encoded(picture(16, 16), kind, **({"lossless": True} if kind == "WEBP" else {})))
    if kind == "PNG":
        import zlib

        data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    elif kind == "BMP":
        data[18:26] = width.to_bytes(4, "little") + height.to_bytes(4, "little")
    elif kind == "JPEG":
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    elif kind == "WEBP":
        bits = (width - 1) | (height - 1) << 14
        data[21:25] = (int.from_bytes(data[21:25], "little") & ~0xFFFFFFF | bits).to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG", "WEBP"])
@pytest.mark.parametrize("size", [(10_000, 4_001), (16_000, 16_000)])
def test_a_huge_picture_is_refused_before_it_is_decoded(kind, size, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        assert "40 million" in refusal(huge(kind, *size))


def test_a_huge_webp_is_refused_before_room_is_made_for_it(monkeypatch):
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    assert "16384" in refusal(b"RIFF" + bytes(4) + b"WEBPVP8X" + bytes([10, 0, 0, 0, 0, 0, 0, 0]) + b"\xff\xff\x0f" * 2)


def test_a_long_side_and_a_heavy_file_are_refused(tmp_path, monkeypatch):
    assert "16384" in refusal(huge("PNG", 20_000, 10))
    refusal(huge("PNG", 2**31 - 1, 2**31 - 1))
    monkeypatch.setattr(limits, "MAX_BYTES", 2**20)
    with (tmp_path / "heavy.png").open("wb") as file:
        file.truncate(2**20 + 1)  # a sparse file: no bytes are written
    assert "heavy.png" in refusal(tmp_path / "heavy.png") and "1 MiB" in refusal(tmp_path / "heavy.png")
    assert "1 MiB" in refusal(bytes(2**20 + 1))


def test_a_tiff_tile_larger_than_any_picture_is_refused():
    data = encoded(picture(10, 10), "TIFF", tiffinfo={65000: 2**15, 65001: 2**15})
    for private, tile in ((65000, 322), (65001, 323)):  # Pillow will not write the tags of tiles itself
        data = data.replace(private.to_bytes(2, "little"), tile.to_bytes(2, "little"))
    assert "tiles" in refusal(data)


def test_grey_without_a_known_scale_is_refused():
    assert "32-bit" in refusal(encoded(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))
    assert "32-bit" in refusal(Image.fromarray(np.ones((4, 4), np.int32)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3), np.int64),
        np.zeros((4, 4), bool),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 9, 9), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.full((4, 4, 3), 1.5),
        np.full((4, 4), np.nan),
    ],
)
def test_arrays_of_another_kind_are_refused(array):
    refusal(array)


def test_things_that_are_no_pictures_are_refused():
    assert "int" in refusal(3)
    assert "NoneType" in refusal(None)


def test_a_name_with_a_line_break_still_gives_one_line(tmp_path):
    refusal(tmp_path / "a\nb.jpg")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of damaged metadata
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF"])
def test_mutated_files_are_read_or_refused_but_nothing_else(kind):
    rng = random.Random(kind)
    exif = Image.Exif()
    exif[274] = 6
    whole = encoded(picture(40, 30), kind, **({} if kind == "BMP" else {"exif": exif}))
    outcomes = set()
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(rng.choice([1, 2, 8, 40])):
            change = rng.random()
            place = rng.randrange(min(len(data), rng.choice([64, 10**9])))
            if change < 0.7:
                data[place] = rng.randrange(256)
            elif change < 0.85:
                del data[place : place + rng.randrange(1, 9)]
            else:
                data[place:place] = rng.randbytes(rng.randrange(1, 9))
        try:
            found = read_image(bytes(data))
            assert found.mode == "RGB" and 1 <= found.width * found.height <= limits.MAX_PIXELS
            outcomes.add("read")
        except InputError as error:
            assert "\n" not in str(error)
            outcomes.add("refused")
    assert outcomes == {"read", "refused"}


# --- crops ---------------------------------------------------------------------------------------------------------


def dotted(width: int, height: int, point: tuple[float, float], radius: float) -> Image.Image:
    """Black with a white, soft-edged disc at a point of the picture's frame."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    light = np.clip(radius + 0.5 - np.hypot(x - point[0], y - point[1]), 0, 1)
    return Image.fromarray(np.repeat(np.rint(light * 255).astype(np.uint8)[..., None], 3, axis=2))


def brightest(pixels: np.ndarray) -> np.ndarray:
    light = pixels[..., 0].astype(float)
    y, x = np.mgrid[0 : light.shape[0], 0 : light.shape[1]] + 0.5
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_dot_lands_where_geometry_says(data):
    width, height = data.draw(st.integers(40, 160)), data.draw(st.integers(40, 160))
    size = data.draw(st.sampled_from([33, 64, 224]))
    side = data.draw(st.floats(8, size * min(width, height) / 6))
    radius = max(2.0, 1.5 * side / size)
    point = tuple(data.draw(st.floats(radius + 2, max(radius + 2, n - radius - 2))) for n in (width, height))
    room = min(0.4, (radius + 2) / side)
    where = [data.draw(st.floats(room, 1 - room)) for _ in range(2)]
    crop = Crop(point[0] - where[0] * side, point[1] - where[1] * side, side)
    image = dotted(width, height, point, radius)
    painted = brightest(np.asarray(image))  # rounding to 8 bits moves the dot a little, which enlarging would multiply
    assert np.abs(painted - point).max() < 0.05
    assert np.abs(brightest(crop_pixels(image, crop, size)) - crop.normalise(painted) * size).max() < 0.25


def test_a_whole_pixel_crop_copies_pixels():
    image = picture(60, 50)
    assert np.array_equal(crop_pixels(image, Crop(7, 5, 32), 32), np.asarray(image)[5:37, 7:39])


def test_half_a_pixel_of_shift_averages_neighbours():
    image = Image.fromarray(np.array([[[0] * 3, [200] * 3], [[0] * 3, [200] * 3]], dtype=np.uint8))
    assert crop_pixels(image, Crop(0.5, 0.25, 1.0), 1)[0, 0].tolist() == [100, 100, 100]


def test_outside_the_picture_is_black():
    white = Image.new("RGB", (20, 10), "white")
    pixels = crop_pixels(white, Crop(-10, -10, 40), 40)[..., 0]
    expected = np.zeros((40, 40))
    expected[10:20, 10:30] = 255
    assert np.array_equal(pixels, expected)
    assert not crop_pixels(white, Crop(500, 500, 40), 16).any()
    assert not crop_pixels(white, Crop(-1e12, 0, 40), 16).any()


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    inner = crop_pixels(Image.fromarray(stripes), Crop(0, 0, 64), 8)[2:-2, 2:-2]
    assert np.abs(inner.astype(int) - 127).max() <= 2


@pytest.mark.parametrize("side", [3.0, 40.0, 300.0, 1e5])
def test_pixels_that_are_not_rounded_are_near_the_others_and_move_little_with_the_crop(side):
    crop, moved = Crop(5.2, 12.4, side), Crop(5.2 + 1e-4, 12.4 - 1e-4, side)
    exact = crop_pixels(picture(), crop, 48, rounded=False)
    assert exact.dtype == np.float32 and np.abs(exact - crop_pixels(picture(), crop, 48)).max() < 1.01
    assert exact.any() and np.abs(crop_pixels(picture(), moved, 48, rounded=False) - exact).max() < 0.1


def test_the_same_input_gives_the_same_bits():
    crop = Crop(-3.7, 11.3, 71.9)
    assert crop_pixels(picture(), crop, 50).tobytes() == crop_pixels(picture(), crop, 50).tobytes()


@pytest.mark.parametrize("side", [1e4, 1e6, 1e12])
def test_a_huge_crop_of_a_small_picture_needs_little_memory(side, monkeypatch):
    windows = []
    plain = Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda self, box: windows.append(plain(self, box)) or windows[-1])
    image = Image.new("RGB", (100, 80), "white")
    crop = Crop(50 - side * 0.4, 40 - side * 0.6, side)
    tracemalloc.start()
    pixels = crop_pixels(image, crop, 224)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000 and all(window.width * window.height <= 16_000_000 for window in windows)
    # The white area keeps its light: 100 x 80 pixels of the picture in units of the result's pixels.
    light = pixels[..., 0].astype(float).sum() / 255
    assert light == pytest.approx(8000 * (224 / side) ** 2, abs=0.05)


def test_the_way_for_huge_crops_agrees_with_the_usual_one(monkeypatch):
    image, crop, size = picture(300, 200), Crop(-900.3, -1000.7, 2300.9), 16
    usual = crop_pixels(image, crop, size)
    windows = []
    whole = Image.Image.crop
    monkeypatch.setattr(Image.Image, "crop", lambda self, box: windows.append(box) or whole(self, box))
    monkeypatch.setattr(resampling, "MAX_WINDOW", 0)
    summed = crop_pixels(image, crop, size)
    assert usual.any() and np.abs(usual.astype(int) - summed).max() <= 1
    assert not windows, "no window of the picture's plane was made"


@pytest.mark.parametrize("crop", [Crop(0, 0, 0), Crop(0, 0, -1), Crop(np.nan, 0, 5), Crop(0, 0, np.inf)])
def test_a_crop_without_an_area_is_refused(crop):
    with pytest.raises(InputError):
        crop_pixels(picture(), crop, 8)


def test_a_crop_needs_rgb_and_a_size():
    with pytest.raises(InputError, match="read_image"):
        crop_pixels(Image.new("L", (4, 4)), Crop(0, 0, 4), 4)
    with pytest.raises(InputError, match="size 0"):
        crop_pixels(picture(), Crop(0, 0, 4), 0)


# --- the released code's crop --------------------------------------------------------------------------------------


def slow_warp(image, matrix, size):
    """Each pixel's index sent back through the matrix, and the four pixels round it, black outside."""
    source = np.asarray(image).astype(float)
    result = np.zeros((size, size, 3))
    for v in range(size):
        for u in range(size):
            x, y = np.linalg.solve(matrix[:, :2], np.array([u, v]) - matrix[:, 2])
            for row in (int(np.floor(y)), int(np.floor(y)) + 1):
                for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= row < image.height and 0 <= column < image.width:
                        result[v, u] += source[row, column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return result


@given(st.floats(-30, 40), st.floats(-30, 40), st.floats(2, 90), st.floats(-180, 180))
@settings(max_examples=15)
def test_the_released_crop_is_four_pixels_mean_at_each_index(x, y, side, degrees):
    image, matrix = picture(24, 16), crop_matrix(Crop(x, y, side), 12, degrees)
    np.testing.assert_allclose(warp_pixels(image, matrix, 12), slow_warp(image, matrix, 12), atol=0.51)


def test_the_released_crop_at_full_size_is_the_picture():
    image = picture(16, 16)
    np.testing.assert_array_equal(warp_pixels(image, crop_matrix(Crop(0, 0, 16), 16), 16), np.asarray(image))


def test_the_released_crop_needs_an_rgb_picture():
    with pytest.raises(InputError, match="mode L"):
        warp_pixels(picture().convert("L"), np.eye(2, 3), 8)
