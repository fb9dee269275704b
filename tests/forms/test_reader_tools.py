"""Exports of labelling tools: what is an object, what is absent, and what is refused with one sentence."""

import json
import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.forms.dataset import NO_IMAGE
from anykeypoint.forms.document import box_round
from anykeypoint.forms.registry import read

NAN = np.nan


@pytest.fixture
def put(tmp_path):
    """Write a label file and pictures of 200 x 100 pixels; gives the specification."""

    def put(form, text, *pictures, name="labels.txt"):
        (tmp_path / name).write_text(text if isinstance(text, str) else json.dumps(text))
        for picture in pictures:
            path = tmp_path / picture
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (200, 100)).save(path)
        return f"{form}:{tmp_path / name}", tmp_path

    return put


def refuse(spec, images, message):
    with pytest.raises(InputError, match=message) as error:
        read(spec, images, strict=True)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


# --- DeepLabCut ----------------------------------------------------------------------------------------------------

ONE = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/film/img1.png,10.5,20,30,40
labeled-data/film/img2.png,,,3,NaN
"""
SEVERAL = """scorer,,,me,me,me,me,me,me
individuals,,,a,a,b,b,single,single
bodyparts,,,nose,nose,nose,nose,food,food
coords,,,x,y,x,y,x,y
labeled-data,film,img1.png,1,2,3,4,,
labeled-data,film,img2.png,,,5,6,7,8
"""


def test_a_deeplabcut_table_of_one_animal(put):
    spec, images = put(
        "dlc/mouse", ONE.replace(",,,3,NaN", ",NaN,nan,3,4"), "labeled-data/film/img1.png", "film/img2.png"
    )
    first, second = read(spec, images).objects
    assert first.category.noun == "mouse" and first.category.names == ["nose", "tail"]
    assert first.group == "labeled-data/film" and second.image == images / "film" / "img2.png"
    np.testing.assert_array_equal(first.points, [[10.5, 20], [30, 40]])
    np.testing.assert_array_equal(second.points, [[NAN, NAN], [3, 4]])
    assert second.visibility.tolist() == [0, 2]


def test_a_deeplabcut_table_of_several_animals(put):
    spec, images = put("dlc", SEVERAL, "labeled-data/film/img1.png", "labeled-data/film/img2.png")
    objects = read(spec, images).objects
    assert [item.points[0].tolist() for item in objects] == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert [item.category.name for item in objects] == ["object"] * 3 + ["single"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10.5", "ten", r"row 1 .*'ten' for 'nose'"),
        ("10.5", "inf", r"row 1 .*'inf'"),
        (",3,NaN", ",3,", r"row 2 .*only one of x and y for 'tail'"),
        (",30,40", ",30", r"row 1 .*4 cells.*5"),
        ("coords,x,y,x,y", "coords,x,y,likelihood,y", "likelihood"),
        ("coords,x,y,x,y", "coords,x,y,x,x", "two columns 'x' of 'tail'"),
        ("bodyparts", "parts", "begin with DeepLabCut's lines"),
        ("labeled-data/film/img1.png", "17", "'17', no picture"),
        ("scorer,me,me,me,me\n", 'scorer,"me', "not a CSV table"),
    ],
)
def test_a_broken_deeplabcut_table_is_refused(put, old, new, message):
    refuse(*put("dlc", ONE.replace(old, new)), message)


OTHER = """scorer,you,you,you,you
bodyparts,{},{},nose,nose
coords,x,y,y,x
labeled-data/film/img2.png,1,2,4,3
"""


def test_tables_that_were_joined_into_one_file_are_each_read_by_their_own_header(put):
    pictures = "labeled-data/film/img1.png", "labeled-data/film/img2.png"
    first = "".join(ONE.splitlines(keepends=True)[:4])
    data = read(*put("dlc", first + OTHER.format("tail", "tail"), *pictures))
    assert [item.points.tolist() for item in data.objects] == [[[10.5, 20], [30, 40]], [[3, 4], [1, 2]]]
    assert len(data.categories) == 1 and not data.skipped
    data = read(*put("dlc", first + OTHER.format("ear", "ear"), *pictures))
    assert [item.category.names for item in data.objects] == [["nose", "tail", "ear"]] * 2
    assert [item.visibility.tolist() for item in data.objects] == [[2, 2, 0], [2, 0, 2]]


def test_a_joined_table_whose_header_cannot_be_read_costs_itself(put):
    text = ONE.replace("NaN", "4") + OTHER.replace("coords,x,y,y,x", "coords,x,y,y,z")
    data = read(*put("dlc", text, "labeled-data/film/img1.png", "labeled-data/film/img2.png"))
    assert [item.image.name for item in data.objects] == ["img1.png", "img2.png"]
    assert len(data.faults) == 1 and "header 2, line 'coords', has 'z' in column 5" in data.faults[0]


def test_individuals_with_the_same_parts_in_another_order_are_one_category(put):
    heads = "scorer,me,me,me,me,me,me,me,me\nindividuals,a,a,a,a,b,b,b,b\n"
    parts = "bodyparts,nose,nose,tail,tail,tail,tail,nose,nose\ncoords,x,y,x,y,x,y,x,y\n"
    data = read(*put("dlc", heads + parts + "film/a.png,1,2,3,4,30,40,10,20\n", "film/a.png"))
    assert [item.points.tolist() for item in data.objects] == [[[1, 2], [3, 4]], [[10, 20], [30, 40]]]
    assert len(data.categories) == 1


@pytest.mark.parametrize(
    "text",
    [
        ONE.replace(",", ", "),
        ONE.replace("scorer", "Scorer").replace("x,y,x,y", "X,Y,X,Y"),
        ONE.replace("scorer,", "scorer,Unnamed: 1_level_0,")
        .replace("bodyparts,", "bodyparts,Unnamed: 1_level_1,")
        .replace("coords,", "coords,Unnamed: 1_level_2,")
        .replace("film/", "film,"),
    ],
)
def test_header_lines_are_known_with_blanks_in_capitals_and_as_pandas_calls_columns_without_a_name(put, text):
    pictures = [f"labeled-data/film/img{i}.png" for i in (1, 2)]
    (item, _) = read(*put("dlc", text.replace("NaN", "4"), *pictures)).objects
    assert item.points.tolist() == [[10.5, 20], [30, 40]] and item.category.names == ["nose", "tail"]


def test_a_header_line_without_likelihoods_is_not_taken_for_predictions(put):
    refuse(*put("dlc", ONE.replace("x,y,x,y", "x,y,x,z")), r"has 'z' in column 5 where .* has x and y only; export the")


def test_real_deeplabcut_and_lightning_pose_tables_are_read(shared):
    samples = shared / "data" / "samples"
    for path, points in (("deeplabcut/CollectedData_Mackenzie.csv", 5), ("lightning_pose/CollectedData.csv", 17)):
        dataset = read(f"dlc:{samples / path}", samples, allow_missing=True)
        lines = (samples / path).read_text().splitlines()
        assert dataset.skipped[NO_IMAGE] == len(lines) - 3
        assert [len(category) for category in dataset.categories.values()] == [points]


@pytest.fixture
def project(put, tmp_path):
    """DeepLabCut's project of two videos whose animals are at x = 10 and 50, with a training made of their tables."""
    head = "scorer,,,me,me\nbodyparts,,,nose,nose\ncoords,,,x,y\n"
    rows = {video: f"labeled-data,{video},img1.png,{x},20\n" for video, x in (("film", 10), ("Käfig 2", 50))}
    (tmp_path / "training-datasets").mkdir()
    for video, row in rows.items():
        put("dlc", "", f"labeled-data/{video}/img1.png")
        put("dlc", head + row, name=f"labeled-data/{video}/CollectedData_me.csv")
        put("dlc", "no table of pandas", name=f"labeled-data/{video}/CollectedData_me.h5")
    put("dlc", head + "".join(rows.values()), name="training-datasets/CollectedData_me.csv")
    return tmp_path


