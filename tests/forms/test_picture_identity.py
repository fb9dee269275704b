"""A picture is known by its full path, however it is spelled; one that is listed twice is one."""

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anykeypoint.data.pairs import one_each
from anykeypoint.data.splits import split
from anykeypoint.errors import InputError
from anykeypoint.example import read_marked
from anykeypoint.forms.dataset import LISTED_TWICE, picture_names
from anykeypoint.forms.document import Labels
from anykeypoint.forms.labelstudio_regions import by_task_picture
from anykeypoint.forms.reading import picture_key
from anykeypoint.forms.registry import load, read

CATEGORY = {"id": 1, "name": "lamp", "keypoints": ["base", "head"], "skeleton": []}


def labels(folder: Path, names: list[str], shift: float = 0.0) -> Path:
    """A COCO file with one object a picture, at the same place unless `shift` is given."""
    annotations = []
    for i in range(1, len(names) + 1):
        points = [1 + i * shift, 2, 2, 3, 4, 2]
        values = {"keypoints": points, "num_keypoints": 2, "bbox": [0, 0, 6, 6]}
        annotations.append({"id": i, "image_id": i, "category_id": 1, **values})
    images = [{"id": i, "file_name": name} for i, name in enumerate(names, start=1)]
    file = folder / "labels.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": [CATEGORY]}))
    return file


def pictures(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 10)).save(folder / name)


@pytest.mark.parametrize("spelling", ["i/a.png", "./i/a.png", "i\\a.png", "i//a.png", "i/./a.png"])
def test_spellings_of_one_path_are_one_picture(spelling):
    assert picture_key(spelling) == "i/a.png"
    assert picture_key("i/A.png") != "i/a.png" and picture_key("a.png") != "i/a.png"


def test_a_picture_that_is_listed_twice_is_one_and_its_object_is_never_its_own_example(tmp_path):
    pictures(tmp_path, "i/1.png", "i/2.png", "i/3.png")
    file = labels(tmp_path, ["i/1.png", "i/1.png", "i/2.png", "i/3.png", "./i/1.png", "i\\1.png"])
    data = read(f"coco:{file}", tmp_path)
    assert [item.id for item in data.objects] == [1, 3, 4] and data.skipped == {LISTED_TWICE: 3}
    for pair in one_each(data, 1, seed=0):
        (example,) = pair.examples
        assert data.objects[example].image != data.objects[pair.query].image


def test_other_objects_of_a_picture_that_is_listed_twice_are_objects_of_one_picture(tmp_path):
    pictures(tmp_path, "i/1.png")
    data = read(f"coco:{labels(tmp_path, ['i/1.png', 'i/1.png'], shift=1)}", tmp_path)
    assert len(data.objects) == 2 and data.skipped == {}
    assert len({item.image for item in data.objects}) == 1


def test_a_picture_that_is_listed_twice_is_in_one_part_of_a_split(tmp_path):
    names = [f"i/{i}.png" for i in range(10)] + [f".\\i\\{i}.png" for i in range(10)]
    pictures(tmp_path, *names[:10])
    document = json.loads(labels(tmp_path, names, shift=0.1).read_text())
    parts = split(document, "group", [0.4, 0.3, 0.3], seed=0)
    found = [{picture_key(entry["file_name"]) for entry in part["images"]} for part in parts]
    assert all(found) and sum(map(len, found)) == 10 and not found[0] & found[1] and not found[1] & found[2]


