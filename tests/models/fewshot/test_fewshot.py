"""ProtoNet, MAML and fine-tuning on feature maps: what they learn, and what may not change it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from anykeypoint.errors import InputError
from anykeypoint.models.fewshot.finetune import FineTune, FineTuneConfig
from anykeypoint.models.fewshot.maml import MAML, MAMLConfig
from anykeypoint.models.fewshot.method import ROWS, Episodes, head_scores, map_loss, targets
from anykeypoint.models.fewshot.protonet import ProtoNet, ProtoNetConfig

CHANNELS, KNOWN = 24, (("face", 4), ("tool", 2))
MAKE = {
    "protonet": lambda **o: ProtoNet(ProtoNetConfig(**o), CHANNELS),
    "projected": lambda **o: ProtoNet(ProtoNetConfig(width=12, **o), CHANNELS),
    "maml": lambda **o: MAML(MAMLConfig(**{"width": 16, "steps": 2, "fit_steps": 60, **o}), CHANNELS),
    "finetune": lambda **o: FineTune(FineTuneConfig(**{"width": 16, "rate": 0.05, "known": KNOWN, **o}), CHANNELS),
    "finetune_head": lambda **o: FineTune(
        FineTuneConfig(**{"width": 16, "rate": 0.01, "trains": "head", "known": KNOWN, **o}), CHANNELS
    ),
}
LEARNING = ("maml", "finetune", "finetune_head")


def make(kind: str, seed: int = 0, **options):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return MAKE[kind](**options)


def examples(shots: int = 1, count: int = 4, seed: int = 0):
    """Random maps with points spread over them, all of them visible."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(shots, CHANNELS, 6, 6, generator=draw)
    cells = torch.stack([torch.randperm(36, generator=draw)[:count] for _ in range(shots)])
    points = (
        torch.stack([cells % 6, cells // 6], dim=-1) + 0.3 + 0.4 * torch.rand(shots, count, 2, generator=draw)
    ) / 6
    return features, points, torch.ones(shots, count, dtype=torch.bool)


def episodes(seed: int = 0, shots: int = 2) -> Episodes:
    """Two episodes: four points of a face, and two of a tool, padded with what must not be read."""
    shown = [examples(shots + 1, 4, seed + row) for row in range(2)]
    features, points, visible = (torch.stack(parts) for parts in zip(*shown, strict=True))
    visible[0, 0, 1], visible[0, shots, 2], visible[1, :, 2:] = False, False, False
    points = points.where(visible[..., None], torch.nan)
    whole = features[:, :shots], points[:, :shots], visible[:, :shots]
    return Episodes(*whole, features[:, shots], points[:, shots], visible[:, shots], KNOWN)


def one(batch: Episodes, row: int, count: int = 4) -> Episodes:
    """One episode alone, cut to its first keypoints."""
    rows = slice(row, row + 1)
    return Episodes(
        batch.examples[rows],
        batch.points[rows, :, :count],
        batch.visible[rows, :, :count],
        batch.query[rows],
        batch.query_points[rows, :count],
        batch.query_visible[rows, :count],
        batch.categories[rows],
    )


def close(ours: torch.Tensor, other: torch.Tensor, atol: float = 1e-4) -> bool:
    return torch.allclose(ours, other, atol=atol, rtol=1e-3, equal_nan=True)


# --- what they learn -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "shots"), [*((kind, 1) for kind in MAKE), *((kind, 2) for kind in LEARNING)])
def test_it_finds_the_points_of_its_own_examples(kind, shots):
    features, points, visible = examples(shots)
    found = make(kind).fit(features, points, visible).locate(features)
    assert found.points.shape == (shots, 4, 2) and found.density.shape[:2] == (shots, 4)
    assert (found.points - points).abs().max() < 1 / 6
    assert ((found.confidence > 0) & (found.confidence <= 1)).all()


def test_a_point_between_cells_is_found_between_cells():
    features, _, visible = examples(count=2)
    points = torch.tensor([[[2.8, 1.3], [3.9, 4.6]]]) / 6
    found = make("maml", fit_steps=1000).fit(features, points, visible).locate(features)
    assert (found.points - points).abs().max() < 0.1 / 6


@pytest.mark.parametrize(("kind", "steps"), [("maml", "fit_steps"), ("finetune", "steps"), ("finetune_head", "steps")])
def test_more_steps_lower_the_examples_loss(kind, steps):
    features, points, visible = examples(2)
    losses = []
    for count in (1, 5, 20, 80):
        adapted = make(kind, **{steps: count}).fit(features, points, visible)
        losses.append(float(map_loss(adapted.score(features), points, visible)))
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.8 * losses[0]


def test_a_prototype_is_the_mean_over_the_examples_that_show_the_keypoint():
    model = make("protonet")
    features, _, visible = examples(3)
    cells = torch.tensor([[1, 2], [4, 0], [3, 3]])  # column, row
    points = ((cells + 0.5) / 6)[:, None].expand(-1, 2, -1).clone()
    visible = torch.tensor([[1, 0], [0, 0], [1, 0]]).bool()
    points[~visible] = torch.nan
    prototypes = model.prototypes(features, points, visible)
    assert close(prototypes[0], (features[0, :, 2, 1] + features[2, :, 3, 3]) / 2)
    assert not prototypes[1].any()


@torch.no_grad()
def test_protonets_density_falls_with_the_squared_distance():
    model = make("projected", scale=3.0)
    features, points, visible = examples()
    query = examples(seed=5)[0]
    cells, prototypes = model.projection(query), model.prototypes(features, points, visible)
    distance = (cells[0, None] - prototypes[:, :, None, None]).square().mean(dim=1)  # K h w
    found = model.fit(features, points, visible).locate(query)
    assert close(found.density[0], (-3.0 * distance).flatten(1).softmax(dim=1).view(4, 6, 6))


@pytest.mark.parametrize("kind", MAKE)
def test_training_lowers_the_loss_and_moves_what_the_method_has(kind):
    model, batch = make(kind), episodes()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    first = {name: value.detach().clone() for name, value in model.named_parameters()}
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    assert all(not torch.equal(value, first[name]) for name, value in model.named_parameters())


# --- MAML's gradient -------------------------------------------------------------------------------------------------


def plain_scores(weights, features):
    """The head, written out."""
    centred = features - features.mean(dim=(1, 2, 3), keepdim=True)
    normed = centred / (centred.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-5).sqrt()
    normed = normed * weights["norm.weight"][:, None, None] + weights["norm.bias"][:, None, None]
    hidden = F.conv2d(
        normed * (256 / CHANNELS) ** 0.5, weights["hidden.weight"], weights["hidden.bias"], padding=1
    ).relu()
    return F.conv2d(hidden, weights[ROWS][:, :, None, None])


@pytest.mark.parametrize("first_order", [False, True])
def test_the_meta_gradient_is_that_of_the_steps_written_out(first_order):
    model, batch = make("maml", steps=3, first_order=first_order).double(), one(episodes(), 0)
    batch = replace(batch, examples=batch.examples.double(), query=batch.query.double())
    ours = torch.autograd.grad(model.loss(batch), list(model.parameters()))

    weights = {**dict(model.trunk.named_parameters()), ROWS: torch.stack([model.row] * 4)}
    for _ in range(3):
        inner = map_loss(plain_scores(weights, batch.examples[0]), batch.points[0], batch.visible[0])
        for name, slope in zip(weights, torch.autograd.grad(inner, weights.values(), create_graph=True), strict=True):
            weights[name] = weights[name] - 0.05 * (slope.detach() if first_order else slope)
    asked = batch.query_visible & batch.visible[0].any(dim=0)
    outer = map_loss(plain_scores(weights, batch.query), batch.query_points, asked)
    plain = torch.autograd.grad(outer, list(model.parameters()))
    assert all(torch.allclose(a, b, atol=1e-9, rtol=1e-6) for a, b in zip(ours, plain, strict=True))
    assert all(slope.any() for slope in ours)


def test_the_second_order_counts():
    batch = episodes()
    slopes = []
    for first_order in (False, True):
        model = make("maml", first_order=first_order)
        slopes.append(torch.autograd.grad(model.loss(batch), model.row)[0])
    assert not close(*slopes)


@pytest.mark.parametrize("kind", ["protonet", "maml", "finetune"])
def test_gradients_reach_the_maps_of_examples_and_queries(kind):
    batch, model = episodes(), make(kind)
    if kind == "finetune":
        torch.nn.init.normal_(model.rows)  # rows of zeros pass nothing on
    maps = [batch.examples.requires_grad_(), batch.query.requires_grad_()]
    assert all(slope.any() and slope.isfinite().all() for slope in torch.autograd.grad(model.loss(batch), maps))


# --- what changes nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MAKE)
def test_an_episodes_loss_is_what_it_is_alone_and_without_padding(kind):
    model, batch = make(kind), episodes()
    if kind.startswith("finetune"):
        torch.nn.init.normal_(model.rows, generator=torch.Generator().manual_seed(2))
    alone = [model.loss(one(batch, 0)), model.loss(one(batch, 1, count=2))]
    assert close(model.loss(batch), torch.stack(alone).mean(), 1e-6)
    assert alone[0] != alone[1]


@pytest.mark.parametrize("kind", ["protonet", "projected", "maml"])
def test_nothing_is_learnt_from_a_keypoint_of_the_query_that_no_example_shows(kind):
    model, batch = make(kind), one(episodes(), 0)
    batch.visible[:, :, 3] = False
    loss = model.loss(batch)
    batch.query_visible[:, 3] = False
    assert torch.equal(model.loss(batch), loss)


@pytest.mark.parametrize("kind", MAKE)
def test_a_query_is_answered_as_it_would_be_alone(kind):
    adapted, queries = make(kind).fit(*examples(2)), examples(3, seed=9)[0]
    together = adapted.locate(queries)
    for row in range(3):
        alone = adapted.locate(queries[row : row + 1])
        assert close(alone.points[0], together.points[row])
        assert close(alone.confidence[0], together.confidence[row])


@pytest.mark.parametrize("kind", MAKE)
@given(order=st.permutations(range(4)), shots=st.permutations(range(2)))
@settings(max_examples=5, deadline=None)
def test_the_order_of_keypoints_and_of_examples_does_not_matter(kind, order, shots):
    options = {"maml": {"fit_steps": 5}, "finetune": {"steps": 5}, "finetune_head": {"steps": 5}}.get(kind, {})
    features, points, visible = examples(2)
    visible[0, 1] = False
    query = examples(seed=9)[0]
    plain = make(kind, **options).fit(features, points, visible).locate(query)
    mixed = make(kind, **options).fit(features[shots], points[shots][:, order], visible[shots][:, order]).locate(query)
    assert close(mixed.density, plain.density[:, order], 1e-3)


@pytest.mark.parametrize("kind", MAKE)
def test_a_keypoint_no_example_shows_is_absent_and_changes_no_other(kind):
    features, points, visible = examples(2, 4)
    query = examples(seed=9)[0]
    plain = make(kind).fit(features, points[:, :3], visible[:, :3]).locate(query)
    visible[:, 3], points[:, 3] = False, torch.nan
    wider = make(kind).fit(features, points, visible).locate(query)
    assert wider.points[:, 3].isnan().all() and wider.confidence[:, 3].isnan().all()
    assert close(wider.points[:, :3], plain.points, 1e-3)


def test_tuned_last_layers_do_not_look_at_other_keypoints():
    features, points, visible = examples(1, 4)
    query, model = examples(seed=9)[0], make("finetune")
    alone = model.fit(features, points[:, :1], visible[:, :1]).locate(query)
    assert close(alone.points[:, 0], model.fit(features, points, visible).locate(query).points[:, 0], 1e-3)


@pytest.mark.parametrize("kind", MAKE)
def test_fitting_is_repeatable_and_leaves_the_method_as_it_was(kind):
    model, query = make(kind), examples(seed=9)[0]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    answers = [model.fit(*examples(2)).locate(query) for _ in range(2)]
    assert torch.equal(answers[0].points, answers[1].points)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", LEARNING)
def test_a_frozen_head_can_be_fitted_where_gradients_are_off(kind):
    free, frozen = make(kind), make(kind).requires_grad_(False)
    query = examples(seed=9)[0]
    with torch.no_grad():
        answer = frozen.fit(*examples()).locate(query)
    assert torch.equal(answer.points, free.fit(*examples()).locate(query).points)


@pytest.mark.parametrize("kind", ["projected", *LEARNING])
def test_the_seed_decides(kind):
    query, shown = examples(seed=9)[0], examples()
    first, again, other = (make(kind, seed).fit(*shown).locate(query) for seed in (0, 0, 1))
    assert torch.equal(first.density, again.density) and not close(first.density, other.density, 1e-6)


@pytest.mark.parametrize("kind", MAKE)
def test_an_episode_without_anything_in_common_has_no_loss_and_no_gradient(kind):
    model, batch = make(kind), one(episodes(), 0)
    for part in (batch.visible, batch.query_visible):
        part[:] = False
    loss = model.loss(batch)
    loss.backward()
    assert loss == 0 and all(p.grad is None or not p.grad.any() for p in model.parameters())


# --- parts -----------------------------------------------------------------------------------------------------------


def test_a_target_on_a_cell_is_nearly_all_there_and_one_between_is_shared():
    points = torch.tensor([[[2.5 / 6, 1.5 / 4], [3 / 6, 1.5 / 4]]])
    found = targets(points, torch.ones(1, 2, dtype=torch.bool), torch.zeros(1, 2, 4, 6))[0]
    assert found[0].argmax() == 1 * 6 + 2 and float(found[0, 1, 2]) > 0.6
    assert float(found[1, 1, 2]) == pytest.approx(float(found[1, 1, 3])) and close(found.sum((1, 2)), torch.ones(2))


def test_enlarging_makes_more_cells():
    features, points, visible = examples()
    for kind in ("maml", "finetune"):
        found = make(kind, enlarge=2).fit(features, points, visible).locate(features)
        assert found.density.shape == (1, 4, 12, 12)
        assert (found.points - points).abs().max() < 1 / 6


def test_heads_scores_are_those_written_out():
    model = make("maml")
    weights = model.initial(3)
    features = examples(2)[0]
    assert close(head_scores(model.trunk, weights, features), plain_scores(weights, features))


@pytest.mark.parametrize("rate", [0.02, 0.05])
def test_a_rate_does_the_same_for_maps_of_more_channels(rate):
    """Maps whose channels are doubled, with the weights that give the same hidden map, move alike."""
    features, points, visible = examples()
    small = make("maml", rate=rate)
    large = MAML(replace(small.config), 2 * CHANNELS)
    with torch.no_grad():
        large.row.copy_(small.row)
        large.trunk.hidden.bias.copy_(small.trunk.hidden.bias)
        large.trunk.hidden.weight.copy_(small.trunk.hidden.weight.repeat(1, 2, 1, 1) / 2**0.5)
    query = examples(seed=9)[0]
    found = [
        model.fit(features.repeat(1, times, 1, 1), points, visible).locate(query.repeat(1, times, 1, 1))
        for times, model in enumerate((small, large), 1)
    ]
    assert close(found[0].density, found[1].density, 1e-2)


def test_pretraining_knows_categories_by_name_and_size():
    model = make("finetune", known=(("face", 4), ("face", 2)))
    torch.nn.init.normal_(model.rows)
    assert torch.equal(model.rows_of(("face", 2)), model.rows[4:])
    with pytest.raises(InputError, match="'tool' with 2 keypoints"):
        model.loss(episodes())


@pytest.mark.parametrize("kind", MAKE)
def test_examples_that_do_not_fit_together_are_refused(kind):
    features, points, visible = examples(2)
    for wrong in ((features[:1], points, visible), (features, points, visible.float()), (features, points[0], visible)):
        with pytest.raises(InputError, match="Examples must be"):
            make(kind).fit(*wrong)


@pytest.mark.parametrize(
    ("config", "wrong"),
    [
        (ProtoNetConfig, {"width": 0}),
        (ProtoNetConfig, {"scale": 0}),
        (MAMLConfig, {"steps": 0}),
        (MAMLConfig, {"rate": float("nan")}),
        (MAMLConfig, {"first_order": 1}),
        (FineTuneConfig, {"trains": "backbone"}),
        (FineTuneConfig, {"known": [["face", 0]]}),
        (FineTuneConfig, {"known": ["face"]}),
        (FineTuneConfig, {"known": [["face", 4], ["face", 4]]}),
        (FineTuneConfig, {"depth": 3}),
    ],
)
def test_a_config_that_cannot_be_is_refused(config, wrong):
    with pytest.raises(InputError):
        config.from_dict(wrong)


@pytest.mark.parametrize("config", [ProtoNetConfig(width=3), MAMLConfig(), FineTuneConfig(known=KNOWN)])
def test_configs_come_back_as_they_were(config):
    assert type(config).from_dict(config.to_dict()) == config
