"""Released state dicts: read strictly, whosever they are."""

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.matching.heads.graph import GraphCape, GraphConfig, GraphHead
from anykeypoint.models.matching.released_keys import load_released_head, released_names

SIZES = {"image_width": 12, "token_width": 10, "width": 16, "heads": 2, "hidden": 24, "gate": 8, "order_slots": 7}
KINDS = {
    ("capeformer", "fixed"): {"graph": "none", "order": "fixed"},
    ("capeformer", "learnt"): {"graph": "none", "order": "learnt"},
    ("graphcape", "none"): {"graph": "none"},
    ("graphcape", "pre"): {"graph": "pre", "encoder_layers": 1, "decoder_layers": 2},
    ("graphcape", "post"): {"graph": "post"},
    ("capex", "both"): {"graph": "both"},
}


@pytest.fixture(autouse=True, scope="module")
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def released(kind) -> tuple[GraphHead, dict[str, torch.Tensor]]:
    """A random head, and its weights as the released code would save them."""
    model = GraphHead(GraphConfig(**SIZES | KINDS[kind]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    names = released_names(model, kind[0])
    state = {}
    for ours, tensor in model.state_dict().items():
        state[names[ours]] = tensor[..., None] if ".conv." in names[ours] and tensor.ndim == 2 else tensor
    return model, state


@pytest.mark.parametrize("kind", KINDS, ids="-".join)
def test_sizes_and_choices_are_read_off_the_tensors(kind):
    model, state = released(kind)
    slots = 7 if kind[1] == "fixed" else 100  # a learnt table tells its length
    loaded, whose = load_released_head(state, heads=2, slots=slots)
    assert whose == kind[0] and not loaded.training
    known = {**model.config.to_dict(), "order_slots": loaded.config.order_slots}
    assert loaded.config.to_dict() == known and (model.config.order == "none" or known["order_slots"] == 7)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in loaded.state_dict().items())


def test_the_published_graph_head_has_the_published_size():
    with torch.device("meta"):
        model = GraphCape(GraphCape.published())
    assert sum(parameter.numel() for parameter in model.matcher.parameters()) == 8_026_496
    assert sum(parameter.numel() for parameter in model.parameters()) == 9_013_894


def test_all_that_does_not_fit_is_listed_in_one_error():
    _, state = released(("graphcape", "pre"))
    del state["keypoint_head.transformer.decoder.norm.bias"]
    state["keypoint_head.kpt_branch.0.mlp.2.weight"] = torch.zeros(3, 3)
    state["backbone.norm.weight"] = torch.zeros(3)
    with pytest.raises(InputError) as told:
        load_released_head(state, heads=2)
    for part in ("unknown: backbone.norm.weight", "missing: keypoint_head.transformer.decoder.norm.bias", "[3, 3]"):
        assert part in str(told.value)


def test_a_state_dict_of_something_else_is_refused():
    with pytest.raises(InputError, match=r"keypoint_head\.input_proj\.weight"):
        load_released_head({"backbone.norm.weight": torch.zeros(3)})


def test_heads_that_do_not_divide_the_width_are_refused():
    _, state = released(("capex", "both"))
    with pytest.raises(InputError, match="width"):
        load_released_head(state, heads=3)


def test_a_loaded_head_keeps_nothing_of_the_given_tensors():
    _, state = released(("graphcape", "post"))
    loaded, _ = load_released_head(state, heads=2)
    before = loaded.token_projection.bias.clone()
    state["keypoint_head.query_proj.bias"].add_(1)
    assert torch.equal(loaded.token_projection.bias, before) and loaded.token_projection.bias.requires_grad
