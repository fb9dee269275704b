"""Pictures of files: read once while the file is the same, anew when it is another, within a number of bytes."""

import os

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.serving import picture_files
from anykeypoint.serving.picture_files import PictureFiles

OLD = 1_600_000_000 * 10**9  # nanoseconds


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read, in a world in which files settle at once."""
    paths, plain = [], picture_files.read_picture
    monkeypatch.setattr(picture_files, "read_picture", lambda path: paths.append(path) or plain(path))
    monkeypatch.setattr(picture_files, "SETTLED", -(10**18))
    return paths


def write(path, shade: int, size=(20, 10)):
    Image.new("RGB", size, (shade, 0, 0)).save(path, "BMP")
    return path


def shade_of(read) -> int:
    return int(np.asarray(read.picture.pixels)[0, 0, 0])


def test_a_file_is_read_once_while_it_stays_as_it_is(tmp_path, reads):
    files, path = PictureFiles(10_000), write(tmp_path / "a.bmp", 7)
    first, again = files.read(path), files.read(path)
    assert again is first and reads == [path] and shade_of(first) == 7


def test_a_file_of_the_same_size_and_time_that_was_written_anew_or_exchanged_is_noticed(tmp_path, reads):
    files, path = PictureFiles(10_000), write(tmp_path / "a.bmp", 7)
    os.utime(path, ns=(OLD, OLD))
    key = files.read(path).key
    write(path, 8)
    os.utime(path, ns=(OLD, OLD))
    assert shade_of(files.read(path)) == 8 and files.read(path).key != key
    os.utime(write(tmp_path / "b.bmp", 9), ns=(OLD, OLD))
    os.replace(tmp_path / "b.bmp", path)
    assert shade_of(files.read(path)) == 9 and len(reads) == 3


def test_a_file_that_was_written_just_now_is_not_trusted_to_stay(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(picture_files, "SETTLED", 2 * 10**9)
    files, path = PictureFiles(10_000), write(tmp_path / "a.bmp", 7)
    files.read(path)
    files.read(path)
    assert len(reads) == 2


def test_a_file_that_changes_while_it_is_read_is_read_again(tmp_path, monkeypatch, reads):
    files, path = PictureFiles(10_000), write(tmp_path / "a.bmp", 7)
    plain = picture_files.read_picture
    monkeypatch.setattr(picture_files, "read_picture", lambda path: (plain(path), write(path, 8, (30, 10)))[0])
    assert shade_of(files.read(path)) == 7
    monkeypatch.setattr(picture_files, "read_picture", plain)
    assert shade_of(files.read(path)) == 8


def test_what_is_kept_is_bounded_in_bytes(tmp_path, reads):
    files = PictureFiles(2 * 3 * 20 * 10)
    paths = [write(tmp_path / f"{shade}.bmp", shade) for shade in range(3)]
    for path in (*paths, paths[2], paths[1], paths[0]):
        files.read(path)
    assert reads == [*paths, paths[0]] and files._kept.held <= 2 * 3 * 20 * 10


def test_a_file_that_is_gone_is_refused_though_it_was_kept(tmp_path, reads):
    files, path = PictureFiles(10_000), write(tmp_path / "a.bmp", 7)
    files.read(path)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.bmp"):
        files.read(path)