def test_a_project_of_deeplabcut_is_the_tables_of_all_its_videos_with_their_pictures_beside_them(project):
    for path in (project, project / "labeled-data"):
        data = read(f"dlc/mouse:{path}", strict=True)
        places = {item.image.relative_to(project).as_posix(): item.points[0].tolist() for item in data.objects}
        assert places == {"labeled-data/film/img1.png": [10, 20], "labeled-data/Käfig 2/img1.png": [50, 20]}
        assert {item.group for item in data.objects} == {"labeled-data/film", "labeled-data/Käfig 2"}
        assert [category.noun for category in data.categories.values()] == ["mouse"]


def test_the_pictures_of_one_table_of_a_project_are_found_from_its_place(project, monkeypatch):
    for path in ("", "/CollectedData_me.csv"):
        (item,) = read(f"dlc:{project}/labeled-data/film{path}", strict=True).objects
        assert item.image == project / "labeled-data" / "film" / "img1.png"
    monkeypatch.chdir(project / "labeled-data" / "film")
    assert read("dlc:CollectedData_me.csv", strict=True).objects[0].image == item.image


def test_a_folder_without_tables_of_deeplabcut_is_refused_with_what_to_give(tmp_path):
    refuse(f"dlc:{tmp_path}", None, r"no CollectedData_SCORER.csv or .h5 .* give DeepLabCut's project, or a table")


