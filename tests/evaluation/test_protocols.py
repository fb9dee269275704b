"""What an evaluation gives a model, by which pairs, and how many processes can share the predictions."""

import dataclasses
import json
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import anykeypoint
from anykeypoint import cli
from anykeypoint.category import Category, Keypoint
from anykeypoint.data.pairs import episode_pairs
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation import prediction_files, queries, run, scoring
from anykeypoint.evaluation.baselines.positions import ImageCentre
from anykeypoint.evaluation.protocols import TOO_FEW, EvaluationProtocol, draw_pairs
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.registry import read


class Reader:
    """Answers at a place that its number of points and their names decide; keeps the categories that it got."""

    prompts = ("text",)

    def __init__(self):
        self.asked = []

    def predict(self, image, category, *, box):
        self.asked.append((image, category))
        return SimpleNamespace(
            xy=np.array([[len(category), len(name)] for name in category.names], dtype=float),
            confidence=np.full(len(category), 0.5),
        )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, 12, seed=1, size=64)
    return read_coco(folder / ANNOTATIONS, folder / IMAGES)


class Copier:
    """Answers with the mean of the examples' points; keeps what it was asked."""

    prompts = ("text", "example", "both")

    def __init__(self):
        self.asked = []

    def predict(self, image, category, *, box, example=(), words=True):
        self.asked.append((image, tuple(shown.image for shown in example), words, [s.category for s in example]))
        if not example:
            return SimpleNamespace(xy=np.zeros((len(category), 2)), confidence=np.full(len(category), 0.5))
        return SimpleNamespace(xy=np.mean([s.points for s in example], axis=0), confidence=np.full(len(category), 0.5))


class Namer:
    """Names points rightly if it may choose, else with an article before the name."""

    prompts = ("identify",)

    def __init__(self, dataset):
        self.truth = {item.image: item for item in dataset.objects}

    def identify(self, image, points, *, box, category):
        item = self.truth[image]
        names = [item.category.names[int(np.argmin(np.linalg.norm(item.points - p, axis=1)))] for p in points]
        said = names if category is not None else [f"The {name}" for name in names]
        return [SimpleNamespace(name=name, confidence=0.9) for name in said]


def settings(protocol, **more):
    return run.EvaluationConfig(protocol=protocol, **more)


def test_protocols_say_what_a_model_gets_and_predicts():
    parse = EvaluationProtocol.parse
    assert parse("text") == EvaluationProtocol() and parse("text").prompt == "text"
    assert parse("text-pairs") == EvaluationProtocol(drawn=1)
    assert parse("5-shot") == EvaluationProtocol(uses_text=False, examples=5, drawn=5)
    assert parse("5-shot").prompt == "example" and parse("both-3").prompt == "both"
    assert parse("both") == parse("both-1")
    assert parse("identify").prompt == "identify" and parse("identify-names").lists_names
    for odd in ("", "shot", "0-shot", "-1-shot", "both-0", "Text", "1 shot"):
        with pytest.raises(InputError, match="The protocol must be text"):
            parse(odd)


def test_examples_are_shown_with_the_words_only_by_both(dataset, tmp_path):
    for name, shots, words in (("1-shot", 1, False), ("3-shot", 3, False), ("both", 1, True)):
        model = Copier()
        run.evaluate(model, dataset, tmp_path / name, settings(name))
        for image, examples, told, categories in model.asked:
            assert len(examples) == shots and image not in examples and told is words
            assert all((category is not None) is words for category in categories)
        assert len(model.asked) == len(dataset.objects)


def test_figures_by_example_count_the_points_that_all_show(dataset, tmp_path):
    """Every second object has its first point hidden: only pairs of others may be scored on it."""
    hidden = []
    for number, item in enumerate(dataset.objects):
        visibility, points = item.visibility.copy(), item.points.copy()
        if number % 2:
            visibility[0], points[0] = 0, np.nan
        hidden.append(dataclasses.replace(item, points=points, visibility=visibility))
    data = dataclasses.replace(dataset, objects=hidden)
    results = run.evaluate(Copier(), data, tmp_path, settings("2-shot"))
    pairs, _ = draw_pairs(data, EvaluationProtocol.parse("2-shot"), None, 0)
    expected = sum(
        all(hidden[row].visibility[k] > 0 for row in (pair.query, *pair.examples))
        for pair in pairs
        for k in range(len(hidden[pair.query].points))
    )
    assert results["points"] == expected < sum(int((item.visibility > 0).sum()) for item in hidden)
    words = run.evaluate(Copier(), data, tmp_path / "text", settings("text-pairs"))
    one = run.evaluate(Copier(), data, tmp_path / "one", settings("1-shot"))
    assert words["points"] == one["points"]  # the same pairs, without a look at the example


