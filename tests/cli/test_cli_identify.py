"""The verb identify, and the evaluation of a model that names and finds, end to end on a tiny KptLLM."""

import json

import pytest
import tiny
from PIL import Image

import anykeypoint
from anykeypoint import cli
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.example import marked_category, read_marked, to_example
from anykeypoint.models.generative import kptllm_view


def run(capsys, *arguments):
    """Exit code, standard output and standard error of one command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.fixture(autouse=True)
def short_names(monkeypatch):
    """A random model seldom ends a name."""
    monkeypatch.setattr(kptllm_view, "NAME_TOKENS", 4)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a picture, made-up data, a KptLLM and a CapeLLM."""
    folder = tmp_path_factory.mktemp("work")
    Image.fromarray(tiny.picture(60, 40)).save(folder / "cat.png")
    write_dataset(folder / "data", 6, seed=4, per_category=3, size=64)
    tiny.kptllm(folder, "lora").save_pretrained(folder / "model")
    tiny.kptllm(folder, "lora", answer="token").save_pretrained(folder / "token")
    tiny.capellm(folder).save_pretrained(folder / "cape")
    return folder


@pytest.fixture(scope="module")
def model(work):
    return tiny.KptLLM.from_pretrained(work / "model")


def test_points_are_named_in_the_models_own_words(work, model, capsys):
    points = ["--at", "12,10", "--at", "30.5,20"]
    code, out, _ = run(capsys, "identify", work / "cat.png", *points, "--model", work / "model")
    found = model.identify(work / "cat.png", [[12, 10], [30.5, 20]])
    assert code == 0
    header, *lines = out.splitlines()
    assert header.split() == ["x", "y", "confidence", "name"]
    for line, x, y, answer in zip(lines, ("12.0", "30.5"), ("10.0", "20.0"), found, strict=True):
        assert line.split()[:3] == [x, y, f"{answer.confidence:.2f}"] and line.endswith(answer.name.strip())


def test_what_the_user_calls_the_points_is_told_to_the_model(work, model, capsys):
    points = ["--at", "12,10", "--category", "animal_face", "--model", work / "model"]
    answers = {}
    for called in (None, "left eye", "nose"):
        told = [] if called is None else ["--called", called]
        code, answers[called], _ = run(capsys, "identify", work / "cat.png", *points, *told)
        found = model.identify(work / "cat.png", (12, 10), category="animal_face", called=called)
        assert code == 0 and f"{found.confidence:.2f}" in answers[called] and found.name in answers[called]
    assert model.identify(work / "cat.png", (12, 10), category="animal_face", called="nose") != model.identify(
        work / "cat.png", (12, 10), category="animal_face"
    )


