"""Several label files written as one by `data convert`, as `adapt` reads them."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_verb import run
from PIL import Image

from anykeypoint.forms.dataset import ListedPair
from anykeypoint.forms.joint import JointMember, joined
from anykeypoint.forms.registry import read
from anykeypoint.training.adapting.one_category import of_category

POINTS = ["nose", "left ear", "tail"]
EDGES = [[1, 2], [2, 3]]


def labels(path, pictures, points=POINTS, name="mouse", **more):
    """A COCO file with an object in each of the pictures [file name], whose place tells the file and the picture."""
    images = [{"id": i, "file_name": file} for i, file in enumerate(pictures)]
    entries = []
    for entry in images:
        x = 1.0 + len(path.stem) + entry["id"]
        keypoints = [value for i in range(len(points)) for value in (x + i, 2.5 * x, 2)]
        entries.append({"id": 40 + entry["id"], "image_id": entry["id"], "category_id": 7, "keypoints": keypoints})
        entries[-1] |= {"bbox": [0, 0, 30, 30], "num_keypoints": len(points)}
    kind = {"id": 7, "name": name, "keypoints": points, "skeleton": EDGES if len(points) == 3 else []}
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"images": images, "annotations": entries, "categories": [kind], "info": {"skeleton_base": 1}}
    path.write_text(json.dumps(document | more))
    return f"coco:{path}"


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Pictures in two folders; the working folder holds both."""
    monkeypatch.chdir(tmp_path)
    for name in ("one/a.png", "one/b.png", "two/a.png", "two/c.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 40)).save(name)
    return tmp_path


def convert(capsys, *arguments):
    code, out, err = run(capsys, "convert", *arguments)
    return code, out + err


def test_files_of_one_animal_become_one_file_with_one_category(lab, capsys):
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png"], ["Nose", "left_ear", "tail"])]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert code == 0 and "all.json: 2 objects" in said and "Names of pictures start at one (--images one)." in said
    document = json.loads(Path("all.json").read_text())
    (kind,) = document["categories"]
    assert (kind["id"], kind["keypoints"], kind["skeleton"]) == (1, POINTS, EDGES)
    assert [(entry["id"], entry["category_id"]) for entry in document["annotations"]] == [(1, 1), (2, 1)]
    found = read("coco:all.json", "one").objects
    before = [item for spec in given for item in read(spec, "one").objects]
    assert [item.image for item in found] == [item.image for item in before]
    np.testing.assert_array_equal([item.points for item in found], [item.points for item in before])
    assert len(of_category(found, None)) == 2


def test_edges_that_a_later_file_has_otherwise_are_told(lab, capsys):
    kind = {"id": 7, "name": "mouse", "keypoints": POINTS, "skeleton": [[1, 3]]}
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png"], categories=[kind])]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert (
        code == 0 and "The files have other edges between the points of 'mouse'; those of the first are kept." in said
    )
    assert json.loads(Path("all.json").read_text())["categories"][0]["skeleton"] == EDGES


def test_a_list_of_files_with_folders_of_their_own_is_written_too(lab, capsys):
    groups = [{"id": 0, "file_name": "a.png", "group": "film"}]
    labels(Path("in/ana.json"), ["a.png"], images=groups)
    labels(Path("in/ben.json"), ["a.png", "c.png"])
    lines = [
        '- {data: "coco:ana.json", images: ../one, name: ana}',
        '- {data: "coco:ben.json", images: ../two, name: ben}',
    ]
    Path("in/lab.yaml").write_text("\n".join(lines))
    code, said = convert(capsys, "joint:in/lab.yaml", "-o", "all.json")
    assert code == 0 and "Names of pictures start at . (--images .)." in said
    found = read("coco:all.json", ".")
    joint = read("joint:in/lab.yaml")
    assert [item.image.as_posix() for item in found.objects] == ["one/a.png", "two/a.png", "two/c.png"]
    assert [item.group for item in found.objects] == [item.group for item in joint.objects] == ["ana/film", None, None]
    np.testing.assert_array_equal([item.points for item in found.objects], [item.points for item in joint.objects])


