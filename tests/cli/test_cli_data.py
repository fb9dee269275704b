"""`anykeypoint data`: what is printed and written, and that the user's data are never written to."""

import json

import pytest
from data_verb import run
from PIL import Image

from anykeypoint.data.registry import known_datasets
from anykeypoint.forms.registry import FORMS, read


def test_the_list_has_every_data_set_and_form(capsys):
    code, out, _ = run(capsys, "list")
    assert code == 0 and all(f"\n{name}" in "\n" + out for name in (*known_datasets(), *FORMS))
    code, out, _ = run(capsys, "list", "animalweb")
    assert code == 0 and "licence" in out and "--data pts:FILE" in out
    code, _, err = run(capsys, "list", "nothing")
    assert code == 2 and "known are mp100" in err


def test_check_counts_and_tells_and_writes_a_mended_copy_elsewhere(made, tmp_path, capsys):
    folder, options = made
    before = {path: path.read_bytes() for path in folder.iterdir()}
    code, out, _ = run(capsys, "check", *options, "--fix", tmp_path / "mended.json")
    assert code == 1 and "box outside: 1 (--fix cuts it to the picture, or puts one" in out
    assert "annotation 0 (lamp)" in out
    assert "mended: 1 x box outside" in out
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("lamp", "hook", "all"))}
    assert rows["lamp"] == ["0", "2", "3", "0", "3", "6", "2.0", "1"] and rows["all"][:3] == ["6", "0", "6"]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    code, out, _ = run(capsys, "check", f"coco:{tmp_path / 'mended.json'}", "--images", folder)
    assert code == 0 and "Nothing is wrong." in out


def test_check_says_what_visibilities_may_mean_where_that_is_not_cocos(made, capsys):
    folder, options = made
    labels = json.loads((folder / "labels.json").read_text())

    def said(*seen):
        for entry in labels["annotations"]:
            entry["keypoints"][2::3] = seen
        (folder / "labels.json").write_text(json.dumps(labels))
        return run(capsys, "check", *options)[1]

    assert "6 points have a place and the visibility 0, which means 'not labelled': they are not used." in said(2, 0)
    assert "No point has the visibility 2, which means 'visible': the 12 points with 1 are read" in said(1, 1)
    labels["annotations"][0]["keypoints"][:2] = [0, 0]
    labels["annotations"][1]["keypoints"][:2] = [-1, -1]
    for out in (said(0, 2), said(1, 2), said(2, 2)):
        assert "No point" not in out and ("4 points have a place" in out or "have a place" not in out)


def test_convert_says_first_what_it_would_write_and_never_replaces_a_file(made, tmp_path, capsys):
    options = [*made[1], "--to", "csv", "-o", tmp_path / "out.csv"]
    code, dry, _ = run(capsys, "convert", *options, "--dry-run")
    assert code == 0 and "nothing was written" in dry and not (tmp_path / "out.csv").exists()
    code, out, _ = run(capsys, "convert", *options)
    assert code == 0 and (tmp_path / "out.csv").is_file()
    assert dry.splitlines()[1:] == out.splitlines()[1:] and "not in it, as csv has no room: 3 groups" in out
    before = (tmp_path / "out.csv").read_bytes()
    code, _, err = run(capsys, "convert", *options)
    assert code == 2 and "is there already" in err
    code, out, _ = run(capsys, "convert", *options, "--overwrite")
    assert code == 0 and (tmp_path / "out.csv").read_bytes() == before