def test_words_on_pairs_are_of_the_points_that_the_example_shows(dataset, tmp_path):
    """Objects whose number is 1 mod 3 hide their first point, those with 2 mod 3 their second."""
    hidden = []
    for number, item in enumerate(dataset.objects):
        visibility, points = item.visibility.copy(), item.points.copy()
        if number % 3:
            visibility[number % 3 - 1], points[number % 3 - 1] = 0, np.nan
        hidden.append(dataclasses.replace(item, points=points, visibility=visibility))
    data = dataclasses.replace(dataset, objects=hidden)
    pairs, _ = draw_pairs(data, EvaluationProtocol.parse("text-pairs"), None, 0)
    assert pairs == draw_pairs(data, EvaluationProtocol.parse("1-shot"), None, 0)[0]
    part, whole = Reader(), Reader()
    run.evaluate(part, data, tmp_path / "part", settings("text-pairs"), baselines=[ImageCentre()])
    every = run.evaluate(whole, data, tmp_path / "whole", settings("text-pairs-all"))
    shown = [hidden[pair.examples[0]].visibility > 0 for pair in pairs]
    assert not all(mask.all() for mask in shown) and len(part.asked) == len(pairs)
    lines = (tmp_path / "part" / run.PREDICTIONS).read_text().splitlines()
    for (image, category), pair, mask, line in zip(part.asked, pairs, shown, lines, strict=True):
        item, answer = hidden[pair.query], json.loads(line)
        assert image == item.image and category == item.category.only(np.flatnonzero(mask).tolist())
        assert answer.get("examples") == (None if mask.all() else [hidden[pair.examples[0]].id])
        for k, name in enumerate(item.category.names):
            assert answer["points"][k] == ([int(mask.sum()), len(name)] if mask[k] else [None, None])
    assert all(category == item.category for (_, category), item in zip(whole.asked, hidden, strict=True))
    assert every["pairs"] == len(pairs)


def test_examples_that_hide_the_same_points_are_one_question(tmp_path):
    write_dataset(tmp_path / "data", 36, seed=2, per_category=18, size=64)
    data = read_coco(tmp_path / "data" / ANNOTATIONS, tmp_path / "data" / IMAGES)
    visibility = [
        np.where(np.arange(len(item.points)) < i % 2, 0, item.visibility) for i, item in enumerate(data.objects)
    ]
    objects = [dataclasses.replace(i, visibility=v) for i, v in zip(data.objects, visibility, strict=True)]
    data, model = dataclasses.replace(data, objects=objects), Reader()
    results = run.evaluate(model, data, tmp_path / "pairs", settings("text-pairs", episodes=3))
    asked = [(image, tuple(category.names)) for image, category in model.asked]
    pairs = draw_pairs(data, EvaluationProtocol.parse("text-pairs"), 3, 0)[0]
    needed = {(pair.query, tuple(visibility[pair.examples[0]] > 0)) for pair in pairs}
    assert results["pairs"] == len(pairs) == 90 and len(asked) == len(set(asked)) == len(needed) < 90


