"""Presence measured and fitted: visible points against hidden, absent and foreign ones."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tiny_matchers import matcher

from anykeypoint import cli
from anykeypoint.category import Category
from anykeypoint.cli.evaluate_summary import presence_lines
from anykeypoint.density.presence import Presence, PresenceCurve
from anykeypoint.errors import InputError
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.other_kinds import foreign_queries, foreign_to
from anykeypoint.evaluation.presence_figures import area_under_curve
from anykeypoint.evaluation.presence_fitting import FOREIGN, fit_presence, fitted_curve, with_presence
from anykeypoint.evaluation.protocols import EvaluationProtocol
from anykeypoint.evaluation.queries import Query
from anykeypoint.evaluation.run import evaluate
from anykeypoint.forms.dataset import Dataset, LabelledObject
from anykeypoint.models.loading import from_folder

CAT = Category.from_text("nose; left eye; tail tip", name="cat", noun="cat")
HORSE = Category.from_text("left knee; withers", name="horse", noun="horse")  # four-legged, too
FISH = Category.from_text("eye; dorsal fin", name="fish", noun="fish")
WHEEL = Category.from_text("hub; valve; spoke end", name="wheel", noun="car wheel")
CORNERS = Category.from_text("upper left; upper right", name="sheet", noun="sheet of paper")
KINDS = {1: CAT, 2: WHEEL}


@pytest.fixture
def dataset(tmp_path):
    """Four cats and three wheels; of each the last point is absent in every second object, and hidden in the others."""
    Image.new("RGB", (120, 80)).save(tmp_path / "a.png")
    objects = []
    for number in range(7):
        key = 1 if number < 4 else 2
        points = np.array([[20.0, 20.0], [40.0, 30.0], [60.0, 40.0]])
        visibility = np.array([2, 2, number % 2])
        points[visibility == 0] = np.nan
        where = (10.0, 10.0, 60.0, 40.0)
        objects.append(LabelledObject(number + 1, tmp_path / "a.png", key, KINDS[key], where, points, visibility, None))
    return Dataset(objects, KINDS, {})


class KnowingModel:
    """Finds every point, and knows the presence of each: by what is asked for, and in which object's picture."""

    prompts = ("text", "example")

    def __init__(self):
        self.asked = []
        self.config = SimpleNamespace(presence=Presence())

    def predict(self, image, category, *, box, example=(), words=True):
        self.asked.append((category.name, len(example)))
        presence = np.array([0.9, 0.8, 0.3]) if self._own(category) else np.array([0.6, 0.2, 0.1])
        return SimpleNamespace(xy=np.full((3, 2), 30.0), confidence=np.full(3, 0.5), presence=presence)

    def presence_cues(self, image, category, box=None, **asked):
        entropies = np.array([0.2, 0.3, 0.4]) if self._own(category) else np.array([0.7, 0.8, 0.9])
        return np.column_stack([entropies + 0.01 * len(self.asked), np.full(3, np.nan)])

    def _own(self, category):
        raise NotImplementedError


class CatModel(KnowingModel):
    def _own(self, category):
        return category.name == "cat"


# --- points of another kind ----------------------------------------------------------------------------------------


def test_kinds_are_foreign_that_share_no_word_and_no_broader_kind():
    assert foreign_to(CAT, [HORSE, FISH, WHEEL, CORNERS]) == [WHEEL]
    assert foreign_to(HORSE, [CAT, FISH, WHEEL]) == [FISH, WHEEL]
    assert foreign_to(CORNERS, [WHEEL]) == [WHEEL], "asked about a sheet, a wheel is foreign"


