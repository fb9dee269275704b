"""SPair-71k, SPair-U, SOCO and MegaKPT's tests, each read from a small sample written here after its published form.

The samples are ours, not parts of the data sets: SPair's after its authors' reader and the files that its users show,
SOCO's after the description of its structure and the samples of its authors' own tests, and MegaKPT's after the names,
folders and points that GKDT's code and scripts of evaluation have.
"""

import json

import numpy as np
import pytest
from PIL import Image

from anykeypoint.errors import InputError
from anykeypoint.evaluation.metrics import pair_means
from anykeypoint.evaluation.protocols import EvaluationProtocol, draw_pairs
from anykeypoint.evaluation.scoring import ScoringTargets
from anykeypoint.forms import megakpt, spair
from anykeypoint.forms.registry import convert, read

# Category and picture -> box by its corners, and places by the numbers of the points; SPair has 30 of them everywhere.
PICTURES = {
    ("cat", "2008_1"): ([10, 10, 50, 30], {"0": [12, 14], "3": [40, 20]}),
    ("cat", "2008_2"): ([0, 0, 20, 60], {"0": [5, 6], "3": [8, 50], "11": [9, 9]}),
    ("dog", "2008_1"): ([1, 2, 31, 42], {"2": [7, 8]}),
    ("dog", "2008_3"): ([1, 2, 11, 12], {"2": [4, 5]}),
}
PAIRS = {"000001-2008_1-2008_2:cat": ["0", "3"], "000002-2008_2-2008_1:cat": ["3"], "000003-2008_1-2008_3:dog": ["2"]}


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def drawn(path, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)


def spair_pair(name, numbers):
    (first, second), category = name.partition(":")[0].split("-")[1:], name.partition(":")[2]
    pair = {"pair_id": int(name[:6]), "category": category, "kps_ids": numbers, "mirror": 0, "viewpoint_variation": 1}
    for side, picture in (("src", first), ("trg", second)):
        box, places = PICTURES[category, picture]
        pair |= {f"{side}_imname": f"{picture}.jpg", f"{side}_imsize": [64, 64, 3], f"{side}_bndbox": box}
        pair[f"{side}_kps"] = [places[number] for number in numbers]
    return pair


@pytest.fixture
def spair71k(tmp_path):
    root = tmp_path / "SPair-71k"
    for (category, name), (box, places) in PICTURES.items():
        drawn(root / "JPEGImages" / category / f"{name}.jpg")
        kps = {str(number): places.get(str(number)) for number in range(30)}
        entry = {"filename": f"{name}.jpg", "image_width": 64, "image_height": 64, "category": category}
        written(root / "ImageAnnotation" / category / f"{name}.json", {**entry, "bndbox": box, "kps": kps})
    for name, numbers in PAIRS.items():
        written(root / "PairAnnotation" / "test" / f"{name}.json", spair_pair(name, numbers))
    written(root / "Layout" / "large" / "test.txt", "".join(f"{name}\n" for name in reversed(PAIRS)))
    written(root / "Layout" / "small" / "test.txt", f"{next(iter(PAIRS))}\n")
    return root


def listed(data):
    """Each listed pair as the pictures of its example and query, and the names of its points."""
    of = {item.id: item for item in data.objects}
    return [
        (
            f"{of[pair.example].image.parent.name}/{of[pair.example].image.stem}",
            of[pair.query].image.stem,
            [of[pair.query].category.names[k] for k in pair.points],
        )
        for pair in data.pairs
    ]


def test_spair_has_the_pairs_of_its_layout_and_the_points_that_its_pictures_show(spair71k):
    data = read(f"spair:{spair71k}")
    assert listed(data) == [
        ("dog/2008_1", "2008_3", ["2"]),
        ("cat/2008_2", "2008_1", ["3"]),
        ("cat/2008_1", "2008_2", ["0", "3"]),
    ]
    cat = next(item for item in data.objects if item.category.name == "cat" and item.image.stem == "2008_1")
    assert list(cat.category.names) == ["0", "3", "11"]
    np.testing.assert_array_equal(cat.points, [[12, 14], [40, 20], [np.nan, np.nan]])
    assert cat.box == (10, 10, 40, 20) and cat.visibility.tolist() == [2, 2, 0]
    assert len(data.objects) == len(PICTURES) and not data.faults and not data.skipped
    assert any("no names" in note for note in data.notes)