# --- CVAT ----------------------------------------------------------------------------------------------------------

XML = """<?xml version="1.0"?>
<annotations><version>1.1</version>
<meta><task><labels>
  <label><name>cat</name><type>skeleton</type></label>
  <label><name>tail</name><parent>cat</parent></label><label><name>nose</name><parent>cat</parent></label>
  <label><name>ear</name><parent>cat</parent></label>
</labels></task></meta>
<image id="0" name="a.png" width="200" height="100">
  <skeleton label="cat" occluded="0">
    <points label="nose" outside="0" occluded="1" points="10.5,20"/>
    <points label="tail" outside="0" occluded="0" points="30,40"/>
    <points label="ear" outside="1" occluded="0" points="0,0"/>
  </skeleton>
  <polygon label="cat" points="0,0;1,1;2,0"/>
</image>
<image id="1" name="b.png" width="200" height="100">
  <points label="nose" points="5,6" group_id="3"/><points label="tail" points="7,8" group_id="3"/>
  <box label="cat" xtl="1" ytl="2" xbr="11" ybr="22" group_id="3"/>
</image></annotations>"""


def test_flags_of_cvat_are_numbers_or_words(put):
    text = XML.replace('outside="1"', 'outside="True"').replace('occluded="1"', 'occluded="true"')
    spec, images = put("cvat", text.replace('outside="0"', 'outside="false"'), "a.png", "images/b.png")
    assert read(spec, images).objects[0].visibility.tolist() == [2, 1, 0]
    spec, images = put("cvat", XML.replace('outside="1"', 'outside="maybe"'), "a.png", "images/b.png")
    assert "points 'ear', key 'outside', must be 0 or 1, but got 'maybe'" in read(spec, images).faults[0]


def test_cvat_skeletons_and_groups_of_points_are_objects(put):
    spec, images = put("cvat", XML, "a.png", "images/b.png")
    dataset = read(spec, images)
    first, second = dataset.objects
    assert first.category.names == ["tail", "nose", "ear"]  # the order of the task's labels
    np.testing.assert_array_equal(first.points, [[30, 40], [10.5, 20], [NAN, NAN]])
    assert first.visibility.tolist() == [2, 1, 0]
    assert second.box == (1, 2, 10, 20) and second.category.name == "cat"
    np.testing.assert_array_equal(second.points, [[7, 8], [5, 6], [NAN, NAN]])
    assert dataset.skipped == {"polygon shapes": 1}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("10.5,20", "nan,20", "image 0, skeleton 'cat', points 'nose'.*finite"),
        ("10.5,20", "1,2;3,4", "'nose'.*must be one point"),
        ('label="ear"', 'label="tail"', "'tail' twice"),
        ('xbr="11"', 'xbr="0"', "image 1 has a box of -1 x 20"),
        ('xbr="11"', "", "key 'xbr'"),
        ("</annotations>", "", "not valid XML"),
        ("<annotations>", "<track/><annotations>", "not valid XML"),
        ("<meta>", '<track id="0"/><meta>', "for video"),
        ("annotations>", "dataset>", "root <dataset>"),
        ('<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hosts">]>', "declares a document type"),
        ('<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', "declares a document type"),
    ],
)
def test_a_broken_cvat_file_is_refused(put, old, new, message):
    refuse(*put("cvat", XML.replace(old, new), "a.png", "b.png"), message)


