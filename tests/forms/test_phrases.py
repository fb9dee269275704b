"""Whose words are read for the points of a data set, and that flips exchange the same points in all of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from anykeypoint.category import Category, Keypoint
from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.crops.augment import CropPlacement
from anykeypoint.errors import InputError
from anykeypoint.forms.phrases import has_phrases, in_phrases, listed_phrases, whose_words, words_of
from anykeypoint.forms.registry import read
from anykeypoint.geometry import Crop
from anykeypoint.library.lookup import category
from anykeypoint.sides.mirroring import mirrored_name, mirrored_pairs
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig

FACE = category("mp100/37")  # camel_face, by the library: left is the animal's own
VIEWERS = [mirrored_name(name) for name in FACE.names]  # the viewer's, as in the files of CapeX
SIDELESS = [" ".join(word for word in name.split() if word not in ("left", "right")) for name in FACE.names]
# The three conventions: the subject's sides (the library, CapeLLM, X-Pose), the viewer's, and none (CapeX's wheels).
CONVENTIONS = {"subject": FACE.names, "viewer": VIEWERS, "none": SIDELESS}


@pytest.fixture
def labels(tmp_path):
    """Writes an MP-100 file with one camel's face, whose points have the given labels."""

    def write(texts, identity=37, name="camel_face"):
        folder = tmp_path / "annotations"
        folder.mkdir(exist_ok=True)
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / "a.png").touch()
        points = [value for i in range(len(texts)) for value in (10 + i, 20, 2)]
        object_ = {"id": 1, "image_id": 1, "category_id": identity, "bbox": [0, 0, 60, 40], "keypoints": points}
        document = {
            "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
            "annotations": [object_],
            "categories": [{"id": identity, "name": name, "keypoints": list(texts), "skeleton": [[0, 1]]}],
        }
        (folder / "split.json").write_text(json.dumps(document))
        return f"mp100:{folder / 'split.json'}"

    return write


def phrases_of(data) -> list[str]:
    (item,) = data.objects
    assert item.category is data.categories[item.category_id]
    return [point.phrase for point in item.category.keypoints]


# --- whose words -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", CONVENTIONS.values(), ids=CONVENTIONS)
def test_the_files_words_stand_beside_the_librarys_names(labels, texts):
    spec = labels(texts)
    for asked in ("file", None):
        data = read(spec, phrases=asked)
        assert phrases_of(data) == texts
        found = data.objects[0].category
        assert found.names == FACE.names and found.pairs == FACE.pairs and found.skeleton == ((0, 1),)
        assert whose_words(found, asked) == words_of(data, asked) == "file"
    plain = read(spec)
    assert phrases_of(plain) == [""] * len(FACE) and whose_words(plain.objects[0].category, "library") == "library"
    assert words_of(plain, "library") == "library"


def test_underscores_are_spoken_and_several_points_may_share_a_phrase(labels):
    texts = [f"wheel_{'of_the_chair' if i % 2 else ''}" for i in range(len(FACE))]
    assert set(phrases_of(read(labels(texts), phrases="file"))) == {"wheel", "wheel of the chair"}


def test_a_file_of_codes_is_read_in_the_librarys_words_unless_it_is_asked_for(labels):
    spec = labels([f"kpt_{i}" for i in range(len(FACE))])
    assert phrases_of(read(spec, phrases=None)) == [""] * len(FACE)
    assert phrases_of(read(spec, phrases="file"))[0] == "kpt 0"


@pytest.mark.parametrize(
    ("texts", "are"),
    [
        (["left eye", "right eye", "nose"], True),
        (["left_shoulder", "top of a sleeve"], True),
        (["wheel", "wheel", "seat"], True),
        (["front wheel 1", "front wheel 2", "mirror", "left light", "right light", "roof"], True),
        (["L_F_Elbow", "R_F_Elbow"], False),
        (["1", "2", "3"], False),
        (["kpt_1", "kpt_2", "kpt_3"], False),
        (["nose", "r_eye"], False),
        (["", "nose"], False),
        ([], False),
    ],
)
def test_what_counts_as_phrases(texts, are):
    assert has_phrases(texts) is are


def test_a_file_that_lists_no_labels_has_no_words(labels):
    spec = labels(VIEWERS)
    path = Path(spec.partition(":")[2])
    document = json.loads(path.read_text())
    document["categories"][0]["keypoints"] = []
    path.write_text(json.dumps(document))
    assert phrases_of(read(spec, phrases=None)) == [""] * len(FACE)
    with pytest.raises(InputError, match="must have a phrase for each of the 9 keypoints of 'camel_face'"):
        read(spec, phrases="file")


