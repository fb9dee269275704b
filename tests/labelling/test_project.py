"""The project folder: plain files that hold all work, whatever is killed, opened again or damaged."""

import io
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.errors import InputError
from anykeypoint.forms import registry
from anykeypoint.labelling.exporting import exported
from anykeypoint.labelling.project import Project
from anykeypoint.labelling.records import FoundPoint, Label, PointMark, StoredAnswer

FOX = Category.from_text("nose: the tip\nleft ear\nright ear", name="fox", noun="fox")


def picture_bytes(shade: int = 0, size: tuple[int, int] = (60, 40), kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (shade, 90, 160)).save(file, kind)
    return file.getvalue()


def label(revision: int = 0, **more) -> Label:
    points = {
        "nose": PointMark((30.0, 20.5), 2),
        "left ear": PointMark((20.0, 8.0), 1),
        "right ear": PointMark(None, 0),
    }
    return Label(points, revision=revision, **{"done": True, **more})


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "foxes")
    project.set_category(FOX)
    yield project
    project.close()


def opened_again(project: Project) -> Project:
    project.close()
    return Project(project.folder)


def test_everything_is_there_after_opening_again(project):
    first, new = project.store("day 1/a.png", picture_bytes(1))
    assert new and first.size == (60, 40) and first.name == "day 1/a.png"
    second, _ = project.store("b.png", picture_bytes(2))
    project.save_label(first.id, label(box=(5.0, 4.0, 40.0, 30.0), example=True))
    project.save_answer(second.id, StoredAnswer({"nose": FoundPoint((3.5, 4.0), 0.4, None)}, 0.6, "key", "example 1"))
    again = opened_again(project)
    assert again.pictures == [first, second] and again.category == FOX and again.notes == []
    assert again.label(first.id) == label(1, box=(5.0, 4.0, 40.0, 30.0), example=True)
    assert list(again.examples()) == [first.id]
    assert again.answer(second.id) == StoredAnswer({"nose": FoundPoint((3.5, 4.0), 0.4)}, 0.6, "key", "example 1")
    assert again.label(second.id) == Label() and again.answer(first.id) is None
    again.close()


def test_a_further_object_has_a_label_of_its_own_and_the_picture_of_the_first(project):
    """labels.json has the picture once and an annotation of each object; so has an export."""
    first, _ = project.store("a.png", picture_bytes(1))
    second = project.add_object(first.id)
    third = project.add_object(second.id)
    assert [one.object for one in (first, second, third)] == [1, 2, 3] and third.image_id == first.id
    for one, box in ((first, (1.0, 2.0, 30.0, 30.0)), (third, (25.0, 5.0, 30.0, 30.0))):
        project.save_label(one.id, label(box=box))
    assert project.store("a.png", picture_bytes(1)) == (first, False), "the file is that of the first object"
    again = opened_again(project)
    assert again.pictures == [first, second, third]
    written = json.loads((again.folder / "labels.json").read_text())
    assert [one["id"] for one in written["images"]] == [first.id]
    assert [(one["id"], one["image_id"]) for one in written["annotations"]] == [(1, 1), (3, 1)]
    found = registry.read(f"coco:{again.folder / 'labels.json'}", again.folder / "images", strict=True).objects
    assert [one.box for one in found] == [(1.0, 2.0, 30.0, 30.0), (25.0, 5.0, 30.0, 30.0)]
    assert len({one.image for one in found}) == 1
    assert len(json.loads(exported(again, "coco")[0].content)["images"]) == 1
    again.close()