@pytest.mark.parametrize(("stored", "written"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_both_normal_forms_of_a_name_are_the_picture(tmp_path, stored, written):
    pictures(tmp_path, unicodedata.normalize(stored, "ré/fée.png"))
    file = labels(tmp_path, [unicodedata.normalize(written, "ré/fée.png")])
    (item,) = read(f"coco:{file}", tmp_path).objects
    assert item.image.is_file()


def test_names_written_on_windows_are_pictures_in_folders(tmp_path):
    pictures(tmp_path, "sub/A.JPG")
    (item,) = read(f"coco:{labels(tmp_path, ['sub' + chr(92) + 'A.JPG'])}", tmp_path).objects
    assert item.image == tmp_path / "sub" / "A.JPG"


def test_readers_list_a_picture_once_however_it_is_spelled(tmp_path):
    pictures(tmp_path, "video/1.png")
    table = tmp_path / "labels.csv"
    head = "image,object,category,keypoint,x,y,confidence,present\n"
    table.write_text(head + "video/1.png,1,cat,nose,1,2,,true\n.\\video\\1.png,2,cat,nose,3,4,,true\n")
    assert len(load(f"csv:{table}", tmp_path).images) == 1


def test_reports_name_pictures_of_one_base_name_apart(tmp_path):
    pictures(tmp_path, "a/1.png", "b/1.png")
    data = read(f"coco:{labels(tmp_path, ['a/1.png', 'b/1.png'])}", tmp_path)
    assert picture_names(data.objects) == ["a/1.png", "b/1.png"]
    assert picture_names(data.objects[:1]) == ["1.png"]


def test_reports_name_pictures_of_absolute_and_relative_paths(tmp_path, monkeypatch):
    """Data that are joined may have one folder of pictures by its whole path, and one from here."""
    pictures(tmp_path, "a/1.png", "b/1.png")
    first, second = read(f"coco:{labels(tmp_path, ['a/1.png', 'b/1.png'])}", tmp_path).objects
    monkeypatch.chdir(tmp_path / "b")
    assert picture_names([first, replace(second, image="1.png")]) == ["a/1.png", "b/1.png"]


@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_example_is_the_object_of_its_own_picture_among_those_of_one_base_name(tmp_path, form):
    pictures(tmp_path, "a/1.png", "b/1.png")
    file = labels(tmp_path, ["a/1.png", "b/1.png"], shift=1)
    if form == "csv":
        file = tmp_path / "labels.csv"
        head = "image,object,category,keypoint,x,y,confidence,present\n"
        file.write_text(head + "a/1.png,1,cat,nose,2,2,,true\nb/1.png,1,cat,nose,3,2,,true\n")
    marked = read_marked(f"{tmp_path / 'b' / '1.png'}:{file}")
    assert next(iter(marked.places.values()))[0] == 3


def test_an_example_that_two_pictures_may_mean_is_refused(tmp_path):
    pictures(tmp_path, "1.png", "a/1.png", "b/1.png")
    file = labels(tmp_path, ["a/1.png", "b/1.png"], shift=1)
    with pytest.raises(InputError, match=r"one object of 1\.png, but has 2"):
        read_marked(f"{tmp_path / '1.png'}:{file}")


def test_an_object_is_kept_where_only_its_points_are_those_of_another_picture(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    data = read(f"coco:{labels(tmp_path, ['a.png', 'b.png'])}", tmp_path)
    assert len(data.objects) == 2 and np.array_equal(data.objects[0].points, data.objects[1].points)


# --- pictures that only their task, video or folder tells apart ------------------------------------------------------


def test_pictures_of_two_tasks_with_one_name_are_found_in_folders_of_the_tasks_or_refused(tmp_path):
    skeleton = '<skeleton label="mouse">{1}</skeleton>'
    picture = f'<image id="{{0}}" name="frame.png" task_id="{{0}}" width="8" height="8">{skeleton}</image>'
    points = '<points label="nose" points="{0},4"/><points label="tail" points="3,2"/>'
    file = tmp_path / "labels.xml"
    images = "".join(picture.format(i, points.format(i)) for i in (1, 2))
    file.write_text(f"<annotations>{images}</annotations>")
    pictures(tmp_path, "frame.png")
    with pytest.raises(InputError, match=r"2 pictures .*task 1.* and task 2.*frame\.png"):
        read(f"cvat:{file}", tmp_path)
    pictures(tmp_path, "t1/frame.png", "t2/frame.png")
    found = {item.image.parent.name: item.points[0, 0] for item in read(f"cvat:{file}", tmp_path).objects}
    assert found == {"t1": 1, "t2": 2}


@pytest.mark.parametrize("form", ["dlc", "labelstudio", "apt36k"])
def test_names_that_lead_to_one_file_are_refused_by_name_and_cost_no_other_picture(tmp_path, form):
    """The pictures of two folders were copied into one, so two of them were lost."""
    pictures(tmp_path, "1.png", "2.png")
    names = ["a/1.png", "b/1.png", "a/2.png"]
    if form == "dlc":
        file = tmp_path / "l.csv"
        rows = [f"labeled-data/{name},1,2" for name in names]
        file.write_text("\n".join(["scorer,me,me", "bodyparts,nose,nose", "coords,x,y", *rows]))
    elif form == "labelstudio":
        file = tmp_path / "l.json"
        tasks = []
        for i, name in enumerate(["aaaaaaaa-1.png", "bbbbbbbb-1.png", "cccccccc-2.png"]):
            value = {"x": 20, "y": 20, "width": 1, "keypointlabels": ["nose"]}
            size = {"original_width": 10, "original_height": 10}
            result = [{"id": "k", "type": "keypointlabels", "to_name": "image", "value": value, **size}]
            tasks.append({"id": i, "data": {"image": f"/data/upload/1/{name}"}, "annotations": [{"result": result}]})
        file.write_text(json.dumps(tasks))
    else:
        file = labels(tmp_path, [f"/home/me/{name}" for name in names])
    data = read(f"{form}:{file}", tmp_path)
    assert [item.image.name for item in data.objects] == ["2.png"]
    assert data.skipped == {"of pictures that cannot be told apart": 2}
    (sentence,) = data.faults
    assert "1.png" in sentence and "folders of their own" in sentence


ENTRY = '<image id="0" name="a.png" width="8" height="8"><points label="nose" points="{},2"/></image>'
PART = "<image file='a.png'><box top='1' left='1' width='5' height='5'><part name='0' x='{}' y='2'/></box></image>"


def test_an_entry_that_lists_a_picture_again_is_told_and_the_objects_of_both_count(tmp_path):
    pictures(tmp_path, "a.png")
    point = {"type": "keypointlabels", "to_name": "image", "original_width": 10, "original_height": 10}
    tasks = [
        {"id": i, "data": {"image": "a.png"}, "annotations": [{"result": [{"id": "r", **point, "value": value}]}]}
        for i in (1, 2)
        for value in [{"x": 20 * i, "y": 20, "keypointlabels": ["nose"]}]
    ]
    files = {
        "labelstudio": json.dumps(tasks),
        "cvat": f"<annotations>{ENTRY.format(2)}{ENTRY.format(4)}</annotations>",
        "imglab": f"<dataset><images>{PART.format(2)}{PART.format(4)}</images></dataset>",
    }
    for form, text in files.items():
        (tmp_path / "file").write_text(text)
        data = read(f"{form}:{tmp_path / 'file'}", tmp_path)
        assert [item.points.tolist() for item in data.objects] == [[[2, 2]], [[4, 2]]]
        assert len(data.notes) == 1 and data.notes[0].endswith(", and the objects of all count.")


def test_entries_that_cannot_be_told_apart_are_not_said_to_count(tmp_path):
    pictures(tmp_path, "a.png")
    one, other = (PART.format(x).replace("a.png", name) for x, name in ((2, "r/a.png"), (4, "s/a.png")))
    (tmp_path / "a.xml").write_text(f"<dataset><images>{one}{other}</images></dataset>")
    found = load(f"imglab:{tmp_path / 'a.xml'}", tmp_path)
    assert not found.annotations and "would all be a.png" in found.faults[0] and not found.all_notes()


@pytest.mark.parametrize("form", ["imglab", "cvat", "via", "dlc", "tps", "labelstudio"])
@pytest.mark.parametrize("names", [("a.png", "s/a.png"), ("s/a.png", "a.png"), ("s/a.png", "a.png", "t/a.png")])
def test_a_picture_that_the_labels_name_exactly_keeps_its_file_and_the_others_of_its_name_are_missing(
    tmp_path, form, names
):
    """The x of each point is the length of its picture's name."""
    pictures(tmp_path, "a.png")
    entry = ENTRY.replace('id="0" ', "")
    texts = {
        "imglab": [PART.format(len(name)).replace("a.png", name) for name in names],
        "cvat": [entry.format(len(name)).replace("a.png", name) for name in names],
        "via": {
            name: {"filename": name, "regions": [{"shape_attributes": shape, "region_attributes": {"part": "nose"}}]}
            for name in names
            for shape in [{"name": "point", "cx": len(name), "cy": 2}]
        },
        "dlc": ["scorer,me,me", "bodyparts,nose,nose", "coords,x,y", *(f"{name},{len(name)},2" for name in names)],
        "tps": [f"LM=1\n{len(name)} 2\nIMAGE={name}" for name in names],
        "labelstudio": [
            {"id": i, "data": {"image": name}, "annotations": [{"result": [{"id": "r", **point, "value": value}]}]}
            for i, name in enumerate(names)
            for point in [{"type": "keypointlabels", "original_width": 10, "original_height": 10}]
            for value in [{"x": 10 * len(name), "y": 20, "keypointlabels": ["nose"]}]
        ],
    }
    around = {"imglab": "<dataset><images>{}</images></dataset>", "cvat": "<annotations>{}</annotations>"}
    text = texts[form]
    whole = json.dumps(text) if form in ("via", "labelstudio") else "\n".join(text)
    (tmp_path / "file").write_text(around.get(form, "{}").replace("{}", whole))
    data = read(f"{form}:{tmp_path / 'file'}", tmp_path)
    assert [(item.image.name, item.points[0, 0]) for item in data.objects] == [("a.png", 5)]
    assert data.skipped == {"image file missing": len(names) - 1}
    (fault,) = data.faults
    assert "s/a.png" in fault and "missing, as a.png of the folder is another picture" in fault


def test_entries_of_one_name_and_id_whose_pictures_differ_in_size_are_two_pictures(tmp_path):
    pictures(tmp_path, "a.png")
    other = ENTRY.format(4).replace('width="8"', 'width="9"')
    (tmp_path / "a.xml").write_text(f"<annotations>{ENTRY.format(2)}{other}</annotations>")
    with pytest.raises(InputError, match=r"a\.png \(image 0, 8 x 8\) and a\.png \(image 0, 9 x 8\), would all be"):
        read(f"cvat:{tmp_path / 'a.xml'}", tmp_path)


def test_an_upload_is_found_by_its_whole_name_before_the_name_without_its_digits(tmp_path):
    pictures(tmp_path, "aaaaaaaa-1.png", "1.png")
    value = {"x": 25, "y": 50, "width": 1, "keypointlabels": ["nose"]}
    region = {"id": "k", "type": "keypointlabels", "original_width": 10, "original_height": 10, "value": value}
    names = ("aaaaaaaa-1.png", "bbbbbbbb-1.png")
    tasks = [{"id": n, "data": {"image": f"/data/upload/1/{n}"}, "annotations": [{"result": [region]}]} for n in names]
    (tmp_path / "l.json").write_text(json.dumps(tasks))
    data = read(f"labelstudio:{tmp_path / 'l.json'}", tmp_path)
    assert [item.image.name for item in data.objects] == ["aaaaaaaa-1.png", "1.png"]


def test_of_two_rows_of_one_picture_the_later_counts_and_strict_refuses(tmp_path):
    pictures(tmp_path, "labeled-data/moth/1.png", "labeled-data/moth/2.png")
    rows = ["labeled-data/moth/1.png,1,2", "labeled-data/moth/2.png,5,6", "labeled-data\\moth\\1.png,3,4"]
    file = tmp_path / "l.csv"
    file.write_text("\n".join(["scorer,me,me", "bodyparts,nose,nose", "coords,x,y", *rows]))
    data = read(f"dlc:{file}", tmp_path)
    assert [item.points[0].tolist() for item in data.objects] == [[3, 4], [5, 6]]
    with pytest.raises(InputError, match=r"row 1 .*later row"):
        read(f"dlc:{file}", tmp_path, strict=True)


# --- regions of Label Studio -----------------------------------------------------------------------------------------


def annotated(folder: Path, data: dict, result: list) -> object:
    (folder / "l.json").write_text(json.dumps([{"id": 1, "data": data, "annotations": [{"result": result}]}]))
    return read(f"labelstudio:{folder / 'l.json'}", folder)


def region(identity: str, kind: str, value: dict, **more: object) -> dict:
    return {"id": identity, "type": kind, "original_width": 10, "original_height": 10, "value": value, **more}


def spot(identity: str, name: str, x: float, y: float, **more: object) -> dict:
    return region(identity, "keypointlabels", {"x": x, "y": y, "width": 1, "keypointlabels": [name]}, **more)


def box(identity: str, x: float, y: float, w: float, h: float, **more: object) -> dict:
    value = {"x": x, "y": y, "width": w, "height": h, "rectanglelabels": ["cat"], **more}
    return region(identity, "rectanglelabels", value)


@pytest.mark.parametrize(
    ("word", "visibility"),
    [("occluded", 1), ("Hidden", 1), ("not_visible", 1), ("Not-visible", 1), ("covered", 1), ("visible", 2)],
)
def test_a_choice_about_a_point_says_whether_it_is_visible(tmp_path, word, visibility):
    pictures(tmp_path, "a.png")
    choice = region("n", "choices", {"x": 1, "y": 1, "choices": [word]})
    data = annotated(tmp_path, {"image": "a.png"}, [spot("n", "nose", 20, 25), choice, spot("t", "tail", 70, 80)])
    assert data.objects[0].visibility.tolist() == [visibility, 2] and data.skipped == {}


@pytest.mark.parametrize("note", ["occluded", ["occluded"], ["who knows", "Hidden"]])
def test_a_note_of_a_point_is_a_text_or_a_list_of_texts(tmp_path, note):
    pictures(tmp_path, "a.png")
    data = annotated(tmp_path, {"image": "a.png"}, [spot("n", "nose", 20, 25, meta={"text": note})])
    assert data.objects[0].visibility.tolist() == [1]


def test_other_choices_are_counted_by_name(tmp_path):
    pictures(tmp_path, "a.png")
    choice = region("n", "choices", {"choices": ["blurred"]})
    assert annotated(tmp_path, {"image": "a.png"}, [spot("n", "nose", 1, 1), choice]).skipped == {
        "choices 'blurred'": 1
    }


def test_relations_say_which_rectangle_a_point_belongs_to(tmp_path):
    pictures(tmp_path, "a.png")
    result = [box("1", 0, 0, 60, 60), box("2", 30, 30, 60, 60), spot("n", "nose", 40, 40), spot("m", "nose", 45, 45)]
    result += [{"type": "relation", "from_id": a, "to_id": b} for a, b in (("1", "n"), ("m", "2"))]
    data = annotated(tmp_path, {"image": "a.png"}, result)
    assert {item.box[0]: item.points[0].tolist() for item in data.objects} == {0: [4, 4], 3: [4.5, 4.5]}


def test_points_that_relations_join_are_an_object_where_there_is_no_rectangle(tmp_path):
    pictures(tmp_path, "a.png")
    result = [spot(f"{k}{i}", k, 10 * i, 10) for i in (1, 2) for k in ("nose", "tail")]
    result += [{"type": "relation", "from_id": f"nose{i}", "to_id": f"tail{i}"} for i in (1, 2)]
    data = annotated(tmp_path, {"image": "a.png"}, result)
    assert sorted(item.points[:, 0].tolist() for item in data.objects) == [[1, 1], [2, 2]]


@pytest.mark.parametrize("tags", [("left", "right"), ("image1", "image2")])
def test_points_of_a_task_with_two_pictures_are_on_the_picture_that_they_were_drawn_on(tmp_path, tags):
    pictures(tmp_path, "a.png", "b.png")
    keys = ("left", "right") if tags[0] == "left" else ("view_1", "view_2")
    data = dict(zip(keys, ("a.png", "b.png"), strict=True))
    result = [spot("n", "nose", 10, 10, to_name=tags[0]), spot("m", "nose", 50, 50, to_name=tags[1])]
    found = {item.image.name: item.points[0].tolist() for item in annotated(tmp_path, data, result).objects}
    assert found == {"a.png": [1, 1], "b.png": [5, 5]}
    stray = [spot("n", "nose", 1, 1, to_name="other"), spot("m", "nose", 50, 50, to_name=tags[1])]
    found = annotated(tmp_path, data, stray)
    assert [(item.image.name, item.points[0].tolist()) for item in found.objects] == [("b.png", [5, 5])]
    assert len(found.faults) == 1 and "drawn on 'other', which is none" in found.faults[0]


@pytest.mark.parametrize("name", ["shot.mpo", "shot.HEIF", "shot.jfif?v=2", "anim.gif"])
def test_a_picture_under_any_key_is_known_by_its_suffix(name):
    (found,) = by_task_picture({"title": "mpo", "photo": name}, [], "task 1", Labels())
    assert found == (name, [])


def test_points_on_pages_are_on_the_picture_of_their_page(tmp_path):
    pictures(tmp_path, "a.png", "b.png")
    result = [spot("n", "nose", 10, 10, item_index=1), spot("m", "nose", 50, 50)]
    found = annotated(tmp_path, {"pages": ["a.png", "b.png"]}, result).objects
    assert {item.image.name: item.points[0].tolist() for item in found} == {"b.png": [1, 1], "a.png": [5, 5]}


def test_a_turned_rectangle_is_its_upright_hull_and_that_is_said(tmp_path):
    pictures(tmp_path, "a.png")
    data = annotated(tmp_path, {"image": "a.png"}, [box("1", 50, 20, 40, 20, rotation=90), spot("n", "nose", 40, 30)])
    assert data.objects[0].box == pytest.approx((3, 2, 2, 4)) and "turned by 90 degrees" in data.notes[0]


def test_a_point_without_a_place_is_counted_and_costs_no_other(tmp_path):
    pictures(tmp_path, "a.png")
    ghost = region("g", "keypointlabels", {"width": 1, "keypointlabels": ["ghost"]})
    data = annotated(tmp_path, {"image": "a.png"}, [spot("n", "nose", 20, 25), ghost])
    assert data.objects[0].category.names == ["nose"] and data.skipped == {"points without a place": 1}


# --- other facts that files say -------------------------------------------------------------------------------------


def test_a_turned_box_of_cvat_is_its_upright_hull_and_that_is_said(tmp_path):
    pictures(tmp_path, "i/1.png")
    file = tmp_path / "a.xml"
    file.write_text(
        '<annotations><image id="0" name="i/1.png" width="200" height="160"><box label="pen" group_id="1" xtl="60" '
        'ytl="70" xbr="140" ybr="90" rotation="90.0"/><points label="tip" group_id="1" points="100,42"/>'
        '<points label="end" group_id="1" points="100,118"/></image></annotations>'
    )
    data = read(f"cvat:{file}", tmp_path)
    assert data.objects[0].box == pytest.approx((90, 40, 20, 80)) and "turned by 90 degrees" in data.notes[0]


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "NA", "N/A", "null", "None", "<NA>", "#N/A", " "])
def test_every_spelling_of_a_missing_value_is_a_point_that_is_not_labelled(tmp_path, cell):
    pictures(tmp_path, "a.png")
    file = tmp_path / "l.csv"
    heads = ["scorer,me,me,me,me", "bodyparts,nose,nose,tail,tail", "coords,x,y,x,y"]
    file.write_text("\n".join([*heads, f"a.png,1,2,{cell},{cell}"]))
    data = read(f"dlc:{file}", tmp_path)
    assert data.objects[0].visibility.tolist() == [2, 0] and data.faults == ()


def test_places_in_pts_files_count_from_one_and_that_is_said(tmp_path):
    pictures(tmp_path, "cat_1.png")
    rows = "\n".join(f"{i} {i + 1}" for i in range(1, 10))
    (tmp_path / "cat_1.pts").write_text(f"version: 1\nn_points: 9\n{{\n{rows}\n}}\n")
    data = read(f"pts:{tmp_path}", tmp_path)
    assert data.objects[0].points[0].tolist() == [0, 1] and "count from 1" in data.notes[0]
