"""Pictures of every format and kind of pixels, and large ones that are read shrunk."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orientations import as_stored
from PIL import Image, ImageFile

from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop, crop_matrix, square_crop
from anykeypoint.images import crop_pixels, limits, opening, picture_size, read_image, read_picture, warp_pixels


def picture(width: int, height: int) -> Image.Image:
    """Smooth blobs of colour: a shift by a pixel shows in the means."""
    grid = np.random.default_rng(0).integers(0, 255, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    return Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str, orientation: int = 1, **options) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    buffer = io.BytesIO()
    stored = as_stored(image, orientation)
    stored.save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()


def refusal(source, **options) -> str:
    with pytest.raises(InputError) as caught:
        read_picture(source, **options)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


# --- size ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_in_the_header_is_that_of_the_picture_as_opened(kind, orientation, tmp_path):
    path = tmp_path / f"a.{kind.lower()}"
    path.write_bytes(encoded(picture(64, 30), kind, orientation))
    assert picture_size(path) == read_image(path).size == read_picture(path).size == (64, 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
def test_a_size_is_read_without_decoding(kind, tmp_path, monkeypatch):
    path = tmp_path / "a"
    picture(40, 20).save(path, kind)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    assert picture_size(path) == (40, 20)


def test_what_is_no_picture_has_no_size(tmp_path):
    (tmp_path / "a.jpg").write_text("a text")
    assert picture_size(tmp_path / "a.jpg") is None and picture_size(tmp_path / "none.jpg") is None


# --- large pictures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_crop_of_a_shrunk_picture_lies_where_it_lies_in_the_file(kind, orientation):
    data = encoded(picture(498, 301), kind, orientation, **({"quality": 95} if kind == "JPEG" else {}))
    whole, small = read_picture(data), read_picture(data, 15_000)
    assert small.size == whole.size == (498, 301) and small.shrunk == 4
    assert small.pixels.size == (125, 76)

    def difference(x: float) -> float:
        crop = Crop(40.3 + x, 30.7, 240)
        return np.abs(crop_pixels(small, Crop(40.3, 30.7, 240), 40).astype(int) - crop_pixels(whole, crop, 40)).mean()

    assert difference(0) < 3 < 5 < min(difference(1), difference(-1)), "a shift by one pixel of the file would show"
    matrix = crop_matrix(square_crop((40.3, 30.7, 240, 240)), 40)
    assert np.abs(warp_pixels(small, matrix, 40).astype(int) - warp_pixels(whole, matrix, 40)).mean() < 6


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 3000), st.sampled_from([1, 3, 5, 8]))
def test_shrinking_keeps_to_the_limit_and_the_corners_in_place(width, height, most, orientation):
    data = encoded(picture(width, height), "PNG", orientation)
    found = read_picture(data, most)
    assert found.pixels.width * found.pixels.height <= most and found.size == (width, height)
    for side, whole, corner in zip(found.pixels.size, found.size, found.corner, strict=True):
        assert -found.shrunk < corner <= 0 and side == -(-whole // found.shrunk)
    assert found.shrunk == 1 or -(-width // (found.shrunk - 1)) * -(-height // (found.shrunk - 1)) > most


def test_the_mean_of_the_pixels_is_kept_by_every_mode():
    grey = np.linspace(0, 255, 90 * 69).reshape(69, 90)
    images = [
        Image.fromarray(grey.astype(np.uint8)),
        Image.fromarray((grey * 16).astype(np.uint16)),
        Image.fromarray(grey.astype(np.uint8)).convert("RGBA"),
        Image.fromarray(grey.astype(np.uint8)).convert("P"),
        Image.fromarray(grey.astype(np.uint8)).convert("LA"),
    ]
    for image in images:
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        small = read_picture(buffer, 720)
        assert small.shrunk == 3 and np.abs(np.asarray(small.pixels)[..., 0] - grey[1::3, 1::3]).max() < 3


def test_a_large_jpeg_is_decoded_small(monkeypatch):
    decoded = []
    plain = opening.to_rgb
    monkeypatch.setattr(opening, "to_rgb", lambda image, name: decoded.append(image.size) or plain(image, name))
    assert read_picture(encoded(picture(800, 400), "JPEG"), 20_100).shrunk == 4
    assert decoded == [(200, 100)]


def test_the_callers_image_stays_large():
    image = Image.open(io.BytesIO(encoded(picture(800, 400), "JPEG")))
    assert read_picture(image, 20_100).pixels.size == (200, 100) and image.size == (800, 400)


def test_a_picture_above_the_ceiling_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("it was decoded"))
    data = bytearray(encoded(picture(16, 16), "BMP"))
    data[18:26] = (40_001).to_bytes(4, "little") + (20_000).to_bytes(4, "little")
    for source in (bytes(data), io.BytesIO(data)):
        assert "at most 800 million" in refusal(source)
    assert Image.MAX_IMAGE_PIXELS is not None, "Pillow's own limit is in force again"


def test_a_picture_read_shrunk_has_no_plain_pixels(monkeypatch):
    small = read_picture(encoded(picture(80, 60), "PNG"), 1000)
    assert read_picture(small) is small
    monkeypatch.setattr(limits, "MAX_SIDE", 70)
    with pytest.raises(InputError, match="80 x 60"):
        read_image(small)


@pytest.mark.parametrize("most", [0, -1, 1.5, "40", True])
def test_a_limit_is_a_whole_number_of_pixels(most):
    assert "limit of pixels" in refusal(encoded(picture(4, 4), "PNG"), max_pixels=most)


def test_a_limit_may_be_a_number_of_numpy():
    assert read_picture(picture(40, 40), np.int64(400)).shrunk == 2


# --- callers' pictures ---------------------------------------------------------------------------------------------


def test_pixels_of_sixteen_bits_may_have_either_byte_first():
    values = np.linspace(0, 60000, 12 * 9).astype(np.uint16).reshape(9, 12)
    one, other = (read_picture(values.astype(order)).pixels for order in ("<u2", ">u2"))
    assert one.tobytes() == other.tobytes()


def test_pixels_that_are_masked_have_no_colour():
    pixels = np.ma.masked_array(np.zeros((4, 5, 3), np.uint8), mask=False)
    assert read_picture(pixels).size == (5, 4)
    pixels[0, 0] = np.ma.masked
    assert "masked pixels" in refusal(pixels)


def test_a_file_that_was_closed_or_read_before_is_not_called_damaged_or_empty(tmp_path):
    picture(4, 4).save(tmp_path / "a.png")
    with (tmp_path / "a.png").open("rb") as file:
        opened = Image.open(file)
        file.seek(0, io.SEEK_END)
        assert "seek(0)" in refusal(file)
    closed = Image.open(tmp_path / "a.png")
    closed.close()
    for one in (opened, closed):
        assert "was closed before its pixels were read" in refusal(one)


# --- formats -------------------------------------------------------------------------------------------------------


def test_avif_is_read():
    original = picture(64, 48)
    found = np.asarray(read_image(encoded(original, "AVIF", quality=95)), int)
    assert np.abs(found - np.asarray(original, int)).mean() < 12


def test_heic_is_read_where_its_library_is(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    heif.register_heif_opener()
    original = picture(64, 48)
    for orientation in (1, 3, 6):
        data = encoded(original, "HEIF", orientation, quality=95)
        assert picture_size(data) == (64, 48)
        assert np.abs(np.asarray(read_image(data), int) - np.asarray(original, int)).mean() < 12
    small = read_picture(encoded(picture(400, 300), "HEIF"), 8000)
    assert small.size == (400, 300) and small.shrunk == 4


def test_heic_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setattr(opening, "reads_heif", lambda: False)
    assert "install anykeypoint[heic]" in refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40))
    assert "install anykeypoint[heic]" in refusal(b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(40))


# --- grey of more than eight bits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_grey_is_scaled_by_the_depth_that_its_largest_value_needs(kind, bits):
    top = 2**bits - 1
    values = np.array([[0, top // 2, top - top // 8, top]], dtype=np.uint16)
    found = np.asarray(read_image(encoded(Image.fromarray(values), kind)))[0, :, 0]
    assert found[[0, -1]].tolist() == [0, 255] and np.abs(found - values[0] * (255 / top)).max() <= 0.5


def test_the_brightest_pixel_need_not_be_white():
    values = np.array([[0, 2048, 3000]], dtype=np.uint16)  # recorded with 12 bits
    assert np.asarray(read_image(values))[0, :, 0].tolist() == [0, 128, 187]


def test_a_tiff_that_states_its_depth_is_scaled_by_it(tmp_path):
    grey = np.array([[0, 500]], dtype=np.uint16)
    data = encoded(Image.fromarray(grey), "TIFF")
    image = Image.open(io.BytesIO(data))
    image.load()
    image.tag_v2[258] = 12
    assert np.asarray(read_image(image))[0, :, 0].tolist() == [0, 31]


def test_the_clear_value_says_nothing_about_the_depth():
    values = np.array([[0, 4095, 65535]], dtype=np.uint16)
    found = np.asarray(read_image(encoded(Image.fromarray(values), "PNG", transparency=65535)))
    assert found[0, :, 0].tolist() == [0, 255, 255]
