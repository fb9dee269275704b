"""The density against the model's own probability of writing each answer out in full."""

import pytest
import tiny
import torch

from anykeypoint.decoding import Engine
from anykeypoint.decoding.codec import CoordinateCodec
from anykeypoint.errors import InputError

QUESTION = "\nUser: Where is the left ear tip of this object?\nAssistant:"


def setting(kind, seed=0, sharp=3.0):
    """A tiny model that is rather sure of its digits, so that few answers hold nearly all probability."""
    tokenizer = tiny.tokenizer(kind)
    language = tiny.llama(len(tokenizer), seed)
    with torch.no_grad():
        language.get_output_embeddings().weight.mul_(sharp)
    prefix = torch.randn(1, 9, 32, generator=torch.Generator().manual_seed(seed)) * 0.5
    question = tokenizer(QUESTION, add_special_tokens=False)["input_ids"]
    engine = Engine(language, CoordinateCodec.learn(tokenizer))
    return engine, engine.read(prefix), prefix, question


def written_out(engine, prefix, question, x, y):
    """p(x, y): the product of the conditionals at all free positions, in one plain pass over the whole answer."""
    codec = engine.codec
    answer = codec.encode_values(x, y)
    ids = torch.tensor([[*question, *answer]])
    embeddings = torch.cat([prefix, engine.language.get_input_embeddings()(ids)], dim=1)
    with torch.no_grad():
        logits = engine.language(inputs_embeds=embeddings).logits[0, prefix.shape[1] + len(question) - 1 :].double()
    p, ones = 1.0, 0
    size = 1 + len(codec.point) + len(codec.digits)
    starts = (len(codec.opening), len(codec.opening) + size + len(codec.comma))
    for i, allowed in enumerate(codec.template()):
        inside = next((i - start for start in starts if start <= i < start + size), None)
        if inside == 0:
            ones = answer[i] == codec.leads[1]
        if len(allowed) == 1 or (inside and ones):  # digits behind "1." are certain
            continue
        p *= float(logits[i, list(allowed)].softmax(-1)[list(allowed).index(answer[i])])
    return p


@pytest.mark.parametrize("kind", ["digits", "triples"])
@pytest.mark.parametrize("seed", [0, 1, 3])
def test_every_cell_of_the_finest_grid_is_the_probability_of_writing_that_answer(kind, seed):
    engine, view, prefix, question = setting(kind, seed, sharp=1.0)
    grid, mass = engine.density(view, question, cells=1000, mass=0.97, most=300, exact=True)
    assert mass == pytest.approx(float(grid.double().sum()), abs=1e-5)
    expanded = grid[:999, :999].nonzero()
    assert len(expanded) > 3
    for y, x in expanded[torch.randperm(len(expanded), generator=torch.Generator().manual_seed(0))[:25]].tolist():
        assert float(grid[y, x]) == pytest.approx(written_out(engine, prefix, question, x, y), rel=2e-4, abs=1e-9)


def test_the_last_row_and_column_hold_one_too():
    engine, view, prefix, question = setting("digits", 1)
    with torch.no_grad():  # 0 and 1 become equally likely wherever they are a choice
        head = engine.language.get_output_embeddings().weight
        head[engine.codec.leads[1]] = head[engine.codec.leads[0]]
    grid, mass = engine.density(view, question, cells=1000, mass=0.999, most=3000, exact=True)
    assert mass > 0.9
    corner = sum(written_out(engine, prefix, question, x, y) for x in (999, 1000) for y in (999, 1000))
    assert float(grid[999, 999]) == pytest.approx(corner, rel=1e-3) and corner > 0.1
    right = sum(written_out(engine, prefix, question, x, 400) for x in (999, 1000))
    assert float(grid[400, 999]) == pytest.approx(right, rel=1e-3, abs=2e-3)


@pytest.mark.parametrize("kind", ["digits", "triples"])
@pytest.mark.parametrize("cells", [1, 7, 10, 64, 100, 256])
def test_a_coarse_grid_is_the_fine_one_summed_over_its_cells(kind, cells):
    engine, view, _, question = setting(kind, 1, sharp=10.0)
    fine, all_of_it = engine.density(view, question, cells=1000, mass=1 - 1e-6, most=3000, exact=True)
    assert all_of_it > 0.999
    place = torch.arange(1000) * cells // 1000
    wanted = torch.zeros(cells, cells).index_put_(
        (place[:, None].expand(1000, 1000), place[None].expand(1000, 1000)), fine, accumulate=True
    )
    grid, _ = engine.density(view, question, cells=cells, mass=1 - 1e-6, most=3000, exact=True)
    assert torch.allclose(grid, wanted, atol=1e-3)