def test_labels_json_is_read_as_data(project, tmp_path):
    """data check, train and adapt read it: hidden stays hidden, absent is not labelled, the box is the drawn one."""
    first, _ = project.store("a.png", picture_bytes(1))
    second, _ = project.store("b.png", picture_bytes(2))
    project.save_label(first.id, label(box=(5.0, 4.0, 40.0, 30.0)))
    project.save_label(second.id, label())
    data = registry.read(f"coco:{project.folder / 'labels.json'}", project.folder / "images", strict=True)
    assert [item.image.name for item in data.objects] == ["a.png", "b.png"]
    assert data.objects[0].box == (5.0, 4.0, 40.0, 30.0)
    assert data.objects[0].visibility.tolist() == [2, 1, 0]
    np.testing.assert_allclose(data.objects[0].points[:2], [[30, 20.5], [20, 8]])
    assert data.objects[0].category.keypoints[0].description == "the tip"
    x, y, w, h = data.objects[1].box
    assert x <= 20 and y <= 8 and x + w >= 30 and y + h >= 20.5


def test_pictures_of_a_folder_stay_where_they_are(project, tmp_path):
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("a.png", "more/b.png"):
        (photos / name).write_bytes(picture_bytes(3))
    (photos / "broken.png").write_bytes(b"no picture")
    before = {path: path.stat().st_mtime_ns for path in photos.rglob("*")}
    added = project.add_folder(photos)
    assert [picture.name for picture in added] == ["a.png", "more/b.png"]
    assert "broken.png" in project.notes[0]
    assert project.add_folder(photos) == [] and len(project.pictures) == 2
    project.save_label(added[1].id, label())
    assert not (project.folder / "images").exists()
    assert {path: path.stat().st_mtime_ns for path in photos.rglob("*")} == before
    data = registry.read(f"coco:{project.folder / 'labels.json'}", photos)
    assert data.objects[0].image == photos / "more" / "b.png"


def photographed(folder: Path, *names: str, shade: int = 0) -> Path:
    """A folder of pictures that differ."""
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(picture_bytes(shade + place))
    return folder


def test_pictures_of_a_folder_that_was_renamed_are_found_again_with_their_labels(project, tmp_path):
    first, second = project.add_folder(photographed(tmp_path / "photos", "a.png", "more/b.png"))
    further = project.add_object(second.id)
    for picture in (first, second, further):
        project.save_label(picture.id, label())
    project.close()
    os.rename(tmp_path / "photos", tmp_path / "Käfig 3")
    again = Project(project.folder)
    assert again.add_folder(tmp_path / "Käfig 3") == [] and len(again.pictures) == 3
    places = ["a.png", "more/b.png", "more/b.png"]
    assert [again.path(one) for one in again.pictures] == [tmp_path / "Käfig 3" / place for place in places]
    assert again.notes == [f"2 pictures of the project were found again in {tmp_path / 'Käfig 3'}, with their labels."]
    data = registry.read(f"coco:{again.folder / 'labels.json'}", tmp_path / "Käfig 3")
    assert [item.image for item in data.objects] == [again.path(one) for one in again.pictures]
    again = opened_again(again)
    assert again.path(again.picture(second.id)).is_file() and again.label(second.id) == label(1)
    again.close()


def test_a_picture_of_the_name_and_size_of_one_that_is_gone_is_no_other_picture(project, tmp_path):
    (old,) = project.add_folder(photographed(tmp_path / "one", "img0.png"))
    project.save_label(old.id, label())
    os.rename(tmp_path / "one", tmp_path / "away")
    (new,) = project.add_folder(photographed(tmp_path / "two", "img0.png", shade=9))
    assert new.id != old.id and project.label(new.id) == Label() and project.picture(old.id) == old


def test_copies_of_one_picture_are_found_again_by_their_names(project, tmp_path):
    for name in ("a.png", "b.png"):
        photographed(tmp_path / "photos", name)
    pictures = project.add_folder(tmp_path / "photos")
    os.rename(tmp_path / "photos", tmp_path / "elsewhere")
    project.add_folder(tmp_path / "elsewhere")
    assert [project.path(project.picture(one.id)).name for one in pictures] == ["a.png", "b.png"]
    assert len(project.pictures) == 2


