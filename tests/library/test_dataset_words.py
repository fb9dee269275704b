"""The words of every data set of `data list`: its own noun, names that are words, a description and a partner each."""

import json
import re
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from anykeypoint.category import Category, plain_text
from anykeypoint.data.registry import known_datasets
from anykeypoint.forms.deepfashion2 import GARMENTS
from anykeypoint.forms.registry import load
from anykeypoint.forms.walk import own_category
from anykeypoint.forms.writing import point_labels
from anykeypoint.library.lookup import category, lent, library_names, mp100_categories

LABELS = yaml.safe_load((Path(__file__).parents[1] / "fixtures" / "dataset_labels.yaml").read_text())


def legs(side: str) -> list[str]:
    return [f"{leg}leg{side}{i}" for leg in ("fore", "mid", "hind") for i in range(1, 5)]


FLY = ["head", "eyeL", "eyeR", "neck", "thorax", "abdomen", *legs("R"), *legs("L"), "wingL", "wingR"]
LOCUST = ["head", "neck", "thorax", "abdomen1", "abdomen2"]
LOCUST += [label for side in "LR" for label in (f"anttip{side}", f"antbase{side}", f"eye{side}", *legs(side))]

# Data set -> (names of its categories, labels of its points) for each form of its labels. Those that are not here name
# no points of their own, and are read by a reader that takes the library's.
FORMS = {
    "coco": [(["person"], LABELS["body"])],
    "humanart": [
        (["person"], LABELS["body"]),
        (["person"], [*LABELS["body"], "left_finger", "right_finger", "left_toe", "right_toe"]),
    ],
    "ap10k": [(LABELS["animals"], LABELS["ap10k"]), (LABELS["animals"], LABELS["ap10k_mmpose"])],
    "apt36k": [(LABELS["animals"], LABELS["ap10k"])],
    "macaque": [(["macaque"], LABELS["body"])],
    "animalkingdom": [(LABELS["classes"], LABELS["kingdom"])],
    "animalpose": [
        (["dog", "cat", "sheep", "cow", "horse"], LABELS["animalpose"]),
        (["dog", "cat", "sheep", "cow", "horse"], LABELS["animalpose_mmpose"]),
    ],
    "cub200": [(LABELS["birds"], LABELS["bird"])],
    "fly": [(["fly"], FLY)],
    "locust": [(["locust"], LOCUST)],
}
MMPOSE = {  # name of MMPose's config -> its labels, as they are here
    **{
        "coco": LABELS["body"],
        "humanart": LABELS["body"],
        "macaque": LABELS["body"],
        "ap10k": LABELS["ap10k_mmpose"],
        "animalpose": LABELS["animalpose_mmpose"],
    },
    **{"ak": LABELS["kingdom"], "fly": FLY, "locust": LOCUST, "humanart21": FORMS["humanart"][1][1]},
}
# Data set -> number of points and of left/right pairs of each of its kinds of category, smallest first.
TABLE = {
    "mp100": [
        *[(8, 3), (8, 4), (9, 3), (10, 4), (10, 5), (13, 5), (13, 6), (14, 6), (14, 7), (15, 3), (15, 6), (17, 7)],
        *[(17, 8), (19, 8), (21, 0), (25, 11), (29, 13), (31, 15), (32, 14), (33, 15), (35, 15), (37, 17), (39, 19)],
        (68, 29),
    ],
    "coco": [(17, 8)],
    "humanart": [(17, 8), (21, 10)],
    "ap10k": [(17, 7)],
    "apt36k": [(17, 7)],
    "macaque": [(17, 8)],
    "animalweb": [(9, 3)],
    "animalkingdom": [(23, 8)],
    "carfusion": [(14, 6)],
    "animalpose": [(20, 8)],
    "deepfashion2": [
        *[(8, 3), (10, 4), (14, 6), (15, 6), (19, 8), (25, 11), (29, 13), (31, 15), (33, 15), (37, 17), (39, 19)],
    ],
    "aflw": [(19, 8)],
    "300w": [(68, 29)],
    "onehand10k": [(21, 0)],
    "keypoint5": [(8, 4), (10, 5), (13, 5), (14, 7)],
    "cub200": [(15, 3)],
    "fly": [(32, 14)],
    "locust": [(35, 15)],
    "field": [],
    # Benchmarks whose files were read by none of ours: SPair's points have no names, and the names of the others are
    # those of files that are not at hand.
    "spair71k": [],
    "spair-u": [],
    "soco": [],
    "llamapointinpart": [],
    "megakpt": [],
}


