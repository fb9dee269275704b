"""What the public methods take: several pictures, boxes and forms of a category; and what they say to anything else."""

import io
import warnings
from functools import partial

import numpy as np
import pytest
import tiny
import tiny_matchers
import torch
from PIL import Image
from tiny_encoders import PIXELS, TINY

import anykeypoint as ak
from anykeypoint.models.fewshot import fewshot_model
from anykeypoint.models.fewshot.protonet import ProtoNetConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig

FISH = tiny_matchers.FISH
EXAMPLE = tiny_matchers.example()
BOX = (5.0, 4.0, 30.0, 20.0)
# Values of every kind; an argument lists those that it can take.
WRONG = {
    "int": 5,
    "share": 0.5,
    "negative": -1,
    "nan": float("nan"),
    "huge": 10**400,
    "bool": True,
    "text": "x",
    "blank": "",
    "zero byte": "a\0b",
    "bytes": b"x",
    "none": None,
    "object": object(),
    "type": int,
    "function": len,
    "empty list": [],
    "empty mapping": {},
    "mapping": {"a": 1},
    "list of objects": [object()],
    "list of texts": ["a", 1],
    "nested": [[1, 2], [3]],
    "set": {1, 2},
    "array": np.zeros((2, 3)),
    "texts": np.array(["a", "b"]),
    "tensor": torch.zeros(2, 2, 2, 2),
    "masked array": np.ma.masked_array([[1, 2, 3]], mask=True),
    "number in an array": np.array(5),
    "gradient": torch.zeros(2, 5, 7, requires_grad=True),
    "iterator": iter([object()]),
    "text file": io.StringIO("x"),
    "category": FISH,
    "example": EXAMPLE,
}


def few_shot() -> fewshot_model.FewShotModel:
    vision = VisionConfig("dinov2-s", RANDOM, PIXELS["dinov2-s"] * 2, sizes=TINY["dinov2-s"], tuning="full")
    return fewshot_model.build(fewshot_model.FewShotConfig("protonet", ProtoNetConfig(), vision))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {
        "matcher": tiny_matchers.matcher("capex", folder),
        "evidence": tiny_matchers.matcher("evidence", folder),
        "capellm": tiny.capellm(folder / "capellm"),
        "kptllm": tiny.kptllm(folder / "kptllm"),
        "few-shot": few_shot(),
    }


NAMES = ("matcher", "evidence", "capellm", "kptllm", "few-shot")
PICTURE = tiny_matchers.picture()


def sentence(error: Exception) -> None:
    text = str(error)
    assert isinstance(error, ak.InputError), repr(error)
    assert text.endswith(".") and "\n" not in text and len(text) < 900


def fed(call, **given):
    """Call with each wrong value for each argument; `given` maps an argument to the names in WRONG that it takes."""
    for argument, taken in given.items():
        for name, value in WRONG.items():
            if name in taken:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    call(**{argument: value})
            except Exception as error:
                assert isinstance(error, ak.InputError), f"{argument}={name}: {error!r}"
                sentence(error)
            else:
                pytest.fail(f"{argument}={name} was taken")


# --- wrong types ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_predict_answers_every_wrong_argument_with_a_sentence(models, name):
    model = models[name]
    shown = {"few-shot": {"example": EXAMPLE}}.get(name, {})

    def call(**changed):
        return model.predict(**{"image": PICTURE, "category": FISH, **shown, **changed})

    options = {
        "strategy": ("none",),
        "describe": (),
        "seed": ("int", "huge"),
        "cumulative": ("bool",),
        "order": ("none",),
        "density": ("bool", "int"),
        "words": ("none", "bool"),
        "example": ("none", "example"),
        "unheard_of": (),
    }
    has = {
        "capellm": ("strategy", "describe", "seed", "cumulative", "order", "density", "unheard_of"),
        "kptllm": ("strategy", "describe", "seed", "density", "words", "example", "unheard_of"),
        "matcher": ("density", "describe", "words", "example", "unheard_of"),
        "evidence": ("density", "describe", "words", "example", "unheard_of"),
        "few-shot": ("density", "words", "unheard_of"),
    }[name]
    few = {"example": ("example",)} if name == "few-shot" else {}
    fed(call, image=("array", "empty list"), category=("category",), box=("none", "empty list"))
    fed(call, **{option: options[option] for option in has}, **few)


@pytest.mark.parametrize("name", NAMES[:-1])
def test_encode_answers_every_wrong_argument_with_a_sentence(models, name):
    fed(lambda **given: models[name].encode(**{"image": PICTURE, **given}), image=("array",), box=("none",))


