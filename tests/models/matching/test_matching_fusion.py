"""Two modalities in one matcher: what each fusion adds, and what it leaves alone."""

import math
from dataclasses import replace

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.matching.heads.base import HEATMAP_WEIGHT, EncoderSizes
from anykeypoint.models.matching.heads.dlf import DecisionFusion, DecisionFusionConfig, consistency_loss
from anykeypoint.models.matching.heads.flf import CrossModalAttention, FeatureFusion, FeatureFusionConfig
from anykeypoint.models.matching.heads.graph import GraphConfig, GraphHead
from anykeypoint.models.matching.parts.losses import matching_losses, mean_over_layers

HEAD = GraphConfig(
    image_width=12, token_width=10, width=16, heads=2, hidden=24, gate=8, encoder_layers=1, decoder_layers=2
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
    return shaken(FeatureFusion(FeatureFusionConfig(**{"guest_width": 7, "graph_head": HEAD, **options})))


def decision(**options) -> DecisionFusion:
    return shaken(DecisionFusion(DecisionFusionConfig(example_width=7, graph_head=HEAD, **options)))


def losses_of(match, points, heat, labelled):
    return matching_losses(match.proposals, match.layers, points, heat, labelled, HEATMAP_WEIGHT)


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


@torch.no_grad()
def test_the_similarities_of_a_fusion_start_as_its_graph_head_says():
    def fresh(fusion, config, **start):
        torch.manual_seed(0)
        return fusion(replace(config, graph_head=GraphConfig(**start))).state_dict()

    for kind, config in (
        (FeatureFusion, FeatureFusionConfig(guest_width=768)),
        (DecisionFusion, DecisionFusionConfig(example_width=768)),
    ):
        released, small = fresh(kind, config), fresh(kind, config, similarity_start=0.25)
        changed = {name for name in small if not torch.equal(small[name], released[name])}
        sides = {name for name in small if name.endswith(("proposals.token.weight", "proposals.query.weight"))}
        assert changed == sides and len(sides) == (2 if kind is FeatureFusion else 4)
        assert all(torch.equal(small[name], released[name] / 4) for name in sides)
        large = fresh(kind, config, token_start=20.0)
        assert torch.equal(large["head.token_projection.weight"], 20 * released["head.token_projection.weight"])


@pytest.mark.parametrize(("host", "direction"), [("text", "image_to_text"), ("image", "text_to_image")])
@torch.no_grad()
def test_plugged_in_it_changes_nothing_at_first(host, direction):
    query, text, image, valid = inputs()
    head = shaken(GraphHead(HEAD))
    own, guest = text, image  # tokens of 10 channels are the host's
    options = {"host": host, "guest_width": 7, "norm": False, "frozen": True, "graph_head": HEAD}
    fusion = FeatureFusion(FeatureFusionConfig(direction, **options)).eval()
    fusion.head.load_state_dict(head.state_dict())
    given = (own, guest) if host == "text" else (guest, own)
    plain = head.locate(query, own, valid, SKELETONS)
    assert torch.equal(fusion.locate(query, *given, valid, valid, SKELETONS).layers, plain.layers)


@pytest.mark.parametrize("learnt", ["gamma", "projections"])
def test_on_a_frozen_head_only_what_is_new_trains(learnt):
    query, text, image, valid = inputs(guest=10)
    options = {"learnt": learnt, "guest_width": 10, "gamma": 0.3, "frozen": True, "graph_head": HEAD}
    fusion = FeatureFusion(FeatureFusionConfig(**options))
    shaken(fusion.head)
    fusion.train()
    assert not fusion.head.matcher.training
    fusion.locate(query, text, image, valid, valid, SKELETONS).points.sum().backward()
    trained = {name for name, parameter in fusion.named_parameters() if parameter.grad is not None}
    assert trained and not any(name.startswith("head.") for name in trained)
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in fusion.fusion.parameters())