def test_spair_is_chosen_by_layout_and_category_and_refuses_another(spair71k):
    assert len(read(f"spair/small:{spair71k}").pairs) == 1
    assert {kind.name for kind in read(f"spair/test,dog:{spair71k}").categories.values()} == {"dog"}
    with pytest.raises(InputError, match=r"no category 'cats' \(near: cat\)"):
        read(f"spair/cats:{spair71k}")
    with pytest.raises(InputError, match="no folder PairAnnotation/val"):
        read(f"spair/val:{spair71k}")
    with pytest.raises(InputError, match="one split"):
        read(f"spair/test,val:{spair71k}")


def test_spair_u_has_no_layout_and_the_pictures_of_spair(spair71k, tmp_path):
    unseen = tmp_path / "SPair-U"
    (spair71k / "ImageAnnotation").rename(written(unseen / "a", "").parent / "ImageAnnotation")
    (spair71k / "PairAnnotation").rename(unseen / "PairAnnotation")
    data = read(f"spair:{unseen}", spair71k / "JPEGImages")
    assert [names for _, _, names in listed(data)] == [["0", "3"], ["3"], ["2"]]
    with pytest.raises(InputError, match="--images"):
        read(f"spair:{unseen}")


def test_a_pair_that_does_not_fit_its_pictures_is_left_out_and_a_moved_point_is_said(spair71k):
    folder = spair71k / "PairAnnotation" / "test"
    first, second, third = PAIRS
    written(folder / f"{first}.json", {**spair_pair(first, ["0"]), "kps_ids": ["11"]})
    written(folder / f"{second}.json", {**spair_pair(second, ["3"]), "src_kps": [[8, 51]]})
    written(folder / f"{third}.json", {**spair_pair(third, ["2"]), "trg_imname": "../../secret.jpg"})
    data = read(f"spair:{spair71k}")
    assert listed(data) == [("cat/2008_2", "2008_1", ["3"])]
    assert len(data.faults) == 2 and "names the point 11" in " ".join(data.faults) and "trg_imname" in data.faults[0]
    assert any(note.startswith(f"1 {spair.MOVED}") for note in data.notes)
    item = next(item for item in data.objects if item.image.stem == "2008_2")
    np.testing.assert_array_equal(item.points[1], [8, 50])
    (folder / f"{second}.json").unlink()
    with pytest.raises(InputError):
        read(f"spair:{spair71k}")  # no pair is left
    written(folder / f"{first}.json", spair_pair(first, ["0"]))
    assert read(f"spair:{spair71k}").skipped[spair.NO_FILE] == 1


def test_the_pairs_of_the_data_are_lost_in_every_form_that_is_written(spair71k, tmp_path):
    data = read(f"spair:{spair71k}")
    assert "3 pairs that the data set lists" in convert(data, spair71k / "JPEGImages", "coco").lost


# --- scoring -------------------------------------------------------------------------------------------------------


def test_listed_pairs_are_scored_on_their_own_points_and_by_image_and_by_point(spair71k):
    data = read(f"spair:{spair71k}")
    pairs, left_out = draw_pairs(data, EvaluationProtocol.parse("listed"), None, 0)
    assert not left_out and [pair.points for pair in pairs] == [(0,), (1,), (0, 1)]
    targets = ScoringTargets.from_pairs(data, pairs, [item.category.name for item in data.objects], False)
    assert targets.mask.sum(axis=1).tolist() == [1, 1, 2]
    assert targets.sides.tolist() == [10, 40, 60]
    answers = [np.where(targets.mask[row, :, None], targets.points[row], np.nan) for row in range(3)]
    answers[2][0] += 7  # 9.9 of a longer side of 60 pixels
    found = pair_means(targets.score(answers), targets.labels)
    assert found["object_mean"]["pck@0.1"] == pytest.approx(100 * (1 + 1 + 0.5) / 3)
    assert found["point_mean"]["pck@0.1"] == pytest.approx(75.0) and found["point_mean"]["pck@0.2"] == 100
    assert found["category_mean"]["pck@0.1"] == pytest.approx((100 + 75) / 2)