@pytest.mark.parametrize("key", ["37", "camel_face", "Camel Face"])
@pytest.mark.parametrize("by_name", [True, False])
def test_phrases_may_come_from_a_file_of_ones_own(labels, tmp_path, key, by_name):
    texts = [f"part {name}" for name in FACE.names]
    path = tmp_path / "phrases.json"
    path.write_text(json.dumps({key: dict(zip(FACE.names, texts, strict=True)) if by_name else texts}))
    data = read(labels(VIEWERS), phrases=str(path))
    assert phrases_of(data) == texts
    assert whose_words(data.objects[0].category, str(path)) == words_of(data, str(path)) == str(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "has no phrases for 'camel_face'"),
        ("camel_face: [nose]", "a phrase for each of the 9 keypoints"),
        ("camel_face: {tail: the tail}", "a phrase for 'tail', which 'camel_face' does not have"),
        ("camel_face: nose", "a mapping from categories to their phrases"),
        ("- a", "a mapping from categories to their phrases"),
        ("{", "not valid YAML or JSON"),
    ],
)
def test_a_file_of_phrases_that_does_not_fit_is_refused(labels, tmp_path, content, words):
    path = tmp_path / "phrases.yaml"
    path.write_text(content)
    with pytest.raises(InputError, match=words):
        read(labels(VIEWERS), phrases=str(path))


def test_a_file_of_phrases_may_call_points_as_their_data_do(tmp_path):
    """The library's words take the place of a file's, which a user never saw; a point's own name goes first."""
    points = (Keypoint("nose tip", label="P_1"), Keypoint("left ear", label="nose tip"), Keypoint("chin", label="P_3"))
    path = tmp_path / "phrases.json"
    path.write_text(json.dumps({"7": {"p_3": "third", "nose tip": "first", "left ear": "second"}}))
    assert listed_phrases(path, {7: Category("animal", points)}) == {7: ["first", "second", "third"]}
    path.write_text(json.dumps({"7": {"lft_ear": "second"}}))
    with pytest.raises(InputError, match=r"phrase for 'lft ear', which 'animal' does not have \(near: left ear\)"):
        listed_phrases(path, {7: Category("animal", points)})


def test_members_of_a_joint_file_have_the_words_that_are_asked_for(labels, tmp_path):
    (tmp_path / "joint.yaml").write_text(json.dumps([{"data": labels(VIEWERS), "images": str(tmp_path)}]))
    assert phrases_of(read(f"joint:{tmp_path / 'joint.yaml'}", phrases="file")) == VIEWERS
    assert phrases_of(read(f"joint:{tmp_path / 'joint.yaml'}")) == [""] * len(FACE)


def test_a_recipe_names_whose_words():
    assert from_mapping(MatcherTrainConfig, {"phrases": "file"}, "recipe").phrases == "file"
    assert MatcherTrainConfig().phrases is None


def test_phrases_come_back_with_a_category():
    worded = Category.from_dict({"name": "x", "keypoints": [{"name": "ear", "phrase": "the ear"}, "nose"]})
    assert [point.phrase for point in worded.keypoints] == ["the ear", ""]
    assert Category.from_dict(worded.to_dict()) == worded
    assert "phrase" not in worded.to_dict()["keypoints"][1]


# --- sides under flips -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_flip_exchanges_the_same_points_in_every_convention(labels, convention):
    """A face seen from the front: what the viewer calls left is on the left of the picture, before and after."""
    data = read(labels(CONVENTIONS[convention]), phrases="file")
    (item,) = data.objects
    assert len(FACE.pairs) >= 3 and item.category.pairs == FACE.pairs
    xy = np.full((len(FACE), 2), 30.0)
    for row, name in enumerate(FACE.names):
        xy[row, 0] += 20 * ("right" not in name) - 20 * ("left" not in name)  # its own right on the picture's left
    for flipped in (False, True):
        x = CropPlacement(Crop(0, 0, 60), flipped=flipped).labels(xy, item.category)[:, 0]
        for row, point in enumerate(item.category.keypoints):
            words = set(point.phrase.split()) & {"left", "right"}
            if convention == "viewer" and words:
                assert (x[row] < 0.5) == (words == {"left"})
            if "left" in point.name or "right" in point.name:
                assert (x[row] > 0.5) == ("left" in point.name)  # the subject's own left, whatever is read


@pytest.mark.parametrize("identity", [37, 40, 45, 67, 72])
def test_pairs_are_the_same_by_the_subjects_and_by_the_viewers_words(identity):
    """Faces, a chair, clothes and people: to exchange left and right in all names leaves every pair a pair."""
    known = category(f"mp100/{identity}")
    assert mirrored_pairs(map(mirrored_name, known.names)) == mirrored_pairs(known.names)


def test_points_of_an_unknown_category_are_paired_by_the_words_of_the_file(labels):
    texts = ["left horn", "right horn", "tip"]
    data = read(labels(texts, 512, "gadget"), phrases="file")
    assert data.objects[0].category.pairs == ((0, 1),) and phrases_of(data) == texts


def test_a_data_set_that_is_asked_for_in_the_librarys_words_is_left_as_it_is(labels, tmp_path):
    data = read(labels(VIEWERS))
    assert in_phrases(data, "library", [], tmp_path) is data