def test_each_object_is_asked_about_another_kind_and_the_draw_repeats(dataset):
    protocol, text = EvaluationProtocol.parse("1-shot"), EvaluationProtocol.parse("text")
    cats, wheels = dataset.objects[:4], dataset.objects[4:]
    shown = {1: cats[1], 2: wheels[0]}  # the examples of the own queries are those that are shown of another kind
    own = [Query(item, (shown[item.category_id],), item.category) for item in dataset.objects]
    queries = foreign_queries(own, KINDS, protocol, 2, 0)
    assert [query.category.name for query in queries] == ["wheel"] * 2 + ["cat"] * 2
    assert all([one.category.name for one in query.examples] == [query.category.name] for query in queries)
    assert {one.id for query in queries for one in query.examples} == {cats[1].id, wheels[0].id}
    again = foreign_queries(own[::-1], KINDS, protocol, 2, 0)
    assert [query.key for query in again[::-1]] == [query.key for query in queries]
    every = foreign_queries([Query(item, (), item.category) for item in dataset.objects], KINDS, text, None, 0)
    assert len(every) == 7 and not any(query.examples for query in every)


# --- figures -------------------------------------------------------------------------------------------------------


def test_the_area_under_the_curve_counts_equal_values_half():
    assert area_under_curve(np.array([3.0, 2.0]), np.array([1.0, 0.0])) == 1
    assert area_under_curve(np.array([1.0, 1.0]), np.array([1.0])) == 0.5
    assert area_under_curve(np.array([2.0, 0.0]), np.array([1.0])) == 0.5
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 9, 40) * 1.0, rng.integers(0, 7, 30) * 1.0
    pairs = positive[:, None] - negative
    assert area_under_curve(positive, negative) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_a_report_says_what_is_called_present(dataset, tmp_path):
    cats = Dataset([item for item in dataset.objects], KINDS, {})
    model = CatModel()
    results = evaluate(model, cats, tmp_path / "run", EvaluationConfig(protocol="text", foreign=2))
    found = results["presence"]
    # Of the four cats all visible points are present, of the three wheels the first one alone.
    assert found["visible"] == {"points": 14, "present": pytest.approx(100 * 11 / 14)}
    assert found["hidden"] == {"points": 3, "present": 0} and found["absent"] == {"points": 4, "present": 0}
    # A cat is asked for on two wheels (0.9 0.8 0.3), a wheel on two cats (0.6 0.2 0.1).
    assert found["foreign"] == {"points": 12, "present": pytest.approx(50)} and found["foreign_objects"] == 4
    assert found["categories"] == 2 and found["category_mean"] == 1
    assert found["auroc"] == pytest.approx(1 - 12 / 98), "a wheel's second point is below a cat's last one"
    assert len(model.asked) == 7 + 4
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Presence" in page and "another kind of object" in page
    lines = [json.loads(line) for line in (tmp_path / "run" / "other_kinds.jsonl").read_text().splitlines()]
    assert [line["category"] for line in lines] == ["wheel", "wheel", "cat", "cat"]
    assert lines[0]["presences"] == [0.6, 0.2, 0.1]

    again = evaluate(model, cats, tmp_path / "run", EvaluationConfig(protocol="text", foreign=2))
    assert again["presence"] == found and len(model.asked) == 7 + 4, "nothing is asked twice"


def test_what_a_model_calls_absent_is_scored_by_its_place_all_the_same(dataset, tmp_path):
    class Doubting(CatModel):
        def predict(self, image, category, **asked):
            answer = super().predict(image, category, **asked)
            return SimpleNamespace(xy=answer.xy, confidence=answer.confidence, presence=np.full(3, 0.01))

    config = EvaluationConfig(protocol="text")
    scores = [
        evaluate(model(), dataset, tmp_path / model.__name__, config)["category_mean"] for model in (CatModel, Doubting)
    ]
    assert scores[0] == scores[1]


def test_a_model_without_presence_is_not_asked_about_other_kinds(dataset, tmp_path):
    class Silent(CatModel):
        def predict(self, image, category, **asked):
            answer = super().predict(image, category, **asked)
            return SimpleNamespace(xy=answer.xy, confidence=answer.confidence)

    model = Silent()
    results = evaluate(model, dataset, tmp_path / "run", EvaluationConfig(protocol="text"))
    assert results["presence"] is None and len(model.asked) == 7
    assert "Presence" not in (tmp_path / "run" / "report.html").read_text()