def test_how_many_pictures_are_gone_is_said_with_what_to_do(project, tmp_path):
    project.tell_gone()
    project.add_folder(photographed(tmp_path / "photos", "a.png", "b.png"))
    project.tell_gone()
    assert project.notes == []
    os.rename(tmp_path / "photos", tmp_path / "elsewhere")
    project.tell_gone()
    (note,) = project.notes
    assert note.startswith("2 of the pictures are not where they were") and "start with --pictures" in note


def test_no_picture_is_stored_over_another(project):
    first, _ = project.store("a.png", picture_bytes(1))
    again, new = project.store("a.png", picture_bytes(1))
    assert again == first and not new
    other, new = project.store("a.png", picture_bytes(2))
    assert new and other.name == "a (2).png" and project.store("a.png", picture_bytes(2)) == (other, False)
    assert project.path(first).read_bytes() == picture_bytes(1)
    assert project.path(other).read_bytes() == picture_bytes(2)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("../../etc/a.png", "etc/a.png"),
        ("/abs/a.png", "abs/a.png"),
        ("C:\\photos\\a.png", "C_/photos/a.png"),
        ("a\0b?.png", "a_b_.png"),
        ("con.png", "_con.png"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
        ("..hidden.png", "hidden.png"),
        ("лис.png", "лис.png"),
    ],
)
def test_a_name_never_leads_out_of_the_project(project, name, stored):
    picture, _ = project.store(name, picture_bytes())
    assert picture.file == f"images/{stored}" and project.path(picture).is_file()


@pytest.mark.parametrize("name", ["", "..", "/", "a/", "..."])
def test_a_picture_without_a_name_is_refused(project, name):
    with pytest.raises(InputError, match="must have a file name"):
        project.store(name, picture_bytes())


@pytest.mark.parametrize("data", [b"", b"not a picture", picture_bytes()[:60], picture_bytes(size=(600, 400))[:-40]])
def test_what_is_no_picture_is_refused_and_leaves_nothing(project, data):
    with pytest.raises(InputError, match=r"a\.png"):
        project.store("a.png", data)
    assert project.pictures == [] and not (project.folder / "images").exists()


def test_an_older_window_does_not_save_over_a_newer_one(project):
    picture, _ = project.store("a.png", picture_bytes())
    assert project.save_label(picture.id, label()).revision == 1
    with pytest.raises(InputError, match="changed in another window"):
        project.save_label(picture.id, label(done=False))
    assert project.label(picture.id) == label(1)


@pytest.mark.parametrize(
    "wrong",
    [Label({"nose": PointMark((62.0, 5.0), 2)}), Label({"nose": PointMark((5.0, -2.0), 1)}), Label(box=(70, 0, 9, 9))],
)
def test_what_lies_outside_the_picture_is_refused(project, wrong):
    picture, _ = project.store("a.png", picture_bytes())
    with pytest.raises(InputError, match=r"a\.png"):
        project.save_label(picture.id, wrong)
    assert project.label(picture.id) == Label() and not (project.folder / "labels").exists()


def test_an_example_must_be_finished_and_marked(project):
    picture, _ = project.store("a.png", picture_bytes())
    for bad in (Label(example=True, done=True), label(done=False, example=True)):
        with pytest.raises(InputError, match="An example must"):
            project.save_label(picture.id, bad)
    assert project.label(picture.id) == Label()


def test_labels_follow_their_points_through_changes_of_the_category(project):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    longer = Category.from_text("tail tip\nleft ear\nsnout", name="fox", noun="fox")
    project.set_category(longer, was={"snout": "nose"})
    again = opened_again(project)
    assert again.label(picture.id).points["snout"] == PointMark((30.0, 20.5), 2)
    data = registry.read(f"coco:{again.folder / 'labels.json'}", again.folder / "images")
    assert data.objects[0].visibility.tolist() == [0, 1, 2]
    again.set_category(FOX, was={"nose": "snout"})
    assert again.label(picture.id).points["right ear"] == PointMark(None, 0), "a point that was gone is back"
    again.close()


