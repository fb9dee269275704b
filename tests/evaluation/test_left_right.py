"""Left and right in reports: pairs that are exchanged, and answers about mirrored pictures."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from anykeypoint.category import Category
from anykeypoint.cli.evaluate_summary import summary
from anykeypoint.errors import InputError
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.left_right import MirroredPictures, agreeing_points, exchanged_pairs
from anykeypoint.evaluation.run import evaluate
from anykeypoint.forms.dataset import Dataset, LabelledObject
from anykeypoint.images import read_picture

DOG = Category.from_text("left ear; right ear; nose; left paw; right paw", name="dog")
PAIRS = [(0, 1), (3, 4)]
LABELS = np.array([[20.0, 10.0], [60.0, 10.0], [40.0, 30.0], [30.0, 70.0], [50.0, 70.0]])
BOX = (10.0, 0.0, 60.0, 80.0)


def test_a_pair_is_exchanged_where_both_are_nearer_to_the_other():
    swapped = LABELS[[1, 0, 2, 3, 4]]
    assert exchanged_pairs(swapped, LABELS, PAIRS) == (1, 2)
    assert exchanged_pairs(LABELS, LABELS, PAIRS) == (0, 2)
    one = LABELS.copy()
    one[0] = LABELS[1]  # both ears at the right one: only one of them is nearer to the other's place
    assert exchanged_pairs(one, LABELS, PAIRS) == (0, 2)
    near = LABELS.copy()
    near[:2] = [[41, 10], [39, 10]]  # just beyond the middle, each on the other's side
    assert exchanged_pairs(near, LABELS, PAIRS) == (1, 2)


def test_pairs_without_both_labels_and_answers_are_not_counted():
    missing = LABELS.copy()
    missing[0] = np.nan
    assert exchanged_pairs(LABELS[[1, 0, 2, 4, 3]], missing, PAIRS) == (1, 1)
    assert exchanged_pairs(missing, LABELS, PAIRS) == (0, 1)


def test_answers_agree_within_a_tenth_of_the_box():
    off = LABELS + np.array([[7.9, 0], [8.1, 0], [0, 0], [0, 20], [np.nan, 0]])
    every = np.ones(5, dtype=bool)
    assert agreeing_points(LABELS, off, 80.0, every) == (2, 4)
    assert agreeing_points(LABELS, off, 80.0, every & (np.arange(5) != 2)) == (1, 3)


class Dog:
    """Answers with the labels: by the picture's sides (`sees`), or the same places whatever the picture shows."""

    def __init__(self, sees):
        self.sees, self.asked = sees, []

    def predict(self, image, category, *, box, **options):
        picture = read_picture(image)
        turned = not np.asarray(picture.pixels)[0, 0, 0]  # the dark half is on the right, unless it is mirrored
        self.asked.append((turned, tuple(box)))
        points = {"nose": LABELS[2], **dict(zip(DOG.names, LABELS, strict=True))}
        xy = np.array([points[name] for name in category.names])
        if turned:
            xy = xy[category.mirrored()] if self.sees else xy
            xy = xy * (-1, 1) + (picture.size[0], 0)
        return SimpleNamespace(xy=xy, confidence=np.full(len(xy), 0.5))


@pytest.fixture
def dogs(tmp_path):
    pixels = np.zeros((90, 100, 3), dtype=np.uint8)
    pixels[:, :50] = 255
    Image.fromarray(pixels).save(tmp_path / "dog.png")
    item = LabelledObject(1, tmp_path / "dog.png", 1, DOG, BOX, LABELS, np.full(5, 2), None)
    return Dataset((item, replace(item, id=2)), {1: DOG}, {})


def test_a_mirrored_picture_has_mirrored_places_and_the_other_names(dogs):
    model = Dog(sees=True)
    answer = MirroredPictures(model).predict(dogs.objects[0].image, DOG, box=BOX)
    np.testing.assert_allclose(answer.xy, LABELS)
    assert model.asked == [(True, (30.0, 0.0, 60.0, 80.0))]
    blind = MirroredPictures(Dog(sees=False)).predict(dogs.objects[0].image, DOG, box=BOX)
    np.testing.assert_allclose(blind.xy, LABELS[DOG.mirrored()])


def test_a_side_without_a_partner_has_no_mirrored_answer(dogs):
    lone = Category.from_text("left ear; nose")
    answer = MirroredPictures(Dog(sees=True)).predict(dogs.objects[0].image, lone, box=BOX)
    assert np.isnan(answer.xy[0]).all() and np.isnan(answer.confidence[0])
    np.testing.assert_allclose(answer.xy[1], LABELS[2])


def test_a_report_says_how_often_left_and_right_are_exchanged(dogs, tmp_path):
    results = evaluate(Dog(sees=True), dogs, tmp_path / "plain")
    assert results["left_right"]["exchanged"]["category_mean"] == 0
    assert results["left_right"]["exchanged"]["count"] == 4 and results["left_right"]["agreement"] is None
    assert "exchanged: 0.0 % of the pairs (1 categories, 4 pairs" in summary(results)
    assert "Left and right" in (tmp_path / "plain" / "report.html").read_text()


@pytest.mark.parametrize(("sees", "agreement"), [(True, 100.0), (False, 20.0)])
def test_sides_asks_the_mirrored_pictures_too(dogs, tmp_path, sees, agreement):
    results = evaluate(Dog(sees), dogs, tmp_path / "run", EvaluationConfig(sides=True))
    found = json.loads((tmp_path / "run" / "results.json").read_text())["left_right"]["agreement"]
    assert found == results["left_right"]["agreement"]
    assert found["category_mean"] == agreement and found["count"] == 10  # without sides, the nose alone agrees
    assert f"agrees: {agreement:.1f} % of the points within 0.1" in summary(results)
    assert len((tmp_path / "run" / "mirrored.jsonl").read_text().splitlines()) == 2
    page = (tmp_path / "run" / "report.html").read_text()
    assert "agreement, percent" in page


def test_categories_without_sides_have_no_such_figure(dogs, tmp_path):
    plain = Category.from_text("a; b; c; d; e", name="dog")
    objects = tuple(replace(item, category=plain) for item in dogs.objects)

    class Fixed:
        def predict(self, image, category, **_):
            return SimpleNamespace(xy=LABELS, confidence=np.ones(5))

    results = evaluate(Fixed(), Dataset(objects, {1: plain}, {}), tmp_path / "run", EvaluationConfig(sides=True))
    assert results["left_right"] is None and "exchanged" not in summary(results)


def test_naming_points_has_no_mirrored_answers(dogs, tmp_path):
    with pytest.raises(InputError, match="Mirrored pictures are for points"):
        evaluate(
            SimpleNamespace(prompts=("identify",)),
            dogs,
            tmp_path / "run",
            EvaluationConfig(protocol="identify", sides=True),
        )


def test_a_shrunk_picture_is_mirrored_about_the_middle_of_its_file():
    pixels = np.zeros((30, 101, 3), dtype=np.uint8)
    pixels[:, :20] = 255
    picture = read_picture(pixels, max_pixels=400)
    mirrored = picture.mirrored()
    assert picture.shrunk > 1 and mirrored.size == picture.size
    assert -picture.shrunk < mirrored.corner[0] <= 0
    right = mirrored.corner[0] + mirrored.pixels.width * mirrored.shrunk
    assert 101 - right == picture.corner[0]
    assert np.array_equal(np.asarray(mirrored.pixels), np.asarray(picture.pixels)[:, ::-1])