def test_view_convert_and_split_write_what_they_say(made, tmp_path, capsys):
    folder, options = made
    code, out, _ = run(capsys, "view", *options, "-o", tmp_path / "sheet.png", "--per-category", 1)
    assert code == 0 and "2 of 6 objects" in out
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 800
    code, out, _ = run(capsys, "convert", *options, "--to", "labelstudio", "-o", tmp_path / "tasks.json")
    assert code == 0 and "6 objects" in out
    assert len(read(f"labelstudio:{tmp_path / 'tasks.json'}", folder).objects) == 6
    code, out, _ = run(capsys, "split", *options, "--by", "group", "--shares", ".4,.3,.3", "-o", tmp_path / "parts")
    assert code == 0 and "2 objects of 2 categories in 2 pictures" in out
    parts = [read(f"coco:{tmp_path / 'parts' / name}.json", folder) for name in ("train", "val", "test")]
    assert [len({item.group for item in part.objects}) for part in parts] == [1, 1, 1]


def test_a_sheet_is_drawn_without_a_picture_that_is_cut_off_and_names_it(made, tmp_path, capsys):
    folder, options = made
    pictures = sorted({item.image for item in read(options[0], folder).objects})
    whole = {path: path.read_bytes() for path in pictures}
    pictures[0].write_bytes(whole[pictures[0]][: len(whole[pictures[0]]) // 2])
    lost = sum(item.image == pictures[0] for item in read(options[0], folder).objects)
    code, out, error = run(capsys, "view", *options, "-o", tmp_path / "sheet.png", "--per-category", 9)
    assert code == 0 and f"{6 - lost} of 6 objects" in out and (tmp_path / "sheet.png").is_file()
    assert f"left out: {lost} (picture cannot be read)" in error and error.count(str(pictures[0])) == 1
    for path, data in whole.items():
        path.write_bytes(data[: len(data) // 2])
    code, _, error = run(capsys, "view", *options, "-o", tmp_path / "other.png")
    assert code == 2 and str(pictures[0].parent) in error and not (tmp_path / "other.png").exists()


def test_a_split_takes_ids_as_texts_for_the_numbers_that_they_are(made, tmp_path, capsys):
    """Taken as written, the category "1" would be another one than 1, on the other side of the split."""
    folder, _ = made
    labels = json.loads((folder / "labels.json").read_text())
    for entry in labels["annotations"][::2]:
        entry |= {
            "image_id": str(entry["image_id"]),
            "category_id": float(entry["category_id"]),
            "id": str(entry["id"]),
        }
    for entry in labels["annotations"][1::2]:
        entry["category_id"] = str(entry["category_id"])
    (tmp_path / "texts.json").write_text(json.dumps(labels))
    options = (f"coco:{tmp_path / 'texts.json'}", "--images", folder)
    for way in (("--shares", ".5,0,.5"), ("--by", "group", "--shares", ".5,0,.5"), ("--share", ".5", "--per-category")):
        out = tmp_path / f"parts{len(way)}{way[0]}"
        code, _, error = run(capsys, "split", *options, *way, "-o", out)
        assert code == 0, error
        parts = [
            read(f"coco:{file}", folder).objects
            for file in out.glob("*.json")
            if json.loads(file.read_text())["images"]
        ]
        assert sum(map(len, parts)) == 6
        if way[0] == "--shares":
            assert not {item.category.name for item in parts[0]} & {item.category.name for item in parts[1]}


def test_a_part_of_a_split_keeps_its_skeletons(made, tmp_path, capsys):
    folder, _ = made
    labels = json.loads((folder / "labels.json").read_text())
    labels["categories"][0]["keypoints"] = labels["categories"][1]["keypoints"] = ["top", "middle", "bottom"]
    labels["categories"][0]["skeleton"], labels["categories"][1]["skeleton"] = [[1, 2]], [[2, 3]]  # from 1
    for entry in labels["annotations"]:
        entry["keypoints"] += [15, 15, 2]
    (tmp_path / "three.json").write_text(json.dumps(labels))
    spec = f"coco:{tmp_path / 'three.json'}"
    run(capsys, "split", spec, "--images", folder, "--shares", ".5,0,.5", "-o", tmp_path / "parts")
    found = {}
    for name in ("train", "test"):
        for item in read(f"coco:{tmp_path / 'parts' / name}.json", folder).objects:
            found[item.category.name] = item.category.skeleton
    assert found == {"lamp": ((0, 1),), "hook": ((1, 2),)}


def test_supercategories_are_held_out_of_several_files_of_one_data_set(made, tmp_path, capsys):
    folder, _ = made
    labels = json.loads((folder / "labels.json").read_text())
    for entry, (identity, name) in zip(labels["categories"], ((84, "bed"), (32, "car")), strict=True):
        entry |= {"id": identity, "name": name}
    for entry in labels["annotations"]:
        entry["category_id"] = (84, 32)[entry["category_id"]]
    specs = []
    for identity, name in ((84, "bed"), (32, "car")):
        part = {**labels, "annotations": [e for e in labels["annotations"] if e["category_id"] == identity]}
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
        specs.append(f"mp100:{tmp_path / name}.json")
    out = tmp_path / "cross"
    code, printed, _ = run(capsys, "split", *specs, "--images", folder, "--hold-out", "furniture,vehicle", "-o", out)
    assert code == 0 and "furniture_train        3 objects of 1 categories in 3 pictures" in printed
    assert sorted(path.stem for path in out.iterdir()) == [
        f"{group}_{role}" for group in ("furniture", "vehicle") for role in ("test", "train")
    ]
    for group, name, other in (("furniture", "bed", "car"), ("vehicle", "car", "bed")):
        for role, expected in (("test", name), ("train", other)):
            document = json.loads((out / f"{group}_{role}.json").read_text())
            assert [entry["name"] for entry in document["categories"]] == [expected]
            assert len(document["annotations"]) == len(document["images"]) == 3


def test_half_of_each_category_is_taken(made, tmp_path, capsys):
    _, options = made
    code, out, _ = run(
        capsys, "split", *options, "--share", "0.5", "--per-category", "--seed", 3, "-o", tmp_path / "half"
    )
    assert code == 0 and "part         4 objects of 2 categories in 4 pictures" in out
    drawn = [json.loads((tmp_path / "half" / f"{name}.json").read_text())["annotations"] for name in ("part", "rest")]
    kinds = [[entry["category_id"] for entry in entries] for entries in drawn]
    assert [sorted(part) for part in kinds] == [[0, 0, 1, 1], [0, 1]]
    assert not {entry["id"] for entry in drawn[0]} & {entry["id"] for entry in drawn[1]}


def test_pictures_with_objects_on_two_sides_are_counted(made, tmp_path, capsys):
    folder, options = made
    labels = json.loads((folder / "labels.json").read_text())
    for i in range(6):  # each picture shows the other kind too
        labels["annotations"].append(labels["annotations"][i] | {"id": 6 + i, "category_id": 1 - i % 2})
    (folder / "labels.json").write_text(json.dumps(labels))
    said = "Pictures with objects in more than one part: 6."
    for way in (["--by", "category", "--shares", ".5,0,.5"], ["--by", "group", "--shares", ".5,0,.5"]):
        _, _, err = run(capsys, "split", *options, *way, "-o", tmp_path / way[1])
        assert (said in err) is (way[1] == "category")


def test_a_split_says_how_many_pictures_have_a_copy_on_another_side(made, tmp_path, capsys):
    folder, options = made
    (folder / "1.png").write_bytes((folder / "0.png").read_bytes())  # a lamp's picture is a hook's too
    _, out, _ = run(capsys, "check", *options)
    assert "One picture is a copy of another, byte for byte: 1.png of 0.png;" in out
    said = "Pictures with a copy in another part, byte for byte, under another name: 1."
    for by in ("category", "group"):  # both pictures are of one film
        _, _, err = run(capsys, "split", *options, "--by", by, "--shares", ".5,0,.5", "-o", tmp_path / by)
        assert (said in err) is (by == "category")


def test_mp100_is_put_together_and_what_is_missing_is_listed(tmp_path, capsys):
    sources, out = tmp_path / "sources", tmp_path / "out"
    (sources / "coco").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(sources / "coco" / "9.jpg")
    images = [{"id": i, "file_name": name} for i, name in enumerate(("human_body/9.jpg", "locust/3.jpg"))]
    (sources / "mp100_all.json").write_text(json.dumps({"images": images, "annotations": [], "categories": []}))
    code, printed, _ = run(capsys, "prepare", "mp100", "--sources", sources, "-o", out)
    assert code == 1 and (out / "human_body" / "9.jpg").is_symlink()
    assert "locust" in printed and "DeepPoseKit-Data" in printed and "1 pictures linked" in printed
    assert (out / "missing.tsv").read_text().startswith("locust/3.jpg\t")


@pytest.mark.parametrize("verb", ["check", "view", "convert"])
def test_neither_labels_nor_pictures_are_overwritten(made, verb, capsys):
    folder, options = made
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    flag = "--fix" if verb == "check" else "-o"
    for target, words in ((folder / "labels.json", "overwrite the labels"), (folder / "0.png", "overwrite a picture")):
        code, _, err = run(capsys, verb, *options, flag, target)
        assert code == 2 and words in err and err.count("\n") == 1
    (folder / "link.json").symlink_to(folder / "labels.json")
    code, _, err = run(capsys, verb, *options, flag, folder / "link.json")
    assert code == 2 and "overwrite the labels" in err
    assert {path.name: path.read_bytes() for path in folder.iterdir() if not path.is_symlink()} == before


def test_convert_counts_ids_anew_and_says_which(made, tmp_path, capsys):
    _, options = made
    code, out, _ = run(capsys, "convert", *options, "--renumber", "-o", tmp_path / "x.json")
    assert code == 0 and "category 0 (lamp) is now 1\ncategory 1 (hook) is now 2" in out
    written = json.loads((tmp_path / "x.json").read_text())
    assert [entry["id"] for entry in written["categories"]] == [1, 2]
    assert [entry["id"] for entry in written["annotations"]] == [1, 2, 3, 4, 5, 6]


def test_a_part_never_overwrites_the_labels(made, capsys):
    folder, options = made
    labels = (folder / "labels.json").rename(folder / "train.json")
    options[0] = f"coco:{labels}"
    before = labels.read_bytes()
    options += ["--by", "group", "--shares", ".4,.3,.3"]
    code, _, err = run(capsys, "split", *options, "-o", folder)
    assert code == 2 and "overwrite the labels" in err and labels.read_bytes() == before
    assert run(capsys, "split", *options, "-o", folder / "parts")[0] == 0


def test_labels_are_converted_in_place(made, capsys, monkeypatch):
    """Names relative to where one stands make the folder of the pictures the whole working folder."""
    folder, options = made
    monkeypatch.chdir(folder)
    code, out, _ = run(capsys, "convert", "coco:labels.json", "--images", ".", "-o", "labels.csv", "--to", "csv")
    assert code == 0 and "6 objects" in out and (folder / "labels.csv").is_file()
    run(capsys, "check", *options, "--fix", folder / "mended.json")
    assert (folder / "mended.json").is_file()


def test_a_file_in_a_folder_of_labels_would_be_one_of_them(tmp_path, capsys):
    (tmp_path / "labels").mkdir()
    spec, out = f"pts:{tmp_path / 'labels'}", tmp_path / "labels" / "all.json"
    code, _, err = run(capsys, "convert", spec, "--images", tmp_path, "-o", out)
    assert code == 2 and "inside the data" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "labelbox:x", "--images", "x"], "known are coco"),
        (["check", "coco:none.json", "--images", "x"], "none.json"),
        (["check", "coco:none.json"], "There is no label file none.json"),
        (["split", "coco:none.json", "--images", "x", "-o", "y", "--shares", "a"], "three numbers"),
        (["split", "coco:x", "--images", "x", "-o", "y", "--share", ".5", "--hold-out", "a"], "but got both"),
        (["split", "coco:x", "--images", "x", "-o", "y", "--per-category"], "there is no --share"),
        (["prepare", "coco", "--sources", ".", "-o", "y"], "Only mp100"),
        (["prepare", "mp100", "--sources", "nowhere", "-o", "y"], "no folder nowhere"),
    ],
)
def test_requests_that_cannot_start_say_why_in_one_sentence(arguments, words, capsys):
    code, out, err = run(capsys, *arguments)
    assert code == 2 and out == "" and words in err and err.count("\n") == 1


