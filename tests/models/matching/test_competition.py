"""Keypoints asked for by words alone leave places to each other."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from anykeypoint.errors import InputError
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.models.matching.heads.evidence import EvidenceConfig, EvidenceHead
from anykeypoint.models.matching.parts.competition import ROUNDS, Contest

SIZES = EvidenceConfig(
    image_width=10, text_width=12, groups=(4, 6), members=2, width=16, heads=2, layers=1, blocks=1, likeness=4
)


def plainly(logs: Tensor, strength: float, valid: Tensor, yielding: Tensor) -> Tensor:
    """The competition of one object [K, n], keypoint by keypoint."""
    now = logs.clone()
    for _ in range(ROUNDS):
        sums = sum(now[k].exp() for k in range(len(logs)) if valid[k])
        after = logs.clone()
        for k in range(len(logs)):
            if valid[k] and yielding[k]:
                scores = logs[k] + strength * (now[k] - sums.log())
                after[k] = scores - scores.exp().sum().log()
        now = after
    return now


def contest(strength: float, valid: list[bool], yielding: list[bool] | None = None) -> Contest:
    every = torch.tensor(valid)
    return Contest(strength, every[None], (every if yielding is None else torch.tensor(yielding))[None, None])


def test_the_competition_is_that_of_the_plain_loop() -> None:
    logs = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0)).log_softmax(dim=-1)
    valid = torch.tensor([[True] * 5, [True, True, True, False, False]])
    yielding = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.6
    settled = Contest(0.7, valid, yielding).settle(logs)
    for b in range(2):
        for m in range(3):
            assert torch.allclose(settled[b, m], plainly(logs[b, m], 0.7, valid[b], yielding[b, m]), atol=1e-6)


def test_a_keypoint_with_two_likely_places_takes_the_one_that_no_other_is_sure_of() -> None:
    sure, torn = [0.97, 0.01, 0.02], [0.5, 0.45, 0.05]
    settled = contest(0.6, [True, True]).settle(torch.tensor([[[sure, torn]]]).log())
    assert settled[0, 0].argmax(dim=-1).tolist() == [0, 1]


def test_a_keypoint_alone_keeps_its_map_and_one_that_is_not_asked_for_is_no_rival() -> None:
    logs = torch.tensor([[[[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]]]]).log()
    assert torch.allclose(contest(0.6, [True]).settle(logs[:, :, :1]), logs[:, :, :1])
    assert torch.allclose(contest(0.6, [True, False]).settle(logs), logs)


def test_keypoints_that_an_example_shows_keep_their_maps_and_are_rivals() -> None:
    logs = torch.tensor([[[[0.5, 0.45, 0.05], [0.97, 0.01, 0.02]]]]).log()
    settled = contest(0.6, [True, True], [True, False]).settle(logs)
    assert torch.equal(settled[0, 0, 1], logs[0, 0, 1])
    assert settled[0, 0, 0].argmax() == 1


def test_a_head_with_competition_has_the_weights_and_the_scores_of_one_without() -> None:
    torch.manual_seed(0)
    plain = EvidenceHead(SIZES).eval()
    head = EvidenceHead(replace(SIZES, competition=0.6)).eval()
    head.load_state_dict(plain.state_dict())
    valid = torch.tensor([[True, True, True], [True, True, False]])
    heat = torch.rand(2, 1, 3, 8, 8)
    shown = torch.tensor([[[True, False, False]], [[False, False, False]]])
    prompt = Prompt(
        example_features=torch.randn(2, 1, 10, 4, 4),
        heatmaps=heat,
        example_visible=shown,
        phrases=torch.randn(2, 3, 12),
    )
    query = torch.randn(2, 10, 4, 4)
    with torch.no_grad():
        before, after = plain(query, valid, prompt), head(query, valid, prompt)
    assert torch.equal(before.scores[-1], after.scores[-1])
    moved = (before.probabilities - after.probabilities).abs().flatten(2).amax(dim=-1) > 1e-5
    assert moved.tolist() == [[False, True, True], [True, True, False]]
    assert torch.allclose(after.probabilities.sum(dim=(-2, -1)), torch.ones(2, 3))


def test_a_competition_below_zero_is_refused() -> None:
    with pytest.raises(InputError, match="competition"):
        replace(SIZES, competition=-0.1)
