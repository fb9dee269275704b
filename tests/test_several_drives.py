"""Pictures on several drives of Windows, which no folder holds: whole paths name them, or a sentence says so."""

import io
import json
import os

import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import picture_names
from anykeypoint.forms.registry import read
from anykeypoint.inference.names import name_pictures
from anykeypoint.labelling.exporting import exported
from anykeypoint.labelling.project import Project
from anykeypoint.labelling.records import Label, PointMark

FOX = Category.from_text("nose; tail", name="fox", noun="fox")
LABEL = Label({"nose": PointMark((3.0, 4.0), 2)}, done=True)


@pytest.fixture
def drives(tmp_path, monkeypatch):
    """Two folders, each with a picture, that have no path in common."""
    folders = [tmp_path / letter for letter in "cd"]
    for shade, folder in enumerate(folders):
        folder.mkdir()
        Image.new("RGB", (20, 30), (shade, 0, 0)).save(folder / "a.png")
    plain = os.path.commonpath

    def common(paths):
        found = plain(paths)
        if found == str(tmp_path):
            raise ValueError("Paths don't have the same drive")
        return found

    monkeypatch.setattr(os.path, "commonpath", common)
    return folders


@pytest.fixture
def project(drives):
    project = Project(drives[0] / "foxes")
    project.set_category(FOX)
    yield project
    project.close()


def test_a_project_names_pictures_of_another_drive_by_their_whole_paths(project, drives):
    file = io.BytesIO()
    Image.new("RGB", (20, 30)).save(file, "PNG")
    inside, _ = project.store("b.png", file.getvalue())
    (elsewhere,) = project.add_folder(drives[1])
    for picture in (inside, elsewhere):
        project.save_label(picture.id, LABEL)
    labels = json.loads((project.folder / "labels.json").read_text())
    assert [image["file_name"] for image in labels["images"]] == ["images/b.png", (drives[1] / "a.png").as_posix()]
    assert labels["info"]["pictures"] == "."
    with pytest.raises(InputError, match=r"on several drives, .* move them to one drive, or take labels\.json"):
        exported(project, "yolo")


def test_reports_name_pictures_of_several_drives_by_their_whole_paths(drives, tmp_path):
    entry = {"category_id": 1, "keypoints": [3, 4, 2], "bbox": [1, 1, 9, 9]}
    document = {
        "images": [{"id": number, "file_name": f"{letter}/a.png"} for number, letter in enumerate("cd")],
        "annotations": [{**entry, "id": number + 1, "image_id": number} for number in range(2)],
        "categories": [{"id": 1, "name": "fox", "keypoints": ["nose"]}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(document))
    objects = read(f"coco:{tmp_path / 'labels.json'}", tmp_path).objects
    assert picture_names(objects) == [(folder / "a.png").as_posix() for folder in drives]
    assert picture_names(objects[1:]) == ["a.png"]


def test_predictions_of_several_drives_are_made_apart(drives):
    with pytest.raises(InputError, match=r"on several drives, .* predict each drive on its own"):
        name_pictures([], [folder / "a.png" for folder in drives])
