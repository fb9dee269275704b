"""Several objects asked together: every family answers each of them as it answers it alone."""

import pickle

import numpy as np
import pytest
import tiny
import tiny_matchers
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tiny_encoders import PIXELS, TINY

import anykeypoint as ak
from anykeypoint.category import Category
from anykeypoint.models import batched
from anykeypoint.models.batched import BATCH, ObjectQuery, answered
from anykeypoint.models.fewshot import fewshot_model
from anykeypoint.models.matching import answering
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

FISH = tiny_matchers.FISH
EARS = Category.from_text("left ear; right ear", name="ears", noun="animal")
PAWS = Category.from_text("rear paw; tail tip; tail; nose; tip of the ear; left rear paw; right rear paw", name="paws")
PICTURES = [tiny_matchers.picture(*given) for given in ((0, 90, 70), (3, 60, 50), (4, 80, 80))]
BOXES = [None, (5.0, 4.0, 30.0, 20.0), (10.0, 10.0, 40.0, 35.0)]
EXAMPLES = [tiny_matchers.example(1), tiny_matchers.example(2, hidden=(1, 3)), tiny_matchers.example(5)]
MATCHERS = ("pomnet", "capeformer", "graphcape", "capex", "flf", "dlf", "evidence")
UNSHRUNK = (Phase.explicit, Phase.generate)  # shrinking would run models for minutes
OTHERS = ("capellm", "kptllm", "few-shot")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    vision = VisionConfig("dinov2-s", RANDOM, PIXELS["dinov2-s"] * 2, sizes=TINY["dinov2-s"], tuning="full")
    return {name: tiny_matchers.matcher(name, folder) for name in MATCHERS} | {
        "capellm": tiny.capellm(folder / "capellm"),
        "kptllm": tiny.kptllm(folder / "kptllm"),
        "few-shot": fewshot_model.build(fewshot_model.FewShotConfig("protonet", vision=vision)),
    }


def same(pose, alone):
    assert pose.names == alone.names and pose.box == alone.box and pose.image_size == alone.image_size
    assert np.array_equal(pose.present, alone.present)
    np.testing.assert_allclose(pose.xy, alone.xy, atol=1e-3)
    # Random heads have logits in the thousands, whose last bits move probabilities; places are what is promised.
    np.testing.assert_allclose(pose.confidence, alone.confidence, atol=2e-3)
    assert (pose.density is None) == (alone.density is None)
    for key, density in (pose.density or {}).items():
        np.testing.assert_allclose(density.grid, alone.density[key].grid, atol=2e-2)


def alone(model, query):
    return model.predict(query.image, query.category, query.box, **query.arguments)


def queries(name, prompts):
    """What may be asked of a model of this name: with words, an example or several, of three categories."""
    shown = st.sampled_from([EXAMPLES[0], EXAMPLES[1], EXAMPLES[:2], EXAMPLES])
    options = st.fixed_dictionaries({}, optional={"density": st.sampled_from([True, 7])})
    if name in MATCHERS:
        options = st.fixed_dictionaries({}, optional={"density": st.sampled_from([True, 7]), "mirror": st.booleans()})
    asked = []
    if "text" in prompts:
        asked.append((st.sampled_from([FISH, EARS, PAWS]), st.none(), st.none()))
    if "example" in prompts:
        words = st.none() if name == "few-shot" else st.just(False)
        asked.append((st.just(FISH), shown, words))
    if "both" in prompts:
        asked.append((st.just(FISH), shown, st.none()))
    image, box = st.sampled_from(PICTURES), st.sampled_from(BOXES)
    return st.one_of(
        st.builds(ObjectQuery, image, category, box, example, words, options) for category, example, words in asked
    )


@pytest.mark.parametrize("name", MATCHERS)
@settings(max_examples=12, phases=UNSHRUNK)
@given(data=st.data())
def test_any_mix_of_objects_is_answered_as_each_alone(models, name, data):
    asked = data.draw(st.lists(queries(name, models[name].prompts), min_size=1, max_size=6))
    batch = data.draw(st.integers(1, 6))
    for query, answer in zip(asked, answered(models[name], asked, batch), strict=True):
        same(answer, alone(models[name], query))


@pytest.mark.parametrize("name", OTHERS)
@settings(max_examples=3, phases=UNSHRUNK)
@given(data=st.data())
def test_the_other_families_answer_any_mix_as_each_alone_too(models, name, data):
    prompts = getattr(models[name], "prompts", ("text",))
    asked = data.draw(st.lists(queries(name, prompts), min_size=1, max_size=3))
    for query, answer in zip(asked, answered(models[name], asked), strict=True):
        same(answer, alone(models[name], query))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [*MATCHERS, *OTHERS])