# --- Label Studio --------------------------------------------------------------------------------------------------

SIZE = {"original_width": 200, "original_height": 100}


def spot(name, x, y, **more):
    value = {"x": x, "y": y, "width": 0.5, "keypointlabels": [name]}
    return {"id": f"{name}{x}", "type": "keypointlabels", **SIZE, "value": value, **more}


def rectangle(identity, x, y, w, h, label="cat"):
    value = {"x": x, "y": y, "width": w, "height": h, "rotation": 0, "rectanglelabels": [label]}
    return {"id": identity, "type": "rectanglelabels", **SIZE, "value": value}


def tasks(*regions, image="a.png", **data):
    return [{"id": 4, "data": {"image": image, **data}, "annotations": [{"id": 1, "result": list(regions)}]}]


def test_label_studio_points_belong_to_their_rectangle_and_are_shares_of_the_picture(put):
    regions = [
        rectangle("r", 0, 0, 50, 50),
        rectangle("s", 50, 0, 50, 100, "dog"),
        spot("nose", 10, 20),
        spot("nose", 75, 50, meta={"text": ["hidden"]}),
        spot("tail", 5, 90, parentID="r"),  # outside it, but its own
    ]
    spec, images = put("labelstudio", tasks(*regions, group="film"), "a.png")
    cat, dog = read(spec, images).objects
    assert (cat.category.name, dog.category.name) == ("cat", "dog") and cat.group == "film"
    assert cat.box == (0, 0, 100, 50)
    np.testing.assert_allclose(cat.points, [[20, 20], [10, 90]])
    assert dog.visibility.tolist() == [1]


def test_label_studio_points_without_rectangles_are_one_object_in_a_known_order(put):
    regions = [spot("nose", 10, 20), spot("ear", 30, 40)]
    spec, images = put("labelstudio/fox", tasks(*regions, keypoints={"fox": ["ear", "tail", "nose"]}), "a.png")
    (item,) = read(spec, images).objects
    assert item.category.name == "fox" and item.category.names == ["ear", "tail", "nose"]
    assert item.visibility.tolist() == [2, 0, 2]


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/3/0a1b2c3d-a.png",
        "/data/local-files/?d=in/a.png",
        "https://example.org/x/a.png?token=1",
        "in/a.png",
    ],
)
def test_label_studio_addresses_lead_to_the_file_under_the_images(put, address):
    spec, images = put(
        "labelstudio", tasks(spot("nose", 1, 2), image=address), "in/a.png" if "in/" in address else "a.png"
    )
    assert read(spec, images).objects[0].image.name == "a.png"


def test_cancelled_and_further_annotations_are_counted(put):
    data = tasks(spot("nose", 1, 2))
    data[0]["annotations"] += [
        {"id": 2, "was_cancelled": True, "result": []},
        {"id": 3, "result": [spot("nose", 3, 4)]},
    ]
    spec, images = put("labelstudio", data, "a.png")
    dataset = read(spec, images)
    assert len(dataset.objects) == 1
    assert dataset.skipped == {"cancelled annotations": 1, "annotations by further annotators": 1}
    assert dataset.objects[0].points.tolist() == [[2, 2]]
    data[0]["annotations"][2]["ground_truth"] = True
    spec, images = put("labelstudio", data, "a.png")
    assert read(spec, images).objects[0].points.tolist() == [[6, 4]]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not valid JSON"),
        ({"a": 1}, "list of tasks"),
        ([{"image": "a.png", "kp": []}], "task 0 .*not JSON-MIN"),
        (tasks(spot("nose", "x", 2)), r"task 4, region 'nosex', key 'x'.*finite"),
        (tasks(spot("nose", 1, 2), spot("nose", 3, 4)), "second point 'nose'"),
        (tasks(rectangle("r", 0, 0, 0, 0), spot("nose", 1, 2)), "region 'r' is a rectangle of 0 x 0"),
        (tasks(rectangle("r", 0, 0, 9, 9), rectangle("s", 0, 0, 8, 8), spot("nose", 1, 1)), "lies in 2 of"),
        (tasks({"id": "q", "type": "keypointlabels", "value": {"x": 1, "y": 1}}), "region 'q', key 'original_width'"),
        (tasks(spot("nose", 1, 2), image=5), "must name one picture"),
    ],
)
def test_a_broken_label_studio_export_is_refused(put, data, message):
    refuse(*put("labelstudio", data, "a.png"), message)


