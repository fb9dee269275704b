"""Picture files, changed by chance: bytes, lengths, headers, sizes, chunks. One seed gives one file."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

HUGE = (0, 1, 16_384, 16_385, 30_000, 65_535, 65_536, 2**24 - 1, 2**31 - 1, 2**31, 2**32 - 1)
PNG_HEAD = 8  # bytes before the first chunk


def picture(seed: int = 5) -> Image.Image:
    """Smooth coloured noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((10, 10, 1), dtype=np.uint8)))


def _files() -> dict[str, list[bytes]]:
    """Whole files by form, in several kinds of each."""
    rgb = picture()
    alpha, grey = rgb.convert("RGBA"), rgb.convert("L")
    alpha.putalpha(grey)
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 15)
    exif = Image.Exif()
    exif[274] = 6
    kinds = {
        "JPEG": [(rgb, {"exif": exif}), (rgb, {"progressive": True}), (rgb.convert("CMYK"), {}), (grey, {})],
        "PNG": [(rgb, {"exif": exif}), (alpha, {}), (rgb.quantize(16), {"transparency": 3}), (deep, {}), (grey, {})],
        "WEBP": [(rgb, {}), (alpha, {"lossless": True}), (rgb, {"exif": exif}), (alpha, {})],
        "BMP": [(rgb, {}), (rgb.quantize(), {}), (grey.convert("1"), {})],
        "TIFF": [
            *((rgb, {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
            (deep, {}),
        ],
        "GIF": [(rgb, {}), (alpha, {})],
        "AVIF": [(rgb, {}), (alpha, {})],
    }
    made = {form: [_saved(image, form, options) for image, options in entries] for form, entries in kinds.items()}
    for form in ("PNG", "WEBP"):
        made[form].append(_saved(rgb, form, {"save_all": True, "append_images": [rgb.rotate(90)]}))
    return made


def _saved(image: Image.Image, form: str, options: dict) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


# --- ways of changing a file ------------------------------------------------------------------------------------------


def bytes_changed(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 30)):
        changed[place] = rng.integers(256)
    return bytes(changed)


def bits_flipped(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for place in rng.integers(len(data), size=rng.integers(1, 5)):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def header_changed(data: bytes, rng: np.random.Generator) -> bytes:
    size = min(len(data), 96)
    return bytes_changed(data[:size], rng) + data[size:]


def cut_off(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: rng.integers(len(data))]


def part_removed(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:start] + data[end:]


def part_repeated(data: bytes, rng: np.random.Generator) -> bytes:
    start, end = _span(data, rng)
    return data[:end] + data[start:end] * int(rng.integers(1, 50)) + data[end:]


def parts_exchanged(data: bytes, rng: np.random.Generator) -> bytes:
    first, second, third, fourth = sorted(rng.integers(len(data) + 1, size=4))
    return data[:first] + data[third:fourth] + data[second:third] + data[first:second] + data[fourth:]


def something_appended(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 5000)))


def head_of_another(data: bytes, rng: np.random.Generator) -> bytes:
    other = FILES[FORMS[rng.integers(len(FORMS))]][0]
    size = int(rng.integers(4, 64))
    return other[:size] + data[size:]


def numbers_made_huge(data: bytes, rng: np.random.Generator) -> bytes:
    """Two to four bytes of the header say a number that a reader may believe, in the order of bytes of either kind."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        order, (kind, width) = "<>"[rng.integers(2)], (("H", 2), ("I", 4))[rng.integers(2)]
        place = int(rng.integers(4, max(5, min(len(data), 200) - width)))
        value = HUGE[rng.integers(len(HUGE))] % 256**width
        changed[place : place + width] = struct.pack(order + kind, value)
    return bytes(changed)


def size_claimed(data: bytes, rng: np.random.Generator) -> bytes:
    """The picture's own width and height say something else; the check sum of a PNG's header fits it."""
    sides = [HUGE[rng.integers(len(HUGE))] if rng.random() < 0.7 else int(rng.integers(1, 7000)) for _ in range(2)]
    changed = bytearray(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        changed[16:24] = struct.pack(">II", *sides)
    elif data[:2] == b"BM":
        changed[18:26] = struct.pack("<II", *sides)
    elif data[:4] == b"RIFF":
        kind = data[12:16]
        place, form, most = {b"VP8X": (24, "3", 2**24), b"VP8L": (21, "L", 2**14)}.get(kind, (26, "H", 2**14))
        width, height = (side % most for side in sides)
        if form == "3":
            changed[place : place + 6] = width.to_bytes(3, "little") + height.to_bytes(3, "little")
        elif form == "L":
            changed[place : place + 4] = (width | height << 14).to_bytes(4, "little")
        else:
            changed[place : place + 4] = struct.pack("<HH", width, height)
    elif data[:3] == b"GIF":
        changed[6:10] = struct.pack("<HH", *(side % 65_536 for side in sides))
    elif data[:2] == b"\xff\xd8":
        starts = [at for marker in (b"\xff\xc0", b"\xff\xc2") if (at := data.find(marker)) >= 0]
        changed[starts[0] + 5 : starts[0] + 9] = struct.pack(">HH", *(side % 65_536 for side in sides))
    elif data[:2] in (b"II", b"MM"):
        changed = bytearray(_tiff_tags(data, {256: sides[0], 257: sides[1], 278: sides[1]}))
    elif (at := data.find(b"ispe")) >= 0:
        changed[at + 8 : at + 16] = struct.pack(">II", *sides)
    return sums_mended(bytes(changed), rng)


def sums_mended(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG whose check sums fit again, so that its readers look further; other files as they are."""
    if data[:PNG_HEAD] != b"\x89PNG\r\n\x1a\n":
        return data
    changed, at = bytearray(data), PNG_HEAD
    while at + 12 <= len(changed):
        length = int.from_bytes(changed[at : at + 4], "big")
        end = at + 8 + length
        if end + 4 > len(changed):
            break
        changed[end : end + 4] = zlib.crc32(changed[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(changed)


def changed_with_sums(data: bytes, rng: np.random.Generator) -> bytes:
    return sums_mended((bytes_changed, numbers_made_huge, part_removed)[rng.integers(3)](data, rng), rng)


def packed_bomb(data: bytes, rng: np.random.Generator) -> bytes:
    """Metadata, or the pixels of a PNG, that are small in the file and large when unpacked."""
    zeros = zlib.compress(bytes(int(rng.integers(2, 40)) * 2**20))
    kinds = {b"zTXt": b"a\0\0" + zeros, b"iCCP": b"a\0\0" + zeros, b"iTXt": b"a\0\1\0\0\0" + zeros, b"IDAT": zeros}
    kind = list(kinds)[rng.integers(len(kinds))]
    png = FILES["PNG"][1]
    chunk = struct.pack(">I", len(kinds[kind])) + kind + kinds[kind] + bytes(4)
    place = PNG_HEAD + 25  # behind the header's chunk
    return sums_mended(png[:place] + chunk * int(rng.integers(1, 4)) + png[place:], rng)


def _tiff_tags(data: bytes, values: dict[int, int]) -> bytes:
    """A TIFF whose first directory has other numbers for these tags."""
    order = "<" if data[:2] == b"II" else ">"
    changed = bytearray(data)
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag in values:
            struct.pack_into(order + "HII", changed, at + 2, 4, 1, values[tag])
    return bytes(changed)


def _span(data: bytes, rng: np.random.Generator) -> tuple[int, int]:
    start, end = sorted(rng.integers(len(data) + 1, size=2))
    return int(start), int(min(end, start + rng.integers(1, 400)))


WAYS: list[Callable[[bytes, np.random.Generator], bytes]] = [
    bytes_changed,
    bits_flipped,
    header_changed,
    cut_off,
    part_removed,
    part_repeated,
    parts_exchanged,
    something_appended,
    head_of_another,
    numbers_made_huge,
    size_claimed,
    changed_with_sums,
    packed_bomb,
]
FILES = _files()
FORMS = tuple(FILES)


def mutated(seed: int) -> tuple[str, bytes]:
    """What was done, and the file; neighbouring seeds take other forms and other ways."""
    form, way = FORMS[seed % len(FORMS)], WAYS[seed // len(FORMS) % len(WAYS)]
    rng = np.random.default_rng([1801, seed])
    kinds = FILES[form]
    kind = int(rng.integers(len(kinds)))
    return f"seed {seed}: {form} {kind}, {way.__name__}", way(kinds[kind], rng)
