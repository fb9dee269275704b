"""Matchers measured by examples, by words and by both, end to end on tiny models and made-up objects."""

import json
import re

import numpy as np
import pytest
from tiny_matchers import matcher

from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.evaluation.evaluation_config import EvaluationConfig
from anykeypoint.evaluation.run import evaluate
from anykeypoint.evaluation.selection import SEVERAL
from anykeypoint.forms.coco import read_coco
from anykeypoint.library.lookup import category


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with made-up objects."""
    folder = tmp_path_factory.mktemp("work")
    write_dataset(folder / "data", 3, seed=4, per_category=3, size=64)
    return folder


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("pomnet", "1-shot"),
        ("graphcape", "1-shot"),
        ("capeformer", "2-shot"),
        ("capex", "text-pairs"),
        ("flf", "both"),
        ("dlf", "1-shot"),
    ],
)
def test_evaluation_asks_matchers_as_its_protocols_say(work, tmp_path, name, protocol):
    dataset = read_coco(work / "data" / ANNOTATIONS, work / "data" / IMAGES)
    results = evaluate(matcher(name, work), dataset, tmp_path, EvaluationConfig(model=name, protocol=protocol))
    assert results["pairs"] == 3 and 0 <= results["category_mean"]["pck@0.2"] <= 100
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert all(np.isfinite(np.array(line["points"], dtype=float)).all() for line in lines)


def test_labels_outside_the_picture_are_not_shown_to_a_model(work, tmp_path):
    labels = json.loads((work / "data" / ANNOTATIONS).read_text())
    for entry in labels["annotations"]:
        entry["keypoints"][:3] = [-30, 10, 2]
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    dataset = read_coco(tmp_path / "labels.json", work / "data" / IMAGES)
    evaluate(matcher("graphcape", work), dataset, tmp_path / "run", EvaluationConfig(protocol="1-shot"))
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all(line["points"][0] == [None, None] and line["points"][1] != [None, None] for line in lines)


@pytest.mark.parametrize(("name", "protocol"), [("capex", "text"), ("graphcape", "1-shot"), ("dlf", "both")])
def test_people_alone_in_their_picture_are_measured_alone(tmp_path, name, protocol):
    """A tiny COCO file: three pictures of one labelled person (one beside a crowd and a person without points), one of
    two."""
    person = category("human_body")
    write_dataset(tmp_path / "made", 4, seed=4, per_category=1, size=64)
    pictures = sorted(path.name for path in (tmp_path / "made" / IMAGES).iterdir())
    annotations = []

    def add(image: int, **more):
        points = [value for i in range(len(person)) for value in (10 + i, 12 + 2 * i, 2)]
        entry = {"image_id": image, "category_id": 1, "keypoints": points, "bbox": [5, 5, 50, 50], "iscrowd": 0}
        annotations.append({"id": len(annotations) + 1, "area": 2500, **entry, **more})

    for image in (0, 1, 2, 3, 3):
        add(image)
    add(2, iscrowd=1)
    add(2, keypoints=[0, 0, 0] * len(person))
    labels = {
        "images": [{"id": i, "file_name": file} for i, file in enumerate(pictures)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person", "keypoints": person.names, "skeleton": []}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    dataset = read_coco(tmp_path / "labels.json", tmp_path / "made" / IMAGES)
    config = EvaluationConfig(protocol=protocol, single=True)
    results = evaluate(matcher(name, tmp_path), dataset, tmp_path / "run", config)
    assert results["objects"] == results["pairs"] == 3 and results["skipped"][SEVERAL] == 2
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert {line["id"] for line in lines if "id" in line} == {1, 2, 3}
    shown = {one for line in lines for one in line.get("examples", ())}
    assert shown <= {1, 2, 3} and bool(shown) is (protocol != "text")
    assert results["settings"]["single"] is True
    every = evaluate(matcher(name, tmp_path), dataset, tmp_path / "all", EvaluationConfig(protocol=protocol))
    assert every["objects"] == 5 and SEVERAL not in every["skipped"]


def test_a_result_names_the_answer_that_dlf_gave(work, tmp_path):
    dataset = read_coco(work / "data" / ANNOTATIONS, work / "data" / IMAGES)
    points = {}
    for answer in ("mean", "text"):
        model = matcher("dlf", work)
        model.answer_by(answer)
        config = EvaluationConfig(protocol="both", answer=answer)
        results = evaluate(model, dataset, tmp_path / answer, config)
        assert results["variant"]["answer"] == answer and results["settings"]["answer"] == answer
        page = re.sub(r"<[^>]+>", " ", (tmp_path / answer / "report.html").read_text(encoding="utf-8"))
        assert re.search(rf"the model(&#x27;|')s answer\s+{answer}\b", page)
        points[answer] = (tmp_path / answer / "predictions.jsonl").read_text()
    assert points["mean"] != points["text"]
    with pytest.raises(InputError, match="answer 'text' there, 'mean' here"):
        evaluate(model, dataset, tmp_path / "text", EvaluationConfig(protocol="both", answer="mean"))
