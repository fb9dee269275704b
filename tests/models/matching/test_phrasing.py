"""The phrases of keypoints: the forms, the noun, its broader kind, descriptions, and position words beside them."""

import pytest
import torch
from tiny_matchers import FISH, example, matcher, picture

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.models.loading import load
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.phrasing import FORMS, phrase_of
from anykeypoint.models.towers.place_words import place_width, place_words

PAW = Keypoint("left_front paw", "the lowest part of the leg")
EVIDENCE = {"image_width": 20, "groups": (8, 12), "members": 2, "width": 16, "heads": 2, "layers": 2, "blocks": 1}


def test_a_keypoint_is_read_in_several_forms():
    texts = {form: phrase_of(PAW, "sheep", form).text for form in FORMS}
    assert texts == {
        "name": "left front paw",
        "noun": "left front paw of a sheep",
        "broader": "left front paw of a four-legged animal",
        "both": "left front paw of a sheep, a four-legged animal",
        "turned": "paw, left front",
        "inside": "left front sheep paw",
    }
    assert phrase_of(PAW, "sheep", "noun", described=True).text == (
        "left front paw of a sheep: the lowest part of the leg"
    )


def test_a_form_that_does_not_fit_is_the_next_plainer_one():
    assert [phrase_of(PAW, "object", form).text for form in FORMS if form != "turned"] == ["left front paw"] * 5
    assert phrase_of(PAW, "gizmotron", "broader").text == "left front paw of a gizmotron"
    assert phrase_of(PAW, "gizmotron", "both").text == "left front paw of a gizmotron"
    for name in ("left", "left end of the collar", "left ear (middle)", "nose"):
        assert {phrase_of(Keypoint(name), "sheep", form).text for form in ("turned", "inside")} == {name}


@pytest.mark.parametrize(
    ("noun", "text"),
    [
        ("ape", "tip of an ape"),
        ("dog, six points", "tip of a dog"),
        ("jeans", "tip of jeans"),
        ("eye fundus", "tip of an eye fundus"),
        ("toy bus", "tip of a toy bus"),
        ("glass", "tip of a glass"),
        ("pair of hands", "tip of pair of hands"),
    ],
)
def test_the_noun_has_its_article(noun, text):
    assert phrase_of(Keypoint("tip"), noun, "noun").text == text


def test_a_phrase_of_the_labels_is_read_as_it_is_in_every_form():
    point = Keypoint("left ear", "a description", phrase="viewer's_left ear")
    assert {phrase_of(point, "sheep", form, described=True).text for form in FORMS} == {"viewer's left ear"}


def test_the_config_says_in_which_form_a_matcher_reads(tmp_path):
    sheep = Category.from_text("left ear: its tip; nose", noun="sheep")
    for options, text in (
        ({}, "left ear"),
        ({"noun": True}, "left ear of a sheep"),
        ({"broader": True}, "left ear of a four-legged animal"),
        ({"noun": True, "broader": True, "described": True}, "left ear of a sheep, a four-legged animal: its tip"),
    ):
        model = matcher("evidence", tmp_path, **options)
        assert model.phrase(sheep.keypoints[0], noun=sheep.noun).text == text
        read = model.text_encoder.phrases([text])
        assert torch.equal(model.phrases(sheep)[:1], read)
    with pytest.raises(InputError, match="pomnet is asked by examples and reads no phrases; leave noun out"):
        MatcherConfig("pomnet", noun=True)


def test_position_words_with_their_synonyms_have_a_channel_each():
    one, other, third, far = place_words(["left front leg end", "L. foremost leg end", "left hind leg end", "nose"])
    assert torch.equal(one, other) and one.sum() == 3 and (one != third).sum() == 2 and not far.any()


def test_position_words_behind_of_count_half_and_those_in_parentheses_not_at_all():
    whole, part, both = place_words(["lower joint", "joint of the lower leg", "joint (lower) of the upper leg"])
    assert sorted(whole[whole > 0].tolist()) == [1, 1] and sorted(part[part > 0].tolist()) == [0.5, 1]
    assert both[(whole == 1) & (part == 0.5)].sum() == 0 and both.sum() == 1.5
    image = place_words(["image left corner", "left corner", "left corner of the picture"])
    assert not torch.equal(image[0], image[1]) and (image[0] != image[1]).sum() == 2


def test_position_words_are_part_of_the_answer_and_of_the_folder(tmp_path):
    head = {**EVIDENCE, "text_width": 24 + place_width(), "place_width": place_width(), "likeness": 4}
    model = matcher("evidence", tmp_path, place_words=True, head=head)
    model.head.whiten(torch.randn(60, 24 + place_width(), generator=torch.Generator().manual_seed(1)))
    names = Category.from_text("lft ear; left ear; ear", noun="fish")  # of "lft" the text encoder knows nothing
    vectors = model.phrases(names)
    assert vectors.shape == (3, 24 + place_width()) and torch.equal(vectors[0, 24:], vectors[1, 24:])
    assert model.phrases(FISH)[:, 24:].sum() == 4  # left, right, tip, rear
    model.save_pretrained(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.config.place_words and (again.predict(picture(), FISH).xy == model.predict(picture(), FISH).xy).all()
    shown = example(category=None)
    assert (again.predict(picture(), FISH, example=shown).xy == model.predict(picture(), FISH, example=shown).xy).all()


def test_whitening_scales_position_words_as_a_whole(tmp_path):
    """Whitened among the others, words that the sentence encoder knows already would lose their weight."""
    head = {**EVIDENCE, "text_width": 24 + place_width(), "place_width": place_width(), "likeness": 4}
    model = matcher("evidence", tmp_path, place_words=True, head=head)
    draw = torch.Generator().manual_seed(0)
    places = (torch.rand(200, place_width(), generator=draw) < 0.1).float()
    model.head.whiten(torch.cat([torch.randn(200, 24, generator=draw), places], dim=1))
    assert model.head.phrase_whitener[:24, 24:].abs().max() == 0
    block = model.head.phrase_whitener[24:, 24:]
    assert torch.equal(block, torch.eye(place_width()) * block[0, 0])
    assert ((places - places.mean(dim=0)) @ block).norm(dim=1).mean() == pytest.approx(1, abs=1e-4)