def test_episodes_are_the_released_samplers_and_ask_no_question_twice(tmp_path):
    write_dataset(tmp_path / "data", 36, seed=2, per_category=18, size=64)
    data = read_coco(tmp_path / "data" / ANNOTATIONS, tmp_path / "data" / IMAGES)
    words, shown = Copier(), Copier()
    results = run.evaluate(words, data, tmp_path / "text", settings("text-pairs", episodes=3))
    assert results["pairs"] == 2 * 3 * 15 and len(words.asked) == len({image for image, *_ in words.asked}) <= 36
    assert run.evaluate(shown, data, tmp_path / "one", settings("1-shot", episodes=3))["pairs"] == 90
    drawn, _ = draw_pairs(data, EvaluationProtocol.parse("1-shot"), 3, seed=0)
    assert drawn == list(episode_pairs(data, 1, 3))
    asked = [(data.objects[pair.query].image, (data.objects[pair.examples[0]].image,)) for pair in drawn]
    assert [entry[:2] for entry in shown.asked] == list(dict.fromkeys(asked))
    with pytest.raises(InputError, match="Episodes are drawn for protocols with examples"):
        run.evaluate(Copier(), data, tmp_path / "no", settings("text", episodes=3))
    with pytest.raises(InputError, match="leave out the maximum"):
        run.evaluate(Copier(), data, tmp_path / "no", settings("1-shot", episodes=3, max_per_category=2))


def test_objects_without_enough_others_are_left_out_and_counted(dataset, tmp_path):
    results = run.evaluate(
        Copier(), dataclasses.replace(dataset, objects=dataset.objects[:6]), tmp_path, settings("3-shot")
    )
    assert results["skipped"] == {TOO_FEW: 2} and results["objects"] == 4


def test_pairs_of_the_same_group_are_told_from_others(dataset, tmp_path):
    groups = ["a", "a", "b", None] * 3
    data = dataclasses.replace(
        dataset, objects=[dataclasses.replace(i, group=g) for i, g in zip(dataset.objects, groups, strict=True)]
    )
    results = run.evaluate(Copier(), data, tmp_path, settings("1-shot"))
    pairs, _ = draw_pairs(data, EvaluationProtocol.parse("1-shot"), None, 0)
    expected = {scoring.SAME_GROUP: 0, scoring.OTHER_GROUP: 0, scoring.UNKNOWN_GROUP: 0}
    for pair in pairs:
        mine, other = groups[pair.query], groups[pair.examples[0]]
        known = scoring.SAME_GROUP if mine == other else scoring.OTHER_GROUP
        expected[scoring.UNKNOWN_GROUP if None in (mine, other) else known] += 1
    assert {part: entry["pairs"] for part, entry in results["groups"].items()} == {
        k: v for k, v in expected.items() if v
    }


def test_words_are_split_by_the_names_of_training(dataset, tmp_path):
    first = dataset.objects[0].category
    results = run.evaluate(Copier(), dataset, tmp_path, known_names=[name.upper() for name in first.names])
    assert results["names"][scoring.TRAINED_NAMES]["pairs"] >= 4 and results["names"][scoring.NEW_NAMES]["pairs"] >= 4
    seen = [
        part
        for item, part in zip(dataset.objects, scoring.name_parts(dataset.objects, first.names), strict=True)
        if item.category == first
    ]
    assert set(seen) == {scoring.TRAINED_NAMES}


def test_names_are_scored_exactly_and_but_for_spelling(dataset, tmp_path):
    free = run.evaluate(Namer(dataset), dataset, tmp_path / "a", settings("identify"))
    assert free["semantics"]["exact"] == 0 and free["semantics"]["normalised"] == 100
    chosen = run.evaluate(Namer(dataset), dataset, tmp_path / "b", settings("identify-names"))
    assert chosen["semantics"]["category_mean"] == {"exact": 100, "normalised": 100}
    assert chosen["semantics"]["points"] == sum(int((item.visibility > 0).sum()) for item in dataset.objects)
    line = json.loads((tmp_path / "a" / run.PREDICTIONS).read_text().splitlines()[0])
    assert line["names"][0].startswith("The ") and line["confidences"][0] == 0.9
    assert run.evaluate(Namer(dataset), dataset, tmp_path / "a", settings("identify")) == free


def test_a_label_outside_its_picture_is_not_asked_for_its_name(dataset, tmp_path):
    far = dataclasses.replace(dataset.objects[0], points=dataset.objects[0].points.copy())
    far.points[0] = [5000, 10]
    moved = dataclasses.replace(dataset, objects=[far, *dataset.objects[1:]])
    whole = run.evaluate(Namer(dataset), dataset, tmp_path / "a", settings("identify-names"))
    found = run.evaluate(Namer(moved), moved, tmp_path / "b", settings("identify-names"))
    assert found["semantics"]["points"] == whole["semantics"]["points"] - 1
    assert found["semantics"]["excluded"] == whole["semantics"]["excluded"] + 1
    line = json.loads((tmp_path / "b" / run.PREDICTIONS).read_text().splitlines()[0])
    assert line["names"][0] is None and None not in line["names"][1:]