@pytest.mark.parametrize("text", ["nose: the tip\nnose", "Nose: the tip\nnose: the whole of it\nnose (2)"])
def test_points_of_one_name_are_kept_apart_by_a_number(project, tmp_path, text):
    """Their descriptions tell them apart in a category; labels have names alone, and must be readable."""
    project.set_category(Category.from_text(text, name="fox", noun="fox"))
    picture, _ = project.store("a.png", picture_bytes())
    names = project.point_names
    marks = {name: PointMark((10.0 + place, 20.0), 2) for place, name in enumerate(names)}
    project.save_label(picture.id, Label(marks, done=True, example=True))
    again = opened_again(project)
    assert again.point_names == names and again.label(picture.id).points == marks
    (item,) = registry.read(f"coco:{again.folder / 'labels.json'}", again.folder / "images", strict=True).objects
    assert item.points[:, 0].tolist() == [10.0 + place for place in range(len(names))]
    assert len({name.casefold() for name in item.category.names}) == len(names)
    for form in registry.writable_forms():
        assert exported(again, form)[0].content, form


def test_a_category_that_cannot_be_written_changes_nothing(project, monkeypatch):
    before = (project.folder / "project.json").read_bytes()

    def refuse(*_: object) -> str:
        raise InputError("These labels cannot be written.")

    monkeypatch.setattr("anykeypoint.labelling.project.CocoLabels.text", refuse)
    with pytest.raises(InputError, match="cannot be written"):
        project.set_category(Category.from_text("tail", name="fox"))
    assert project.category == FOX and (project.folder / "project.json").read_bytes() == before


def test_a_renamed_point_keeps_its_labels_where_an_earlier_point_had_its_new_name(project):
    picture, _ = project.store("a.png", picture_bytes())
    other, _ = project.store("b.png", picture_bytes(1))
    project.save_label(picture.id, label())
    project.save_label(other.id, Label({"left ear": PointMark((1.0, 2.0), 2)}))
    project.set_category(Category.from_text("nose: the tip\nright ear", name="fox"))  # the left ear is taken out
    project.set_category(Category.from_text("left ear\nright ear", name="fox"), {"left ear": "nose"})
    assert project.label(picture.id).points["left ear"] == PointMark((30.0, 20.5), 2), "that of the nose"
    assert "left ear" not in project.label(other.id).points, "no mark of another point counts as its own"


def test_a_damaged_label_is_kept_aside_and_said(project):
    first, _ = project.store("a.png", picture_bytes(1))
    second, _ = project.store("b.png", picture_bytes(2))
    for picture in (first, second):
        project.save_label(picture.id, label())
    file = project.folder / "labels" / "000001.json"
    file.write_text(file.read_text()[:50])
    again = opened_again(project)
    (note,) = again.notes
    assert note == "000001.json of labels/ is damaged; it is kept as 000001.json.damaged and counts as not labelled."
    assert (project.folder / "labels" / "000001.json.damaged").read_text() and again.label(second.id) == label(1)
    again.close()


HUGE = "1" + 400 * "0"  # a number that JSON allows and no float holds


@pytest.mark.parametrize(
    "content",
    [
        *('{"schema_version": 1, "points": {"nose": [1, 2]}}', "[]", '{"points": 3}', ""),
        f'{{"schema_version": 1, "points": {{"nose": [{HUGE}, 2, 2]}}}}',
        f'{{"schema_version": 1, "points": {{}}, "box": [1, 2, {HUGE}, 4]}}',
    ],
)
def test_a_label_of_another_shape_is_damaged_too(project, content):
    picture, _ = project.store("a.png", picture_bytes())
    (project.folder / "labels").mkdir()
    (project.folder / "labels" / "000001.json").write_text(content)
    again = opened_again(project)
    assert len(again.notes) == 1 and again.label(picture.id) == Label()
    again.close()