# --- SLEAP ---------------------------------------------------------------------------------------------------------


class Instance:
    def __init__(self, points, skeleton):
        self.skeleton, self.points = skeleton, np.array(points, dtype=float)

    def numpy(self):
        return self.points


class PredictedInstance(Instance):
    pass


def test_sleap_frames_are_looked_for_by_video_and_number(put, monkeypatch):
    skeleton = SimpleNamespace(name="s", node_names=["head", "tail"], edge_inds=[(0, 1)], symmetry_inds=[])
    frame = SimpleNamespace(
        video=SimpleNamespace(filename="C:\\films\\fly.mp4"),
        frame_idx=7,
        instances=[Instance([[1, 2], [NAN, NAN]], skeleton), PredictedInstance([[3, 4], [5, 6]], skeleton)],
    )
    project = SimpleNamespace(skeletons=[skeleton], labeled_frames=[frame])
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_slp=lambda path: project))
    spec, images = put("sleap/fly", "", "fly/000007.png")
    dataset = read(spec, images)
    (item,) = dataset.objects
    assert item.category.noun == "fly" and item.category.skeleton == ((0, 1),) and item.group == "fly"
    np.testing.assert_array_equal(item.points, [[1, 2], [NAN, NAN]])
    assert dataset.skipped == {"predicted instances": 1}


@pytest.mark.parametrize("folder", ["", "mine/", "study/mine/", "me/study/mine/"])
@pytest.mark.parametrize("home", ["/home/me/study/mine/7.png", "C:\\Users\\me\\study\\mine\\7.png"])
def test_a_sleap_picture_is_found_by_the_longest_end_of_its_path_that_is_there(put, monkeypatch, home, folder):
    skeleton = SimpleNamespace(name="s", node_names=["head"], edge_inds=[], symmetry_inds=[])
    video = SimpleNamespace(filename=[home])
    frame = SimpleNamespace(video=video, frame_idx=0, instances=[Instance([[1, 2]], skeleton)])
    project = SimpleNamespace(skeletons=[skeleton], labeled_frames=[frame])
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_slp=lambda path: project))
    spec, images = put("sleap/fly", "", f"{folder}7.png")
    (item,) = read(spec, images).objects
    assert item.image == images / f"{folder}7.png" and item.group == "mine"


@pytest.mark.parametrize(("symmetries", "order"), [([(0, 2)], [2, 1, 0, 3]), ([], [0, 1, 3, 2])])
def test_symmetries_of_a_sleap_project_are_its_pairs_and_without_any_the_names_decide(
    put, monkeypatch, symmetries, order
):
    names = ["head", "thorax", "left wing", "right wing"]
    skeleton = SimpleNamespace(name="s", node_names=names, edge_inds=[], symmetry_inds=symmetries)
    project = SimpleNamespace(skeletons=[skeleton], labeled_frames=[])
    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_slp=lambda path: project))
    (category,) = read(*put("sleap/fly", "")).categories.values()
    assert category.mirrored() == order


@pytest.fixture
def film(put, monkeypatch):
    """Gives the labels of a project with a frame of each video, from them and the pictures that there are."""

    def made(videos, *pictures, frame=7):
        skeleton = SimpleNamespace(name="s", node_names=["head"], edge_inds=[], symmetry_inds=[])
        frames = [
            SimpleNamespace(video=video, frame_idx=frame, instances=[Instance([[place + 1, 2]], skeleton)])
            for place, video in enumerate(videos)
        ]
        project = SimpleNamespace(skeletons=[skeleton], labeled_frames=frames)
        monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_slp=lambda path: project))
        spec, images = put("sleap/fly", "", *pictures)
        data = read(spec, images, allow_missing=True)
        return {item.image.relative_to(images).as_posix(): item.points[0, 0] for item in data.objects}, data

    return made


def in_package(number, source=None):
    backend = SimpleNamespace(dataset=f"video{number}/video")
    return SimpleNamespace(filename="flies.pkg.slp", backend=backend, source_video=source)


