"""Categories in words: what may be in one, reading and writing them, left and right, and the library."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anykeypoint
from anykeypoint.category import MAX_KEYPOINTS, MAX_TEXT, Category, Keypoint
from anykeypoint.errors import InputError, ReadingWarning
from anykeypoint.library.lookup import as_category, category, described, library_names
from anykeypoint.sides.mirroring import mirrored_pairs


def named(*names: str, **options) -> Category:
    return Category("thing", tuple(map(Keypoint, names)), **options)


# --- what may be in one --------------------------------------------------------------------------------------------


def test_a_keypoint_needs_a_name():
    for name in ("", "  \n"):
        with pytest.raises(InputError, match="name must not be empty"):
            Keypoint(name)
    with pytest.raises(InputError, match="description must be text, but got 7"):
        Keypoint("nose", 7)


@pytest.mark.parametrize("field", ["name", "description", "label"])
def test_texts_have_a_limit(field):
    texts = {"name": "nose", field: "x" * MAX_TEXT}
    assert getattr(Keypoint(**texts), field) == "x" * 512
    with pytest.raises(InputError, match=f"{field} may have 512 characters, but got 513"):
        Keypoint(**{**texts, field: "x" * (MAX_TEXT + 1)})


def test_a_category_has_1_to_256_keypoints():
    assert len(named(*map(str, range(MAX_KEYPOINTS)))) == 256
    for count in (0, MAX_KEYPOINTS + 1):
        with pytest.raises(InputError, match=f"1 to 256 keypoints, but 'thing' has {count}"):
            named(*map(str, range(count)))


@pytest.mark.parametrize("noun", ["", " ", "x" * 513])
def test_a_noun_is_a_word_or_more(noun):
    with pytest.raises(InputError, match="noun must be 1 to 512 characters"):
        named("nose", noun=noun)


def test_two_points_of_one_name_need_different_descriptions():
    wheels = (Keypoint("wheel", "in front"), Keypoint("Wheel ", "behind"))
    assert len(Category("cart", wheels)) == 2
    with pytest.raises(InputError, match="Two keypoints of 'cart' are called 'Wheel ' with the same description"):
        Category("cart", (Keypoint("wheel", "In front"), Keypoint("Wheel ", "in front ")))


@pytest.mark.parametrize("edges", [((0, 2),), ((0, 0),), ((-1, 0),), ((0, 1, 1),)])
@pytest.mark.parametrize("field", ["skeleton", "pairs"])
def test_edges_and_pairs_join_two_points_that_are_there(field, edges):
    with pytest.raises(InputError, match=f"{field} of 'thing' must hold pairs of two different indices from 0 to 1"):
        named("a", "b", **{field: edges})


def test_pairs_may_not_overlap():
    with pytest.raises(InputError, match="pairs of 'thing' must be disjoint, but index 1 "):
        named("a", "b", "c", pairs=((0, 1), (1, 2)))


# --- left and right ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["left ear", "nose", "right ear"], [(0, 2)]),
        (["Right_Ear", "LEFT ear"], [(0, 1)]),
        (["leftmost leaf", "rightmost leaf", "left leaf"], [(0, 1)]),
        (["tip of the left half", "tip of the right half"], [(0, 1)]),
        (["left side of the right wing", "right side of the left wing"], [(0, 1)]),
        (["left eye", "right ear"], []),
        (["leftover", "rightover"], []),
        (["wheel"], []),
        (["left wheel", "left wheel", "right wheel", "right wheel"], [(0, 2), (1, 3)]),
        (["left wheel", "right wheel", "right wheel"], [(0, 1)]),
    ],
)
def test_points_that_differ_in_side_alone_are_pairs(names, pairs):
    assert list(mirrored_pairs(names)) == pairs


@given(st.lists(st.sampled_from(["left ear", "right ear", "left eye", "right eye", "nose", "left right"]), max_size=12))
def test_mirroring_twice_changes_nothing(names):
    points = tuple(Keypoint(name, str(i)) for i, name in enumerate([*names, "tail"]))
    order = Category("thing", points).mirrored()
    assert [order[i] for i in order] == list(range(len(points)))


def test_given_pairs_take_the_place_of_the_names():
    points = ("left ear", "right ear", "nose", "chin")
    assert named(*points).mirrored() == [1, 0, 2, 3]
    assert named(*points, pairs=()).mirrored() == [0, 1, 2, 3]
    assert named(*points, pairs=((2, 3),)).mirrored() == [0, 1, 3, 2]


# --- reading and writing -------------------------------------------------------------------------------------------


def test_points_are_read_from_a_line_of_text():
    found = Category.from_text(" left ear; nose: the tip: of it ;\n\ntail base;", name="cat", noun="cat")
    assert found.keypoints == (Keypoint("left ear"), Keypoint("nose", "the tip: of it"), Keypoint("tail base"))
    assert (found.name, found.noun) == ("cat", "cat") and Category.from_text("nose").noun == "object"


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "has 0"), (" ;\n; ", "has 0"), ("nose; : what", "must not be empty"), ("nose; nose", "Two keypoints")],
)
def test_a_line_without_points_is_refused(text, told):
    with pytest.raises(InputError, match=told):
        Category.from_text(text)


words = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8).filter(str.strip)
categories = st.builds(
    Category,
    words,
    st.lists(st.builds(Keypoint, words, words | st.just(""), words | st.just("")), min_size=2, max_size=6).map(tuple),
    skeleton=st.sampled_from([(), ((0, 1),)]),
    pairs=st.sampled_from([None, (), ((1, 0),)]),
    noun=words,
    alone=st.sampled_from([(), (1,)]),
)


@given(st.data())
def test_a_category_comes_back_from_json(data):
    try:
        first = data.draw(categories)
    except InputError:  # two equal points
        return
    assert Category.from_dict(json.loads(json.dumps(first.to_dict()))) == first


def test_the_short_form_of_a_category_is_a_list_of_names():
    found = Category.from_dict({"name": "toy_robot", "keypoints": ["left hand", {"name": "right hand", "label": "rh"}]})
    assert found.keypoints == (Keypoint("left hand"), Keypoint("right hand", label="rh"))
    assert found.noun == "toy robot" and found.pairs == ((0, 1),) and found.skeleton == ()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([], "must be a mapping with a list under 'keypoints'"),
        ({"keypoints": "nose"}, "must be a mapping with a list under 'keypoints'"),
        ({"keypoints": ["nose"], "bones": []}, "unknown key 'bones'; known keys are alone, keypoints, name, noun"),
        ({"keypoints": [7]}, "a keypoint must be a text or have name, description, label and phrase, but got 7"),
        ({"keypoints": [{"description": "x"}]}, "a keypoint must be a text or have name"),
        ({"keypoints": [{"name": "x", "colour": "red"}]}, "a keypoint must be a text or have name"),
        ({"keypoints": [{"name": 7}]}, "name must be text, but got 7"),
        ({"keypoints": ["a", "b"], "skeleton": "ab"}, "skeleton must be a list of index pairs, but got 'ab'"),
        ({"keypoints": ["a", "b"], "skeleton": [[0, 1.0]]}, "skeleton must be a list of index pairs, but holds"),
        ({"keypoints": ["a", "b"], "skeleton": [[0, True]]}, "skeleton must be a list of index pairs, but holds"),
        ({"keypoints": ["a", "b"], "pairs": [[0]]}, "pairs must be a list of index pairs, but holds"),
        ({"keypoints": ["a", "b"], "pairs": [[0, 5]]}, "from 0 to 1"),
        ({"keypoints": ["a", "b"], "alone": [[0]]}, "alone must be a list of indices, but got"),
        ({"keypoints": ["a", "b"], "alone": [2]}, "stands alone in 'object' must be indices from 0 to 1, but got 2"),
    ],
)
def test_what_is_no_category_is_refused(data, told):
    with pytest.raises(InputError, match=told):
        Category.from_dict(data)


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".YML"])
def test_a_category_is_read_from_a_file(tmp_path, suffix):
    path = tmp_path / f"cat{suffix}"
    path.write_text('{"name": "cat", "keypoints": ["nose", "größe"]}', encoding="utf-8")
    assert category(path).names == category(str(path)).names == ["nose", "größe"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_that_windows_saved_is_read_and_bytes_that_are_no_text_are_told(tmp_path, encoding):
    path = tmp_path / "cat.yaml"
    path.write_bytes("name: cat\r\nkeypoints: [nose, größe]\r\n".encode(encoding))
    assert category(path).names == ["nose", "größe"]
    path.write_bytes("name: kätze\nkeypoints: [nose]\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"cat\.yaml: it is not UTF-8 text \(byte 7\); save it as UTF-8\.$"):
        category(path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"- [}"])
def test_a_file_that_is_no_category_is_named(tmp_path, content):
    for suffix in (".json", ".yaml"):
        path = tmp_path / f"cat{suffix}"
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"cat{suffix}"):
            category(path)
    with pytest.raises(InputError, match=r"Cannot read the category file .*none.json"):
        category(tmp_path / "none.json")


def test_yaml_that_asks_for_python_objects_is_refused(tmp_path):
    path = tmp_path / "cat.yaml"
    path.write_text("keypoints: !!python/object/apply:os.getcwd []")
    with pytest.raises(InputError, match="Cannot read the category file"):
        category(path)


# --- the library ---------------------------------------------------------------------------------------------------


def test_every_category_of_the_library_loads_by_its_name():
    names = library_names()
    assert names == sorted(names) and "animal_face" in names
    assert all(len(category(name)) >= 1 for name in names)
    assert anykeypoint.category("animal_face") is category("animal_face")


def test_an_unknown_category_lists_near_ones():
    with pytest.raises(
        InputError, match=r"no category 'face' in the library; known are .*animal_face.*human_face"
    ) as told:
        category("face")
    assert "chair" not in str(told.value)
    with pytest.raises(
        InputError, match=r"known are animal_body, .*field2_117_cat_face.*; or give .*--keypoints"
    ) as told:
        category("cat")
    assert "cattle" not in str(told.value), "it is another word"
    with pytest.raises(InputError, match=r"known are .*animal_face") as told:
        category("zzz")
    assert "field_" not in str(told.value) and "field2_" not in str(told.value)
    with pytest.raises(InputError, match="no category"):
        category("../pyproject")


def test_a_data_sets_labels_find_their_description():
    for name in library_names():
        known = category(name)
        labels = [(point.label or point.name).replace("_", " ") for point in known.keypoints]
        found = described(known.noun, labels)
        assert [(point.label or point.name).replace("_", " ") for point in found.keypoints] == labels
        assert found.noun == known.noun
        assert described(known.noun.upper(), [label.upper().replace(" ", "_") for label in labels]) is found
        if labels != labels[::-1]:
            assert described(known.noun, labels[::-1]) is None
    assert described("thing", ["no", "such", "labels"]) is None


def test_a_general_definition_stands_for_data_sets_of_its_labels():
    labels = [point.label or point.name for point in category("fly_body").keypoints]
    assert described("vinegar fly", labels) is category("field_17_vinegar_fly")
    assert described("fly", labels) is described("drosophila", labels) is category("fly_body")


def test_of_several_definitions_with_the_same_labels_the_one_of_that_name_is_taken():
    labels = [point.label or point.name for point in category("field2_104_sheep").keypoints]
    assert described("sheep", labels) is category("field2_104_sheep")
    assert described("horse, farm points", labels) is category("field2_105_horse_farm_points")
    assert described("Cattle", labels) is category("field2_106_cattle")
    assert described("goat", labels) is None


def test_a_category_of_some_keypoints_keeps_what_is_among_them():
    points = tuple(Keypoint(name) for name in ("nose", "left ear", "right ear", "tail"))
    whole = Category("cat", points, skeleton=((0, 1), (0, 2), (0, 3)), alone=(3,))
    part = whole.only([3, 2, 0])
    assert part.names == ["tail", "right ear", "nose"] and part.name == "cat"
    assert part.skeleton == ((2, 1), (2, 0)) and part.pairs == () and part.alone == (0,)
    assert whole.only([1, 2]).pairs == ((0, 1),) and whole.only(range(4)) == whole


def test_a_file_of_a_windows_editor_is_read_and_a_fault_is_named_with_its_line(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf" + b'{"keypoints": ["nose"]}')
    assert Category.from_file(tmp_path / "a.json").names == ["nose"]
    (tmp_path / "b.yaml").write_text("noun: cat\nkeypoints: [a\n")
    with pytest.raises(InputError, match=r"b\.yaml: .* in line 3") as caught:
        Category.from_file(tmp_path / "b.yaml")
    assert "\n" not in str(caught.value)
    (tmp_path / "two.yaml").write_text("keypoints: [a]\n---\nkeypoints: [b]\n")
    with pytest.raises(InputError, match="expected a single document in the stream, but found another document"):
        Category.from_file(tmp_path / "two.yaml")
    with pytest.raises(InputError, match=r"none\.yaml: No such file or directory\.$"):
        Category.from_file(tmp_path / "none.yaml")


def test_edges_are_kept_as_tuples_of_plain_numbers_whatever_they_came_as():
    points = (Keypoint("left ear"), Keypoint("right ear"))
    plain = Category("ears", points, skeleton=((0, 1),), pairs=((0, 1),))
    for edges in ([[0, 1]], np.array([[0, 1]])):
        one = Category("ears", points, skeleton=edges, pairs=edges)
        assert one == plain and hash(one) == hash(plain) and json.dumps(one.to_dict()) == json.dumps(plain.to_dict())


def test_what_stands_alone_is_kept_as_a_tuple_whatever_it_came_as():
    points = (Keypoint("left ear"), Keypoint("tail"))
    one = Category("ears", points, alone=[np.int64(0)])
    assert one.alone == (0,) and hash(one) == hash(Category("ears", points, alone=(0,)))
    assert json.loads(json.dumps(one.to_dict()))["alone"] == [0]


def test_rows_may_come_one_by_one_and_a_mask_is_no_rows():
    whole = Category.from_text("nose; tail; left ear")
    assert whole.only(i for i in (2, 0)).names == ["left ear", "nose"]
    assert hash(whole.only(np.array([0]))) == hash(whole.only([0]))
    with pytest.raises(InputError, match="must be indices"):
        whole.only([True, False, True])


def test_a_list_of_names_of_the_library_is_points_and_that_is_said():
    with pytest.warns(ReadingWarning, match=r"names of points.*give \[ak\.category\('animal_face'\), \.\.\.\]"):
        assert as_category(["animal_face", "human_face"]).names == ["animal_face", "human_face"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_category(["nose", "vest"])


@pytest.mark.parametrize("value", [None, True, ["cat"]])
@pytest.mark.parametrize("key", ["name", "noun"])
def test_a_name_or_noun_that_is_no_word_is_refused_and_not_spelled_out(key, value):
    with pytest.raises(InputError, match=f"animal.yaml: {key} must be text, but got"):
        Category.from_dict({key: value, "keypoints": ["nose"]}, "animal.yaml")
