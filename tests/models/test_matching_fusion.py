"""Two modalities in one matcher: what each fusion adds, and what it leaves alone."""

import math
from dataclasses import replace

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.matching.heads.fusion import (
    CrossModalAttention,
    DecisionFusion,
    DecisionFusionConfig,
    FeatureFusion,
    FeatureFusionConfig,
    consistency_loss,
)
from anykeypoint.models.matching.heads.graph import Head
from anykeypoint.models.matching.heads.graph_config import HEADS, HeadConfig
from anykeypoint.models.matching.parts.losses import matching_losses

HEAD = HeadConfig(
    image_width=12, support_width=10, width=16, heads=2, hidden=24, gate=8, encoder_layers=1, decoder_layers=2
)
SKELETONS = [[(0, 1), (1, 2)], [(3, 0)], []]


@pytest.fixture(autouse=True, scope="module")
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """Every parameter moved from where it starts."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=draw)
    return module.eval()


def inputs(rows: int = 3, slots: int = 4, guest: int = 7):
    """Query, tokens of words and of examples, and a mask with holes and an empty row."""
    draw = torch.Generator().manual_seed(1)
    sizes = ((rows, 12, 5, 5), (rows, slots, 10), (rows, slots, guest))
    valid = torch.ones(rows, slots, dtype=torch.bool)
    valid[1, 2], valid[2] = False, False
    return *(torch.randn(size, generator=draw) for size in sizes), valid


def feature(**options) -> FeatureFusion:
    return shaken(FeatureFusion(shaken(Head(HEAD)), FeatureFusionConfig(**{"guest_width": 7, **options})), seed=2)


def decision(**options) -> DecisionFusion:
    return shaken(DecisionFusion(Head(HEAD), DecisionFusionConfig(image_support_width=7, **options)))


def close(ours: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(ours, other, atol=2e-5, rtol=1e-4)


# --- feature level ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_fused_tokens_follow_the_equations():
    attention = shaken(CrossModalAttention(6, "projections", 0.5, norm=True))
    lead, other, valid = torch.randn(1, 4, 6), torch.randn(1, 4, 6), torch.tensor([[True, False, True, True]])
    shown = other[0, [0, 2, 3]]
    scores = (lead[0] @ attention.query.weight.T) @ (shown @ attention.key.weight.T).T / math.sqrt(6)
    sums = lead[0] + attention.gamma * scores.softmax(-1) @ (shown @ attention.value.weight.T)
    expected = (sums - sums.mean(-1, keepdim=True)) / (sums.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    assert close(attention(lead, other, valid)[0], expected)


@pytest.mark.parametrize(("host", "direction"), [("text", "image_to_text"), ("image", "text_to_image")])
@torch.no_grad()
def test_plugged_in_it_changes_nothing_at_first(host, direction):
    query, text, image, valid = inputs()
    head = shaken(Head(HEAD))
    own, guest = text, image  # tokens of 10 channels are the host's
    fusion = FeatureFusion(head, FeatureFusionConfig(direction, host=host, guest_width=7, norm=False, frozen=True))
    given = (own, guest) if host == "text" else (guest, own)
    assert torch.equal(fusion(query, *given, valid, SKELETONS).points, head(query, own, valid, SKELETONS).points)


@pytest.mark.parametrize("learnt", ["gamma", "projections"])
def test_on_a_frozen_head_only_what_is_new_trains(learnt):
    query, text, image, valid = inputs(guest=10)
    options = {"learnt": learnt, "guest_width": 10, "gamma": 0.3, "frozen": True}
    fusion = FeatureFusion(shaken(Head(HEAD)), FeatureFusionConfig(**options)).train()
    assert not fusion.head.matcher.training
    fusion(query, text, image, valid, SKELETONS).found.sum().backward()
    trained = {name for name, parameter in fusion.named_parameters() if parameter.grad is not None}
    assert trained and not any(name.startswith("head.") for name in trained)
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in fusion.attention.parameters())


@pytest.mark.parametrize("learnt", ["gamma", "projections"])
def test_feature_fusion_adds_the_published_number_of_parameters(learnt):
    with torch.device("meta"):
        head = Head(HEADS["capex"])
        fusion = FeatureFusion(head, FeatureFusionConfig(learnt=learnt))
    count = sum(parameter.numel() for parameter in fusion.parameters())
    count -= sum(parameter.numel() for parameter in head.parameters())
    assert count == {"gamma": 196_864 + 1, "projections": 196_608 + 1}[learnt]
    assert f"{(195_518_504 + count) / 1e6:.3f}" == "195.715"


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_both_modalities_count_in_every_direction(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    plain = fusion(query, text, image, valid, SKELETONS).points
    assert not close(fusion(query, text + 1, image, valid, SKELETONS).points[:, :2], plain[:, :2])
    assert not close(fusion(query, text, image.flip(1), valid, SKELETONS).points[:, :2], plain[:, :2])
    assert plain.isfinite().all()


@torch.no_grad()
def test_both_directions_are_their_mean():
    _, text, image, valid = inputs()
    one, other, both = (feature(direction=name) for name in ("text_to_image", "image_to_text", "both"))
    for fusion in (one, other):
        fusion.load_state_dict(both.state_dict())
    assert close(both.fused(text, image, valid), (one.fused(text, image, valid) + other.fused(text, image, valid)) / 2)


@torch.no_grad()
def test_slots_that_are_not_asked_for_change_no_fused_token():
    query, text, image, valid = inputs()
    fusion = feature(gamma=0.5)
    junk = valid[..., None].logical_not()
    spoilt = fusion(query, text.masked_fill(junk, torch.nan), image.masked_fill(junk, torch.nan), valid, SKELETONS)
    assert torch.equal(spoilt.points, fusion(query, text, image, valid, SKELETONS).points)
    alone = fusion(query[1:2], text[1:2], image[1:2], valid[1:2], SKELETONS[1:2])
    assert close(alone.points, spoilt.points[:, 1:2])


def test_shared_projections_need_tokens_of_one_width():
    with pytest.raises(InputError, match="learnt gamma"):
        FeatureFusion(Head(HEAD), FeatureFusionConfig(learnt="projections", guest_width=7))


# --- decision level --------------------------------------------------------------------------------------------------


def test_decision_fusion_adds_the_published_number_of_parameters():
    with torch.device("meta"):
        fusion = DecisionFusion(Head(HEADS["capex"]), DecisionFusionConfig())
    count = sum(parameter.numel() for parameter in fusion.parameters())
    count -= sum(parameter.numel() for parameter in fusion.head.parameters())
    assert f"{(195_518_504 + count) / 1e6:.3f}" == "203.742"


@torch.no_grad()
def test_each_matcher_answers_from_its_own_modality():
    query, text, image, valid = inputs()
    fusion = decision()
    plain = fusion(query, text, image, valid, SKELETONS)
    assert torch.equal(plain.text.points, fusion.head(query, text, valid, SKELETONS).points)
    other = fusion(query, text, image + 1, valid, SKELETONS)
    assert torch.equal(other.text.points, plain.text.points)
    assert not close(other.image.points[:, :2], plain.image.points[:, :2])


@torch.no_grad()
def test_answers_of_two_matchers():
    query, text, image, valid = inputs()
    fusion = decision(answer="mean")
    made = fusion(query, text, image, valid, SKELETONS)
    a, b = made.text.found, made.image.found
    assert torch.equal(replace(made, answer="text").found, a) and torch.equal(replace(made, answer="image").found, b)
    assert close(made.found, (a + b) / 2)
    mass = torch.stack([made.text.proposals.mass, made.image.proposals.mass])[..., None]
    assert close(replace(made, answer="confidence").found, (mass * torch.stack([a, b])).sum(0) / mass.sum(0))
    with pytest.raises(InputError, match="median"):
        replace(made, answer="median")


def test_losses_are_those_of_both_matchers_and_their_consistency():
    query, text, image, valid = inputs()
    fusion = decision(consistency=3.0)
    made = fusion(query, text, image, valid, SKELETONS)
    labelled = valid.clone()
    labelled[0, 1] = False
    points = torch.rand(3, 4, 2).masked_fill(~labelled[..., None], torch.nan)
    losses = fusion.losses(made, points, torch.rand(3, 4, 10, 10), labelled, valid)
    names = {f"{who}_{part}" for who in ("text", "image") for part in ("heat", "proposals", "layer_0", "layer_1")}
    assert set(losses) == names | {"consistency"}
    apart = made.text.found - made.image.found
    rows = [apart[row][valid[row]] for row in range(2)]
    squared, norm = (sum(each(row) for row in rows) / 3 for each in (lambda row: (row**2).mean(), _mean_norm))
    assert float(losses["consistency"].detach()) == pytest.approx(3 * float(squared.detach()), rel=1e-5)
    assert float(consistency_loss(made, valid, "norm").detach()) == pytest.approx(float(norm.detach()), rel=1e-5)
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in fusion.parameters())


def _mean_norm(row: torch.Tensor) -> torch.Tensor:
    return row.norm(dim=-1).mean()


# --- one modality alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_feature_fusion_with_one_modality_takes_its_tokens_alone(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    words = fusion.head.support_projection(text.masked_fill(~valid[..., None], 0))
    looks = fusion.guest_projection(image.masked_fill(~valid[..., None], 0))
    plain = [torch.nn.functional.layer_norm(tokens, (16,)) for tokens in (words, looks)]
    assert close(fusion.fused(text, None, valid), plain[0]) and close(fusion.fused(None, image, valid), plain[1])
    whole = fusion(query, text, None, valid, SKELETONS)
    assert close(whole.points, fusion.head.match(query, plain[0], valid, SKELETONS).points)


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_a_keypoint_that_one_modality_lacks_takes_the_other_and_lends_nothing(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    told, shown = valid.clone(), valid.clone()
    told[0, 1], shown[0, 3], shown[1] = False, False, False
    spoilt = text.masked_fill(~told[..., None], torch.nan), image.masked_fill(~shown[..., None], torch.nan)
    words, looks = fusion.head.support_projection(text), fusion.guest_projection(image)

    def led(lead, other, leads, follows):
        """Slot by slot: what leads attends to what follows there is; where nothing leads, the other alone."""
        rows = torch.zeros_like(lead)
        for b, k in valid.nonzero().tolist():
            kept = follows[b]
            if not leads[b, k]:
                rows[b, k] = fusion.attention.finish(other[b, k])
            elif kept.any():
                every = torch.ones(1, int(kept.sum()), dtype=torch.bool)
                rows[b, k] = fusion.attention(lead[b : b + 1, k : k + 1], other[b : b + 1, kept], every)[0, 0]
            else:
                rows[b, k] = fusion.attention.finish(lead[b, k])
        return rows

    ways = {"text_to_image": led(looks, words, shown, told), "image_to_text": led(words, looks, told, shown)}
    expected = ways[direction] if direction in ways else sum(ways.values()) / 2
    fused = fusion.fused(*spoilt, valid, told, shown)
    assert close(fused[valid], expected[valid])
    made = fusion(query, *spoilt, valid, SKELETONS, told, shown)
    known = told | shown
    assert close(made.points[:, :2], fusion.head.match(query, fused, known, SKELETONS).points[:, :2])
    assert made.points.isfinite().all()


@torch.no_grad()
def test_decision_fusion_with_one_modality_is_that_matcher():
    query, text, image, valid = inputs()
    fusion = decision(answer="mean")
    both = fusion(query, text, image, valid, SKELETONS)
    words, looks = fusion(query, text, None, valid, SKELETONS), fusion(query, None, image, valid, SKELETONS)
    assert words.image is None and looks.text is None
    assert torch.equal(words.found, both.text.found) and torch.equal(looks.found, both.image.found)
    labelled, points, heat = valid, torch.rand(3, 4, 2), torch.rand(3, 4, 10, 10)
    assert all(name.startswith("text_") for name in fusion.losses(words, points, heat, labelled, valid))
    assert all(name.startswith("image_") for name in fusion.losses(looks, points, heat, labelled, valid))


@pytest.mark.parametrize("answer", ["text", "image", "mean", "confidence"])
def test_a_keypoint_that_one_matcher_was_not_asked_for_is_the_others(answer):
    query, text, image, valid = inputs()
    fusion = decision(answer=answer)
    told, shown = valid.clone(), valid.clone()
    told[0, 1], shown[0, 3] = False, False
    made = fusion(query, text, image, valid, SKELETONS, told, shown)
    found = made.found
    assert torch.equal(found[0, 1], made.image.found[0, 1]) and torch.equal(found[0, 3], made.text.found[0, 3])
    assert close(made.text.points, fusion.head(query, text, told, SKELETONS).points)
    points, heat = torch.rand(3, 4, 2), torch.rand(3, 4, 10, 10)
    losses = fusion.losses(made, points, heat, valid, valid)
    for name, known in (("text", told), ("image", shown)):
        for part, value in matching_losses(getattr(made, name), points, heat, known).items():
            assert torch.equal(losses[f"{name}_{part}"], value)
    asked = torch.where(told & shown, 1.0, 0.0)
    apart = (made.text.found - made.image.found).square().mean(-1) * asked
    expected = (apart.sum(1) / asked.sum(1).clamp(min=1)).mean()
    assert float(losses["consistency"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


# --- configs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (FeatureFusionConfig, {"direction": "up"}),
        (FeatureFusionConfig, {"gamma": float("nan")}),
        (FeatureFusionConfig, {"frozen": "yes"}),
        (FeatureFusionConfig, {"guests": 1}),
        (DecisionFusionConfig, {"answer": "median"}),
        (DecisionFusionConfig, {"consistency": -1}),
        (DecisionFusionConfig, {"consistency": float("nan")}),
        (DecisionFusionConfig, {"heads": 1}),
    ],
)
def test_a_fusion_that_cannot_be_is_refused(kind, wrong):
    with pytest.raises(InputError):
        kind.from_dict(wrong)


@pytest.mark.parametrize("config", [FeatureFusionConfig("both", "projections"), DecisionFusionConfig(12, "mean")])
def test_fusion_configs_come_back_as_they_were(config):
    assert type(config).from_dict(config.to_dict()) == config