def test_the_frames_of_a_sleap_package_are_those_of_the_videos_that_it_was_made_of(film):
    videos = [SimpleNamespace(filename=f"C:\\films\\{name}.mp4") for name in ("one", "two")]
    names = ["one/7.png", "two/0007.png"]
    copies = [in_package(place, video) for place, video in enumerate(videos)]
    assert film(copies, *names)[0] == {names[0]: 1, names[1]: 2}


def test_the_videos_of_a_sleap_package_are_kept_apart_where_their_origin_is_not_known(film):
    names = ["flies.pkg/video0/7.png", "flies.pkg/video1/7.png"]
    assert film([in_package(0), in_package(1)], *names)[0] == {names[0]: 1, names[1]: 2}


def test_two_sleap_videos_of_one_name_are_told_apart_by_their_folders(film):
    videos = [SimpleNamespace(filename=f"/films/{day}/cam.mp4") for day in ("monday", "tuesday")]
    assert film(videos, "monday/cam/7.png", "tuesday/cam/7.png")[0] == {
        "monday/cam/7.png": 1,
        "tuesday/cam/7.png": 2,
    }


def test_sleap_frames_that_are_no_pictures_are_counted_with_where_it_says_how_to_write_them(film):
    found, data = film([SimpleNamespace(filename="/films/fly.mp4"), SimpleNamespace(filename="/films/bee.mp4")])
    assert not found and any(
        note.startswith("2 labelled frames of ") and note.endswith("docs/tools.md has the lines that write them.")
        for note in data.notes
    )
    assert not any("labelled frames" in note for note in film([in_package(0)], "flies.pkg/video0/7.png")[1].notes)


def test_what_sleap_exports_beside_its_project_is_refused_with_what_to_give(tmp_path, monkeypatch):
    def load(path):
        raise KeyError("object 'tracks_json' doesn't exist")

    monkeypatch.setitem(sys.modules, "sleap_io", SimpleNamespace(load_slp=load))
    (tmp_path / "flies.analysis.h5").write_bytes(b"x")
    with pytest.raises(InputError, match=r"cannot be read as a SLEAP project .* give the \.slp file, no export of it"):
        read(f"sleap:{tmp_path / 'flies.analysis.h5'}", tmp_path)


def test_sleap_without_its_package_is_refused_with_the_extra(put, monkeypatch):
    monkeypatch.setitem(sys.modules, "sleap_io", None)
    refuse(*put("sleap", ""), "sleap-io; install anykeypoint with the extra 'sleap'")


# --- the tidy table ------------------------------------------------------------------------------------------------

TABLE = """image,object,category,keypoint,x,y,confidence,present
a.png,1,cat,nose,1.5,2,,true
a.png,1,cat,tail,,,,false
a.png,2,cat,nose,3,4,0.5,true
a.png,2,cat,tail,5,6,0.5,true
"""


def test_the_table_of_predictions_is_read_as_labels(put):
    spec, images = put("csv", TABLE, "a.png")
    first, second = read(spec, images).objects
    np.testing.assert_array_equal(first.points, [[1.5, 2], [NAN, NAN]])
    assert second.visibility.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1.5,2", "1.5,", "row 1 .*key 'y'"),
        ("true", "yes", "column 'present'"),
        ("2,cat,tail,5", "2,cat,ear,5", "object 2 of a.png has other keypoints"),
        ("2,cat,tail", "2,dog,tail", "object 2 of a.png 'dog' and before 'cat'"),
        ("image,object", "file,object", "begin with the columns"),
    ],
)
def test_a_broken_table_is_refused(put, old, new, message):
    refuse(*put("csv", TABLE.replace(old, new), "a.png"), message)


# --- numpy ---------------------------------------------------------------------------------------------------------

ARRAYS = {
    "images": np.array(["a.png", "b.png"]),
    "points": np.array([[[1, 2], [3, 4]], [[5, 6], [NAN, NAN]]]),
    "names": np.array(["nose", "tail"]),
}


def packed(tmp_path, **arrays):
    np.savez(tmp_path / "labels.npz", **{key: value for key, value in (ARRAYS | arrays).items() if value is not None})
    return f"npz/cat:{tmp_path / 'labels.npz'}", tmp_path


