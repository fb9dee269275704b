"""The loss of the evidence head that tells a category's keypoints apart at the place of each."""

import math

import pytest
import torch
from tiny_matchers import matcher

from anykeypoint.errors import InputError
from anykeypoint.models.matching.heads.evidence import EvidenceOutput

GRID = 10
PLACES = torch.tensor([[[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]])
ALL = torch.ones(1, 4, dtype=torch.bool)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    return matcher("evidence", tmp_path_factory.mktemp("base")).head


def output(points, height=6.0):
    """An output whose maps have a peak at each of the points [K, 2]."""
    centres = (torch.arange(GRID) + 0.5) / GRID
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    away = (torch.stack([x, y], dim=-1) - points[:, None, None]).square().sum(dim=-1)
    scores = height * (-away / 0.02).exp()
    return EvidenceOutput((scores[None, None, None],), torch.ones(1, 1, len(points), dtype=torch.bool))


def loss(head, maps, places=PLACES, labelled=ALL, valid=ALL):
    return head.naming_loss(output(maps), places, labelled, valid).item()


def test_maps_in_their_own_places_cost_less_than_maps_of_one_another(head):
    own, swapped = loss(head, PLACES[0]), loss(head, PLACES[0][[1, 0, 3, 2]])
    assert own < 0.2 and swapped > 1.5


def test_maps_that_are_all_the_same_cost_the_logarithm_of_their_number(head):
    assert loss(head, PLACES[0][[2, 2, 2, 2]]) == pytest.approx(math.log(4), abs=1e-5)


def test_only_valid_keypoints_compete_and_only_labelled_ones_are_named(head):
    same = PLACES[0][[2, 2, 2, 2]]
    three = torch.tensor([[True, True, True, False]])
    assert loss(head, same, labelled=three, valid=three) == pytest.approx(math.log(3), abs=1e-5)
    assert loss(head, same, labelled=three) == pytest.approx(math.log(4), abs=1e-5)
    missing = PLACES.clone()
    missing[0, 3] = float("nan")
    assert loss(head, same, missing, labelled=three) == pytest.approx(math.log(4), abs=1e-5)


def test_points_at_one_place_do_not_compete(head):
    places = PLACES.clone()
    places[0, 1] = places[0, 0] + 0.02
    same = PLACES[0][[2, 2, 2, 2]]
    assert loss(head, same, places) == pytest.approx((2 * math.log(3) + 2 * math.log(4)) / 4, abs=1e-5)


def test_it_moves_the_scores_and_an_object_without_labels_costs_nothing(head):
    made = output(PLACES[0][[1, 0, 3, 2]])
    scores = made.scores[0].requires_grad_()
    value = head.naming_loss(EvidenceOutput((scores,), made.used), PLACES, ALL, ALL)
    value.backward()
    assert torch.isfinite(scores.grad).all() and scores.grad.abs().sum() > 0
    assert loss(head, PLACES[0], PLACES * float("nan"), labelled=~ALL) == 0


def test_other_heads_have_none(tmp_path):
    with pytest.raises(InputError, match="Only the head evidence can contrast the names of a category"):
        matcher("capex", tmp_path).head.naming_loss(None, PLACES, ALL, ALL)
