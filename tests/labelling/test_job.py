"""One labelling job: pictures, examples, and answers that follow the corrections."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
from tiny_matchers import FISH

from anykeypoint.density.presence import Presence, PresenceCurve
from anykeypoint.errors import InputError
from anykeypoint.labelling.doubt import doubt
from anykeypoint.labelling.job import Answering
from anykeypoint.training.adapting.adapt_config import AdaptConfig

POINTS = {seed: tiny_matchers.example(seed).points for seed in range(5)}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_matchers.matcher("evidence", tmp_path_factory.mktemp("model"))


@pytest.fixture
def job(model) -> Answering:
    job = Answering(model, FISH, count=2)
    for seed in range(4):
        job.add_picture(f"p{seed}", tiny_matchers.picture(seed))
    return job


def counted(monkeypatch, model) -> list[int]:
    """From now on, the number of crops that each call of the encoder gets."""
    calls, plain = [], model.encode_pixels

    def recorded(pixels, *arguments, **options):
        calls.append(len(pixels))
        return plain(pixels, *arguments, **options)

    monkeypatch.setattr(model, "encode_pixels", recorded)
    return calls


def test_answers_are_those_of_the_model_with_the_nearest_examples(job, model):
    for seed in (2, 3):
        job.add_example(f"p{seed}", tiny_matchers.picture(seed), POINTS[seed])
    pose = dict(job.answer())["p0"]
    assert job.uncorrected == ["p0", "p1"] and len(job.examples_of("p0")) == 2
    examples = [tiny_matchers.example(int(one[1])) for one in job.examples_of("p0")]
    alone = model.predict(tiny_matchers.picture(0), FISH, example=examples)
    assert pose.xy == pytest.approx(alone.xy, abs=1e-3)
    assert pose.confidence == pytest.approx(alone.confidence, abs=1e-4)


def test_before_there_is_an_example_the_words_answer(job, model):
    poses = dict(job.answer())
    assert list(poses) == ["p0", "p1", "p2", "p3"]
    assert poses["p2"].xy == pytest.approx(model.predict(tiny_matchers.picture(2), FISH).xy, abs=1e-3)
    assert job.doubts == {name: doubt(pose) for name, pose in poses.items()}


def test_a_correction_encodes_no_picture_again(job, model, monkeypatch):
    calls = counted(monkeypatch, model)
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    assert len(calls) <= 1, "the example itself at most"
    calls.clear()
    assert len(list(job.answer(fine=False))) == 3 and not calls


def test_a_picture_is_not_asked_again_unless_its_nearest_examples_change(job, monkeypatch):
    job.count = 1
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    before = dict(job.answer())
    asked, plain = [], job._matcher.match
    monkeypatch.setattr(job._matcher, "match", lambda *given: asked.append(1) or plain(*given))
    job.add_example("new", tiny_matchers.picture(4), POINTS[4])
    after = dict(job.answer())
    changed = [name for name in after if job.examples_of(name) == ["new"]]
    assert len(asked) == len(changed) and all(after[name] is before[name] for name in after if name not in changed)
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1] + 3)
    asked.clear()
    again = dict(job.answer())
    assert len(asked) == 3 - len(changed) and all(again[name] is after[name] for name in changed)


def test_a_second_look_is_taken_when_asked_for_and_kept(job):
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    first, fine = dict(job.answer(["p0"], fine=False))["p0"], dict(job.answer(["p0"], fine=True))["p0"]
    assert not np.allclose(first.xy, fine.xy, atol=1e-6)
    assert dict(job.answer(["p0"], fine=False))["p0"] is fine


def test_removing_an_example_brings_its_picture_back(job):
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    assert job.uncorrected == ["p0", "p2", "p3"] and job.examples == ["p1"]
    job.remove_example("p1")
    assert job.uncorrected == job.pictures == ["p0", "p1", "p2", "p3"]
    job.remove_picture("p0")
    assert [name for name, _ in job.answer()] == ["p1", "p2", "p3"]


def test_features_that_had_no_room_are_computed_again_and_answers_stay(model, monkeypatch):
    small, large = Answering(model, FISH, most_bytes=1), Answering(model, FISH)
    for job in (small, large):
        for seed in range(3):
            job.add_picture(f"p{seed}", tiny_matchers.picture(seed))
        job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    for (_, one), (_, other) in zip(small.answer(), large.answer(), strict=True):
        assert one.xy == pytest.approx(other.xy, abs=1e-6)
    assert len(small._kept) == 0 < len(large._kept)


def test_a_file_that_is_gone_costs_its_own_answer_alone(model, tmp_path):
    from PIL import Image

    job = Answering(model, FISH)
    for seed in range(3):
        Image.fromarray(tiny_matchers.picture(seed)).save(tmp_path / f"{seed}.png")
        job.add_picture(str(seed), tmp_path / f"{seed}.png")
    job.add_example("0", tmp_path / "0.png", POINTS[0])
    (tmp_path / "1.png").unlink()
    answers = dict(job.answer(fine=True))
    assert isinstance(answers["1"], InputError) and "1.png" in str(answers["1"])
    assert np.isfinite(answers["2"].xy).all()


def test_what_cannot_be_taken_in_is_refused_and_changes_nothing(job, tmp_path):
    with pytest.raises(InputError, match="outside"):
        job.add_picture("p0", tiny_matchers.picture(0), (500, 500, 10, 10))
    with pytest.raises(InputError, match="no file"):
        job.add_picture("p9", tmp_path / "nothing.png")
    with pytest.raises(InputError, match="5"):
        job.add_example("p1", tiny_matchers.picture(1), POINTS[1][:3])
    with pytest.raises(InputError, match="lie outside"):
        job.add_example("p1", tiny_matchers.picture(1), POINTS[1] + 500)
    assert job.pictures == ["p0", "p1", "p2", "p3"] and not job.examples
    for call in (job.remove_picture, job.remove_example, job.examples_of, lambda name: list(job.answer([name]))):
        with pytest.raises(InputError, match="'p7'"):
            call("p7")


def test_scores_of_a_picture_and_an_example_are_computed_once(job, monkeypatch):
    rows, plain = [], job.model.match

    def recorded(query, valid, prompt):
        rows.append(prompt.example_features.shape[1])
        return plain(query, valid, prompt)

    monkeypatch.setattr(job.model, "match", recorded)
    job.add_example("p1", tiny_matchers.picture(1), POINTS[1])
    list(job.answer(["p0"]))
    job.add_example("p2", tiny_matchers.picture(2), POINTS[2])
    list(job.answer(["p0"]))
    assert rows == [1, 1]


def test_scores_that_are_put_together_are_those_of_all_examples_at_once(model):
    hidden = [
        tiny_matchers.example(1, hidden=(0, 2)),
        tiny_matchers.example(2, hidden=(0, 1)),
        tiny_matchers.example(3),
    ]
    for shown in (hidden, hidden[:2]):
        for words in (True, False):
            job = Answering(model, FISH, count=3, words=words)
            job.add_picture("p0", tiny_matchers.picture(0))
            job._learns = lambda chosen: False  # the matcher alone
            for number, example in enumerate(shown):
                job.add_example(f"e{number}", example.image, example.points)
                pose = dict(job.answer())["p0"]
            order = [shown[int(name[1])] for name in job.examples_of("p0")]
            alone = model.predict(tiny_matchers.picture(0), FISH, example=order, words=words)
            assert pose.xy == pytest.approx(alone.xy, abs=1e-3, nan_ok=True)
            assert pose.confidence == pytest.approx(alone.confidence, abs=1e-4, nan_ok=True)


def test_from_three_examples_on_all_of_them_count(model):
    job = Answering(model, FISH, count=1)
    job.add_picture("p0", tiny_matchers.picture(0))
    for seed in (1, 2):
        job.add_example(f"p{seed}", tiny_matchers.picture(seed), POINTS[seed])
    before = dict(job.answer())["p0"]
    job.add_example("p3", tiny_matchers.picture(3), POINTS[3])
    after = dict(job.answer())["p0"]
    assert not np.allclose(before.confidence, after.confidence, atol=1e-6)
    job.remove_example("p3")
    assert dict(job.answer())["p0"].confidence == pytest.approx(before.confidence, abs=1e-6)


def test_presence_is_that_of_the_distribution_before_what_was_learnt(model, monkeypatch):
    monkeypatch.setattr(model, "config", replace(model.config, presence=Presence(both=PresenceCurve(1.0, -4.0, 0.5))))
    job = Answering(model, FISH, count=2)
    job.add_picture("p0", tiny_matchers.picture(0))
    for seed in (1, 2, 3, 4):
        job.add_example(f"p{seed}", tiny_matchers.picture(seed), POINTS[seed])
    learnt = dict(job.answer(fine=False))["p0"]
    monkeypatch.setattr("anykeypoint.labelling.job.FEWEST", 5)
    job.remove_picture("p0")
    job.add_picture("p0", tiny_matchers.picture(0))
    plain = dict(job.answer(fine=False))["p0"]
    assert not np.allclose(learnt.confidence, plain.confidence, atol=1e-6), "something was learnt"
    assert learnt.presence == pytest.approx(plain.presence, abs=1e-6) and np.isfinite(plain.presence).all()


def test_what_was_trained_on_the_examples_counts_until_it_is_forgotten(model):
    job = Answering(model, FISH, count=1)
    job.add_picture("p0", tiny_matchers.picture(0))
    for seed in range(1, 9):
        job.add_example(f"p{seed}", tiny_matchers.picture(seed), tiny_matchers.example(seed).points)
    before = dict(job.answer())["p0"]
    job.adapt(AdaptConfig(versions=2, folds=2, steps=4, batch=2, check_every=2))
    job._adapted.config = replace(job._adapted.config, examples=0, own_weight=1.0, start_weight=0.0)
    after = dict(job.answer())["p0"]
    assert np.isfinite(after.xy).all() and not np.allclose(before.xy, after.xy, atol=1e-6)
    job.forget_adapting()
    assert dict(job.answer())["p0"].xy == pytest.approx(before.xy, abs=1e-6)
    with pytest.raises(InputError, match="8 labelled objects"):
        Answering(model, FISH).adapt()


class Talker:
    """A model that is no matcher, and answers with the middle of its examples' first points."""

    prompts = ("text", "example")

    def predict(self, image, category, box=None, example=(), **options):
        from anykeypoint.pose import Pose

        xy = np.full((len(category), 2), float(len(example)))
        ones = np.ones(len(category))
        return Pose(names=category.names, xy=xy, confidence=ones, present=ones > 0, image_size=(90, 70))


def test_a_model_that_is_no_matcher_answers_from_the_latest_examples():
    job = Answering(Talker(), FISH, count=2)
    job.add_picture("p0", tiny_matchers.picture(0))
    assert dict(job.answer())["p0"].xy.max() == 0
    for seed in (1, 2, 3):
        job.add_example(f"e{seed}", tiny_matchers.picture(seed), POINTS[seed])
    assert job.examples_of("p0") == ["e3", "e2"] and dict(job.answer())["p0"].xy.max() == 2
