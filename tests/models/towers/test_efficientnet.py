"""EfficientNet-Lite2: padding, frozen statistics, and tokens that know their place."""

import pytest
import torch
import torch.nn.functional as F

from anykeypoint.models.towers.efficientnet import (
    POSITION_GAIN,
    EfficientNetLite2,
    _normed_conv,
    _same_conv,
    position_code,
    tokens_from_maps,
)
from anykeypoint.models.towers.vision import encoder_from_model
from anykeypoint.models.towers.vision_config import VisionConfig


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    return EfficientNetLite2().eval()


def test_the_trunk_has_its_published_size(trunk):
    """6.09 M parameters less the 1000-class head (1.281 M), the last 1x1 (0.453 M) and the block of 352 channels."""
    block = 208 * 1248 + 2 * 1248 + 9 * 1248 + 2 * 1248 + 1248 * 352 + 2 * 352
    head = 1280 * 1000 + 1000 + 352 * 1280 + 2 * 1280
    count = sum(p.numel() for p in trunk.parameters())
    assert round((count + block + head) / 1e6, 2) == 6.09


def test_the_maps_have_strides_16_and_32(trunk):
    fine, coarse = trunk(torch.randn(1, 3, 96, 128))
    assert fine.shape == (1, 120, 6, 8) and coarse.shape == (1, 208, 3, 4)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 1, 8), (3, 2, 8), (5, 2, 8), (5, 2, 7), (3, 2, 9)])
def test_same_padding_puts_the_odd_pixel_right_and_below(kernel, stride, size):
    conv = torch.nn.Conv2d(1, 1, kernel, stride=stride, bias=False)
    x = torch.randn(1, 1, size, size)
    out = -(-size // stride)
    plain = torch.zeros(1, 1, out, out)
    before = max((out - 1) * stride + kernel - size, 0) // 2
    for i in range(out):
        for j in range(out):
            for a in range(kernel):
                for b in range(kernel):
                    row, column = i * stride + a - before, j * stride + b - before
                    if 0 <= row < size and 0 <= column < size:
                        plain[0, 0, i, j] += conv.weight[0, 0, a, b] * x[0, 0, row, column]
    assert torch.allclose(_same_conv(x, conv, conv.weight, None), plain, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_a_convolution_with_its_norm_is_both_in_turn(training):
    conv = torch.nn.Conv2d(6, 6, 5, stride=2, groups=6, bias=False)
    norm = torch.nn.BatchNorm2d(6, eps=1e-3).train(training)
    for name, low, high in (("weight", 0.5, 2), ("bias", -1, 1), ("running_mean", -1, 1), ("running_var", 0.1, 3)):
        getattr(norm, name).data.uniform_(low, high)
    x = torch.randn(2, 6, 9, 8)
    in_turn = norm(F.conv2d(F.pad(x, (1, 2, 2, 2)), conv.weight, stride=2, groups=6))
    assert torch.allclose(_normed_conv(x, conv, norm), in_turn, atol=1e-5)


def test_training_leaves_batch_statistics_alone(trunk):
    encoder = encoder_from_model(trunk, VisionConfig("efficientnet-lite2"))
    before = {name: buffer.clone() for name, buffer in encoder.named_buffers()}
    encoder.train()
    encoder(torch.randn(2, 3, 64, 64))
    encoder.eval()
    assert all(torch.equal(buffer, before[name]) for name, buffer in encoder.named_buffers())


def test_tokens_run_row_by_row_with_positions_of_their_cells():
    fine = torch.arange(16.0).view(1, 1, 4, 4).expand(1, 120, 4, 4)
    tokens = tokens_from_maps(fine, torch.zeros(1, 208, 2, 2))
    assert tokens.shape == (1, 16, 392)
    features = F.layer_norm(torch.cat([torch.full((120,), 6.0), torch.zeros(208)]), (328,))
    assert torch.allclose(tokens[0, 6, :328], features, atol=1e-4)
    code = POSITION_GAIN * position_code(4, 4, 64)
    assert torch.equal(tokens[0, :, 328:], code)
    assert len({tuple(row.tolist()) for row in code}) == 16
    x_part = code.view(16, 2, 32)[:, 0]
    assert torch.equal(x_part[1], x_part[5]) and not torch.equal(x_part[1], x_part[2])


def test_the_encoder_normalises_as_the_published_weights_expect(trunk):
    encoder = encoder_from_model(trunk, VisionConfig("efficientnet-lite2"))
    picture = torch.tensor([0, 127, 255], dtype=torch.uint8).view(1, 1, 1, 3).expand(1, 256, 256, 3)
    pixels = encoder.normalise(picture)
    assert torch.allclose(pixels[0, :, 0, 0], torch.tensor([-127 / 128, 0.0, 1.0]), atol=1e-6)
    assert encoder.dim == 392 and encoder.grid(256) == (16, 16)