def of_reader(spec: str, folder: Path) -> list[Category]:
    """The categories of labels that a reader has read, as objects get them."""
    entries = load(spec, folder).categories
    return [own_category(entry["name"], entry["keypoints"], ()) for entry in entries]


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def unnamed(points: int) -> dict:
    """A COCO file of faces with so many points and no names for them."""
    entry = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 1, 2] * points, "bbox": [0, 0, 9, 9]}
    kinds = [{"id": 1, "name": "face", "keypoints": []}]
    return {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [entry], "categories": kinds}


@pytest.fixture
def words(tmp_path):
    """Name of a data set of the list -> (name of a category in its files, the category that objects get)."""

    def words(name: str) -> list[tuple[str, Category]]:
        if name in ("spair71k", "spair-u", "soco", "llamapointinpart", "megakpt"):
            return []
        if name in FORMS:
            return [(kind, own_category(kind, labels, ())) for kinds, labels in FORMS[name] for kind in kinds]
        if name == "mp100":
            return [(entry["noun"], category(f"mp100/{key}")) for key, entry in mp100_categories().items()]
        if name == "keypoint5":  # MP-100's files have its labels
            return [(category(f"mp100/{kind}").noun, category(f"mp100/{kind}")) for kind in LABELS["furniture"]]
        if name == "field":
            definitions = [category(kind) for kind in library_names() if re.match(r"field_\d", kind)]
            return [(one.noun, own_category(one.noun, point_labels(one), ())) for one in definitions]
        return [(found.name, found) for found in of_reader(*reader_spec(name))]

    def reader_spec(name: str) -> tuple[str, Path]:
        if name == "animalweb":
            face = "version: 1\nn_points: 9\n{\n" + "1 2\n" * 9 + "}\n"
            for kind in ("camel_1", "red_panda_7"):
                written(tmp_path, f"{kind}.pts", face)
            return f"pts:{tmp_path}", tmp_path
        if name == "carfusion":
            written(tmp_path, "car_penn1/gt/1_2.txt", "5,5,1,1,1\n")
            return f"carfusion:{tmp_path}", tmp_path
        if name == "deepfashion2":
            kinds = [
                {"id": i, "name": kind, "keypoints": [str(k) for k in range(294)]}
                for i, kind in enumerate(LABELS["clothes"])
            ]
            file = written(tmp_path, "a.json", {"images": [], "annotations": [], "categories": kinds})
            return f"deepfashion2:{file}", tmp_path
        if name == "onehand10k":
            file = written(tmp_path, "Train/label_joint.txt", ",".join(["a.png", "9", "9", "1", *["1"] * 42]))
            return f"onehand10k:{file}", tmp_path
        return f"{name}:{written(tmp_path, 'a.json', unnamed({'aflw': 19, '300w': 68}[name]))}", tmp_path

    return words


def test_the_table_has_every_data_set_of_the_list():
    assert set(TABLE) == set(known_datasets())


@pytest.mark.parametrize("name", TABLE)
def test_every_category_is_asked_for_by_its_own_name(words, name):
    for kind, found in words(name):
        assert plain_text(found.noun) == plain_text(kind)


@pytest.mark.parametrize("name", TABLE)
def test_every_point_has_a_name_in_words_and_a_description(words, name):
    for kind, found in words(name):
        for point in found.keypoints:
            assert point.description, (kind, point)
            assert not re.search(r"_|[a-z][A-Z]|[A-Za-z]\d|\bkpt|^\d+$|\b[LRF]\b|\bB [KP]", point.name), (kind, point)


@pytest.mark.parametrize("name", TABLE)
def test_every_sided_point_has_a_partner(words, name):
    for kind, found in words(name):
        sided = {i for i, point in enumerate(found.names) if re.search(r"\b(left|right)\b", point)}
        paired = {i for pair in found.pairs for i in pair}
        assert sided <= paired | set(found.alone), (kind, [found.names[i] for i in sided - paired])


@pytest.mark.parametrize("name", [name for name, rows in TABLE.items() if rows])
def test_points_and_pairs_are_those_of_the_table(words, name):
    assert sorted({(len(found), len(found.pairs)) for _, found in words(name)}) == TABLE[name]