def test_a_folder_of_pictures_that_there_is_not_is_named_once(made, capsys):
    folder, (spec, *_) = made
    code, out, err = run(capsys, "check", spec, "--images", folder / "nowhere")
    assert code == 2 and out == "" and "no folder" in err and err.count("\n") == 1
    assert run(capsys, "check", spec, "--images", folder / "nowhere", "--allow-missing")[1] != ""


def test_made_up_objects_are_drawn_as_a_data_set_that_has_no_faults(tmp_path, capsys):
    code, out, _ = run(capsys, "draw", tmp_path / "a", "--count", 5, "--poses", 2, "--size", 96, "--seed", 3)
    assert code == 0 and "5 objects of 3 kinds" in out
    spec, images = out.split("--data ")[1].split()[0], out.split()[-1]
    data = read(spec, images)
    assert len(data.objects) == 5 and len(data.categories) == 3
    assert run(capsys, "check", spec, "--images", images)[0] == 0
    run(capsys, "draw", tmp_path / "b", "--count", 5, "--poses", 2, "--size", 96, "--seed", 3)
    written = [sorted(path.read_bytes() for path in (tmp_path / name).rglob("*.*")) for name in "ab"]
    assert written[0] == written[1]
    code, _, err = run(capsys, "draw", tmp_path / "a", "--count", 5)
    assert code == 2 and "no empty folder" in err