def test_arrays_are_read_as_labels(put, tmp_path):
    put("coco", "", "a.png", "b.png")
    first, second = read(*packed(tmp_path, boxes=np.array([[0, 0, 9, 9], [1, 1, 8, 8]]))).objects
    assert first.category.noun == "cat" and first.box == (0, 0, 9, 9)
    np.testing.assert_array_equal(second.points, ARRAYS["points"][1])
    assert read(*packed(tmp_path)).objects[0].box == (0, 0, 7, 8)  # put round the points, and cut at the picture


class Trick:
    def __reduce__(self):
        return (print, ("run",))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"names": np.array([Trick(), "tail"], dtype=object)}, "holds Python objects"),
        ({"names": None}, "no array 'names'"),
        ({"more": np.zeros(2)}, "holds 'more.npy'"),
        ({"points": np.zeros((2, 3, 2))}, r"'points', must have the shape \(2, 2, 2\)"),
        ({"points": np.array([[[1, NAN], [3, 4]], [[5, 6], [7, 8]]])}, "both of x and y"),
        ({"points": np.full((2, 2, 2), np.inf)}, "both of x and y"),
        ({"boxes": np.array(["a"] * 8).reshape(2, 4)}, "'boxes', must be numbers"),
        ({"images": np.zeros(2)}, "'images', must be text"),
    ],
)
def test_tricks_with_arrays_are_refused(tmp_path, capsys, arrays, message):
    refuse(*packed(tmp_path, **arrays), message)
    assert capsys.readouterr().out == ""


def test_an_archive_that_unpacks_to_too_much_or_is_none_is_refused(tmp_path, monkeypatch):
    spec, images = packed(tmp_path)
    monkeypatch.setattr("anykeypoint.forms.npz.MAX_BYTES", 300)
    refuse(spec, images, "unpacks to more than")
    (tmp_path / "labels.npz").write_bytes(b"PK no archive")
    refuse(spec, images, "not a .npz file")


# --- CUB -----------------------------------------------------------------------------------------------------------

BIRDS = {
    "images.txt": "1 050.Eared_Grebe/a.jpg\n2 059.California_Gull/b.jpg\n",
    "classes.txt": "50 050.Eared_Grebe\n59 059.California_Gull\n",
    "image_class_labels.txt": "1 50\n2 59\n",
    "bounding_boxes.txt": "1 60.0 27.0 325.0 304.0\n2 1.0 2.0 3.0 4.0\n",
    "parts/parts.txt": "1 back\n2 left eye\n",
    "parts/part_locs.txt": "1 1 10.5 20.0 1\n1 2 0.0 0.0 0\n2 1 2.0 3.0 1\n2 2 3.0 4.0 1\n",
}


def test_birds_are_chosen_by_kind_and_invisible_parts_are_absent(put):
    for name, text in BIRDS.items():
        folder = put("cub", "")[1] / "cub"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    _, images = put("cub", "", "050.Eared_Grebe/a.jpg", "059.California_Gull/b.jpg")
    assert len(read(f"cub:{folder}", images).objects) == 2
    (item,) = read(f"cub/Grebe:{folder}", images).objects
    assert item.category.name == "eared grebe" and item.box == (60, 27, 325, 304)
    np.testing.assert_array_equal(item.points, [[10.5, 20], [NAN, NAN]])
    refuse(f"cub/Dodo:{folder}", images, "no species 'Dodo'")
    (folder / "parts" / "part_locs.txt").write_text("1 1 x 20.0 1\n")
    refuse(f"cub:{folder}", images, r"part_locs\.txt: line 1, key 'x'")


def test_a_file_that_is_not_there_or_no_text_is_refused(put, tmp_path):
    for form in ("dlc", "cvat", "labelstudio", "csv", "macaque"):
        refuse(f"{form}:{tmp_path / 'none'}", tmp_path, "no label file")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    refuse(f"labelstudio:{tmp_path / 'bytes'}", tmp_path, "not UTF-8")


FILES = ("coco", "labelstudio", "cvat", "dlc", "csv", "npz", "yolo", "tps", "imglab", "via")