def test_other_kinds_can_be_left_out_and_a_wrong_number_is_refused(dataset, tmp_path):
    model = CatModel()
    results = evaluate(model, dataset, tmp_path / "run", EvaluationConfig(protocol="text", foreign=0))
    assert results["presence"]["foreign"] == {"points": 0, "present": None} and len(model.asked) == 7
    with pytest.raises(InputError, match="about another kind"):
        evaluate(model, dataset, tmp_path / "other", EvaluationConfig(protocol="text", foreign=-1))


# --- fitting -------------------------------------------------------------------------------------------------------


def drawn(count: int, curve: PresenceCurve, seed: int = 0):
    """Points whose labels are drawn from a curve: the terms [P, 5] and the labels, 2 or 0."""
    rng = np.random.default_rng(seed)
    cues = np.column_stack([rng.uniform(0, 1, count), rng.normal(20, 5, count)])
    values = np.column_stack([np.ones(count), cues, cues + rng.normal(0, 0.2, cues.shape)])
    factors = [curve.constant, curve.entropy, curve.score, curve.mean_entropy, curve.mean_score]
    return values, np.where(rng.uniform(size=count) < 1 / (1 + np.exp(-values @ factors)), 2, 0)


def test_the_curve_that_labels_were_drawn_from_is_found_again():
    curve = PresenceCurve(constant=-1.0, entropy=-3.0, mean_entropy=-2.0, score=0.1, mean_score=0.1)
    found = fitted_curve("text", *drawn(40000, curve), np.ones(40000)).curve
    assert found.entropy == pytest.approx(-3, abs=0.8) and found.mean_entropy == pytest.approx(-2, abs=0.8)
    cues = np.array([[0.3, 22.0], [0.8, 15.0], [0.5, 20.0]])
    np.testing.assert_allclose(found.at(cues), curve.at(cues), atol=0.02)


def test_points_that_a_line_parts_give_finite_coefficients():
    values, _ = drawn(200, PresenceCurve(0.0, -1.0, 0.0))
    values[:, 2::2] = np.nan  # a model without scores
    labels = np.where(values[:, 1] < 0.5, 2, -1)
    found = fitted_curve("example", values, labels, np.ones(200))
    assert found.auroc == 1 and found.present == (1.0, None, 0.0)
    assert not found.curve.needs_scores and abs(found.curve.entropy) < 1e9


def test_a_weight_of_two_counts_like_the_point_twice():
    values, labels = drawn(500, PresenceCurve(2.0, -3.0, 0.0))
    weights = np.where(np.arange(500) % 3, 1.0, 2.0)
    twice = np.repeat(np.arange(500), weights.astype(int))
    one = fitted_curve("text", values, labels, weights).curve
    other = fitted_curve("text", values[twice], labels[twice], np.ones(len(twice))).curve
    np.testing.assert_allclose(list(one.to_dict().values()), list(other.to_dict().values()), rtol=1e-3, atol=1e-3)


def test_fitting_asks_about_own_and_other_kinds_and_weighs_objects_alike(tmp_path):
    Image.new("RGB", (120, 80)).save(tmp_path / "a.png")
    points = np.array([[20.0, 20.0], [40.0, 30.0], [60.0, 40.0]])
    box, seen = (10.0, 10.0, 60.0, 40.0), np.full(3, 2)
    items = [
        LabelledObject(n + 1, tmp_path / "a.png", 1 + n % 2, KINDS[1 + n % 2], box, points, seen, None)
        for n in range(20)
    ]

    class Apart(KnowingModel):
        def presence_cues(self, image, category, box=None, **asked):
            self.asked.append((category.name, len(asked.get("example", ()))))
            low = 0.2 + 0.02 * (len(self.asked) % 7)
            return np.column_stack([np.full(3, low if len(self.asked) <= 20 else low + 0.5), np.full(3, np.nan)])

    model = Apart()
    (one,) = fit_presence(model, Dataset(items, KINDS, {}), ["text"])
    assert len(model.asked) == 40 and (one.visible, one.unseen, one.foreign) == (60, 0, 60)
    assert one.auroc == 1 and one.present == (1.0, None, 0.0)
    assert with_presence(Presence(), [one]).text == one.curve and 0 < FOREIGN < 1
    model = Apart()
    fit_presence(model, Dataset(items, KINDS, {}), ["example"])
    assert all(shown == 1 for _, shown in model.asked)