def test_a_model_that_cannot_be_asked_so_is_refused(dataset, tmp_path):
    with pytest.raises(
        InputError, match="'1-shot' needs a model that answers to 'example', but this one answers to text"
    ):
        run.evaluate(ImageCentre(), dataset, tmp_path, settings("1-shot"))
    with pytest.raises(InputError, match="OKS is for the protocol text"):
        run.evaluate(Copier(), dataset, tmp_path, settings("1-shot", oks="coco"))
    with pytest.raises(InputError, match="OKS is for the protocol text, but got 'text-megakpt'"):  # repeats objects
        run.evaluate(ImageCentre(), dataset, tmp_path, settings("text-megakpt", episodes=3, oks="coco"))


def test_a_perfect_answer_has_an_oks_of_a_hundred_and_other_sigmas_are_refused(dataset, tmp_path, monkeypatch):
    one = dataset.objects[0].category_id
    data = dataclasses.replace(dataset, objects=[item for item in dataset.objects if item.category_id == one])
    monkeypatch.setattr(scoring, "sigmas", lambda name, keypoints=None: np.full(len(data.objects[0].points), 0.05))

    class Oracle:
        def predict(self, image, category, *, box):
            item = next(item for item in data.objects if item.image == image)
            return SimpleNamespace(xy=item.points, confidence=np.ones(len(item.points)))

    results = run.evaluate(Oracle(), data, tmp_path, settings("text", oks="mine"))
    assert results["oks"]["AP"] == pytest.approx(100) and results["oks"]["sigmas"] == "mine"
    monkeypatch.setattr(scoring, "sigmas", lambda name, keypoints=None: np.full(3, 0.05))
    with pytest.raises(InputError, match="are for 3 points"):
        run.evaluate(Oracle(), data, tmp_path / "b", settings("text", oks="mine"))


def test_sigmas_of_a_file_are_stated_in_the_results_and_must_be_one_list(dataset, tmp_path):
    first = dataset.objects[0]
    data = dataclasses.replace(dataset, objects=[i for i in dataset.objects if i.category_id == first.category_id])
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({name: 0.01 * (i + 1) for i, name in enumerate(first.category.names)}))
    found = run.evaluate(ImageCentre(), data, tmp_path / "a", settings("text", oks=str(file)))["oks"]
    assert found["sigmas"] == str(file) and found["values"] == pytest.approx(
        [0.01 * (i + 1) for i in range(len(first.category))]
    )
    assert "mine.json" in (tmp_path / "a" / "report.html").read_text()
    bare = SimpleNamespace(category=Category("pair", (Keypoint("nose"), Keypoint("tail"))))
    turned = SimpleNamespace(category=Category("turned", (Keypoint("tail"), Keypoint("nose"))))
    file.write_text('{"nose": 0.1, "tail": 0.2}')
    assert scoring.check_oks(str(file), [bare, bare]).tolist() == [0.1, 0.2]
    with pytest.raises(InputError, match="gives the points of 'turned' other sigmas than those of 'pair'"):
        scoring.check_oks(str(file), [bare, turned])


# --- many processes ------------------------------------------------------------------------------------------------


def shared_run(dataset, out, count, model=Copier, **more):
    """The run by so many workers at once, threads that meet where processes would; the first one's results."""
    barrier, results, errors = threading.Barrier(count), {}, []

    def work(rank):
        try:
            workers = prediction_files.Workers(rank, count, barrier.wait)
            results[rank] = run.evaluate(model(), dataset, out, settings("1-shot", **more), workers=workers)
        except Exception as error:
            errors.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results, errors