def test_clothes_have_the_points_of_the_data_set(words):
    sizes = [end - start for start, end in GARMENTS.values()]
    assert sorted(len(found) for _, found in words("deepfashion2")) == sorted(sizes)


# --- one kind of animal is never called another ----------------------------------------------------------------------


@cache
def animal_names() -> frozenset[str]:
    """Names of kinds of animals, from the library's broader kinds."""
    text = (resources.files("anykeypoint.library") / "broader.json").read_text(encoding="utf-8")
    animals = r"^an? (?!.*\b(part|shell|bone)\b).*\b(animal|bird|fish|reptile|mammal|amphibian|insect|ape)\b"
    wide = {"animal", "bird", "fish", "insect", "mammal", "reptile", "amphibian"}
    return frozenset(name for name, broader in json.loads(text).items() if re.match(animals, broader)) - wide


def other_animals(name: str, found: Category) -> set[str]:
    """The animals, other than the category's own kind, that its words name."""
    texts = " ".join(f"{point.name} {point.description}" for point in found.keypoints).lower()
    runs = texts.replace("'s", "").translate(str.maketrans(",.()", "    ")).split()
    said = set(runs) | {f"{a} {b}" for a, b in pairwise(runs)}
    return {animal for animal in said & animal_names() if animal not in plain_text(name)}


def test_the_names_of_animals_hold_the_usual_ones():
    assert {"elephant", "cat", "cow", "horse", "macaque", "fly", "locust"} <= animal_names()
    assert not {"tail", "wing", "beak", "shell", "eye"} & animal_names()
    assert other_animals("cow", category("field_25_elephant_from_behind")) == {"elephant"}


@pytest.mark.parametrize("name", TABLE)
def test_no_description_names_another_kind_of_animal(words, name):
    for kind, found in words(name):
        assert not other_animals(kind, found)


@pytest.mark.parametrize("definition", library_names())
def test_a_definition_never_renames_an_animal_that_has_its_labels(definition):
    labels = point_labels(category(definition))
    for kind in [*LABELS["animals"], *LABELS["classes"], *LABELS["birds"], "drosophila", "grasshopper"]:
        found = lent(kind, labels)
        if found is not None:
            assert plain_text(found.noun) == plain_text(kind)
            assert not other_animals(kind, found), kind


def test_a_definition_that_names_its_kind_lends_other_kinds_its_names_alone():
    fly = category("fly_body")
    found = lent("drosophila", point_labels(fly))
    assert found.names == fly.names and found.pairs == fly.pairs and found.noun == "drosophila"
    assert not any(point.description for point in found.keypoints)
    assert lent("fruit fly", point_labels(fly)).keypoints == fly.keypoints


def test_the_authors_animal_pose_has_the_words_of_its_own_order():
    found = own_category("cow", LABELS["animalpose"], ())
    mmpose = own_category("cow", LABELS["animalpose_mmpose"], ())
    assert found.names[4] == "right ear base" and found.names[-1] == "base of the tail"
    assert set(found.names) == set(mmpose.names) and point_labels(found) == LABELS["animalpose"]
    elbow = found.names.index("left front elbow")
    assert found.keypoints[elbow].label == "left_front_elbow"
    assert found.mirrored()[elbow] == found.names.index("right front elbow")


def test_human_art_of_the_joint_training_has_the_points_and_words_of_coco(tmp_path):
    text = (resources.files("anykeypoint.experiments") / "kptllm_pp_joint.yaml").read_text(encoding="utf-8")
    form = re.search(r'data: "(humanart[^:]*):', text)[1]
    kinds = [{"id": 1, "name": "person", "keypoints": FORMS["humanart"][1][1]}]
    file = written(tmp_path, "a.json", {"images": [], "annotations": [], "categories": kinds})
    (found,) = of_reader(f"{form}:{file}", tmp_path)
    assert found.keypoints == category("human_body").keypoints


@pytest.mark.parametrize("config", MMPOSE)
def test_the_labels_are_those_that_mmpose_states(shared, config):
    facts = json.loads((shared / "reference" / "dataset_keypoints.json").read_text())["datasets"]
    assert [label.strip() for label in facts[config]["keypoints"]] == MMPOSE[config]