@pytest.mark.parametrize(("verb", "title"), [("check", "reading headers"), ("draw", "drawing")])
def test_progress_is_a_plain_line_now_and_then_where_stderr_is_no_terminal(
    made, tmp_path, capsys, monkeypatch, verb, title
):
    monkeypatch.setattr("anykeypoint.cli.console.PLAIN_EVERY", 0.0)
    arguments = made[1] if verb == "check" else [tmp_path / "drawn", "--count", 6, "--size", 96]
    _, out, err = run(capsys, verb, *arguments)
    assert f"{title}: 3 of 6, " in err and err.count(" left") == 5 and title not in out
    assert run(capsys, verb, *(made[1] if verb == "check" else [tmp_path / "again", *arguments[1:]]), "-q")[2] == ""


def test_what_fix_changed_is_a_table_that_undo_takes_back(made, tmp_path, capsys):
    folder, options = made
    labels = json.loads((folder / "labels.json").read_text())
    labels["info"] = {"year": 2024}
    labels["annotations"][3]["image_id"] = "3"
    labels["annotations"].append({**labels["annotations"][2], "id": 9})
    (folder / "labels.json").write_text(json.dumps(labels))
    copy, table, back = (tmp_path / name for name in ("mended.json", "changes.csv", "back.json"))
    code, out, _ = run(capsys, "check", *options, "--fix", copy, "--changes", table)
    assert code == 1 and f"Written to {table}: 3 changed values" in out
    lines = table.read_text().splitlines()
    assert lines[0] == "section,id,path,old,new,kind" and 'annotations,3,/annotations/3/image_id,"""3""",3' in lines[1]
    assert json.loads(copy.read_text())["info"] == {"year": 2024}
    code, out, _ = run(capsys, "check", f"coco:{copy}", "--images", folder, "--undo", table, "--fix", back)
    assert code == 0 and json.loads(back.read_text()) == labels
    code, out, _ = run(capsys, "check", f"coco:{copy}", "--undo", table)
    assert code == 0 and json.loads(out) == labels
    code, _, err = run(capsys, "check", *options, "--undo", table, "--fix", tmp_path / "no.json")
    assert code == 2 and "does not fit the labels" in err and err.count("\n") == 1


