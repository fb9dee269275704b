"""A matching head: what may not change its answers, and what it does with little or nothing to go by."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.models.maps import pool
from anykeypoint.models.matching.heads.base import HEATMAP_WEIGHT
from anykeypoint.models.matching.heads.graph import CapeFormer, CapeX, GraphCape, GraphConfig, GraphHead, GraphOutput
from anykeypoint.models.matching.parts.losses import matching_losses
from anykeypoint.models.matching.parts.masks import keep_one
from anykeypoint.models.matching.parts.positions import grid_code, sine_code
from anykeypoint.models.matching.parts.proposals import ProposalGenerator
from anykeypoint.models.matching.parts.skeleton import FeedForward, GraphLinear, adjacency

SIZES = {"image_width": 12, "token_width": 10, "width": 16, "heads": 2, "hidden": 24, "gate": 8}
SIZES |= {"encoder_layers": 2, "decoder_layers": 2, "order_slots": 9}
KINDS = {"capeformer": {"graph": "none", "order": "fixed"}, "graphcape": {}, "learnt": {"order": "learnt"}}
WAVES = (math.sin, math.cos)
TRIANGLE, CHAIN = [(0, 1), (1, 2), (2, 0)], [(0, 1), (1, 2), (2, 3), (3, 4)]


@pytest.fixture(autouse=True, scope="module")
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def head(seed: int = 0, **options) -> GraphHead:
    """A tiny head in which nothing is silent: all its parameters are random."""
    made = GraphHead(GraphConfig(**SIZES | options)).eval()
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=draw) + (parameter.ndim == 1) * 0.2)
    return made


def inputs(rows: int = 3, slots: int = 5, seed: int = 0):
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(rows, 12, 6, 6, generator=draw)
    support = torch.randn(rows, slots, 10, generator=draw)
    return query, support, torch.ones(rows, slots, dtype=torch.bool)


def losses_of(match: GraphOutput, points: torch.Tensor, heat: torch.Tensor, labelled: torch.Tensor) -> dict:
    return matching_losses(match.proposals, match.layers, points, heat, labelled, HEATMAP_WEIGHT)


def close(ours: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(ours, other, atol=2e-5, rtol=1e-4)


# --- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_a_row_alone_is_the_row_in_a_batch(kind):
    model = head(**KINDS[kind])
    query, support, valid = inputs(rows=3)
    valid[1, 2:] = False
    valid[2] = False
    skeletons = [CHAIN, [(0, 1)], []]
    together = model.locate(query, support, valid, skeletons)
    for row in range(3):
        one = slice(row, row + 1)
        alone = model.locate(query[one], support[one], valid[one], skeletons[one])
        assert close(alone.layers, together.layers[:, one])
        assert close(alone.path, together.path[:, one])
        assert close(alone.proposals.similarity, together.proposals.similarity[one])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_slots_that_are_not_asked_for_change_nothing(kind):
    model = head(**KINDS[kind])
    query, support, valid = inputs()
    plain = model.locate(query, support, valid, [CHAIN, TRIANGLE, []])
    junk = torch.full((3, 4, 10), torch.nan)
    wider = torch.cat([valid, valid.new_zeros(3, 4)], dim=1)
    padded = model.locate(query, torch.cat([support, junk], dim=1), wider, [[*CHAIN, (4, 7)], TRIANGLE, [(5, 6)]])
    assert close(padded.layers[:, :, :5], plain.layers)
    assert padded.layers.isfinite().all()


@given(order=st.permutations(range(5)))
@settings(max_examples=10)
@torch.no_grad()
def test_without_an_order_code_the_order_of_keypoints_does_not_matter(order):
    model = head()
    query, support, valid = inputs()
    valid[0, 3] = False
    plain = model.locate(query, support, valid, [CHAIN, TRIANGLE, []])
    place = {keypoint: i for i, keypoint in enumerate(order)}
    skeletons = [[(place[a], place[b]) for a, b in skeleton] for skeleton in (CHAIN, TRIANGLE, [])]
    mixed = model.locate(query, support[:, order], valid[:, order], skeletons)
    assert close(mixed.layers, plain.layers[:, :, order])


@torch.no_grad()
def test_with_an_order_code_the_order_matters():
    model = head(**KINDS["capeformer"])
    query, support, valid = inputs()
    mixed = model.locate(query, support.flip(1), valid)
    assert not close(mixed.layers.flip(2), model.locate(query, support, valid).layers)


@torch.no_grad()
def test_edges_count_once_whatever_their_direction():
    model = head()
    query, support, valid = inputs()
    often = [[*CHAIN, *CHAIN, *((b, a) for a, b in CHAIN)]] * 3
    assert torch.equal(
        model.locate(query, support, valid, often).layers, model.locate(query, support, valid, [CHAIN] * 3).layers
    )


@torch.no_grad()
def test_no_skeleton_is_an_empty_one():
    model = head()
    query, support, valid = inputs()
    empty = model.locate(query, support, valid, [[]] * 3)
    assert torch.equal(empty.layers, model.locate(query, support, valid).layers)
    assert not close(empty.layers, model.locate(query, support, valid, [CHAIN] * 3).layers)


@torch.no_grad()
def test_a_graph_block_without_edges_is_a_plain_one():
    graph, plain = FeedForward(6, 8, 0.0, "pre"), FeedForward(6, 8, 0.0)
    plain.first.weight.copy_(graph.first.linear.weight[:8])
    plain.first.bias.copy_(graph.first.linear.bias[:8])
    plain.second.load_state_dict(graph.second.state_dict())
    x = torch.randn(2, 5, 6)
    links = adjacency([[], []], torch.ones(2, 5, dtype=torch.bool))
    assert close(graph(x, links), plain(x))


# --- little to go by -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("graph", ["none", "pre", "post", "both"])
def test_rows_without_a_keypoint_and_isolated_points_give_finite_answers_and_gradients(graph):
    model = head(graph=graph)
    query, support, valid = inputs()
    valid[0], valid[1, 1:] = False, False
    match = model.locate(query, support, valid, [CHAIN, [], [(0, 1)]])
    points = torch.rand(3, 5, 2).masked_fill(~valid[..., None], torch.nan)
    losses = losses_of(match, points, torch.rand(3, 5, 12, 12), valid)
    sum(losses.values()).backward()
    assert match.layers.isfinite().all() and match.path.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


def test_nothing_to_learn_from_gives_no_loss_and_no_gradient():
    model = head()
    query, support, valid = inputs()
    nothing = torch.zeros_like(valid)
    absent = torch.full((3, 5, 2), torch.nan)
    losses = losses_of(model.locate(query, support, valid), absent, torch.zeros(3, 5, 12, 12), nothing)
    sum(losses.values()).backward()
    assert {float(part.detach()) for part in losses.values()} == {0.0}
    assert all(not parameter.grad.any() for parameter in model.parameters())


@torch.no_grad()
def test_losses_are_means_over_labelled_points_then_objects():
    model = head()
    query, support, valid = inputs(rows=2)
    match = model.locate(query, support, valid)
    points, heat = torch.rand(2, 5, 2), torch.rand(2, 5, 24, 24)
    labelled = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]]).bool()
    losses = losses_of(match, points, heat, labelled)
    small = F.interpolate(heat, size=(6, 6), mode="bilinear")
    for name, value in {"proposals": match.proposals.mean, "layer_0": match.layers[0], "layer_1": match.points}.items():
        rows = [(value[b] - points[b])[labelled[b]].abs().sum(-1).mean() for b in range(2)]
        assert float(losses[name]) == pytest.approx(float(sum(rows) / 2), rel=1e-5)
    rows = []
    for b in range(2):
        each = [
            (match.proposals.similarity[b, k].sigmoid() - small[b, k] / small[b, k].max()).square().mean()
            for k in labelled[b].nonzero()[:, 0]
        ]
        rows.append(sum(each) / len(each))
    assert float(losses["heat"]) == pytest.approx(2 * float(sum(rows) / 2), rel=1e-5)


def test_an_untrained_head_answers_with_its_proposals():
    model = GraphHead(GraphConfig(**SIZES)).eval()
    match = model.locate(*inputs())
    assert close(match.points, match.proposals.peak.clamp(1e-3, 1 - 1e-3))


@torch.no_grad()
def test_points_are_in_full_precision_whatever_the_weights_are():
    model = head()
    query, support, valid = inputs()
    plain = model.locate(query, support, valid, [CHAIN] * 3)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model.locate(query, support, valid, [CHAIN] * 3)
    half = model.bfloat16().locate(query.bfloat16(), support.bfloat16(), valid, [CHAIN] * 3)
    for other in (mixed, half):
        assert other.layers.dtype == other.proposals.mean.dtype == torch.float32
        assert (other.layers - plain.layers).abs().median() < 0.01  # a near tie of two cells may fall the other way


# --- examples --------------------------------------------------------------------------------------------------------


def slow_pool(features, heat_maps):
    """Every shot's features enlarged to the heat map's size, and weighed by the heat; the mean over the shots."""
    tokens = []
    for feature, heat in zip(features.unbind(1), heat_maps.unbind(1), strict=True):
        large = F.interpolate(feature, size=heat.shape[-2:], mode="bilinear", align_corners=False)
        weights = heat / (heat.sum(dim=(-2, -1), keepdim=True) + 1e-8)
        tokens.append(torch.einsum("bkhw,bchw->bkc", weights, large))
    return torch.stack(tokens).mean(dim=0)


@given(
    shots=st.integers(1, 3),
    cells=st.tuples(st.integers(2, 5), st.integers(2, 5)),
    size=st.tuples(st.integers(3, 12), st.integers(3, 12)),
)
@settings(max_examples=25)
def test_pooling_is_weighing_enlarged_features(shots, cells, size):
    features, heat_maps = torch.randn(2, shots, 4, *cells), torch.rand(2, shots, 3, *size)
    assert torch.allclose(pool(features, heat_maps), slow_pool(features, heat_maps), atol=1e-5)


def test_one_shot_shown_twice_is_one_shot():
    features, heat_maps = torch.randn(2, 1, 4, 3, 3), torch.rand(2, 1, 5, 12, 12)
    assert close(pool(features.repeat(1, 2, 1, 1, 1), heat_maps.repeat(1, 2, 1, 1, 1)), pool(features, heat_maps))


def test_the_mean_over_shots_is_over_those_that_show_a_keypoint():
    features, heat_maps = torch.randn(1, 3, 4, 3, 3), torch.rand(1, 3, 2, 12, 12)
    shown = torch.tensor([[[1, 0], [0, 0], [1, 0]]]).bool()
    tokens = pool(features, heat_maps, shown)
    both = pool(features[:, [0, 2]], heat_maps[:, [0, 2]])
    assert close(tokens[:, 0], both[:, 0])
    assert not tokens[:, 1].any()


def test_a_keypoint_no_example_shows_gives_zeros():
    tokens = pool(torch.randn(1, 2, 4, 3, 3), torch.zeros(1, 2, 5, 12, 12))
    assert tokens.shape == (1, 5, 4) and not tokens.any()


# --- parts -----------------------------------------------------------------------------------------------------------


def test_adjacency_by_hand():
    valid = torch.tensor([[True, True, True, False]])
    links = adjacency([[(0, 1), (1, 0), (1, 2), (2, 3)]], valid)
    own = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    shared = [[0, 1, 0, 0], [0.5, 0, 0.5, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert links.tolist() == [[own, shared]]


@torch.no_grad()
def test_a_keypoint_takes_from_each_neighbour_the_share_that_the_neighbour_gives():
    layer = GraphLinear(3, 2)
    x, links = torch.randn(1, 3, 3), adjacency([[(0, 1), (1, 2)]], torch.ones(1, 3, dtype=torch.bool))
    own, shared = layer.linear(x[0])[:, :2], layer.linear(x[0])[:, 2:]
    expected = [own[0] + shared[1] / 2, own[1] + shared[0] + shared[2], own[2] + shared[1] / 2]
    assert close(layer(x, links)[0], torch.stack(expected).relu())


def test_the_first_slot_stands_in_where_no_keypoint_is_valid():
    valid = torch.tensor([[False, True], [False, False]])
    assert keep_one(valid).tolist() == [[False, True], [True, False]]


def test_a_code_by_hand():
    found = sine_code(torch.tensor([0.25, 0.7]), 8).tolist()
    expected = [f(value * 2 * math.pi / scale) for value in (0.7, 0.25) for scale in (1, 100) for f in WAVES]
    assert found == pytest.approx(expected, abs=1e-6)


def test_an_answer_teaches_the_step_before_it_and_the_proposals_but_no_earlier_step():
    model = head(decoder_layers=3)
    model.locate(*inputs()).layers[2].sum().backward()
    assert model.steps[2][0].weight.grad.any() and model.steps[1][0].weight.grad.any()
    assert not model.steps[0][0].weight.grad.any()
    assert model.matcher.proposals.query.weight.grad.any()


def test_a_point_at_a_cells_far_edge_has_the_cells_code():
    codes = grid_code(3, 4, 16, like=torch.zeros(1))
    assert torch.allclose(codes[1 * 4 + 2], sine_code(torch.tensor([3 / 4, 2 / 3]), 16), atol=1e-4)


@torch.no_grad()
def test_proposals_on_a_grid_that_is_not_square_are_x_then_y():
    generator = ProposalGenerator(4, 2)
    for name, parameter in generator.named_parameters():
        parameter.copy_(torch.eye(4) if name in ("token.weight", "query.weight") else torch.zeros(1))
    image = torch.zeros(1, 2 * 5, 4)
    image[0, 1 * 5 + 3, 0] = 50.0  # row 1, column 3
    found = generator(torch.tensor([[[1.0, 0, 0, 0]]]), image, (2, 5))
    assert close(found.peak[0, 0], torch.tensor([3.5 / 5, 1.5 / 2]))
    assert close(found.mean, found.peak) and float(found.mass) == pytest.approx(1)


def test_a_similarity_starts_as_much_smaller_as_the_config_says_and_nothing_else_differs():
    def fresh(start):
        torch.manual_seed(0)
        return GraphHead(GraphConfig(**SIZES, similarity_start=start)).eval()

    released, small = fresh(1.0), fresh(0.25)
    for name, weight in small.state_dict().items():
        scaled = name in ("matcher.proposals.token.weight", "matcher.proposals.query.weight")
        assert torch.equal(weight, released.state_dict()[name] * (0.25 if scaled else 1.0)), name
    for gate in (released, small):
        torch.nn.init.zeros_(gate.matcher.proposals.gate[-1].weight)
    similarities = [each.locate(*inputs()).proposals.similarity for each in (released, small)]
    assert close(similarities[0] / 16, similarities[1])


def test_tokens_start_as_much_larger_as_the_config_says_and_nothing_else_differs():
    def fresh(start):
        torch.manual_seed(0)
        return GraphHead(GraphConfig(**SIZES, token_start=start)).state_dict()

    released, large = fresh(1.0), fresh(20.0)
    for name, weight in large.items():
        assert torch.equal(weight, released[name] * (20.0 if name == "token_projection.weight" else 1.0)), name


def test_tokens_of_length_one_are_told_apart_behind_a_new_encoder_only_where_they_start_large():
    def apart(start):
        torch.manual_seed(0)
        made = GraphHead(GraphConfig(image_width=12, token_width=384, token_start=start)).eval()
        phrases = F.normalize(torch.randn(1, 8, 384), dim=-1)
        query, valid = torch.randn(1, 12, 16, 16), torch.ones(1, 8, dtype=torch.bool)
        image = made.image_projection(query)
        code = grid_code(16, 16, 256, like=image)
        tokens = made.token_projection(phrases)
        tokens = made.matcher.encoder(image.flatten(2).transpose(1, 2), tokens, code, made.order(tokens), valid)[1]
        return float(tokens.std(dim=1).mean())

    assert apart(20.0) > 4 * apart(1.0)


# --- what is refused -------------------------------------------------------------------------------------------------


def test_more_keypoints_than_an_order_code_has_are_refused():
    model = head(**KINDS["capeformer"])
    with pytest.raises(InputError, match="at most 9 keypoints"):
        model.locate(*inputs(slots=10))


@pytest.mark.parametrize("skeletons", [[[(0, 5)], [], []], [[(-1, 0)], [], []], [[]]])
def test_a_skeleton_that_does_not_fit_is_refused(skeletons):
    with pytest.raises(InputError):
        head().locate(*inputs(), skeletons)


def test_a_mask_that_does_not_fit_is_refused():
    query, support, valid = inputs()
    for wrong in (valid.float(), valid[:, :-1]):
        with pytest.raises(InputError, match="bool mask"):
            head().locate(query, support, wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"width": 18}, {"heads": 3}, {"graph": "all"}, {"order": "sine"}, {"dropout": 1}, {"hidden": 0}),
        *({"gates": 8}, {"similarity_start": 0}, {"token_start": 0}),
    ],
)
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        GraphConfig.from_dict({**SIZES, **wrong})


@pytest.mark.parametrize("kind", [CapeFormer, GraphCape, CapeX])
def test_configs_come_back_as_they_were(kind):
    assert GraphConfig.from_dict(kind.published().to_dict()) == kind.published()