@pytest.mark.parametrize("name", ["project.json", "pictures.json", "labels/000001.json", "labels"])
def test_a_disk_that_fails_is_one_sentence_and_changes_nothing(project, monkeypatch, name):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    project.close()
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}

    def failing(plain):
        def read(path, *more, **options):
            if Path(path) == project.folder / name:
                raise OSError(5, "Input/output error")
            return plain(path, *more, **options)

        return read

    monkeypatch.setattr(Path, "read_text", failing(Path.read_text))
    monkeypatch.setattr(os, "listdir", failing(os.listdir))
    monkeypatch.setattr(os, "scandir", failing(os.scandir))
    with pytest.raises(InputError, match=f"{name}: Input/output error; .*open it again") as caught:
        Project(project.folder)
    assert str(caught.value).count(". ") == 0
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before
    again = Project(project.folder)
    assert again.label(picture.id) == label(1) and again.notes == []
    again.close()


@pytest.mark.parametrize("name", ["project.json", "pictures.json"])
def test_a_damaged_list_is_one_sentence_and_changes_nothing(project, name):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    project.close()
    file = project.folder / name
    file.write_text(file.read_text()[:40])
    before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=name) as caught:
        Project(project.folder)
    assert str(caught.value).count(". ") == 0
    assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before


def test_labels_without_the_list_of_their_pictures_are_one_sentence_and_nothing_changes(project):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    project.close()
    for content in (None, '{"schema_version": 1}'):
        (project.folder / "pictures.json").unlink()
        if content is not None:
            (project.folder / "pictures.json").write_text(content)
        before = {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match=r"pictures\.json is .*; put back"):
            Project(project.folder)
        assert {path: path.read_bytes() for path in project.folder.rglob("*") if path.is_file()} == before
        (project.folder / "pictures.json").touch()