def test_a_fault_is_listed_with_its_picture_and_with_all_entries_that_it_concerns(made, tmp_path, capsys):
    folder, options = made
    labels = json.loads((folder / "labels.json").read_text())
    for entry in labels["annotations"][1:]:
        entry["image_id"] = str(entry["image_id"])
    labels["annotations"][2]["iscrowd"] = "perhaps"
    (folder / "labels.json").write_text(json.dumps(labels))
    _, out, _ = run(capsys, "check", *options)
    assert "40 pixels [0.png]" in out and "annotations 1, 2, 3, and 2 more have image_id" in out
    assert "annotation 2 has iscrowd spelled 'perhaps', whose meaning is not clear [2.png] (only a person" in out
    _, out, _ = run(capsys, "check", *options, "--all")
    assert "all of them: 1, 2, 3, 4, 5" in out


def test_a_table_of_changes_needs_a_mended_copy(made, tmp_path, capsys):
    code, _, err = run(capsys, "check", *made[1], "--changes", tmp_path / "x.csv")
    assert code == 2 and "add --fix OUT.json" in err


def test_missing_pictures_are_counted_and_no_fault_where_they_are_allowed(made, capsys):
    folder, options = made
    labels = json.loads((folder / "labels.json").read_text())
    labels["annotations"][0]["bbox"] = [5, 5, 30, 30]
    (folder / "labels.json").write_text(json.dumps(labels))
    (folder / "1.png").unlink()
    code, out, _ = run(capsys, "check", *options)
    assert code == 1 and "picture missing: 1" in out
    code, out, _ = run(capsys, "check", *options, "--allow-missing")
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.startswith(("lamp", "hook", "all"))}
    assert code == 0 and "Nothing is wrong." in out and rows["all"][:3] == ["6", "1", "6"]