@pytest.mark.parametrize("learnt", ["gamma", "projections"])
def test_feature_fusion_adds_the_published_number_of_parameters(learnt):
    with torch.device("meta"):
        sizes = EncoderSizes(channels=768, text=768)
        fusion = FeatureFusion(FeatureFusion.fit(FeatureFusionConfig(learnt=learnt), sizes))
    count = sum(parameter.numel() for parameter in fusion.parameters())
    count -= sum(parameter.numel() for parameter in fusion.head.parameters())
    assert count == {"gamma": 196_864 + 1, "projections": 196_608 + 1}[learnt]
    assert f"{(195_518_504 + count) / 1e6:.3f}" == "195.715"


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_both_modalities_count_in_every_direction(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    plain = fusion.locate(query, text, image, valid, valid, SKELETONS).layers
    assert not close(fusion.locate(query, text + 1, image, valid, valid, SKELETONS).layers[:, :2], plain[:, :2])
    assert not close(fusion.locate(query, text, image.flip(1), valid, valid, SKELETONS).layers[:, :2], plain[:, :2])
    assert plain.isfinite().all()


@torch.no_grad()
def test_both_directions_are_their_mean():
    _, text, image, valid = inputs()
    one, other, both = (feature(direction=name) for name in ("text_to_image", "image_to_text", "both"))
    for fusion in (one, other):
        fusion.load_state_dict(both.state_dict())
    tokens = [fusion.fused(text, image, valid, valid) for fusion in (both, one, other)]
    assert close(tokens[0], (tokens[1] + tokens[2]) / 2)


@torch.no_grad()
def test_slots_that_are_not_asked_for_change_no_fused_token():
    query, text, image, valid = inputs()
    fusion = feature(gamma=0.5)
    junk = valid[..., None].logical_not()
    masked = (tokens.masked_fill(junk, torch.nan) for tokens in (text, image))
    spoilt = fusion.locate(query, *masked, valid, valid, SKELETONS)
    assert torch.equal(spoilt.layers, fusion.locate(query, text, image, valid, valid, SKELETONS).layers)
    alone = fusion.locate(query[1:2], text[1:2], image[1:2], valid[1:2], valid[1:2], SKELETONS[1:2])
    assert close(alone.layers, spoilt.layers[:, 1:2])


def test_shared_projections_need_tokens_of_one_width():
    with pytest.raises(InputError, match="learnt gamma"):
        FeatureFusion(FeatureFusionConfig(learnt="projections", guest_width=7, graph_head=HEAD))


# --- decision level --------------------------------------------------------------------------------------------------


def test_decision_fusion_adds_the_published_number_of_parameters():
    with torch.device("meta"):
        fusion = DecisionFusion(DecisionFusion.fit(None, EncoderSizes(channels=768, text=768)))
    count = sum(parameter.numel() for parameter in fusion.parameters())
    count -= sum(parameter.numel() for parameter in fusion.head.parameters())
    assert f"{(195_518_504 + count) / 1e6:.3f}" == "203.742"


def test_one_decoder_for_both_matchers_saves_one():
    with torch.device("meta"):
        sizes = EncoderSizes(channels=768, text=768)
        own, shared = (
            DecisionFusion(DecisionFusion.fit(DecisionFusionConfig(decoder=name), sizes)) for name in ("own", "shared")
        )
    counts = [sum(parameter.numel() for parameter in fusion.parameters()) for fusion in (own, shared)]
    assert counts[0] - counts[1] == sum(p.numel() for p in own.head.matcher.decoder.parameters())
    whole = 195_518_504 + counts[1] - sum(p.numel() for p in shared.head.parameters())
    assert f"{whole / 1e6:.3f}" == "197.888"
    assert own.variant["decoder"] == "own" and shared.variant["decoder"] == "shared"


@torch.no_grad()
def test_a_shared_decoder_is_the_text_matchers():
    query, text, image, valid = inputs()
    shared, own = decision(decoder="shared"), decision()
    assert shared.image_matcher.decoder is shared.head.matcher.decoder
    own.load_state_dict(shared.state_dict())
    first, second = (fusion.locate(query, text, image, valid, valid, SKELETONS) for fusion in (shared, own))
    assert torch.equal(first.text.layers, second.text.layers) and torch.equal(first.image.layers, second.image.layers)
    own.head.matcher.decoder.norm.bias += torch.linspace(-1, 1, 16)
    shared.head.matcher.decoder.norm.bias += torch.linspace(-1, 1, 16)
    first, second = (fusion.locate(query, text, image, valid, valid, SKELETONS) for fusion in (shared, own))
    assert torch.equal(first.text.layers, second.text.layers)
    assert not close(first.image.layers[:, :2], second.image.layers[:, :2])


@torch.no_grad()
def test_each_matcher_answers_from_its_own_modality():
    query, text, image, valid = inputs()
    fusion = decision()
    plain = fusion.locate(query, text, image, valid, valid, SKELETONS)
    assert torch.equal(plain.text.layers, fusion.head.locate(query, text, valid, SKELETONS).layers)
    other = fusion.locate(query, text, image + 1, valid, valid, SKELETONS)
    assert torch.equal(other.text.layers, plain.text.layers)
    assert not close(other.image.layers[:, :2], plain.image.layers[:, :2])


@torch.no_grad()
def test_decision_fusion_answers_from_both_unless_said_otherwise():
    query, text, image, valid = inputs()
    fusion = decision()
    plain = fusion.locate(query, text, image, valid, valid, SKELETONS)
    assert fusion.variant == {"answer": "mean", "decoder": "own"} and close(
        plain.points, (plain.text.points + plain.image.points) / 2
    )
    other_image = fusion.locate(query, text, image + 1, valid, valid, SKELETONS).points
    other_text = fusion.locate(query, text + 1, image, valid, valid, SKELETONS).points
    assert not close(other_image[:2], plain.points[:2]) and not close(other_text[:2], plain.points[:2])


@pytest.mark.parametrize("answer", ["text", "image", "confidence"])
@torch.no_grad()
def test_the_answer_can_be_changed_with_the_same_weights(answer):
    query, text, image, valid = inputs()
    fusion = decision()
    made = fusion.locate(query, text, image, valid, valid, SKELETONS)
    fusion.answer_by(answer)
    assert fusion.variant["answer"] == answer
    changed = fusion.locate(query, text, image, valid, valid, SKELETONS)
    assert torch.equal(changed.points, replace(made, answer=answer).points) and not close(changed.points, made.points)
    with pytest.raises(InputError, match="median"):
        fusion.answer_by("median")


@torch.no_grad()
def test_answers_of_two_matchers():
    query, text, image, valid = inputs()
    fusion = decision(answer="mean")
    made = fusion.locate(query, text, image, valid, valid, SKELETONS)
    a, b = made.text.points, made.image.points
    assert torch.equal(replace(made, answer="text").points, a) and torch.equal(replace(made, answer="image").points, b)
    assert close(made.points, (a + b) / 2)
    mass = torch.stack([made.text.proposals.mass, made.image.proposals.mass])[..., None]
    assert close(replace(made, answer="confidence").points, (mass * torch.stack([a, b])).sum(0) / mass.sum(0))
    with pytest.raises(InputError, match="median"):
        replace(made, answer="median")


def test_losses_are_those_of_both_matchers_and_their_consistency():
    query, text, image, valid = inputs()
    fusion = decision(consistency=3.0)
    made = fusion.locate(query, text, image, valid, valid, SKELETONS)
    labelled = valid.clone()
    labelled[0, 1] = False
    points = torch.rand(3, 4, 2).masked_fill(~labelled[..., None], torch.nan)
    losses = fusion.losses(made, points, torch.rand(3, 4, 10, 10), labelled, valid)
    names = {f"{who}_{part}" for who in ("text", "image") for part in ("heat", "proposals", "layer_0", "layer_1")}
    assert set(losses) == names | {"consistency"}
    apart = made.text.points - made.image.points
    rows = [apart[row][valid[row]] for row in range(2)]
    squared, norm = (sum(each(row) for row in rows) / 3 for each in (lambda row: (row**2).mean(), _mean_norm))
    assert float(losses["consistency"].detach()) == pytest.approx(3 * float(squared.detach()), rel=1e-5)
    assert float(consistency_loss(made, valid, "norm").detach()) == pytest.approx(float(norm.detach()), rel=1e-5)
    sum(losses.values()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in fusion.parameters())


def _mean_norm(row: torch.Tensor) -> torch.Tensor:
    return row.norm(dim=-1).mean()


@pytest.mark.parametrize("make", [feature, decision])
def test_the_mean_over_layers_divides_the_layers_alone(make):
    query, text, image, valid = inputs()
    fusion = make()
    made = fusion.locate(query, text, image, valid, valid, SKELETONS)
    parts = fusion.losses(made, torch.rand(3, 4, 2), torch.rand(3, 4, 10, 10), valid, valid)
    means = mean_over_layers(parts)
    assert means.keys() == parts.keys() and sum("layer_" in name for name in parts) in (2, 4)
    for name, part in parts.items():
        assert torch.equal(means[name], part / 2 if "layer_" in name else part)  # the heads here have two layers


# --- one modality alone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_feature_fusion_with_one_modality_takes_its_tokens_alone(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    words = fusion.head.token_projection(text.masked_fill(~valid[..., None], 0))
    looks = fusion.guest_projection(image.masked_fill(~valid[..., None], 0))
    plain = [torch.nn.functional.layer_norm(tokens, (16,)) for tokens in (words, looks)]
    assert close(fusion.fused(text, None, valid, ~valid & valid), plain[0])
    assert close(fusion.fused(None, image, ~valid & valid, valid), plain[1])
    whole = fusion.locate(query, text, None, valid, ~valid & valid, SKELETONS)
    assert close(whole.layers, fusion.head.locate_projected(query, plain[0], valid, SKELETONS).layers)


@pytest.mark.parametrize("direction", ["text_to_image", "image_to_text", "both"])
@torch.no_grad()
def test_a_keypoint_that_one_modality_lacks_takes_the_other_and_lends_nothing(direction):
    query, text, image, valid = inputs()
    fusion = feature(direction=direction, gamma=0.5)
    told, shown = valid.clone(), valid.clone()
    told[0, 1], shown[0, 3], shown[1] = False, False, False
    spoilt = text.masked_fill(~told[..., None], torch.nan), image.masked_fill(~shown[..., None], torch.nan)
    words, looks = fusion.head.token_projection(text), fusion.guest_projection(image)

    def led(lead, other, leads, follows):
        """Slot by slot: what leads attends to what follows there is; where nothing leads, the other alone."""
        rows = torch.zeros_like(lead)
        for b, k in valid.nonzero().tolist():
            kept = follows[b]
            if not leads[b, k]:
                rows[b, k] = fusion.fusion.finish(other[b, k])
            elif kept.any():
                every = torch.ones(1, int(kept.sum()), dtype=torch.bool)
                rows[b, k] = fusion.fusion(lead[b : b + 1, k : k + 1], other[b : b + 1, kept], every)[0, 0]
            else:
                rows[b, k] = fusion.fusion.finish(lead[b, k])
        return rows

    ways = {"text_to_image": led(looks, words, shown, told), "image_to_text": led(words, looks, told, shown)}
    expected = ways[direction] if direction in ways else sum(ways.values()) / 2
    fused = fusion.fused(*spoilt, told, shown)
    assert close(fused[valid], expected[valid])
    made = fusion.locate(query, *spoilt, told, shown, SKELETONS)
    known = told | shown
    assert close(made.layers[:, :2], fusion.head.locate_projected(query, fused, known, SKELETONS).layers[:, :2])
    assert made.layers.isfinite().all()


@torch.no_grad()
def test_decision_fusion_with_one_modality_is_that_matcher():
    query, text, image, valid = inputs()
    fusion = decision(answer="mean")
    both = fusion.locate(query, text, image, valid, valid, SKELETONS)
    nothing = torch.zeros_like(valid)
    words = fusion.locate(query, text, None, valid, nothing, SKELETONS)
    looks = fusion.locate(query, None, image, nothing, valid, SKELETONS)
    assert words.image is None and looks.text is None
    assert torch.equal(words.points, both.text.points) and torch.equal(looks.points, both.image.points)
    labelled, points, heat = valid, torch.rand(3, 4, 2), torch.rand(3, 4, 10, 10)
    assert all(name.startswith("text_") for name in fusion.losses(words, points, heat, labelled, valid))
    assert all(name.startswith("image_") for name in fusion.losses(looks, points, heat, labelled, valid))


@pytest.mark.parametrize("answer", ["text", "image", "mean", "confidence"])
def test_a_keypoint_that_one_matcher_was_not_asked_for_is_the_others(answer):
    query, text, image, valid = inputs()
    fusion = decision(answer=answer)
    told, shown = valid.clone(), valid.clone()
    told[0, 1], shown[0, 3] = False, False
    made = fusion.locate(query, text, image, told, shown, SKELETONS)
    found = made.points
    assert torch.equal(found[0, 1], made.image.points[0, 1]) and torch.equal(found[0, 3], made.text.points[0, 3])
    assert close(made.text.layers, fusion.head.locate(query, text, told, SKELETONS).layers)
    points, heat = torch.rand(3, 4, 2), torch.rand(3, 4, 10, 10)
    losses = fusion.losses(made, points, heat, valid, valid)
    for name, known in (("text", told), ("image", shown)):
        for part, value in losses_of(getattr(made, name), points, heat, known).items():
            assert torch.equal(losses[f"{name}_{part}"], value)
    asked = torch.where(told & shown, 1.0, 0.0)
    apart = (made.text.points - made.image.points).square().mean(-1) * asked
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


@pytest.mark.parametrize(
    "config", [FeatureFusionConfig("both", "projections"), DecisionFusionConfig(12, "mean", graph_head=HEAD)]
)
def test_fusion_configs_come_back_as_they_were(config):
    assert type(config).from_dict(config.to_dict()) == config