@pytest.mark.parametrize("form", [form for form in FILES if form != "dlc"])  # whose folder is a project
def test_a_folder_in_place_of_a_file_is_called_a_folder(tmp_path, form):
    (tmp_path / "labels.v1").mkdir()
    with pytest.raises(InputError, match=r"labels\.v1 is a folder where a label file is needed; give the file in it"):
        read(f"{form}:{tmp_path / 'labels.v1'}", None if form == "yolo" else tmp_path)


@pytest.mark.parametrize("form", [form for form in FILES if form != "npz"])
def test_an_archive_is_called_one_and_a_spreadsheet_what_it_is(tmp_path, form):
    for name, words in (("export.zip", "a ZIP archive; unpack it and give"), ("t.xlsx", "a spreadsheet in .* as CSV")):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("labels.json", "{}")
        with pytest.raises(InputError, match=rf"{name} is {words}"):
            read(f"{form}:{tmp_path / name}", tmp_path)


def test_a_box_round_points_holds_them_with_a_margin():
    x, y, w, h = box_round(np.array([[10.0, 20.0], [110.0, 30.0]]))
    assert (x, y, w, h) == (0, 10, 120, 30)
    assert box_round(np.array([[5.0, 5.0]])) == (1, 1, 8, 8)


# --- anything at all -----------------------------------------------------------------------------------------------

COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 200, "height": 100, "group": "g"}],
    "annotations": [
        {
            "id": 1,
            "area": 81,
            "image_id": 1,
            "category_id": 1,
            "bbox": [0, 0, 9, 9],
            "keypoints": [1, 2, 2],
            "keypoints_21": [1, 2, 2],
        }
    ],
    "categories": [{"id": 1, "name": "skirt", "supercategory": "x", "keypoints": ["nose"], "skeleton": [[0, 0]]}],
}
AUTHORS = {
    "images": {"1": "a.png"},
    "annotations": [{"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [[1, 2, 1]]}],
    "categories": [{"id": 1, "name": "dog", "keypoints": ["nose"]}],
}
STUDIO = tasks(
    rectangle("r", 0, 0, 50, 50), spot("nose", 10, 20, meta={"text": ["hidden"]}), keypoints={"cat": ["nose"]}
)
HANDS = "a.png,200,100,1" + ",5,6" * 20 + ",-1,-1\n"
LIST = "- {data: 'csv:labels.csv', images: ., weight: 2}\n- {data: 'npz:b.npz', images: ., weight: 1, name: b}\n"
ANY = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.just([]), st.just({})),
    *(st.just([1, "a"]), st.just({"a": 1}), st.just("a" * 600), st.just(10**400), st.just("../a.png"), st.just("C:/")),
)


def places(value, path=()):
    """All places in a JSON value, to be replaced one at a time."""
    yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


def replaced(value, path, new):
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = replaced(value[path[0]], path[1:], new)
    return copied


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), new=ANY)
@pytest.mark.parametrize(
    ("form", "good"),
    [
        ("labelstudio", STUDIO),
        ("animalpose", AUTHORS),
        *(
            (form, COCO)
            for form in (
                *("coco/x", "apt36k", "humanart", "humanart/17", "animalkingdom/x", "300w", "deepfashion2"),
                *("mp100", "mp100/capellm,x"),
            )
        ),
    ],
)
def test_whatever_stands_in_a_json_file_the_answer_is_labels_or_one_sentence(put, form, good, data, new):
    path = data.draw(st.sampled_from(list(places(good))))
    spec, images = put(form, json.dumps(replaced(good, path, new)), "a.png")
    try:
        read(spec, images, allow_missing=True)
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), new=st.text(max_size=3))
@pytest.mark.parametrize(
    ("form", "good"),
    [("dlc", ONE), ("dlc", SEVERAL), ("cvat", XML), ("csv", TABLE), ("onehand10k", HANDS), ("joint", LIST)],
)
def test_whatever_stands_in_a_text_file_the_answer_is_labels_or_one_sentence(put, form, good, data, new):
    first = data.draw(st.integers(0, len(good)))
    text = good[:first] + new + good[first + data.draw(st.integers(0, 9)) :]
    spec, images = put(form, "", "a.png")
    (images / "labels.txt").write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        read(spec, None if form == "joint" else images, allow_missing=True)
    except InputError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