def test_forms_may_be_mixed_and_are_written_as_any(lab, capsys):
    """Whose pictures lie in two folders: DeepLabCut's project knows its own, and so does Roboflow's file."""
    Path("one/_annotations.coco.json").write_text(Path(labels(Path("x.json"), ["a.png"])[5:]).read_text())
    Path("proj/labeled-data/v").mkdir(parents=True)
    Image.new("RGB", (40, 40)).save("proj/labeled-data/v/img1.png")
    head = "\n".join([f"bodyparts,{','.join(p for p in POINTS for _ in 'xy')}", "coords,x,y,x,y,x,y"])
    row = "labeled-data/v/img1.png,1,2,3,4,,"
    table = f"scorer{',me' * 6}\n{head}\n{row}\n"
    Path("proj/labeled-data/v/CollectedData_me.csv").write_text(table)
    specs = ["coco:one/_annotations.coco.json", "dlc/mouse:proj"]
    code, _ = convert(capsys, *specs, "--to", "csv", "-o", "all.csv")
    found = read("csv:all.csv", ".").objects
    assert code == 0 and [item.image.as_posix() for item in found] == ["one/a.png", "proj/labeled-data/v/img1.png"]
    np.testing.assert_array_equal(found[1].points, [[1, 2], [3, 4], [np.nan, np.nan]])
    assert len({item.category_id for item in found}) == 1


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (["nose", "right ear", "tail"], "but point 2 is 'left ear' in the first and 'right ear' in the second; make"),
        (["left ear", "nose", "tail"], "but point 1 is 'nose' in the first and 'left ear' in the second"),
        (["nose", "tail"], "'ana' and 'ben' both label 'mouse', but with 3 points and with 2"),
    ],
)
def test_one_name_with_other_points_is_refused(lab, capsys, points, words):
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png"], points)]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert code == 2 and words in said and not Path("all.json").exists()


def test_other_animals_keep_their_categories_and_what_a_form_cannot_hold_is_refused(lab, capsys):
    given = [
        labels(Path("ana.json"), ["a.png"]),
        labels(Path("ben.json"), ["b.png"], ["lid"], "box"),
        "--images",
        "one",
    ]
    assert convert(capsys, *given, "-o", "all.json")[0] == 0
    assert [kind["name"] for kind in json.loads(Path("all.json").read_text())["categories"]] == ["mouse", "box"]
    code, said = convert(capsys, *given, "--to", "dlc", "-o", "all.csv")
    assert code == 2 and "is for one kind of object" in said


