"""Phrases drawn for each episode: their forms and words, and training with them."""

import json
from collections import Counter
from dataclasses import replace

import pytest
import tiny_trainees
import torch
from accelerate import Accelerator
from test_matching_training import CONFIG, run, same

from anykeypoint.category import Category
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import MatcherTrainer
from anykeypoint.training.matching.phrase_draws import PhraseDraws, drawn_phrases, in_voice

SHEEP = Category.from_text("left front paw: the lowest part; tip of the tail", noun="sheep")
EVERY = PhraseDraws(noun=1.0, broader=1.0, both=1.0, turned=1.0, inside=1.0, reworded=0.5)
DRAWN = replace(CONFIG, phrase_draws=EVERY, contrast=0.5, describe=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 8, seed=2), folder / "images")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


def test_forms_are_drawn_by_their_weights_and_words_by_their_share():
    draws = PhraseDraws(name=1.0, noun=2.0, turned=1.0, reworded=0.5, voices=3)
    drawn = [draws.draw(7, number) for number in range(4000)]
    forms, voices = Counter(form for form, _ in drawn), Counter(voice for _, voice in drawn)
    assert set(forms) == {"name", "noun", "turned"} and abs(forms["noun"] / 4000 - 0.5) < 0.04
    assert set(voices) == {0, 1, 2, 3} and abs(voices[0] / 4000 - 0.5) < 0.04
    assert drawn == [draws.draw(7, number) for number in range(4000)]
    assert drawn != [draws.draw(8, number) for number in range(4000)]


def test_without_other_forms_and_words_nothing_changes():
    assert {PhraseDraws().draw(0, number) for number in range(100)} == {("name", 0)}
    assert [one.text for one in drawn_phrases(SHEEP, "name", 0, False)] == SHEEP.names


def test_a_voice_says_the_same_word_in_every_name_and_several_voices_differ():
    names = ["left front paw", "left hind paw", "right front paw"]
    spoken = {voice: [in_voice(name, voice) for name in names] for voice in range(1, 9)}
    assert len({tuple(words) for words in spoken.values()}) > 3
    for left, hind, right in spoken.values():
        assert left.split()[0] == hind.split()[0] and left.split()[1:] == right.split()[1:]
    assert [in_voice(name, 0) for name in names] == names


def test_words_are_replaced_where_they_mean_the_same_and_only_there():
    every = {in_voice(name, voice) for name in ("back of the neck", "hindsight", "tip-off") for voice in range(20)}
    assert every == {"back of the neck", "hindsight", "tip-off"}
    tips = {in_voice("tip of the left horn", voice) for voice in range(1, 30)}
    assert "end of the l. horn" in tips and len(tips) > 5


def test_all_phrases_are_those_that_episodes_draw():
    texts = {one.text for one in EVERY.all_phrases([SHEEP], [False, True])}
    for number in range(500):
        drawn = drawn_phrases(SHEEP, *EVERY.draw(3, number), bool(number % 2))
        assert {one.text for one in drawn} <= texts
    assert "left front paw of a sheep, a four-legged animal: the lowest part" in texts
    assert all(one.name in SHEEP.names for one in EVERY.all_phrases([SHEEP], [True]))


def test_training_draws_phrases_and_a_resumed_run_is_the_uninterrupted_one(tmp_path, base, data):
    def model():
        return tiny_trainees.matcher("evidence", base, dropout=0.1, described=True)

    whole, figures = run(base, data, tmp_path / "whole", DRAWN, model=model())
    run(base, data, tmp_path / "parts", DRAWN, model=model(), stop_after=3)
    resumed, _ = run(base, data, tmp_path / "parts", DRAWN, model=model())
    assert same(whole, resumed) and all(found["names"] > 0 for found in figures)
    plain, without = run(base, data, tmp_path / "plain", replace(DRAWN, phrase_draws=None, contrast=0), model=model())
    assert not same(whole, plain) and "names" not in without[0]
    about = json.loads((tmp_path / "whole" / "phrases" / "about.json").read_text())
    assert about["phrases"] == len(EVERY.all_phrases({o.category for o in data.objects}, [False, True]))


def test_a_drawn_phrase_has_the_vector_that_prediction_gives_it(tmp_path, base, data):
    trainer = MatcherTrainer(
        tiny_trainees.matcher("evidence", base),
        data,
        replace(DRAWN, phrase_draws=PhraseDraws(noun=1.0, name=0.0)),
        True,
    )
    trainer.prepare(Accelerator(cpu=True), tmp_path)
    batch = trainer.load(range(4), 1).batches[0][0]
    model = tiny_trainees.matcher("evidence", base, noun=True)
    trained = trainer._phrase_features(batch)
    for row, (category, prompt) in enumerate(zip(batch.categories, batch.prompts, strict=True)):
        assert prompt.form == "noun"
        assert torch.allclose(trained[row, : len(category)], model.phrases(category), atol=1e-6)


def test_what_does_not_fit_is_refused(base, data):
    with pytest.raises(InputError, match="phrase_draws are for matchers that read text, not graphcape"):
        MatcherTrainer(tiny_trainees.matcher("graphcape", base), data, DRAWN)
    with pytest.raises(InputError, match="phrase_draws are all 0"):
        PhraseDraws(name=0.0)
    with pytest.raises(InputError, match="unknown key 'nouns'"):
        MatcherTrainConfig.from_dict({"phrase_draws": {"nouns": 0.5}})
    read = MatcherTrainConfig.from_dict({"phrase_draws": {"noun": 0.5, "reworded": 0.2}, "contrast": 0.3})
    assert read.phrase_draws == PhraseDraws(noun=0.5, reworded=0.2) and read.to_dict()["contrast"] == 0.3
