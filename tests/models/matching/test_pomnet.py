"""POMNet's head: what may not change its heat maps, and what is read off them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from anykeypoint.crops.heatmaps import heat_targets
from anykeypoint.density import Density
from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.models.matching.heads.pomnet import HeatmapOutput, POMNet, POMNetConfig

SIZES = {"image_width": 12, "token_width": 10, "width": 32, "heads": 2, "hidden": 24, "doublings": 1}
SIZES |= {"encoder_layers": 2, "decoder_layers": 2}


def head(**options) -> POMNet:
    """A tiny head in which nothing is silent: all its parameters and statistics are random."""
    made = POMNet(POMNetConfig(**SIZES | options)).eval()
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in made.state_dict().items():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=draw)
                tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else 0.3 * noise)
    return made


def inputs(rows: int = 3, slots: int = 5):
    draw = torch.Generator().manual_seed(1)
    query = torch.randn(rows, 12, 4, 6, generator=draw)
    support = torch.randn(rows, slots, 10, generator=draw)
    return query, support, torch.ones(rows, slots, dtype=torch.bool)


def close(ours: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(ours, other, atol=1e-4, rtol=1e-4)


# --- what changes nothing --------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_row_alone_is_the_row_in_a_batch():
    model = head()
    query, support, valid = inputs()
    valid[1, 2:], valid[2] = False, False
    together = model.locate(query, support, valid)
    for row in range(3):
        one = slice(row, row + 1)
        alone = model.locate(query[one], support[one], valid[one])
        assert close(alone.heatmaps.where(valid[one][..., None, None], 0), together.heatmaps[one])
    assert (
        together.heatmaps.isfinite().all()
        and together.points.isfinite().all()
        and together.probabilities.isfinite().all()
    )


@pytest.mark.parametrize("training", [False, True])
@torch.no_grad()
def test_slots_that_are_not_asked_for_change_nothing_not_even_a_batchs_statistics(training):
    query, support, valid = inputs()
    valid[0, 3] = False
    wider = torch.cat([valid, valid.new_zeros(3, 4)], dim=1)
    junk = torch.full((3, 4, 10), torch.nan)
    plain, padded = head(dropout=0.0).train(training), head(dropout=0.0).train(training)
    heat = plain.locate(query, support, valid).heatmaps
    support = support.index_put((torch.tensor([0]), torch.tensor([3])), torch.tensor(torch.nan))
    assert close(padded.locate(query, torch.cat([support, junk], dim=1), wider).heatmaps[:, :5], heat)
    assert all(close(padded.state_dict()[name], value) for name, value in plain.state_dict().items())


@given(order=st.permutations(range(5)))
@settings(max_examples=10, deadline=None)
@torch.no_grad()
def test_the_order_of_keypoints_does_not_matter(order):
    model = head()
    query, support, valid = inputs()
    valid[0, 3] = False
    mixed = model.locate(query, support[:, order], valid[:, order])
    assert close(mixed.heatmaps, model.locate(query, support, valid).heatmaps[:, order])


@torch.no_grad()
def test_keypoints_that_are_asked_for_do_look_at_each_other():
    model = head()
    query, support, valid = inputs()
    plain = model.locate(query, support, valid).heatmaps
    valid[:, 4] = False
    assert not close(model.locate(query, support, valid).heatmaps[:, 0], plain[:, 0])


def test_with_group_norm_training_does_not_look_at_other_objects():
    query, support, valid = inputs()
    for norm, same in (("group", True), ("batch", False)):
        model = head(norm=norm, dropout=0.0).train()
        alone = model.locate(query[:1], support[:1], valid[:1]).heatmaps
        assert close(model.locate(query, support, valid).heatmaps[:1], alone) == same


# --- the parts -------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_a_heat_map_is_one_keypoint_matched_with_the_map():
    """The slow way: cell layers, keypoint layers and matching, keypoint by keypoint."""
    model = head()
    query, support, valid = inputs(rows=1)
    seen = {}
    hooks = [
        model.encoder[-1].register_forward_hook(lambda m, i, out: seen.update(cells=out)),
        model.decoder[-1].register_forward_hook(lambda m, i, out: seen.update(tokens=out)),
    ]
    heat = model.locate(query, support, valid).heatmaps
    for hook in hooks:
        hook.remove()
    memory = seen["cells"].transpose(1, 2).reshape(1, 32, 4, 6)
    for k in range(5):
        token = model.norm(seen["tokens"][:, k]).reshape(1, 32, 1, 1).expand(1, 32, 4, 6)
        assert close(model.matching(torch.cat([memory, token], dim=1))[0, 0], heat[0, k])


@torch.no_grad()
def test_cells_are_known_by_their_code_and_not_by_their_order():
    """The code stands in queries and keys, not in what is looked up."""
    model = head()
    x, cells, code, valid = torch.randn(2, 3, 32), torch.randn(2, 6, 32), torch.randn(6, 32), torch.ones(2, 3).bool()
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    pairs = [
        lambda cells, code: model.decoder[0](x, valid, cells, code),
        lambda cells, code: model.encoder[0](cells, code)[:, code.sum(dim=1).argsort()],
    ]
    for layer in pairs:
        assert close(layer(cells[:, order], code[order]), layer(cells, code))
        assert not close(layer(cells, code.flip(0)), layer(cells, code))
    alike = cells[:, :1].expand(2, 6, 32)  # where all cells look alike their places tell nothing
    assert close(model.decoder[0](x, valid, alike, code), model.decoder[0](x, valid, alike, code * 3))


def test_the_released_sizes_make_maps_of_64_cells():
    model = POMNet(POMNetConfig(width=32, hidden=8)).eval()
    with torch.no_grad():
        heat = model.locate(
            torch.randn(1, 2048, 8, 8), torch.randn(1, 2, 2048), torch.ones(1, 2, dtype=torch.bool)
        ).heatmaps
    assert heat.shape == (1, 2, 64, 64)


def test_it_learns_one_object_by_heart():
    torch.manual_seed(0)
    model = POMNet(POMNetConfig(**SIZES | {"dropout": 0.0}))
    query, support, valid = inputs(rows=1, slots=3)
    points = torch.tensor([[[0.2, 0.3], [0.6, 0.5], [0.8, 0.7]]])
    query = query[..., :4]
    target, _ = heat_targets(points[0].numpy() * 8, valid[0].numpy(), sigma=1, cells=8, stride=1)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(120):
        match = model.locate(query, support, valid)
        optimiser.zero_grad()
        model.losses(match, points, torch.from_numpy(target)[None], valid, valid)["heat"].backward()
        optimiser.step()
    assert (match.points - points).abs().max() < 1 / 8


# --- the loss --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_the_loss_is_the_released_one_over_labelled_keypoints():
    heat, targets = torch.randn(2, 5, 8, 8), torch.rand(2, 5, 8, 8)
    labelled = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 0]]).bool()
    slow = sum(F.mse_loss(heat[b, k], targets[b, k]) for b, k in labelled.nonzero()) / (2 * 100)
    targets[~labelled] = torch.nan
    assert float(head().losses(HeatmapOutput(heat), None, targets, labelled, labelled)["heat"]) == pytest.approx(
        float(slow)
    )


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_nothing_to_learn_from_gives_no_loss_and_no_gradient(asked, training):
    model = head().train(training)
    query, support, valid = inputs()
    match = model.locate(query, support, valid & asked)
    loss = model.losses(match, None, torch.full((3, 5, 8, 12), torch.nan), valid & False, valid)["heat"]
    loss.backward()
    assert loss == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in model.parameters())


def test_targets_of_another_size_are_refused():
    model, (query, support, valid) = head(), inputs()
    with pytest.raises(InputError, match="cells 12"):
        model.losses(model.locate(query, support, valid), None, torch.zeros(3, 5, 64, 64), valid, valid)


# --- what is read off the maps ---------------------------------------------------------------------------------------


@given(x=st.integers(0, 63), y=st.integers(0, 63))
@settings(max_examples=30, deadline=None)
def test_a_target_is_read_back_where_its_gaussian_stands(x, y):
    target, _ = heat_targets(torch.tensor([[x * 4.0, y * 4.0]]).numpy(), [True], sigma=2)
    match = HeatmapOutput(torch.from_numpy(target)[None])
    inside = 0 < x < 63 and 0 < y < 63  # at the frame the window is cut off on one side
    assert (match.points[0, 0] * 64 - torch.tensor([x, y])).abs().max() < (1e-4 if inside else 0.5)
    assert float(match.density.sum()) == pytest.approx(1, abs=1e-5)


def test_the_answer_lies_between_two_cells_that_are_equally_hot():
    heat = torch.zeros(1, 1, 8, 8)
    heat[0, 0, 3, 4] = heat[0, 0, 3, 5] = 1
    assert close(HeatmapOutput(heat).points[0, 0], torch.tensor([4.5, 3]) / 8)


def test_a_map_without_heat_says_nothing():
    match = HeatmapOutput(-torch.rand(1, 2, 4, 4))
    assert torch.equal(match.density, torch.full((1, 2, 4, 4), 1 / 16))


def test_tiles_hold_the_places_of_the_cells():
    heat = torch.zeros(1, 1, 16, 16)
    heat[0, 0, 5, 9] = 2
    match = HeatmapOutput(heat)
    tiled = Density(Crop(0, 0, 16), match.probabilities[0, 0].numpy())
    assert tiled.mean() == pytest.approx([9, 5])
    assert close(match.points[0, 0] * 16, torch.tensor([9.0, 5.0]))


@torch.no_grad()
def test_what_is_read_is_in_full_precision():
    model, (query, support, valid) = head().bfloat16(), inputs()
    match = model.locate(query.bfloat16(), support.bfloat16(), valid)
    assert match.points.dtype == match.probabilities.dtype == torch.float32


@pytest.mark.parametrize(
    "wrong", [{"width": 30}, {"heads": 3}, {"norm": "layer"}, {"norm": "group", "width": 16}, {"doublings": -1}]
)
def test_a_config_that_cannot_be_is_refused(wrong):
    with pytest.raises(InputError):
        POMNetConfig.from_dict({**SIZES, **wrong})
    with pytest.raises(InputError, match="unknown key"):
        POMNetConfig.from_dict({"graph": "pre"})


def test_configs_come_back_as_they_were():
    assert POMNetConfig.from_dict(POMNetConfig().to_dict()) == POMNetConfig()