def test_pictures_that_two_files_label_are_told_and_those_that_one_has_empty_are_not_empty(lab, capsys):
    images = [{"id": 0, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]
    given = [labels(Path("ana.json"), ["a.png"], images=images), labels(Path("benno.json"), ["a.png", "b.png"])]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert code == 0 and "A picture is labelled in several of the files, such as a.png; the objects of all" in said
    assert len(json.loads(Path("all.json").read_text())["images"]) == 2
    images.append({"id": 2, "file_name": "c.png"})
    Image.new("RGB", (40, 40)).save("one/c.png")
    given[0] = labels(Path("ana.json"), ["a.png"], images=images)
    _, said = convert(capsys, *given, "--images", "one", "--to", "csv", "-o", "all.csv", "--dry-run")
    assert "no room: 1 pictures without objects" in said


def test_groups_begin_with_what_tells_the_files_apart(lab, capsys):
    films = [{"id": 0, "file_name": "a.png", "group": "film"}, {"id": 1, "file_name": "b.png", "group": "film"}]
    given = [labels(Path("ana/x.json"), ["a.png"], images=films), labels(Path("ben/x.json"), ["b.png"])]
    labels(Path("ben/x.json"), ["a.png"], images=[films[1] | {"id": 0}])
    assert convert(capsys, *given, "--images", "one", "-o", "x.json")[0] == 0
    assert [item.group for item in read("coco:x.json", "one").objects] == ["ana/x/film", "ben/x/film"]
    kinds = [{"id": 7, "name": "mouse", "keypoints": POINTS}, {"id": 8, "name": "rat", "keypoints": POINTS}]
    document = json.loads(Path("ana/x.json").read_text())
    second = document["annotations"][0] | {"id": 41, "image_id": 1, "category_id": 8}
    both = document | {"categories": kinds, "annotations": [*document["annotations"], second]}
    Path("ana/x.json").write_text(json.dumps(both))
    words = ["coco/mouse:ana/x.json", "coco/rat:ana/x.json"]
    assert convert(capsys, *words, "--images", "one", "-o", "y.json")[0] == 0
    groups = [item.group for item in read("coco:y.json", "one").objects]
    assert groups == ["coco/mouse:x.json/film", "coco/rat:x.json/film"]


def test_pairs_and_the_model_of_joined_data_sets_are_kept(lab):
    specs = [labels(Path("ana.json"), ["a.png", "b.png"]), labels(Path("ben.json"), ["a.png", "b.png"])]
    models = {specs[0]: "fast", specs[1]: "fast"}

    def one(spec, images):
        return replace(read(spec, images), pairs=(ListedPair(41, 40, (0, 2)),), model=models[spec])

    listed = [JointMember(spec, spec, Path("one"), None) for spec in specs]
    found = joined(listed, one)
    assert [item.id for item in found.objects] == [1, 2, 3, 4]
    assert found.pairs == (ListedPair(2, 1, (0, 2)), ListedPair(4, 3, (0, 2))) and found.model == "fast"
    models[specs[1]] = ""
    assert joined(listed, one).model == ""


def test_a_file_that_is_given_twice_is_refused(lab, capsys):
    given = [labels(Path("ana.json"), ["a.png"]), f"coco:{lab}/one/../ana.json"]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert code == 2 and "are given twice, which would double each object" in said


def test_places_that_are_not_to_be_written_to_are_those_of_all_files(lab, capsys):
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png"])]
    for out, words in (("ben.json", "would overwrite the labels ben.json"), ("one/b.png", "overwrite a picture")):
        before = Path(out).read_bytes()
        code, said = convert(capsys, *given, "--images", "one", "-o", out, "--overwrite")
        assert code == 2 and words in said and Path(out).read_bytes() == before
    Path("lab.yaml").write_text("\n".join(f'- {{data: "{spec}", images: one, name: "{spec}"}}' for spec in given))
    for out in ("lab.yaml", "ana.json"):
        before = Path(out).read_bytes()
        assert convert(capsys, "joint:lab.yaml", "-o", out, "--overwrite")[0] == 2 and Path(out).read_bytes() == before


def test_what_cannot_be_joined_is_refused(lab, capsys):
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png"], annotations=[])]
    code, said = convert(capsys, *given, "--images", "one", "-o", "all.json")
    assert code == 2 and "'ben' (coco:ben.json) has no usable object; mend it or take it out." in said
    code, said = convert(capsys, *given, "-o", "all.json")
    assert code == 2 and "It is not said where the pictures of coco:ana.json are" in said
    Path("lab.yaml").write_text('- {data: "coco:ana.json", images: one}')
    for arguments in (["joint:lab.yaml", given[0]], ["joint:lab.yaml", "--images", "one"]):
        code, said = convert(capsys, *arguments, "-o", "all.json")
        assert code == 2 and "is a list of data sets itself, with the folders of their pictures; give it alone" in said
    assert not os.path.exists("all.json")


def test_faults_of_every_file_are_told_and_strict_refuses_them(lab, capsys):
    given = [labels(Path("ana.json"), ["a.png"]), labels(Path("ben.json"), ["b.png", "gone.png"]), "--images", "one"]
    code, said = convert(capsys, *given, "-o", "all.json")
    assert code == 2 and "gone.png" in said
    code, said = convert(capsys, *given, "-o", "all.json", "--allow-missing")
    assert code == 0 and "left out: 1 (image file missing)" in said