def test_a_key_that_stands_twice_is_listed_in_every_json_form(made, tmp_path, capsys):
    folder, options = made
    run(capsys, "convert", *options, "--to", "labelstudio", "-o", tmp_path / "tasks.json")
    text = (tmp_path / "tasks.json").read_text()
    (tmp_path / "tasks.json").write_text(
        text.replace('"id": 1, "data"', '"id": 1, "note": "a", "note": "b", "data"', 1)
    )
    code, out, _ = run(capsys, "check", f"labelstudio:{tmp_path / 'tasks.json'}", "--images", folder)
    assert code == 1 and "[0] has the key 'note' twice, with a and b" in out
    text = text.replace('"type": "keypointlabels"', '"type": "keypointlabels", "type": "other"', 1)
    (tmp_path / "tasks.json").write_text(text)
    code, out, _ = run(capsys, "check", f"labelstudio:{tmp_path / 'tasks.json'}", "--images", folder)
    assert code == 1 and out.count("has the key 'type' twice, with keypointlabels and other") == 1


def test_check_lists_what_the_reader_left_out_and_counts_what_is_good(shared, capsys):
    folder = shared / "cases" / "labelstudio_one_bad_task"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    code, out, _ = run(capsys, "check", f"labelstudio:{folder / 'export.json'}", "--images", folder)
    assert code == 1 and "cannot be read: 1" in out and "task 2" in out and "left eye" in out
    assert out.split("\nall")[1].split()[2] == "3"


def test_the_counts_stand_in_columns_for_names_of_wide_letters():
    from rich.cells import cell_len

    from anykeypoint.cli.data.check import _sums
    from anykeypoint.forms.faults.fault import CategoryCounts, LabelReport

    counts = {1: CategoryCounts("猫の顔", 3, objects=2), 2: CategoryCounts("cat", 3, objects=10)}
    lines = _sums(LabelReport(counts, [])).splitlines()
    assert len({cell_len(line) for line in lines}) == 1
