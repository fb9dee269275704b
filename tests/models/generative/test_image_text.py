"""An image-text model that names marked places: what it gets, what it answers, and how the judge of names scores it."""

import json

import numpy as np
import pytest
import tiny
import tiny_llava
import torch
from PIL import Image

import anykeypoint
from anykeypoint.category import Category, Keypoint
from anykeypoint.cli.evaluate import run as evaluate_verb
from anykeypoint.cli.predict import check_prompt
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.drawing.marking import ring
from anykeypoint.errors import InputError
from anykeypoint.instructions import neutral
from anykeypoint.models.generative.image_text import ImageTextNamer
from anykeypoint.models.generative.image_text_config import QUESTION, ImageTextConfig
from anykeypoint.models.loading import from_folder

SIDE = 42
POINTS = np.array([[10.0, 12.0], [30.0, 25.0], [5.0, 40.0]])
CATEGORY = Category("cat", (Keypoint("nose"), Keypoint("left ear tip"), Keypoint("tail")))
PROMPT = f"USER: <image>\n{QUESTION} ASSISTANT:"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    tiny_llava.write(folder, seed=3)
    return folder


@pytest.fixture(scope="module")
def model(folder):
    return ImageTextNamer.build(ImageTextConfig(str(folder), image_size=SIDE))


def alone(model, pixels, point, answer=""):
    """What transformers' processor makes of one picture with the ring and the question as plain text."""
    marked = ring(pixels, tuple(point), 0.05 * SIDE, 0.01 * SIDE)
    return model.processor(images=Image.fromarray(marked), text=PROMPT + answer, return_tensors="pt")


def test_each_marked_point_is_answered_as_transformers_answers_it_alone(model):
    picture = tiny.picture(SIDE, SIDE, seed=4)
    answers = model.identify(picture, POINTS)
    assert len({answer.name for answer in answers}) > 1
    for point, answer in zip(POINTS, answers, strict=True):
        inputs = alone(model, picture, point)
        output = model.model.generate(**inputs, max_new_tokens=32, do_sample=False, return_dict_in_generate=True,
                                      output_scores=True)  # fmt: skip
        written = output.sequences[0, inputs["input_ids"].shape[1] :]
        log_probs = [float(row[0].log_softmax(-1)[token]) for row, token in zip(output.scores, written, strict=True)]
        text = model.processor.tokenizer.decode(written, skip_special_tokens=True)
        assert answer.name == neutral(text) and answer.probabilities is None
        assert answer.confidence == pytest.approx(np.exp(sum(log_probs)), rel=1e-3)


def test_a_name_of_a_category_is_chosen_by_the_probability_of_the_whole_answer(model):
    picture = tiny.picture(SIDE, SIDE, seed=4)
    answer = model.identify(picture, (10.0, 12.0), category=CATEGORY)
    totals = []
    for name in CATEGORY.names:
        inputs = alone(model, picture, (10.0, 12.0), f" {name}")
        before = alone(model, picture, (10.0, 12.0))["input_ids"].shape[1]
        ids = inputs["input_ids"][0]
        with torch.no_grad():
            table = model.model(**inputs).logits[0].log_softmax(-1)
        following = [*ids[before:].tolist(), model.processor.tokenizer.eos_token_id]
        totals.append(sum(float(table[before - 1 + i, token]) for i, token in enumerate(following)))
    shares = torch.tensor(totals).double().softmax(0).tolist()
    assert list(answer.probabilities.values()) == pytest.approx(shares, rel=1e-3, abs=1e-6)
    assert answer.name == CATEGORY.names[int(np.argmax(totals))] and answer.confidence == max(
        answer.probabilities.values()
    )


def test_the_ring_lies_in_the_crop_of_the_box(model):
    picture = np.full((60, 80, 3), 90, np.uint8)
    crop = anykeypoint.models.view.cut_object(picture, (20, 10, 40, 40), 1.0, SIDE)
    marked = model.marked(crop.pixels, crop.crop.normalise(np.array([40.0, 30.0])))
    rows, columns = np.nonzero((marked != crop.pixels).any(axis=2))
    assert (rows.mean() + 0.5, columns.mean() + 0.5) == pytest.approx((SIDE / 2, SIDE / 2), abs=0.1)
    assert (marked[rows, columns] == (255, 0, 0)).all()


@pytest.mark.parametrize("points", [[1.0], [[1.0, 2.0, 3.0]], [[np.nan, 1.0]]])
def test_points_that_are_none_are_refused(model, points):
    with pytest.raises(InputError, match="Points to name must be"):
        model.identify(tiny.picture(), np.array(points))


# --- folders -----------------------------------------------------------------------------------------------------


def test_a_published_llava_and_a_config_alone_are_the_same_model(folder, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "image_text", "source": str(folder)}))
    for place in (folder, tmp_path):
        loaded = anykeypoint.load(str(place), device="cpu", image_size=SIDE)
        assert isinstance(loaded, ImageTextNamer) and loaded.config == ImageTextConfig(str(folder), image_size=SIDE)
        assert not any(parameter.requires_grad for parameter in loaded.parameters())
    assert isinstance(from_folder(folder, expected="image_text"), ImageTextNamer)


def test_a_model_without_a_chat_template_is_refused(folder, tmp_path):
    processor = tiny_llava.processor()
    tiny_llava.write(tmp_path)
    processor.chat_template = None
    for file in tmp_path.glob("chat_template*"):
        file.unlink()
    processor.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="has no chat template"):
        ImageTextNamer.build(ImageTextConfig(str(tmp_path)))


def test_a_language_model_alone_is_refused(tmp_path):
    _, language = tiny.bases(tmp_path)
    with pytest.raises(InputError, match=f"{language}"):
        ImageTextNamer.build(ImageTextConfig(str(language)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"colour": [1, 2]}, "three whole numbers from 0 to 255"),
        ({"colour": [1, 2, 256]}, "three whole numbers from 0 to 255"),
        ({"radius": 0}, "radius must be a number above 0"),
        ({"tuning": "full"}, "must be one of frozen, lora, but got 'full'"),
        ({"question": ""}, "question"),
        ({"image_size": 0}, "image size"),
        ({"colours": 1}, "unknown key 'colours'"),
    ],
)
def test_a_config_that_is_none_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        ImageTextConfig.from_dict({"source": "owner/name", **options})


# --- the judge of names ------------------------------------------------------------------------------------------


def test_evaluate_scores_a_llava_with_the_judge_of_our_own_rows(folder, tmp_path, capsys):
    labels = write_dataset(tmp_path / "data", 2, seed=2, per_category=1)
    out = tmp_path / "report"
    evaluate_verb(str(folder), f"coco:{labels}", tmp_path / "data" / "images", out, protocol="identify", device="cpu")
    results = json.loads((out / "results.json").read_text())
    assert results["semantics"]["points"] > 0 and results["semantics"]["exact"] is not None
    assert set(results["semantics"]["baselines"]) == {"nearest_mean_position", "most_frequent_name", "random_name"}
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 2 and any(isinstance(name, str) for line in lines for name in line["names"])
    assert "exact" in capsys.readouterr().out
    with pytest.raises(InputError, match="needs a model that answers to 'text'"):
        evaluate_verb(str(folder), f"coco:{labels}", tmp_path / "data" / "images", tmp_path / "b", device="cpu")


@pytest.mark.parametrize("with_example", [True, False])
def test_predict_says_that_such_a_model_predicts_no_points(model, with_example):
    with pytest.raises(InputError, match="names given points and predicts none; use identify"):
        check_prompt(model, with_example)