@pytest.mark.parametrize("count", [2, 3, 5])
def test_any_number_of_workers_writes_the_same_files(dataset, tmp_path, count):
    alone = run.evaluate(Copier(), dataset, tmp_path / "one", settings("1-shot"))
    results, errors = shared_run(dataset, tmp_path / "many", count)
    assert not errors and results[0] == alone and {results[rank] for rank in range(1, count)} == {None}
    for name in (run.PREDICTIONS, run.RESULTS, run.PER_CATEGORY, run.PER_OBJECT):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "many" / name).read_bytes()
    assert {path.name for path in (tmp_path / "many").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


def test_a_run_of_three_that_is_killed_is_ended_by_two_or_one(dataset, tmp_path):
    asked = []

    class Mortal(Copier):
        def predict(self, image, category, **options):
            asked.append(image)
            if len(asked) > 7:
                raise RuntimeError("killed")
            return super().predict(image, category, **options)

    for name, count in (("two", 2), ("one", 1)):
        asked.clear()
        assert shared_run(dataset, tmp_path / name, 3, Mortal)[1]
        parts = sorted((tmp_path / name).glob("predictions.*.jsonl"))
        written = sum(len(part.read_text().splitlines()) for part in parts)
        with parts[0].open("a") as file:
            file.write('{"id": 3, "exam')  # killed in the middle of a line
        rest = []

        class Counting(Copier):
            def predict(self, image, category, rest=rest, **options):
                rest.append(image)
                return super().predict(image, category, **options)

        results, errors = shared_run(dataset, tmp_path / name, count, Counting)
        assert not errors and written + len(rest) == len(dataset.objects)
        assert results[0] == run.evaluate(Copier(), dataset, tmp_path / f"{name} alone", settings("1-shot"))
        assert not list((tmp_path / name).glob("predictions.*.jsonl"))


# --- the command line ----------------------------------------------------------------------------------------------


def test_mp100s_protocol_is_a_command(tmp_path, monkeypatch, capsys):
    """Its folders are found from the label file, pairs are the released sampler's, a missing picture is told."""
    write_dataset(tmp_path / "made", 36, seed=2, per_category=18, size=64)
    labels = json.loads((tmp_path / "made" / ANNOTATIONS).read_text())
    (tmp_path / "annotations").mkdir()
    file = tmp_path / "annotations" / "mp100_split1_test.json"
    file.write_text(json.dumps(labels))
    (tmp_path / "made" / IMAGES).rename(tmp_path / "images")
    lost = tmp_path / "images" / labels["images"][3]["file_name"]
    lost.unlink()
    monkeypatch.setattr(anykeypoint, "load", lambda name, device, image_size: Copier())
    command = ["evaluate", "fast", "--data", f"mp100:{file}", "--protocol", "1-shot", "--episodes", "2", "--official"]

    def run_it(*more):
        with pytest.raises(SystemExit) as ended:
            cli.main([*command, "-o", str(tmp_path / "out"), *more])
        return ended.value.code, capsys.readouterr()

    code, said = run_it()
    assert code == 2 and lost.name in said.err and not (tmp_path / "out").exists()
    code, said = run_it("--allow-missing")
    assert code == 0 and "60 pairs" in said.out and "left out: 1 (image file missing)" in said.out
    results = json.loads((tmp_path / "out" / run.RESULTS).read_text())
    assert results["missing"] == [lost.name] and results["settings"]["official"]
    assert lost.name in (tmp_path / "out" / "report.html").read_text()
    data = read(f"mp100:{file}", allow_missing=True)
    rows = (tmp_path / "out" / run.PER_OBJECT).read_text().splitlines()[1:]
    drawn = [(str(data.objects[p.query].id), str(data.objects[p.examples[0]].id)) for p in episode_pairs(data, 1, 2)]
    assert [tuple(row.split(",")[1:3]) for row in rows] == drawn


def test_an_object_whose_box_lies_beside_its_picture_is_not_found_and_stops_nothing(dataset):
    model, item = Reader(), dataset.objects[0]
    beside = dataclasses.replace(item, box=(64.0, 0.0, 20.0, 20.0))
    protocol = EvaluationProtocol()
    answer = queries.predict_query(model, queries.Query(beside, (), item.category), protocol, {})
    assert np.isnan(answer.xy).all() and np.isnan(answer.confidence).all() and not model.asked
    reaching = dataclasses.replace(item, box=(63.0, 0.0, 20.0, 20.0))
    assert np.isfinite(queries.predict_query(model, queries.Query(reaching, (), item.category), protocol, {}).xy).all()
