"""Exports of a project that hold its pictures: whatever their number, their time, and the room on the disk."""

import errno
import os
import zipfile

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.io import NotWritten
from anykeypoint.labelling.project import Project
from anykeypoint.labelling.records import Label, PointMark
from anykeypoint.serving.downloads import chunks, download_of, size_of


@pytest.fixture
def project(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photos / "a.png")
    os.utime(photos / "a.png", (0, 0))
    made = Project(tmp_path / "project")
    made.add_folder(photos)
    made.set_category(Category.from_text("nose\ntail", name="fox"))
    made.save_label(1, Label({"nose": PointMark((5.0, 6.0), 2)}, done=True))
    return made


@pytest.mark.parametrize("form", ["yolo", "labelme"])
def test_a_zip_with_pictures_is_a_file_and_holds_them_as_they_are_also_of_1970(project, form):
    _, kind, file = download_of(project, form, False)
    picture = project.path(project.picture(1)).read_bytes()
    with zipfile.ZipFile(file) as archive:
        names = [one for one in archive.namelist() if one.endswith(".png")]
        assert kind == "application/zip" and [archive.read(one) for one in names] == [picture]
        assert archive.getinfo(names[0]).compress_type == zipfile.ZIP_STORED
        assert all(archive.getinfo(one).compress_type for one in archive.namelist() if one not in names)
    file.seek(0)
    parts = list(chunks(file))
    assert len(parts) > 1 and sum(map(len, parts)) > len(picture) and file.closed


def test_the_size_of_an_export_is_known_before_it_is_sent(project):
    _, _, file = download_of(project, "yolo", False)
    assert size_of(file) == sum(map(len, chunks(file)))


def test_an_export_without_room_is_told_and_leaves_nothing(project, monkeypatch):
    before = sorted(project.folder.rglob("*"))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "write", full)
    with pytest.raises(NotWritten, match="no room for the export"):
        download_of(project, "yolo", False)
    assert sorted(project.folder.rglob("*")) == before