def test_too_few_points_are_refused_with_the_numbers_before_the_model_is_asked(dataset):
    class Unasked(CatModel):
        def presence_cues(self, *args, **options):
            raise AssertionError("asked")

    with pytest.raises(InputError, match=r"takes 20 visible points and 20 that are hidden.* there are 14 and 28"):
        fit_presence(Unasked(), dataset, ["text"])
    with pytest.raises(InputError, match="no distribution of places"):
        fit_presence(SimpleNamespace(prompts=("text",)), dataset)
    with pytest.raises(InputError, match="'both' is none that this model takes"):
        fit_presence(CatModel(), dataset, ["both"])


# --- on the command line -------------------------------------------------------------------------------------------


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


def coco_file(folder) -> list[str]:
    """Four cats and four wheels with all points visible: the options that read them."""
    Image.new("RGB", (120, 80), (90, 120, 30)).save(folder / "a.png")
    annotations = [
        {
            **{"id": number + 1, "image_id": 1, "category_id": 1 + number % 2, "bbox": [10 + number, 10, 60, 40]},
            "keypoints": [20, 20, 2, 40, 30, 2, 60, 40, 2],
        }
        for number in range(8)
    ]
    kinds = [{"id": key, "name": one.name, "keypoints": one.names, "skeleton": []} for key, one in KINDS.items()]
    picture = {"id": 1, "file_name": "a.png", "width": 120, "height": 80}
    document = {"images": [picture], "annotations": annotations, "categories": kinds}
    (folder / "labels.json").write_text(json.dumps(document))
    return ["--data", f"coco:{folder / 'labels.json'}", "--images", str(folder)]


def test_calibrate_keeps_the_presence_that_it_fits(tmp_path, capsys):
    model = matcher("evidence", tmp_path)
    model.save_pretrained(tmp_path / "model")
    labels, out = coco_file(tmp_path), tmp_path / "mine"
    code, printed, _ = run(
        capsys, "calibrate", tmp_path / "model", *labels, "--presence", "--prompt", "text", "-o", out
    )
    assert code == 0 and "AUROC" in printed and "of 24" in printed
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (tmp_path / "model", out))
    assert before["presence"] == {"text": None, "example": None, "both": None}
    assert set(after["presence"]["text"]) == {"constant", "entropy", "mean_entropy", "score", "mean_score"}
    assert after["presence"]["example"] is None
    pose = from_folder(out).predict(tmp_path / "a.png", CAT)
    assert np.isfinite(pose.presence).all() and np.array_equal(pose.present, pose.presence >= 0.5)
    plain = from_folder(tmp_path / "model").predict(tmp_path / "a.png", CAT)
    np.testing.assert_array_equal(plain.xy, pose.xy)

    # ... and the command line marks what is below the threshold that it is given.
    asked = ["predict", tmp_path / "a.png", "--keypoints", "nose; left eye; tail tip", "--model", out]
    for threshold, word in (("0", False), ("1", True)):
        code, printed, _ = run(capsys, *asked, "--presence", threshold)
        assert code == 0 and "presence" in printed and (" absent" in printed) == word
    code, printed, err = run(capsys, *asked, "--presence", "1.5")
    assert code == 2 and "--presence must be a number from 0 to 1" in err
    code, printed, _ = run(capsys, *asked[:-1], tmp_path / "model")
    assert code == 0 and "presence" not in printed, "a model that does not say it has no column"


def test_a_report_without_a_visible_point_leaves_the_areas_out():
    part = {"points": 4, "present": 25.0}
    found = {"visible": {"points": 0, "present": None}, "hidden": part, "absent": {"points": 0, "present": None}}
    lines = presence_lines({**found, "auroc": None, "foreign": part, "auroc_foreign": None, "foreign_objects": 2})
    assert lines[0].endswith("25.0 % of those not visible (4 hidden)") and lines[1].endswith("(2 objects)")