@pytest.mark.parametrize("cells", [10, 64, 100, 1000])
def test_the_quick_density_is_exact_in_x_and_conditions_y_on_the_likeliest_third_decimal(cells):
    engine, view, prefix, question = setting("digits", 1, sharp=2.0)
    quick, mass = engine.density(view, question, cells=cells, mass=1.0)
    assert mass == pytest.approx(1.0, abs=1e-5)
    wanted = torch.zeros(cells, cells, dtype=torch.float64)
    with torch.no_grad():
        first = slow_table(engine, prefix, question, [])
        for x in range(100):
            p, thirds = first[x], slow_thirds(engine, prefix, question, x)
            number = [engine.codec.leads[0], *engine.codec.point]
            number += [engine.codec.digits[i][d] for i, d in enumerate((x // 10, x % 10, int(thirds.argmax())))]
            rows = slow_table(engine, prefix, question, [*number, *engine.codec.comma])
            row = torch.zeros(cells, dtype=torch.float64)
            column = torch.zeros(cells, dtype=torch.float64)
            for third in range(10):
                column[(x * 10 + third) * cells // 1000] += p * thirds[third]
                row.index_put_(((torch.arange(100) * 10 + third) * cells // 1000,), rows[:100] / 10, accumulate=True)
            row[-1] += rows[100]
            wanted += row[:, None] * column
    # x = 1.000 has a y of its own
    wanted[:, -1] += (quick[:, -1] - wanted[:, -1]) if float(first[100]) > 1e-4 else 0
    assert torch.allclose(quick.double(), wanted, atol=2e-5)


def slow_table(engine, prefix, question, written):
    """p of the first two decimals of the number behind what is written, and of 1.000: 101, each from scratch."""
    codec = engine.codec
    before = [*question, *codec.opening, *written]
    starts = [[], *([digit] for digit in codec.digits[0])]
    rows = [[*before, codec.leads[0], *codec.point, *start] for start in starts]
    lead, first = (
        next_digit(engine, prefix, [before], codec.leads)[0],
        next_digit(engine, prefix, rows[:1], codec.digits[0])[0],
    )
    second = next_digit(engine, prefix, rows[1:], codec.digits[1])
    return torch.cat([lead[0] * (first[:, None] * second).flatten(), lead[1:]])


def slow_thirds(engine, prefix, question, hundredths):
    codec = engine.codec
    digits = [codec.digits[0][hundredths // 10], codec.digits[1][hundredths % 10]]
    return next_digit(
        engine, prefix, [[*question, *codec.opening, codec.leads[0], *codec.point, *digits]], codec.digits[2]
    )[0]


def next_digit(engine, prefix, rows, allowed):
    ids = torch.tensor(rows)
    embeddings = torch.cat([prefix.expand(len(ids), -1, -1), engine.language.get_input_embeddings()(ids)], dim=1)
    return engine.language(inputs_embeds=embeddings).logits[:, -1, list(allowed)].double().softmax(-1)


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_the_wanted_mass_is_reached_unless_too_many_nodes_are_needed(kind):
    for seed in range(3):
        engine, view, _, question = setting(kind, seed, sharp=2.0)
        grid, mass = engine.density(view, question, mass=0.9, most=2000)
        assert 0.9 <= mass <= 1 + 1e-6 and bool((grid >= 0).all())
        _, little = engine.density(view, question, mass=0.9, most=2)
        assert 0 < little < mass


def test_the_density_has_the_marginal_that_the_answer_reports():
    engine, view, _, question = setting("digits", 0, sharp=10.0)
    grid, _ = engine.density(view, question, mass=1 - 1e-6, most=3000, exact=True)
    x = engine.answer(view, [question]).x[0]
    cells = x[:-1].clone()
    cells[-1] += x[-1]
    assert torch.allclose(grid.sum(0), cells, atol=1e-3)


@pytest.mark.parametrize("options", [{"cells": 0}, {"cells": 1001}, {"mass": 0.0}, {"mass": 1.5}, {"most": 0}])
def test_impossible_grids_are_refused(options):
    engine, view, _, question = setting("digits")
    with pytest.raises(InputError, match="density"):
        engine.density(view, question, **options)
