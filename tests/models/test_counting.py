"""Parameters and multiply-accumulates of modules whose counts are known by hand."""

import pytest
import torch
from torch import nn

from anykeypoint.models.counting import Cost, cost, count_macs, count_parameters
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_linear_layer_multiplies_each_weight_once_per_row(device):
    assert cost(nn.Linear(3, 5, device=device), torch.zeros(2, 7, 3, device=device)) == Cost(20, 2 * 7 * 15)
    assert cost(nn.Linear(3, 5, bias=False, device=device), torch.zeros(3, device=device)) == Cost(15, 15)
    assert cost(nn.Linear(3, 5, device=device), torch.zeros(3, device=device)) == Cost(20, 15)


def test_a_convolution_multiplies_its_kernel_at_each_output_cell():
    assert cost(nn.Conv2d(4, 6, 3, padding=1), torch.zeros(2, 4, 8, 10)) == Cost(222, 2 * 80 * 6 * 4 * 9)
    assert cost(nn.Conv2d(4, 6, 3, 2, bias=False), torch.zeros(1, 4, 9, 9)) == Cost(216, 16 * 216)
    assert cost(nn.Conv2d(4, 8, 3, groups=4, bias=False), torch.zeros(1, 4, 5, 5)) == Cost(72, 9 * 8 * 9)
    assert cost(nn.Conv1d(4, 6, 1, bias=False), torch.zeros(1, 4, 5)) == Cost(24, 5 * 24)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("weights", [True, False])
def test_attention_is_its_four_projections_and_two_products(batch_first, weights):
    attention = nn.MultiheadAttention(8, 2, batch_first=batch_first)
    x = torch.zeros(1, 5, 8) if batch_first else torch.zeros(5, 1, 8)
    assert cost(attention, x, x, x, need_weights=weights).macs == 4 * 5 * 64 + 2 * 5 * 5 * 8


def test_fused_layers_and_masked_attention_are_not_missed():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    assert cost(layer, torch.zeros(3, 5, 8)).macs == 3 * (4 * 5 * 64 + 2 * 5 * 5 * 8 + 2 * 5 * 128)
    q, k = torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 7, 4)
    mask = torch.ones(5, 7, dtype=torch.bool)
    attend = nn.functional.scaled_dot_product_attention
    assert count_macs(lambda: attend(q, k, k)) == 2 * 2 * 3 * 5 * 7 * 4
    assert count_macs(lambda: attend(q, k, k, attn_mask=mask)) == 2 * 2 * 3 * 5 * 7 * 4


def test_products_by_einsum_and_of_vectors_count():
    a, v = torch.zeros(2, 3, 4), torch.zeros(4)
    assert count_macs(lambda: torch.einsum("bij,bkj->bik", a, a)) == 2 * 3 * 3 * 4
    assert count_macs(lambda: a @ v) == 24
    assert count_macs(lambda: v @ v) == 4
    assert count_macs(lambda: torch.relu(a) + a) == 0


def test_shared_parameters_count_once_and_frozen_ones_too():
    layer = nn.Linear(3, 3)
    assert count_parameters(nn.Sequential(layer, layer).requires_grad_(False)) == 12


def test_counting_leaves_the_module_and_torch_as_they_were():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).train()
    module[0].eval()
    cost(module, torch.zeros(1, 2))
    assert module.training and not module[0].training and module[1].training
    with pytest.raises(RuntimeError):
        cost(module, torch.zeros(1, 3))
    assert module.training and torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("name", "size", "millions", "billions"),
    [("resnet50", 224, 23.51, 4.09), ("swinv2-t", 256, 27.58, 6.66), ("swinv2-s", 256, 48.96, 12.78)],
)
def test_image_encoders_cost_what_is_known_of_them(name, size, millions, billions):
    """ResNet-50: He et al.; Swin V2: torch's counter on the published code, 49.73 M with its classifier of 0.769 M."""
    with torch.device("meta"):
        encoder = build_encoder(VisionConfig(name, RANDOM, size))
        found = cost(encoder, torch.zeros(1, 3, size, size))
    assert found.parameters / 1e6 == pytest.approx(millions, abs=0.006)
    assert found.macs / 1e9 == pytest.approx(billions, abs=0.006)
