"""The evidence head: what its maps say before training, and what may not change an answer."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from anykeypoint.crops.heatmaps import heat_targets
from anykeypoint.errors import InputError
from anykeypoint.models.maps import cell_centres
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.models.matching.heads.evidence import EvidenceConfig, EvidenceHead, EvidenceOutput
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.parts import cues
from anykeypoint.models.matching.parts.reading import SMOOTHING

SIZES = {"image_width": 12, "text_width": 6, "groups": (5, 7), "width": 16, "heads": 2, "likeness": 4}
SMALL = EvidenceConfig(**SIZES, members=2, layers=2, blocks=1, dropout=0.0)
B, K, M, R, N = 3, 5, 2, 8, 32


@pytest.fixture
def head():
    torch.manual_seed(0)
    made = EvidenceHead(SMALL)
    for parameter in made.parameters():
        parameter.data += 0.5 * torch.randn_like(parameter)
    return made.double().eval()  # so that rounding is no matter


def heat_of(points):
    """Heat maps (..., K, N, N) of points (..., K, 2), fractions; NaN has none."""
    points = np.asarray(points)
    flat = points.reshape(-1, points.shape[-2], 2)
    maps = [heat_targets(one * N, ~np.isnan(one).any(axis=1), 1, N, 1.0)[0] for one in flat]
    return torch.from_numpy(np.stack(maps).reshape(*points.shape[:-1], N, N))


@pytest.fixture
def inputs():
    torch.manual_seed(1)
    points = torch.rand(B, M, K, 2).double().numpy() * 0.8 + 0.1
    made = {
        "query": torch.randn(B, 12, R, R),
        "valid": torch.tensor([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0], [0, 1, 0, 0, 0]]).bool(),
        "example_features": torch.randn(B, M, 12, R, R),
        "heatmaps": heat_of(points),
        "example_visible": torch.rand(B, M, K) > 0.3,
        "phrases": torch.randn(B, K, 6),
        "has_text": torch.rand(B, K) > 0.3,
    }
    return {name: value.double() if value.is_floating_point() else value for name, value in made.items()}


def ask(head, query, valid, **prompt):
    return head(query, valid, Prompt(**prompt))


def close(a, b, where=None):
    where = slice(None) if where is None else where
    torch.testing.assert_close(a[where], b[where], rtol=1e-6, atol=1e-7)


EXAMPLE = ("example_features", "heatmaps", "example_visible")
PROMPTS = {
    "text": EXAMPLE,
    "example": ("phrases", "has_text"),
    "both": (),
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_row_is_answered_as_it_would_be_alone(head, inputs, prompt):
    inputs |= dict.fromkeys(PROMPTS[prompt])
    whole = ask(head, **inputs)
    for row in range(B):
        one = {name: None if value is None else value[row : row + 1] for name, value in inputs.items()}
        valid = inputs["valid"][row]
        close(ask(head, **one).points[0], whole.points[row], valid)
        close(ask(head, **one).scores[-1][:, 0][:, :, valid], whole.scores[-1][:, row][:, :, valid])


def test_slots_that_are_not_valid_change_nothing_whatever_they_hold(head, inputs):
    before, valid = ask(head, **inputs), inputs["valid"]
    junk = {name: value.clone() for name, value in inputs.items()}
    for row, slot in (~valid).nonzero().tolist():
        junk["phrases"][row, slot] = float("nan")
        junk["heatmaps"][row, :, slot] = float("nan")
        junk["example_visible"][row, :, slot] = True
        junk["has_text"][row, slot] = True
    after = ask(head, **junk)
    close(after.points, before.points, valid)
    assert torch.isfinite(after.scores[-1].transpose(2, 3)[:, valid]).all()


def test_the_order_of_keypoints_and_of_examples_does_not_matter(head, inputs):
    order, turned = torch.tensor([3, 0, 4, 2, 1]), dict(inputs)
    for name in ("valid", "phrases", "has_text"):
        turned[name] = inputs[name][:, order]
    for name in ("heatmaps", "example_visible"):
        turned[name] = inputs[name][:, :, order].flip(1)
    turned["example_features"] = inputs["example_features"].flip(1)
    valid = inputs["valid"][:, order]
    close(ask(head, **turned).points, ask(head, **inputs).points[:, order], valid)


def test_one_example_shown_twice_is_one_example(head, inputs):
    once = inputs | {name: inputs[name][:, :1] for name in EXAMPLE}
    twice = once | {
        name: once[name].repeat_interleave(2, dim=1) for name in ("example_features", "heatmaps", "example_visible")
    }
    close(ask(head, **twice).probabilities, ask(head, **once).probabilities, inputs["valid"])


def test_examples_answer_one_by_one_and_are_mixed_by_how_sure_they_are(head, inputs):
    whole = ask(head, **inputs).probabilities.detach()
    each = []
    for m in range(M):
        one = inputs | {
            name: inputs[name][:, m : m + 1] for name in ("example_features", "heatmaps", "example_visible")
        }
        each.append(ask(head, **one).probabilities.detach())
    for b, k in (inputs["valid"] & inputs["example_visible"].any(dim=1)).nonzero().tolist():
        total, mixed = 0.0, torch.zeros(R, R).double()
        for m in range(M):
            if inputs["example_visible"][b, m, k]:
                chances = each[m][b, k]
                sure = math.exp(sum(p * math.log(p) for p in chances.flatten().tolist() if p))
                total, mixed = total + sure, mixed + sure * chances
        close(whole[b, k], mixed / total)


def test_a_keypoint_that_an_example_does_not_show_is_found_by_the_others_or_by_words(head, inputs):
    """What a picture has where a point is not shown is never read."""
    inputs["example_visible"][:, 1, 2] = False
    other = dict(inputs, heatmaps=inputs["heatmaps"].clone())
    other["heatmaps"][:, 1, 2] = heat_of(np.full((B, 1, 2), 0.7))[:, 0].double()
    close(ask(head, **other).points, ask(head, **inputs).points, inputs["valid"])


def test_words_and_examples_both_have_a_say(head, inputs):
    valid = inputs["valid"] & inputs["has_text"] & inputs["example_visible"].any(dim=1)
    found = {name: ask(head, **(inputs | dict.fromkeys(without))).points for name, without in PROMPTS.items()}
    for one, other in (("text", "both"), ("example", "both"), ("text", "example")):
        assert (found[one] - found[other]).abs()[valid].max() > 1e-3


def test_before_training_the_same_picture_is_found_again():
    """Untrained, with its own picture as example, a point is found where it was marked: looks decide."""
    torch.manual_seed(0)
    plain = EvidenceHead(replace(SMALL, groups=(12,))).eval()
    picture = torch.randn(1, 12, R, R)
    points = cell_centres(R, R, like=picture)[[9, 20, 33, 50, 13]].double().numpy()
    prompt = Prompt(example_features=picture[:, None], heatmaps=heat_of(points[None, None]).float())
    answer = plain(picture, torch.ones(1, 5).bool(), prompt)
    np.testing.assert_allclose(answer.points[0].detach().numpy(), points, atol=0.5 / R)


def test_chances_are_probabilities_and_the_answer_lies_where_most_of_them_are_close_together(head, inputs):
    answer = ask(head, **inputs)
    chances = answer.probabilities
    torch.testing.assert_close(chances.sum(dim=(-2, -1)), torch.ones(B, K).double())
    places = cell_centres(R, R, like=chances).numpy()
    each = zip(chances.detach().flatten(0, 1).flatten(1).numpy(), answer.points.detach().flatten(0, 1), strict=True)
    for shares, found in each:

        def near(at, shares=shares):
            return shares * np.exp(-((places - at) ** 2).sum(axis=1) / (2 * SMOOTHING**2))

        weight = near(found.numpy())
        assert weight.sum() >= max(near(at).sum() for at in places)  # higher than at any cell's centre
        np.testing.assert_allclose(
            found.numpy(), weight @ places / weight.sum(), atol=1e-4
        )  # a place that shifts no more


def test_a_small_change_of_the_probabilities_moves_the_answer_a_little():
    """Two cells beside each other, each a little higher in turn: the answer lies between them both times."""
    found = []
    for tall in (0, 1):
        scores = torch.full((1, 1, 1, 1, 20, 20), -20.0)
        scores[..., 8, 5 + tall], scores[..., 8, 6 - tall] = math.log(0.501), math.log(0.499)
        found.append(EvidenceOutput((scores,), torch.ones(1, 1, 1).bool()).points[0, 0])
    assert (found[0] - found[1]).abs().max() < 0.001
    torch.testing.assert_close(found[0], torch.tensor([6 / 20, 8.5 / 20]), atol=1e-3, rtol=0)


def test_what_version_0_1_0_wrote_is_read_by_the_window_and_new_heads_are_not():
    """The mean of the 3 x 3 cells round the highest, where the highest place lies between two equal cells."""
    old = MatcherConfig.from_dict({"name": "evidence", "backbone": {"name": "efficientnet-lite2"}, "head": {}})
    new = MatcherConfig.from_dict({"name": "evidence", "vision": {"name": "efficientnet-lite2"}, "head": {}})
    assert (old.head.reading, new.head.reading, EvidenceConfig().reading) == ("window", "modes", "modes")
    assert MatcherConfig.from_dict(old.to_dict()).head.reading == "window"
    scores = torch.full((1, 1, 1, 1, 20, 20), -20.0)
    scores[..., 8, 5], scores[..., 8, 7] = math.log(0.6), math.log(0.4)
    used = torch.ones(1, 1, 1).bool()
    window = EvidenceOutput((scores,), used, reading="window").points[0, 0]
    torch.testing.assert_close(window, torch.tensor([(5.5 * 0.6 + 7.5 * 0.4) / 20, 8.5 / 20]), atol=2e-3, rtol=0)
    with pytest.raises(InputError, match="reading must be one of modes, window"):
        EvidenceConfig(reading="parabola")


def test_a_hill_is_a_likelier_answer_than_a_lone_tall_cell():
    scores = torch.full((1, 1, 1, 1, 20, 20), -20.0)
    scores[..., 3, 3] = math.log(0.3)
    scores[..., 10:13, 14:17] = math.log(0.7 / 9)
    found = EvidenceOutput((scores,), torch.ones(1, 1, 1).bool()).points[0, 0]
    torch.testing.assert_close(found, torch.tensor([15.5 / 20, 11.5 / 20]))


def test_the_loss_is_least_where_the_answer_is_the_target(head):
    points = torch.tensor([[[0.3, 0.6], [float("nan")] * 2]])
    labelled = torch.tensor([[True, False]])
    places = cell_centres(R, R, like=points)
    target = (-((places - points[:, :1]) * R).square().sum(dim=-1) / 2).softmax(dim=-1)

    def loss(scores):
        maps = (scores.expand(1, 1, 1, 2, -1).unflatten(-1, (R, R)),) * 3
        return sum(head.losses(EvidenceOutput(maps, torch.ones(1, 1, 2).bool()), points, None, labelled).values())

    best = loss(target.log())
    entropy = -(target * target.log()).sum()
    torch.testing.assert_close(best, entropy * (1 + 2 * 0.3))
    assert loss(torch.zeros(1, 1, R * R)) > best


def test_learning_lowers_the_loss_and_reaches_every_parameter(inputs):
    torch.manual_seed(0)
    head = EvidenceHead(SMALL).double()
    inputs["example_visible"] &= torch.tensor([1, 1, 0]).bool()[:, None, None]
    inputs["has_text"] &= torch.tensor([1, 0, 1]).bool()[:, None]
    labelled = inputs["valid"] & (inputs["has_text"] | inputs["example_visible"].any(dim=1))
    points = torch.rand(B, K, 2).double()
    optimiser = torch.optim.Adam(head.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        loss = sum(head.losses(ask(head, **inputs), points, None, labelled).values())
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        assert not [name for name, p in head.named_parameters() if p.grad is None]
        optimiser.step()
    assert losses[-1] < 0.6 * losses[0]


def test_whitened_phrases_differ_alike_in_every_direction(head, inputs):
    """What hardly varied, as left and right do, counts as much as the rest; phrases keep their order of nearness."""
    torch.manual_seed(2)
    head.double()
    scales = torch.tensor([4.0, 2.0, 1.0, 1.0, 0.5, 0.4]).double()
    phrases = 3 + torch.randn(500, 6).double() * scales
    assert not head.whitens
    before = ask(head, **inputs)
    head.whiten(phrases)
    assert head.whitens
    white = (phrases - head.phrase_mean) @ head.phrase_whitener
    assert white.norm(dim=1).mean().item() == pytest.approx(1)
    spread = white.std(dim=0)
    assert spread.max() / spread.min() < 2 < 5 < scales.max() / scales.min()
    assert not torch.allclose(ask(head, **inputs).points, before.points)
    again = EvidenceHead(SMALL).double()
    again.load_state_dict(head.state_dict())
    close(ask(again.eval(), **inputs).probabilities, ask(head, **inputs).probabilities, inputs["valid"])
    with pytest.raises(InputError, match="two or more"):
        head.whiten(phrases[:1])


def test_in_training_each_row_is_learnt_by_one_member_and_answered_as_that_one_answers(head, inputs):
    whole = ask(head, **inputs)
    head.train()
    learnt = ask(head, **inputs)
    for row in range(B):
        valid = inputs["valid"][row]
        close(learnt.scores[-1][0, row][:, valid], whole.scores[-1][row % 2, row][:, valid])
    points = torch.rand(B, K, 2).double()
    for row, own, other in ((0, 0, 1), (1, 1, 0)):
        labelled = torch.zeros(B, K).bool()
        labelled[row, 0] = True
        head.zero_grad()
        sum(head.losses(ask(head, **inputs), points, None, labelled).values()).backward()
        assert any(p.grad is not None and p.grad.abs().max() > 0 for p in head.members[own].parameters())
        assert all(p.grad is None or not p.grad.any() for p in head.members[other].parameters())


def test_in_training_rows_without_an_example_are_answered_as_if_their_cues_were_computed(head, inputs):
    """Cues of objects whose example shows nothing are left out then; the others keep theirs."""
    inputs["example_visible"][0, 0] = inputs["example_visible"][2] = False
    whole = ask(head, **inputs)
    head.train()
    learnt = ask(head, **inputs)
    for row in range(B):
        valid = inputs["valid"][row]
        close(learnt.scores[-1][0, row][:, valid], whole.scores[-1][row % 2, row][:, valid])
    inputs["example_visible"][:] = False
    assert torch.isfinite(ask(head, **inputs).scores[-1]).all()


@pytest.mark.parametrize("training", [False, True])
def test_two_prompts_of_a_picture_in_one_pass_are_answered_as_in_two(head, inputs, training):
    """Words alone, and an example with or without words; in training, what concerns the picture is computed once."""
    head.train(training)
    words = inputs["has_text"].clone()
    words[1] = False
    asked = [
        inputs | {"example_visible": torch.zeros_like(inputs["example_visible"])},
        inputs | {"has_text": words},
    ]
    single = [ask(head, **one) for one in asked]
    rows = {name: torch.stack([one[name] for one in asked], dim=1).flatten(0, 1) for name in inputs if name != "query"}
    both = ask(head, inputs["query"], **rows)
    for prompt, answer in enumerate(single):
        for stage, scores in enumerate(answer.scores):
            kept = inputs["valid"][:, None].expand(-1, M, -1)
            for mine, its in zip(both.scores[stage][:, prompt::2], scores, strict=True):
                close(mine[kept], its[kept])
        assert torch.equal(both.used[prompt::2], answer.used)


def test_points_of_examples_stand_for_their_heat_maps(head, inputs):
    points = cues.centroids(inputs["heatmaps"])
    given = inputs | {"heatmaps": None, "example_points": points}
    close(ask(head, **given).probabilities, ask(head, **inputs).probabilities, inputs["valid"])


def test_dropout_of_picture_and_attention_can_be_left_out():
    made = EvidenceHead(replace(SMALL, dropout=0.2, image_dropout=0.0, attention_dropout=0.1)).members[0]
    assert [block.dropout.p for block in made.blocks] == [0.0]
    assert {layer.cross_attention.dropout for layer in made.layers} == {0.1}
    assert {layer.dropout.p for layer in made.layers} == {0.2}
    made = EvidenceHead(replace(SMALL, dropout=0.2)).members[0]
    assert (made.blocks[0].dropout.p, made.layers[0].self_attention.dropout) == (0.2, 0.2)


def test_mixed_precision_answers_nearly_the_same_and_learns_nearly_the_same(inputs):
    """The linear maps round to bfloat16; cosines, places and scores do not."""
    torch.manual_seed(0)
    head = EvidenceHead(SMALL).train()
    inputs = {name: value.float() if value.is_floating_point() else value for name, value in inputs.items()}
    labelled, points = inputs["valid"] & inputs["has_text"], torch.rand(B, K, 2)
    found = []
    for mixed in (False, True):
        head.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            answer = ask(head, **inputs)
            sum(head.losses(answer, points, None, labelled).values()).backward()
        assert all(one.dtype == torch.float32 for one in answer.scores)
        found.append((answer.scores[-1].detach(), torch.cat([p.grad.flatten() for p in head.parameters()])))
    (plain, slope), (rounded, mixed_slope) = found
    kept = inputs["valid"][:, None].expand(-1, M, -1)
    assert (plain - rounded)[0][kept].abs().mean() < 0.02 * plain[0][kept].std()
    assert torch.nn.functional.cosine_similarity(slope, mixed_slope, dim=0) > 0.99


# --- its parts -----------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_the_affine_map_is_the_ridge_solution(seed):
    rng = np.random.default_rng(seed)
    source, target, weight = rng.random((4, 2)), rng.random((4, 2)), rng.random(4) + 0.1
    weight /= weight.sum()
    x, y = source - weight @ source, target - weight @ target
    rows = np.vstack([np.sqrt(weight)[:, None] * x, np.sqrt(cues.STIFFNESS) * np.eye(2)])
    wanted = np.vstack([np.sqrt(weight)[:, None] * y, np.sqrt(cues.STIFFNESS) * np.eye(2)])
    matrix = np.linalg.lstsq(rows, wanted, rcond=None)[0]
    ours = cues.affine(*(torch.from_numpy(value)[None] for value in (source, target, weight)))
    np.testing.assert_allclose(ours[0].numpy(), x @ matrix + weight @ target, atol=1e-9)


def test_a_moved_and_grown_object_is_followed_by_its_shape():
    """Every point looks like itself alone, but one looks like nothing: the others say where it is."""
    size = 20
    places = cell_centres(size, size, like=torch.zeros(1))
    points = torch.tensor([[[0.3, 0.3], [0.7, 0.3], [0.3, 0.7], [0.7, 0.7], [0.5, 0.5]]])
    moved = (points - 0.5) * 1.2 + torch.tensor([0.58, 0.45])
    looks = cues.gaussian_at(moved, places, 0.04)
    looks[:, 4] = 0
    shown = torch.ones(1, 5).bool()
    found = cues.fitted(looks, points, shown, places)
    assert (found - moved).abs().max() < 0.03 < (points - moved).abs().max()
    alone = cues.fitted(looks[:, 4:], points[:, 4:], shown[:, 4:], places)
    assert (alone - points[:, 4:]).abs().max() < 0.03  # nothing to go by: it stays


def test_centres_of_heat_are_the_points_they_were_drawn_round():
    points = np.array([[0.25, 0.5], [0.75, 0.125], [np.nan, np.nan]])
    found = cues.centroids(heat_of(points))
    np.testing.assert_allclose(found.numpy(), [[0.25, 0.5], [0.75, 0.125], [0.5, 0.5]], atol=1e-6)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"groups": (5, 6)}, r"\[5, 6\] are not 12"),
        ({"width": 15}, "multiple of its 2 heads"),
        ({"layers": 0}, "layers must be a whole number from 1"),
        ({"dropout": 1.0}, "dropout"),
        ({"image_dropout": 1.0}, "image_dropout"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, words):
    with pytest.raises(InputError, match=words):
        replace(SMALL, **change)
    assert EvidenceConfig.from_dict(SMALL.to_dict()) == SMALL
