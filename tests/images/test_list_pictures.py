"""What a folder holds: its pictures, and a count of everything that is passed over."""

import os

import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.images import listing
from anykeypoint.images.listing import list_pictures


@pytest.fixture(autouse=True)
def without_heif(monkeypatch):
    monkeypatch.setattr(listing, "reads_heif", lambda: False)


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def names(found):
    return [path.relative_to(found.folder).as_posix() for path in found.pictures]


def test_every_suffix_of_a_picture_counts_in_any_case(tmp_path):
    kinds = ["a.jpg", "b.JPEG", "c.jfif", "d.Jpe", "e.mpo", "f.PNG", "g.webp", "h.bmp", "i.tif", "j.TIFF", "k.avif"]
    found = list_pictures(fill(tmp_path, *kinds))
    assert names(found) == sorted(kinds) and found.passed_over == ""


def test_what_is_passed_over_is_counted(tmp_path):
    found = list_pictures(fill(tmp_path, "a.jpg", "b.heic", "inner/c.jpg", "inner/deep/d.png", "inner/notes.txt"))
    assert names(found) == ["a.jpg"]
    assert found.passed_over.startswith("3 files passed over: 2 in subfolders, 1 .heic")
    assert "anykeypoint[heic]" in found.passed_over


def test_files_of_other_kinds_are_counted_by_suffix(tmp_path):
    found = list_pictures(fill(tmp_path, "a.jpg", "a.json", "b.JSON", "README", "._a.jpg", ".DS_Store"))
    assert found.passed_over == "4 files passed over: 2 .json, 1 hidden, 1 without a suffix"
    assert list_pictures(fill(tmp_path / "one", "a.txt")).passed_over == "1 file passed over: 1 .txt"


def test_subfolders_are_taken_where_they_are_wanted(tmp_path):
    fill(tmp_path, "b.jpg", "a/c.jpg", "a/deep/d.png", "a/x.txt", ".cache/e.jpg")
    found = list_pictures(tmp_path, recursive=True)
    assert names(found) == ["a/c.jpg", "a/deep/d.png", "b.jpg"]
    assert found.passed_over == "1 file passed over: 1 .txt"


def test_a_folder_that_is_linked_twice_or_into_itself_is_listed_once(tmp_path):
    fill(tmp_path / "all", "one/a.jpg")
    fill(tmp_path / "elsewhere", "b.jpg")
    os.symlink(tmp_path / "all", tmp_path / "all" / "one" / "loop")
    os.symlink(tmp_path / "elsewhere", tmp_path / "all" / "first")
    os.symlink(tmp_path / "elsewhere", tmp_path / "all" / "second")
    assert names(list_pictures(tmp_path / "all", recursive=True)) == ["first/b.jpg", "one/a.jpg"]


def test_heic_is_a_picture_where_it_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "reads_heif", lambda: True)
    found = list_pictures(fill(tmp_path, "a.HEIC", "b.heif", "c.hif"))
    assert names(found) == ["a.HEIC", "b.heif", "c.hif"] and not found.passed_over


def test_a_count_of_subfolders_ends_somewhere_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MOST_ENTRIES", 5)
    fill(tmp_path, "a.jpg", *(f"inner/{i}.jpg" for i in range(9)))
    assert list_pictures(tmp_path).passed_over == "at least 4 files passed over: 4 in subfolders"
    assert len(list_pictures(tmp_path, recursive=True).pictures) == 10


def test_a_folder_that_is_none_is_refused(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    for wrong in (tmp_path / "none", tmp_path / "a.png"):
        with pytest.raises(InputError, match="Cannot read the folder"):
            list_pictures(wrong)