@pytest.mark.parametrize("name", ["project.json", "pictures.json", "labels/000001.json"])
def test_a_project_of_a_newer_version_is_refused(project, name):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    project.close()
    file = project.folder / name
    file.write_text(json.dumps({**json.loads(file.read_text()), "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99"):
        Project(project.folder)
    assert json.loads(file.read_text())["schema_version"] == 99


def test_a_folder_of_something_else_is_no_project(tmp_path):
    (tmp_path / "a.png").write_bytes(picture_bytes())
    with pytest.raises(InputError, match=r"is no project, as it has no project\.json, but holds a\.png"):
        Project(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_project_is_open_once(project):
    with pytest.raises(InputError, match="open in another program"):
        Project(project.folder)


def _save_and_die(folder: str, ready) -> None:
    project = Project(folder)
    picture = project.pictures[0]
    for place in range(1000):
        before = project.label(picture.id)
        points = {"nose": PointMark((place, 1.0), 2)}
        project.save_label(picture.id, Label(points, revision=before.revision))
        if place == 5:
            ready.set()


def test_a_killed_program_loses_nothing_and_leaves_no_half_file(project):
    project.store("a.png", picture_bytes())
    project.close()
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_save_and_die, args=(str(project.folder), ready))
    process.start()
    assert ready.wait(60)
    process.kill()
    process.join()
    again = Project(project.folder)
    assert again.notes == [] and again.label(1).revision >= 6
    assert again.label(1).points["nose"].place[0] == again.label(1).revision - 1
    data = registry.read(f"coco:{again.folder / 'labels.json'}", again.folder / "images")
    assert data.objects[0].points[0, 0] == again.label(1).points["nose"].place[0]
    again.close()


def test_a_full_disk_is_one_sentence_and_keeps_the_old_label(project, monkeypatch):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left on device"):
        project.save_label(picture.id, label(1, done=False))
    assert project.label(picture.id) == label(1)
    monkeypatch.undo()
    again = opened_again(project)
    assert again.label(picture.id) == label(1)
    again.close()


@pytest.mark.parametrize("form", registry.writable_forms())
def test_labels_go_out_in_every_form(project, form):
    for shade in (1, 2):
        picture, _ = project.store(f"{shade}.png", picture_bytes(shade))
        points = {name: PointMark((10.0 + i, 12.0), 2) for i, name in enumerate(FOX.names)}
        project.save_label(picture.id, Label(points, done=True))
    written, _ = exported(project, form)
    assert written.content


@pytest.mark.parametrize("form", ["yolo", "labelme", "cvat", "tps"])
def test_a_picture_that_is_gone_costs_an_export_its_own_objects_alone(project, tmp_path, form):
    pictures = project.add_folder(photographed(tmp_path / "photos", "a.png", "b.png"))
    for picture in pictures:
        project.save_label(picture.id, label())
    os.remove(tmp_path / "photos" / "a.png")
    written, _ = exported(project, form)
    assert written.lost[0] == "1 objects whose pictures are not there any longer"
    shown = written.content if isinstance(written.content, str) else " ".join(written.content)
    assert "b." in shown and "a.png" not in shown
    assert len(json.loads(exported(project, "coco")[0].content)["annotations"]) == 2
    os.remove(tmp_path / "photos" / "b.png")
    with pytest.raises(InputError, match=r"a\.png is not there, .* put it back, or leave out that picture"):
        exported(project, form)


def test_answers_go_out_where_they_are_asked_for(project):
    first, _ = project.store("a.png", picture_bytes(1))
    second, _ = project.store("b.png", picture_bytes(2))
    project.save_label(first.id, Label({"nose": PointMark((9.0, 9.0), 2)}))
    found = {"nose": FoundPoint((3.0, 4.0), 0.4, 0.9), "left ear": FoundPoint((5.0, 6.0), 0.7, 0.1)}
    for picture in (first, second):
        project.save_answer(picture.id, StoredAnswer(found))
    assert len(json.loads(exported(project, "coco")[0].content)["annotations"]) == 1
    both = json.loads(exported(project, "coco", with_answers=True)[0].content)["annotations"]
    assert both[0]["keypoints"][:6] == [9, 9, 2, 0, 0, 0], "a person's word stands, an absent point is not labelled"
    assert both[1]["keypoints"][:3] == [3, 4, 2] and both[1]["keypoint_confidence"] == [0.4, None, None]


def test_an_answer_beside_the_picture_goes_out_as_the_page_shows_it(project):
    picture, _ = project.store("a.png", picture_bytes(1))
    width, height = picture.size
    found = {"nose": FoundPoint((width + 3.0, 4.0), 0.4, 0.9), "left ear": FoundPoint((5.0, float(height)), 0.7, 0.9)}
    project.save_answer(picture.id, StoredAnswer(found))
    (entry,) = json.loads(exported(project, "coco", with_answers=True)[0].content)["annotations"]
    assert entry["keypoints"][:6] == [0, 0, 0, 5, height, 2], "absent beside the picture, visible on its border"


def test_nothing_to_export_is_said(project):
    with pytest.raises(InputError, match="no labelled object"):
        exported(project, "coco")


def test_the_folder_can_be_moved(project, tmp_path):
    picture, _ = project.store("a.png", picture_bytes())
    project.save_label(picture.id, label())
    project.close()
    moved = Path(os.rename(project.folder, tmp_path / "elsewhere") or tmp_path / "elsewhere")
    again = Project(moved)
    assert again.path(again.pictures[0]).is_file() and again.label(1) == label(1)
    again.close()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_point_has_its_new_name_in_all_labels_though_the_program_was_killed_meanwhile(project, monkeypatch, count):
    """Even where two points exchange their names."""
    for shade in range(3):
        picture, _ = project.store(f"{shade}.png", picture_bytes(shade))
        project.save_label(picture.id, label())
    written, plain = [], project._save_label

    def killed(number, *rest):
        if len(written) == count:
            raise KeyboardInterrupt
        written.append(number)
        plain(number, *rest)

    monkeypatch.setattr(project, "_save_label", killed)
    with pytest.raises(KeyboardInterrupt):
        project.set_category(FOX, {"nose": "left ear", "left ear": "nose"})
    again = opened_again(project)
    for number in (1, 2, 3):
        points = again.label(number).points
        assert points["left ear"].place == (30.0, 20.5) and points["nose"].place == (20.0, 8.0), number
    data = registry.read(f"coco:{again.folder / 'labels.json'}", again.folder / "images")
    assert [item.points[0].tolist() for item in data.objects] == [[20.0, 8.0]] * 3
    once_more = opened_again(again)
    assert once_more.labels() == again.labels()
    once_more.close()


def test_a_full_disk_leaves_no_label_with_an_old_name(project, monkeypatch):
    for shade in range(2):
        picture, _ = project.store(f"{shade}.png", picture_bytes(shade))
        project.save_label(picture.id, label())
    plain, calls = os.fsync, []

    def fills_up(number):
        calls.append(number)
        if len(calls) > 2:  # the category and one label
            raise OSError(28, "No space left on device")
        plain(number)

    monkeypatch.setattr(os, "fsync", fills_up)
    snout = Category.from_text("snout\nleft ear\nright ear", name="fox", noun="fox")
    with pytest.raises(InputError, match="No space left on device"):
        project.set_category(snout, {"snout": "nose"})
    monkeypatch.undo()
    project.merge_label(1, label(), label())  # whatever is saved next
    assert all("snout" in one.points and "nose" not in one.points for one in project.labels().values())
    data = registry.read(f"coco:{project.folder / 'labels.json'}", project.folder / "images")
    assert [item.points[0].tolist() for item in data.objects] == [[30.0, 20.5]] * 2


def test_another_picture_under_the_name_of_one_that_is_gone_is_another_picture(project):
    first, _ = project.store("a.png", picture_bytes())
    project.path(first).unlink()
    project.save_label(first.id, label())
    for shade, size in ((5, (40, 60)), (7, (60, 40))):
        other, new = project.store("a.png", picture_bytes(shade, size))
        assert new and other.id != first.id and other.size == size and project.label(other.id) == Label()
    again, new = project.store("a.png", picture_bytes())
    assert not new and again.id == first.id and project.path(first).exists(), "the first one was put back"


def test_a_new_picture_has_no_label_of_one_that_is_not_in_the_list_any_longer(project):
    """As where an earlier copy of pictures.json was put back."""
    project.store("a.png", picture_bytes())
    earlier = (project.folder / "pictures.json").read_bytes()
    lost, _ = project.store("b.png", picture_bytes(1))
    project.save_label(lost.id, label())
    project.close()
    (project.folder / "pictures.json").write_bytes(earlier)
    again = Project(project.folder)
    added, _ = again.store("c.png", picture_bytes(2))
    once_more = opened_again(again)
    assert once_more.label(added.id) == Label()
    once_more.close()


def test_labels_json_that_could_not_be_written_is_written_with_the_next_save(project, monkeypatch):
    picture, _ = project.store("a.png", picture_bytes())
    before = project.save_label(picture.id, label())
    changed = label(1, box=(5.0, 4.0, 40.0, 30.0))
    plain, calls = os.fsync, []

    def fills_up(number):
        calls.append(number)
        if len(calls) > 1:  # the label itself
            raise OSError(28, "No space left on device")
        plain(number)

    monkeypatch.setattr(os, "fsync", fills_up)
    with pytest.raises(InputError, match="No space left on device"):
        project.merge_label(picture.id, changed, before)
    monkeypatch.undo()
    project.merge_label(picture.id, changed, before)  # as a page sends it again
    written = json.loads((project.folder / "labels.json").read_text())
    assert written["annotations"][0]["bbox"] == [5, 4, 40, 30]


@pytest.mark.parametrize("letter", ["a", "é", "狐", "🦊"])
def test_a_long_name_is_shortened_whatever_its_letters(project, letter):
    picture, _ = project.store(f"{letter * 200}.png", picture_bytes())
    stored = project.path(picture)
    assert stored.exists() and stored.suffix == ".png" and set(stored.stem) == {letter}