def test_a_categorys_names_are_weighed_and_written_as_json(work, model, capsys, tmp_path):
    (tmp_path / "cat.json").write_text(
        json.dumps({"name": "cat", "keypoints": [{"name": "left ear"}, {"name": "nose"}]})
    )
    options = ["--category", tmp_path / "cat.json", "--box", "5,5,40,30", "--json", tmp_path / "out.json"]
    code, out, _ = run(capsys, "identify", work / "cat.png", "--at", "12,10", *options, "--model", work / "model")
    category = anykeypoint.category(str(tmp_path / "cat.json"))
    answer = model.identify(work / "cat.png", (12, 10), box=(5, 5, 40, 30), category=category)
    written = json.loads((tmp_path / "out.json").read_text())
    assert code == 0 and written["category"] == "cat" and written["box"] == [5, 5, 40, 30]
    (row,) = written["points"]
    assert row["point"] == [12, 10] and row["name"] == answer.name
    assert row["probabilities"] == pytest.approx(dict(answer.probabilities)) and set(row["probabilities"]) == {
        "left ear",
        "nose",
    }
    (other,) = set(row["probabilities"]) - {answer.name}
    assert f"({other} {row['probabilities'][other]:.2f})" in out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "identify needs a point; give one or more as --at x,y"),
        (["--at", "1;2"], "A point must be 2 numbers in pixels, as in --at 120,83, but got '1;2'"),
        (["--at", "1,nan"], "A point must be 2 numbers"),
        (["--at", "1,2", "--box", "1,2,3"], "A box must be 4 numbers"),
        (["--at", "1,2", "--box", "1,2,0,0"], "must have a width or height above 0"),
        (["--at", "1,2", "--category", "unicorn"], "unicorn"),
        (["--at", "100,2"], "The point (100, 2) lies outside the picture of 60 x 40 pixels"),
        (["--at", "1,2", "--json", "CAT"], "would overwrite the picture"),
        (["--at", "1,2", "--json", "nowhere/out.json"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_asked_ends_with_2_and_a_sentence(work, capsys, options, words):
    options = [str(work / "cat.png") if option == "CAT" else option for option in options]
    code, out, err = run(capsys, "identify", work / "cat.png", *options, "--model", work / "model")
    assert code == 2 and out == "" and words in err and len(err.splitlines()) == 1


def test_a_category_that_is_asked_for_is_not_overwritten(work, capsys):
    file = work / "mine.json"
    file.write_text('{"name": "cat", "keypoints": ["nose"]}')
    options = ["--at", "1,2", "--category", file, "--json", file, "--model", work / "model"]
    code, _, err = run(capsys, "identify", work / "cat.png", *options)
    assert code == 2 and "would overwrite the category's file" in err and "nose" in file.read_text()


def test_a_missing_picture_and_a_model_that_names_nothing_are_refused(work, capsys):
    code, _, err = run(capsys, "identify", work / "none.png", "--at", "1,2", "--model", work / "model")
    assert code == 2 and "There is no file" in err
    code, _, err = run(capsys, "identify", work / "cat.png", "--at", "1,2", "--model", work / "cape")
    assert code == 2 and "cannot name points; give a matcher that reads words or a KptLLM as --model" in err


@pytest.mark.parametrize("protocol", ["identify", "identify-names", "1-shot", "both", "text"])
def test_every_protocol_measures_it(work, capsys, tmp_path, protocol):
    data = ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", work / "data" / IMAGES]
    options = ["--protocol", protocol, "--no-baselines", "--max-per-category", "1", "-o", tmp_path / "report"]
    if protocol == "text":
        options += ["--untrained"]
    code, _, err = run(capsys, "evaluate", work / "model", *data, *options)
    assert code == 0, err
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert results["points"] > 0
    if protocol.startswith("identify"):
        said = results["semantics"]["category_mean"]["exact"]
        assert 0 <= said <= 100 and (protocol == "identify-names" or said == 0)
    else:
        assert results["unanswered"] == 0 and 0 <= results["category_mean"]["pck@0.2"] <= 100


def test_a_model_that_answers_with_a_token_is_measured_too(work, capsys, tmp_path):
    data = ["--data", f"coco:{work / 'data' / ANNOTATIONS}", "--images", work / "data" / IMAGES]
    options = ["--protocol", "1-shot", "--no-baselines", "--max-per-category", "1", "-o", tmp_path / "report"]
    assert run(capsys, "evaluate", work / "token", *data, *options)[0] == 0


def test_predict_shows_it_examples_and_reads_words_unless_told_not_to(work, model, capsys, tmp_path):
    (tmp_path / "marked.json").write_text(json.dumps({"left ear": [12, 10], "nose": [30, 20]}))
    marked = read_marked(f"{work / 'cat.png'}:{tmp_path / 'marked.json'}")
    category = marked_category([marked])
    example = to_example(marked, category)
    for flags, words in (([], True), (["--no-words"], False)):
        options = ["--example", f"{work / 'cat.png'}:{tmp_path / 'marked.json'}", *flags, "--model", work / "model"]
        code, out, _ = run(capsys, "predict", work / "cat.png", *options)
        pose = model.predict(work / "cat.png", category, example=example, words=words)
        assert code == 0
        for (x, y), line in zip(pose.xy, out.splitlines()[2:], strict=True):
            assert f"{x:.1f}" in line and f"{y:.1f}" in line