def test_a_view_and_explain_answer_every_wrong_argument_with_a_sentence(models):
    for name in ("evidence", "capellm", "kptllm"):
        view = models[name].encode(PICTURE)
        fed(view.predict, category=("category",))

    def explain(**given):
        return models["matcher"].explain(**{"image": PICTURE, "category": FISH, "example": EXAMPLE, **given})

    fed(explain, image=("array", "empty list"), category=("category",), box=("none", "empty list"))
    fed(explain, example=("example", "none"), words=("none", "bool"), density=("bool", "int"), unheard_of=())


def test_identify_answers_every_wrong_argument_with_a_sentence(models):
    def call(name, **given):
        return models[name].identify(**{"image": PICTURE, "points": (10, 12), "category": FISH, **given})

    fed(partial(call, "kptllm"), image=("array",), points=(), box=("none",), category=("none", "category"))
    fed(partial(call, "evidence"), image=("array",), points=(), box=("none",), category=("category",))


def test_the_public_functions_and_classes_answer_every_wrong_argument_with_a_sentence():
    fed(lambda **given: ak.load(**{"name": "nowhere", **given}), name=(), device=(), dtype=(), image_size=())
    fed(lambda **given: ak.detector(**{"name": "nowhere", **given}), name=(), device=())
    fed(lambda **given: ak.adapt(**{"data": "coco:nowhere.json", "out": "out", **given}), data=())
    fed(ak.category, name=())
    fed(ak.read_picture, source=("array",))
    fed(lambda **given: ak.read_picture(PICTURE, **given), max_pixels=("int", "huge", "none"))
    texts = ("text", "blank", "zero byte")
    fed(lambda **given: ak.Keypoint(**{"name": "a", **given}), name=("text", "zero byte"), description=texts,
        label=texts, phrase=texts)  # fmt: skip
    no_edges = ("empty list", "empty mapping", "blank")
    fed(lambda **given: ak.Category(**{"name": "a", "keypoints": FISH.keypoints, **given}), name=texts, keypoints=(),
        skeleton=no_edges, pairs=(*no_edges, "none"), noun=("text", "zero byte"), alone=("empty list",))  # fmt: skip
    fed(ak.Category.from_text, text=("text",))
    fed(ak.Category.from_dict, data=())
    fed(ak.Category.from_file, path=())
    fed(FISH.only, rows=("set",))
    unread = ("text", "blank", "zero byte", "bytes", "array")  # paths and bytes are refused when they are read
    fed(lambda **given: ak.Example(**{"image": PICTURE, "points": [[1, 2]], **given}), image=unread,
        points=(), box=("none",), category=("none",))  # fmt: skip
    fed(lambda **given: ak.Detection(**{"box": BOX, "score": 0.5, "word": "a", **given}), box=(),
        score=("share",), word=("text", "zero byte"))  # fmt: skip


def test_a_pose_answers_every_wrong_argument_with_a_sentence():
    whole = {"names": ["a"], "xy": [[1, 2]], "confidence": [0.5], "present": [True], "image_size": (9, 9)}
    texts = ("text", "blank", "zero byte")
    fed(lambda **given: ak.Pose(**{**whole, **given}), names=(), xy=(), confidence=(), present=(), image_size=(),
        box=("none",), skeleton=("empty list", "empty mapping", "blank", "set"), category=texts, image=texts,
        density=("none", "empty mapping"), covariance=("none",), entropy=("none",), box_score=("none",), box_word=texts,
        identified=("none",), presence=("none",))  # fmt: skip
    pose = ak.Pose(**whole)
    fed(pose.present_from, least=("share",))
    fed(pose.draw, image=())
    fed(lambda **given: pose.draw(image=np.zeros((9, 9, 3), np.uint8), **given), path=("none",))
    fed(pose.to_csv, path=("none", "text"))
    fed(ak.Pose.from_dict, data=())


# --- forms of arguments --------------------------------------------------------------------------------------------


def test_numbers_and_flags_of_numpy_are_taken_for_pythons(models):
    asked = {"density": 7, "words": True, "mirror": False, "fine": True, "presence": 0.25}
    of_numpy = {name: np.array(value)[()] for name, value in asked.items()}
    one, other = (models["evidence"].predict(PICTURE, FISH, example=EXAMPLE, **given) for given in (asked, of_numpy))
    assert one.to_dict() == other.to_dict()
    one, other = (models["capellm"].predict(PICTURE, FISH, strategy="sampling", seed=of(3)) for of in (int, np.int64))
    assert one.to_dict() == other.to_dict()


