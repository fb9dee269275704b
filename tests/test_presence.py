"""Presence from the cues of a distribution, and which points count as present."""

import numpy as np
import pytest

from anykeypoint.density.presence import Presence, PresenceCurve, entropy_shares, present_points, terms
from anykeypoint.errors import InputError

NAN = float("nan")


def test_the_entropy_of_a_distribution_is_a_share_of_that_of_the_uniform_one():
    grids = np.zeros((4, 5, 5))
    grids[0, 2, 3] = 7  # need not sum to 1
    grids[1] = 1
    grids[2, 0, :5] = 0.2
    grids[3, 0, 0], grids[3, 4, 4] = 3, 1
    expected = [0, 1, np.log(5) / np.log(25), -(0.75 * np.log(0.75) + 0.25 * np.log(0.25)) / np.log(25)]
    np.testing.assert_allclose(entropy_shares(grids), expected, atol=1e-12)


def test_a_point_is_seen_beside_the_mean_of_all_that_are_asked_for_together():
    cues = np.array([[0.2, 5.0], [NAN, NAN], [0.6, 1.0]])
    found = terms(cues)
    np.testing.assert_allclose(found[0], [1, 0.2, 5.0, 0.4, 3.0])
    np.testing.assert_allclose(found[2], [1, 0.6, 1.0, 0.4, 3.0])
    curve = PresenceCurve(constant=1.0, entropy=-2.0, mean_entropy=-1.0, score=0.5, mean_score=0.25)
    z = 1 - 2 * 0.2 - 0.4 + 0.5 * 5 + 0.25 * 3
    np.testing.assert_allclose(curve.at(cues)[0], 1 / (1 + np.exp(-z)))
    assert np.isnan(curve.at(cues)).tolist() == [False, True, False]


def test_a_curve_without_scores_needs_none():
    cues = np.array([[0.2, NAN], [0.9, NAN]])
    low, high = PresenceCurve(constant=4.0, entropy=-8.0, mean_entropy=0.0).at(cues)[::-1]
    assert 0 < low < 0.5 < high < 1
    assert np.isnan(PresenceCurve(4.0, -8.0, 0.0, score=1.0).at(cues)).all()


def test_extreme_cues_stay_within_0_and_1():
    steep = PresenceCurve(constant=0.0, entropy=-1e6, mean_entropy=0.0)
    assert steep.at(np.array([[0.0, NAN], [1.0, NAN]])).tolist() == [0.5, pytest.approx(0, abs=1e-300)]


def test_a_prompt_without_a_curve_says_nothing():
    presence = Presence(text=PresenceCurve(1.0, -1.0, 0.0))
    cues = np.array([[0.5, NAN]])
    assert np.isnan(presence.of("example", cues)).all() and np.isfinite(presence.of("text", cues)).all()
    assert Presence.from_dict(presence.to_dict()) == presence and Presence.from_dict({}) == Presence()


@pytest.mark.parametrize(
    ("read", "word"),
    [
        ({"words": None}, "unknown key 'words'"),
        ({"text": {"constant": 1, "entropy": 2}}, "must have a mean_entropy"),
        ({"text": {"constant": 1, "entropy": 2, "mean_entropy": "3"}}, "mean_entropy must be"),
        ({"text": {"constant": NAN, "entropy": 2, "mean_entropy": 3}}, "constant must be"),
        ({"text": {"constant": 1, "entropy": 2, "mean_entropy": 3, "slope": 1}}, "unknown key 'slope'"),
    ],
)
def test_coefficients_are_read_strictly(read, word):
    with pytest.raises(InputError, match=word):
        Presence.from_dict(read)


def test_a_curve_that_a_model_cannot_use_is_refused():
    plain, scored = PresenceCurve(1.0, -1.0, 0.0), PresenceCurve(1.0, -1.0, 0.0, score=0.1)
    with pytest.raises(InputError, match="presence by example, but this model has text"):
        Presence(example=plain).check(("text",))
    with pytest.raises(InputError, match="no distribution"):
        Presence(text=plain).check(())
    with pytest.raises(InputError, match="needs scores"):
        Presence(text=scored).check(("text",))
    Presence(text=scored).check(("text",), scores=True)


def test_points_with_a_place_are_present_unless_their_presence_is_known_to_be_too_low():
    places = np.array([[1, 2], [3, 4], [5, 6], [NAN, NAN]], dtype=float)
    presence = np.array([0.5, 0.49, NAN, NAN])
    assert present_points(places, presence).tolist() == [True, False, True, False]
    assert present_points(places, presence, 0.4).tolist() == [True, True, True, False]
    with pytest.raises(InputError, match="from 0 to 1"):
        present_points(places, presence, 2)
