"""Prompt tokens (Eq. 1 and 2) against the formulas written out, and the pooled ablation."""

import math

import pytest
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.generative.prompts import PooledPrompts, PromptEncoder, PromptExtractor

GRID, WIDTH, HEADS = (3, 4), 8, 2
TOKENS = GRID[0] * GRID[1]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def extractor(layers=2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = PromptExtractor(WIDTH, layers, HEADS, 3).eval()
        for parameter in made.parameters():  # norms and biases too, or parts of the formula would go unseen
            torch.nn.init.normal_(parameter, std=0.5)
    return made


def linear(x, module):
    return x @ module.weight.T + module.bias


def attention(layer, query, features):
    """One query (C) over features (N C), head by head."""
    weights, biases = (p.chunk(3) for p in (layer.in_proj_weight, layer.in_proj_bias))
    q, k, v = (x @ w.T + b for x, w, b in zip((query, features, features), weights, biases, strict=True))
    size, parts = WIDTH // HEADS, []
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        share = (k[:, part] @ q[part] / math.sqrt(size)).softmax(0)
        parts.append(share @ v[:, part])
    return linear(torch.cat(parts), layer.out_proj)


def normed(x, norm):
    return (x - x.mean()) / (x.var(unbiased=False) + norm.eps).sqrt() * norm.weight + norm.bias


def plain(made, features, point):
    """z_p (C) of one point in features (N C)."""
    embedding = []
    for value in point.tolist():
        turns = [0.5 * 128 ** (i / 2) for i in range(3)]
        embedding += [math.sin(2 * math.pi * turn * value) for turn in turns]
        embedding += [math.cos(2 * math.pi * turn * value) for turn in turns]
    first, _, second = made.encoder.mlp
    x = linear(torch.nn.functional.gelu(linear(torch.tensor(embedding), first)), second)
    for layer in made.layers:
        x = normed(x + attention(layer.attention, x, features), layer.attended)
        inner, _, outer = layer.feed_forward
        x = normed(x + linear(torch.nn.functional.gelu(linear(x, inner)), outer), layer.fed)
    return x


@pytest.mark.parametrize("layers", [1, 2])
def test_a_prompt_token_is_the_formula_written_out(layers):
    made, features = extractor(layers), draw(2, TOKENS, WIDTH)
    points = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = made(features, points, GRID)
        each = [[plain(made, features[b], point) for point in points[b]] for b in range(2)]
        expected = torch.stack([torch.stack(row) for row in each])
        other = made(features[1:], points[:1], GRID)[0]
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)
    assert (found[0, 0] - found[0, 1]).abs().max() > 0.05 and (found[0] - other).abs().max() > 0.05


@pytest.mark.parametrize("made", [extractor(), PooledPrompts(0.1)])
def test_places_do_not_see_one_another(made):
    features, points = draw(1, TOKENS, WIDTH), torch.rand(1, 6, 2)
    with torch.no_grad():
        together = made(features, points, GRID)
        alone = torch.cat([made(features, points[:, k : k + 1], GRID) for k in range(6)], dim=1)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


def test_places_near_and_far_are_told_apart_also_beyond_the_crop():
    embedding = PromptEncoder(WIDTH, 16).embedding
    at = embedding(torch.tensor([[0.5, 0.5], [0.504, 0.5], [0.9, 0.5], [1.2, 0.5]]))
    near, far, beyond = (at[1:] - at[0]).norm(dim=-1).tolist()
    assert 0.05 < near < far and beyond > near
    swapped = embedding(torch.tensor([[0.2, 0.7], [0.7, 0.2]]))
    torch.testing.assert_close(swapped[0], torch.cat([swapped[1, 32:], swapped[1, :32]]))


def test_the_pooled_token_is_the_mean_of_what_lies_round_the_place():
    features = draw(1, TOKENS, WIDTH)
    cells = features[0].view(*GRID, WIDTH)
    with torch.no_grad():
        corner = PooledPrompts(0.01)(features, torch.tensor([[[0.02, 0.02], [0.98, 0.98], [7.0, 0.98]]]), GRID)[0]
        all_of_it = PooledPrompts(50.0)(features, torch.tensor([[[0.3, 0.3]]]), GRID)[0, 0]
    torch.testing.assert_close(corner[0], cells[0, 0])
    torch.testing.assert_close(corner[1], cells[-1, -1])
    torch.testing.assert_close(corner[2], cells[-1, -1])  # far beyond the crop: what lies nearest
    torch.testing.assert_close(all_of_it, features[0].mean(0), atol=1e-3, rtol=1e-3)


def test_the_pooled_mean_is_weighted_by_a_gaussian():
    grid, sigma, point = (8, 8), 0.2, (0.3, 0.6)
    features = draw(1, 64, WIDTH)
    with torch.no_grad():
        found = PooledPrompts(sigma)(features, torch.tensor([[point]]), grid)[0, 0]
    fine = torch.nn.functional.interpolate(features.transpose(1, 2).unflatten(2, grid), size=64, mode="bilinear")[0]
    centres = (torch.arange(64) + 0.5) / 64
    distance = (centres[None] - point[0]) ** 2 + (centres[:, None] - point[1]) ** 2
    weights = (-distance / (2 * sigma**2)).exp()
    torch.testing.assert_close(found, (fine * weights).sum((1, 2)) / weights.sum(), atol=1e-5, rtol=1e-5)


def test_heads_that_do_not_share_the_width_are_refused():
    with pytest.raises(InputError, match="has 3 heads, but the encoder's width 8"):
        PromptExtractor(8, 2, 3, 4)