def test_a_model_that_went_to_another_process_answers_as_before(models, tmp_path, name, dtype):
    model = models[name]
    if dtype == "bfloat16" and name != "few-shot":
        model.save_pretrained(tmp_path)
        model = ak.load(str(tmp_path), dtype=dtype)
    example = None if name in ("capex", "capellm") else EXAMPLES[0]
    query = ObjectQuery(PICTURES[0], FISH, BOXES[2], example)
    before = alone(model, query)  # and what it keeps of the example is not in the way
    same(alone(pickle.loads(pickle.dumps(model)), query), before)


@pytest.mark.parametrize("name", ["capex", *OTHERS])
def test_a_folder_that_a_model_cannot_be_saved_in_is_told(models, tmp_path, name):
    (tmp_path / "file").touch()
    for folder, words in ((tmp_path / "file", "is a file"), (tmp_path / "file" / "model", "Cannot make"), (5, "path")):
        with pytest.raises(ak.InputError, match=words):
            models[name].save_pretrained(folder)


@pytest.mark.parametrize("name", [*MATCHERS, *OTHERS])
def test_torchs_default_precision_changes_no_answer(models, tmp_path, name):
    model = models[name]
    model.save_pretrained(tmp_path)
    query = ObjectQuery(PICTURES[0], FISH, BOXES[2], None if name in ("capex", "capellm") else EXAMPLES[0])
    before = alone(model, query)
    if hasattr(model, "cache"):
        model.cache.clear()
    torch.set_default_dtype(torch.float64)
    try:
        same(alone(model, query), before)
        same(alone(ak.load(str(tmp_path)), query), before)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", MATCHERS)
def test_a_matcher_sees_the_objects_of_a_batch_together(models, name, monkeypatch):
    model = models[name]
    example = None if "text" in model.prompts else EXAMPLES[0]
    encoded, matched = counted(monkeypatch, model, "encode_pixels"), counted(monkeypatch, model, "match")
    poses = model.predict_many([PICTURES[0]] * 10, FISH, examples=example)
    assert len(poses) == 10 and [shape[0] for shape in matched] == [BATCH, 2]
    assert [shape[0] for shape in encoded if shape[0] > 1] == [BATCH, 2]


def counted(monkeypatch, model, method, argument=0):
    """A list that gets the shape of one argument of each call of a method."""
    real, shapes = getattr(model, method), []

    def call(*given, **named):
        shapes.append(tuple(given[argument].shape))
        return real(*given, **named)

    monkeypatch.setattr(model, method, call)
    return shapes


def test_a_second_look_is_taken_of_the_objects_together(models, monkeypatch):
    model, boxes = models["evidence"], [BOXES[1], BOXES[2], (20, 20, 30, 40)]
    options = {"fine": True, "density": True}
    single = [model.predict(PICTURES[0], FISH, box, EXAMPLES[0], **options) for box in boxes]
    assert np.abs(model.predict(PICTURES[0], FISH, boxes[0], EXAMPLES[0]).xy - single[0].xy).max() > 0.01
    for most, sizes in ((answering.MOST_PATCHES, [3, 15]), (7, [3, 5, 5, 5])):  # crops, then patches
        monkeypatch.setattr(answering, "MOST_PATCHES", most)
        encoded = counted(monkeypatch, model, "encode_pixels")
        poses = model.predict_many(PICTURES[0], FISH, boxes, EXAMPLES[0], **options)
        assert [shape[0] for shape in encoded] == sizes
        for pose, one in zip(poses, single, strict=True):
            same(pose, one)


def test_rows_of_a_head_are_bounded(models, monkeypatch):
    valid = counted(monkeypatch, models["capex"], "match", 1)
    monkeypatch.setattr(answering, "MOST_ROWS", 15)
    models["capex"].predict_many(PICTURES, [EARS, PAWS, FISH])
    assert valid == [(2, 7), (1, 5)]


# --- arguments -----------------------------------------------------------------------------------------------------


def test_pictures_may_have_a_category_boxes_and_examples_each(models):
    model = models["evidence"]
    poses = model.predict_many(
        PICTURES, [FISH, EARS, FISH], [[BOXES[1], BOXES[2]], None, BOXES[1]], [EXAMPLES[:2], None, EXAMPLES[2]]
    )
    assert isinstance(poses, ak.Poses) and [pose.category for pose in poses] == ["fish", "fish", "ears", "fish"]
    expected = [
        model.predict(PICTURES[0], FISH, BOXES[1], EXAMPLES[:2]),
        model.predict(PICTURES[0], FISH, BOXES[2], EXAMPLES[:2]),
        model.predict(PICTURES[1], EARS),
        model.predict(PICTURES[2], FISH, BOXES[1], EXAMPLES[2]),
    ]
    for pose, one in zip(poses, expected, strict=True):
        same(pose, one)