@pytest.mark.parametrize("name", NAMES)
def test_several_boxes_and_pictures_give_lists_of_what_one_gives(models, name):
    model = models[name]
    shown = {"example": EXAMPLE} if name == "few-shot" else {}
    other = tiny_matchers.picture(3, 60, 50)

    def ask(image, box=None):
        return model.predict(image, FISH, box, **shown)

    one, two = ask(PICTURE, BOX), ask(PICTURE, (10, 10, 20, 20))
    assert one.box == BOX
    for boxes in ([BOX, (10, 10, 20, 20)], np.array([BOX, (10, 10, 20, 20)]), torch.tensor([BOX, (10, 10, 20, 20)])):
        answers = ask(PICTURE, boxes)
        assert len(answers) == 2 and [pose.box for pose in answers] == [one.box, two.box]
        for pose, alone in zip(answers, (one, two), strict=True):
            np.testing.assert_allclose(pose.xy, alone.xy, atol=1e-3, equal_nan=True)
    assert ask(PICTURE, []) == [] and ask([], None) == []
    assert [pose.box for pose in ask(PICTURE, [BOX])] == [BOX]
    assert ask(PICTURE, torch.tensor(BOX)).box == ask(PICTURE, np.array(BOX)).box == BOX
    pictures = ask([PICTURE, other])
    assert [pose.image_size for pose in pictures] == [(90, 70), (60, 50)]
    np.testing.assert_allclose(pictures[1].xy, ask(other).xy, atol=1e-3, equal_nan=True)
    assert [pose.box for pose in ask([PICTURE, other], BOX)] == [BOX, BOX]
    first, second = ask([PICTURE, other], [[BOX, BOX], None])
    assert len(first) == 2 and second.box == (0, 0, 60, 50)
    with pytest.raises(ak.InputError, match="2 pictures, but boxes for 3"):
        ask([PICTURE, other], [BOX, BOX, BOX])
    with pytest.raises(ak.InputError, match="lies outside"):
        ask(PICTURE, [BOX, (95, 0, 10, 10)])
    with pytest.raises(ak.InputError, match=r"beyond 1e\+09 pixels"):
        ask(PICTURE, (0, 0, 1e300, 1e300))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "few-shot"])
def test_a_view_is_written_in_a_notebook_without_its_network_and_its_numbers(models, name):
    text = repr(models[name].encode(PICTURE, BOX))
    assert str(BOX) in text and len(text) < 300


def test_a_category_is_given_in_several_forms(models):
    evidence = models["evidence"]
    named, meant = evidence.predict(PICTURE, "animal_face"), evidence.predict(PICTURE, ak.category("animal_face"))
    np.testing.assert_array_equal(named.xy, meant.xy)
    points = evidence.predict(PICTURE, ["nose", "tail tip"])
    assert points.names == ["nose", "tail tip"]
    same = evidence.predict(PICTURE, ak.Category.from_text("nose; tail tip"))
    np.testing.assert_array_equal(points.xy, same.xy)
    found = ak.Example(PICTURE, [[1, 2], [3, 4]], category=["nose", "tail tip"])
    assert evidence.predict(PICTURE, ["nose", "tail tip"], example=found).names == ["nose", "tail tip"]
    with pytest.raises(ak.InputError, match=r"no category 'nose; tail tip' .* or the names of the points"):
        evidence.predict(PICTURE, "nose; tail tip")


def test_the_public_names_are_listed_for_completion():
    assert set(ak.__all__) <= set(dir(ak)) and "import_module" not in dir(ak)


def test_a_picture_is_given_in_several_forms(models, tmp_path):
    model = models["evidence"]
    Image.fromarray(PICTURE).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    expected = model.predict(PICTURE, FISH)
    with open(tmp_path / "a.png", "rb") as file:
        forms = [
            tmp_path / "a.png", str(tmp_path / "a.png"), data, bytearray(data), io.BytesIO(data), file,
            Image.fromarray(PICTURE), PICTURE / 255, (PICTURE / 255).astype(np.float32), torch.from_numpy(PICTURE),
            torch.from_numpy(PICTURE).permute(2, 0, 1), torch.from_numpy(PICTURE).permute(2, 0, 1) / 255,
            np.dstack([PICTURE, np.full(PICTURE.shape[:2], 255, np.uint8)]), ak.read_picture(PICTURE),
        ]  # fmt: skip
        for form in forms:
            np.testing.assert_array_equal(model.predict(form, FISH).xy, expected.xy)