def test_pairs_are_listed_or_drawn_but_not_both(spair71k):
    data = read(f"spair:{spair71k}")
    with pytest.raises(InputError, match="none are drawn"):
        draw_pairs(data, EvaluationProtocol.parse("listed"), 3, 0)
    fewer = type(data)(data.objects[1:], data.categories, {}, pairs=data.pairs)
    assert len(draw_pairs(fewer, EvaluationProtocol.parse("listed"), None, 0)[0]) == 2
    assert list(draw_pairs(fewer, EvaluationProtocol.parse("listed"), None, 0)[1].values()) == [1]
    with pytest.raises(InputError, match="list no pairs"):
        draw_pairs(type(data)(data.objects, data.categories, {}), EvaluationProtocol.parse("text-listed"), None, 0)


# --- SOCO ----------------------------------------------------------------------------------------------------------


def soco_points(**places):
    ids = {"front_wheel": 1, "rear_wheel": 2, "mirror": 7}
    return [
        {"id": ids[name], "name": name, "pos": place, "concept_id": 10, "concept_name": "wheel", "kind": "functional"}
        for name, place in places.items()
    ]


def soco_pair(source, target, points, overlap, group="car"):
    pair = {"pair_id": 1, "category": group, "pair_group": group, "semantic_overlap": overlap, "concept_matches": []}
    for side, picture, shown in zip(("src", "trg"), (source, target), points, strict=True):
        pair |= {f"{side}_category": picture[0], f"{side}_image": f"{picture[1]}.JPEG", f"{side}_imsize": [64, 48]}
        pair |= {f"{side}_bndbox": [4, 6, 44, 36], f"{side}_keypoints": soco_points(**shown)}
    return pair


@pytest.fixture
def soco(tmp_path):
    root = tmp_path / "SOCOv1"
    for category, name in (("car", "car_1"), ("car", "car_2"), ("bus", "bus_1")):
        drawn(root / "Images" / category / f"{name}.JPEG", (64, 48))
    one = {"front_wheel": [10.5, 20], "rear_wheel": [30, 20], "mirror": [20, 10]}
    two = {"front_wheel": [12, 22], "mirror": [22, 12]}
    pair = soco_pair(("car", "car_1"), ("car", "car_2"), (one, two), ["front_wheel"])
    written(root / "PairAnnotations" / "intra" / "car" / "00001.json", pair)
    written(root / "PairAnnotations" / "trainsplits" / "test" / "car" / "00001.json", pair)
    bus = soco_pair(("bus", "bus_1"), ("car", "car_1"), ({"front_wheel": [5, 6]}, one), ["front_wheel"], "bus_car")
    written(root / "PairAnnotations" / "cross" / "bus_car" / "00001.json", bus)
    return root


def test_hidden_files_are_no_pairs(soco, spair71k, hide):
    (spair71k / "Layout" / "large" / "test.txt").unlink()
    specs = f"soco:{soco}", f"spair:{spair71k}"
    before = [listed(read(spec)) for spec in specs]
    hide(soco)
    hide(spair71k)
    assert [listed(read(spec)) for spec in specs] == before
    assert not any(read(spec).faults for spec in specs)


def test_soco_has_the_pairs_of_a_set_by_the_names_of_their_points(soco):
    data = read(f"soco:{soco}")
    assert listed(data) == [("car/car_1", "car_2", ["front wheel"])]
    item = next(item for item in data.objects if item.image.stem == "car_2")
    assert list(item.category.names) == ["front wheel", "rear wheel", "mirror"]
    np.testing.assert_array_equal(item.points, [[12, 22], [np.nan, np.nan], [22, 12]])
    assert item.box == (4, 6, 40, 30)
    assert listed(read(f"soco/test,car:{soco}")) == listed(data)
    with pytest.raises(InputError, match=r"no category 'cat'.*known are car"):
        read(f"soco/cat:{soco}")


def test_pairs_between_categories_of_soco_are_of_their_group(soco):
    data = read(f"soco/cross:{soco}")
    assert listed(data) == [("bus/bus_1", "car_1", ["front wheel"])]
    assert [item.category.name for item in data.objects] == ["bus_car", "bus_car"]
    pairs, _ = draw_pairs(data, EvaluationProtocol.parse("listed"), None, 0)
    targets = ScoringTargets.from_pairs(data, pairs, ["bus_car"] * 2, False)
    assert targets.mask.tolist() == [[True, False, False]]