def test_one_picture_one_list_of_points_and_one_box_for_all(models):
    model = models["capex"]
    assert len(model.predict_many(PICTURES[0], ["nose", "tail"])) == 1
    assert [pose.box for pose in model.predict_many(PICTURES, ["nose", "tail"], BOXES[1])] == [BOXES[1]] * 3
    assert [pose.box for pose in model.predict_many(PICTURES[0], FISH, np.array([BOXES[1], BOXES[2]]))] == BOXES[1:]
    assert len(model.predict_many([], FISH)) == len(model.predict_many(PICTURES[0], FISH, [])) == 0


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"boxes": [BOXES[1], BOXES[1]]}, "3 pictures, but boxes for 2"),
        ({"categories": [FISH, EARS]}, "3 pictures, but categories for 2"),
        ({"examples": [None, [EXAMPLES[0]]]}, "3 pictures, but examples for 2"),
        ({"categories": [FISH, [], FISH]}, "^Picture 2: A category must be"),
        ({"boxes": [None, None, (1, 2, 3)]}, "^Picture 3: A box"),
        ({"boxes": [None, [BOXES[1], (100, 100, 5, 5)], None]}, "^Picture 2, box 2: .* outside"),
        ({"categories": 5}, "A category must be"),
        ({"unheard_of": 1}, "^Picture 1: A matcher has no choice of unheard_of"),
        ({"images": [PICTURES[0], "nowhere.jpg", PICTURES[1]]}, r"^Picture 2 \(nowhere.jpg\): .*nowhere.jpg"),
    ],
)  # fmt: skip
def test_an_error_names_the_picture_and_the_box(models, given, sentence):
    with pytest.raises(ak.InputError, match=sentence):
        models["capex"].predict_many(**{"images": PICTURES, "categories": FISH, **given})


# --- faults and memory ---------------------------------------------------------------------------------------------


def test_a_bad_object_spoils_no_other(models):
    model = models["capex"]
    asked = [ObjectQuery(PICTURES[i % 3], FISH) for i in range(6)]
    asked[1] = ObjectQuery(PICTURES[0], FISH, (500, 500, 5, 5))
    asked[4] = ObjectQuery(b"no picture", FISH)
    found = list(answered(model, asked, 4))
    assert [isinstance(one, ak.InputError) for one in found] == [False, True, False, False, True, False]
    for i in (0, 2, 3, 5):
        same(found[i], alone(model, asked[i]))


class Counting:
    """Answers with the names of the pictures, unless the batch is larger than its memory or holds a bad one."""

    batch = BATCH

    def __init__(self, memory=99, bad=()):
        self.memory, self.bad, self.sizes, self.held = memory, bad, [], []

    def predict_batch(self, asked):
        self.sizes.append(len(asked))
        self.held.append({id(query.image) for query in asked})
        if len(asked) > self.memory:
            raise torch.OutOfMemoryError("out of memory")
        for query in asked:
            if query.category in self.bad:
                raise ZeroDivisionError("a fault")
        return [query.category for query in asked]


def test_a_batch_without_memory_is_halved_once_and_then_asked_one_by_one():
    asked = [ObjectQuery(PICTURES[0], name) for name in "abcdefgh"]
    for memory, sizes in ((4, [8, 4, 4]), (3, [8, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1])):
        model = Counting(memory)
        assert list(answered(model, asked)) == list("abcdefgh") and model.sizes == sizes
    found = list(answered(Counting(0), asked[:2]))
    assert all(isinstance(one, ak.InputError) and "OutOfMemoryError" in str(one) for one in found)


def test_a_fault_of_one_object_is_its_answer_and_has_its_cause():
    model = Counting(bad=("c",))
    found = list(answered(model, [ObjectQuery(PICTURES[0], name) for name in "abcd"]))
    assert found[:2] + found[3:] == ["a", "b", "d"] and model.sizes == [4, 1, 1, 1, 1]
    assert isinstance(found[2], ak.InputError) and "ZeroDivisionError: a fault" in str(found[2])
    assert isinstance(found[2].__cause__, ZeroDivisionError)


def test_a_picture_is_read_once_and_few_are_held(monkeypatch, tmp_path):
    from PIL import Image

    paths = [tmp_path / f"{i}.png" for i in range(5)]
    for path in paths:
        Image.new("RGB", (40, 30)).save(path)
    read = []
    monkeypatch.setattr(batched, "read_picture", lambda path: read.append(path) or ak.read_picture(path))
    model = Counting()
    list(answered(model, [ObjectQuery(str(path), "x") for path in paths for _ in range(3)], 4))
    assert read == [str(path) for path in paths] and model.sizes == [4, 4, 4, 3]
    monkeypatch.setattr(batched, "HELD_PIXELS", 2 * 40 * 30)
    model = Counting()
    list(answered(model, [ObjectQuery(path, "x") for path in paths]))
    assert model.sizes == [2, 2, 1]


def test_queries_are_taken_as_they_are_needed():
    taken = []
    asked = (taken.append(i) or ObjectQuery(PICTURES[0], str(i)) for i in range(100))
    assert next(answered(Counting(), asked)) == "0" and len(taken) == BATCH