def test_a_matched_point_that_a_picture_lacks_costs_its_pair_and_no_box_is_the_whole_picture(soco):
    file = soco / "PairAnnotations" / "intra" / "car" / "00002.json"
    shown = ({"front_wheel": [1, 2]}, {"mirror": [3, 4]})
    written(file, soco_pair(("car", "car_1"), ("car", "car_2"), shown, ["mirror"]))
    data = read(f"soco:{soco}")
    assert len(data.pairs) == 1 and "names 'mirror', which one of its pictures lacks" in data.faults[0]
    written(file, {**soco_pair(("car", "car_2"), ("car", "car_1"), shown, []), "trg_bndbox": None})
    cross = soco / "PairAnnotations" / "cross" / "bus_car" / "00001.json"
    written(cross, {**json.loads(cross.read_text()), "trg_bndbox": None})
    box = next(item.box for item in read(f"soco/cross:{soco}").objects if item.image.stem == "car_1")
    assert box == (0, 0, 64, 48)


# --- MegaKPT -------------------------------------------------------------------------------------------------------


@pytest.fixture
def mega(tmp_path):
    names = ["back", "beak", "belly", "breast", "crown", "forehead", "left eye", "left leg", "left wing", "nape"]
    names += ["right eye", "right leg", "right wing", "tail", "throat"]
    kinds = [{"id": i, "name": kind, "keypoints": names, "skeleton": [[1, 2]]} for i, kind in ((1, "jay"), (2, "tern"))]
    images, annotations = [], []
    for number in range(1, 25):
        kind = 1 if number <= 22 else 2
        images.append({"id": number, "file_name": f"{number}.png", "width": 64, "height": 64})
        drawn(tmp_path / "animal_pose" / "cub" / "images" / f"{number}.png")
        values = [value for k in range(15) for value in (k + 1, number, 2)]
        entry = {"id": number, "image_id": number, "category_id": kind, "bbox": [0, 0, 50, 40], "keypoints": values}
        annotations.append({**entry, "num_keypoints": 15})
    document = {"images": images, "annotations": annotations, "categories": kinds}
    written(tmp_path / "animal_pose" / "cub" / "annotations" / "cub_split_test.json", document)
    return tmp_path


def test_megakpt_has_twenty_two_tests_and_a_test_its_own_points(mega):
    assert len(megakpt.known_tests()) == 22
    data = read(f"megakpt/cub:{mega}")
    item = data.objects[4]
    expected = ["back", "beak", "belly", "breast", "crown", "left leg", "nape", "right leg", "tail", "throat"]
    assert list(item.category.names) == expected and not data.faults
    np.testing.assert_array_equal(item.points[:, 0], [1, 2, 3, 4, 5, 8, 10, 12, 14, 15])
    assert item.image == mega / "animal_pose" / "cub" / "images" / "5.png"
    with pytest.raises(InputError, match=r"megakpt/cubs \(near: cub\)"):
        read(f"megakpt/cubs:{mega}")
    with pytest.raises(InputError, match="name one of them"):
        read(f"megakpt:{mega}")


def test_episodes_of_megakpt_are_of_one_category_each_with_ten_queries(mega):
    data = read(f"megakpt/cub:{mega}")
    one = EvaluationProtocol.parse("megakpt")
    assert len(draw_pairs(data, one, None, 0)[0]) == 1000 * 10
    pairs, left_out = draw_pairs(data, one, 3, 0)
    assert len(pairs) == 30 and not left_out
    for episode in (pairs[:10], pairs[10:20], pairs[20:]):
        assert len({pair.examples for pair in episode}) == 1 and len({pair.query for pair in episode}) == 10
        assert not {pair.query for pair in episode} & set(episode[0].examples)
        assert {data.objects[pair.query].category.name for pair in episode} == {"jay"}  # terns are too few
    words, _ = draw_pairs(data, EvaluationProtocol.parse("text-megakpt"), 3, 0)
    assert len(words) == 30 and all(not pair.examples for pair in words)
    assert draw_pairs(data, one, 3, 0)[0] == pairs != draw_pairs(data, one, 3, 1)[0]


def test_episodes_of_megakpt_need_a_category_with_enough_objects(mega):
    data = read(f"megakpt/cub:{mega}")
    few = type(data)(data.objects[-2:], data.categories, {})
    with pytest.raises(InputError, match="needs 11 objects"):
        draw_pairs(few, EvaluationProtocol.parse("megakpt"), None, 0)
