"""KptLLM names points: on a tiny random model, beside plain generation and whole passes. And the pass of training."""

import numpy as np
import pytest
import tiny
import torch
from plain_kptllm import IDENTIFY, LIMIT, NAMES, PLACES, ids, start, token, written

from anykeypoint.errors import InputError
from anykeypoint.models.generative.kptllm_network import PROMPT


def test_own_words_are_those_of_plain_generation(model):
    pixels = tiny.picture()  # just the size of the crop
    places = PLACES * 0.7
    found = model.identify(pixels, places)
    for answer, point in zip(found, places, strict=True):
        before = torch.cat([start(model, pixels), token(model, pixels, point)], dim=1)
        tokens, probability = written(model, before, ids(model, IDENTIFY), ids(model, "</s>"), LIMIT)
        assert answer.name == model.text(tokens) and answer.probabilities is None
        assert answer.confidence == pytest.approx(probability, rel=1e-3)
    assert len({answer.name for answer in found}) > 1


def test_a_categorys_names_get_the_softmax_of_all_that_each_says(model):
    pixels, places = tiny.picture(), PLACES * 0.7
    found = model.identify(pixels, places, category=NAMES)
    names = ["left ear", "right ear", "nose tip"]  # the second nose tip is the same words
    for answer, point in zip(found, places, strict=True):
        before = torch.cat([start(model, pixels), token(model, pixels, point)], dim=1)
        totals = []
        for name in names:
            said = [*ids(model, f" {name}"), *ids(model, "</s>")]
            asked = model.language.get_input_embeddings()(torch.tensor([[*ids(model, IDENTIFY), *said]]))
            with torch.no_grad():
                logits = model.language(inputs_embeds=torch.cat([before, asked], dim=1)).logits[0]
            chosen = logits[-len(said) - 1 : -1].double().log_softmax(-1)[range(len(said)), said]
            totals.append(chosen.sum())
        expected = torch.stack(totals).softmax(0)
        assert list(answer.probabilities) == names
        np.testing.assert_allclose(list(answer.probabilities.values()), expected, rtol=1e-3, atol=1e-12)
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.name == names[int(expected.argmax())] and answer.confidence == answer.probabilities[answer.name]


@pytest.mark.parametrize("category", [None, NAMES])
def test_company_and_order_of_the_points_change_no_name(view, category, monkeypatch):
    together = view.identify(PLACES, category)
    for answer, point in zip(together, PLACES, strict=True):
        alone = view.identify(tuple(point), category)
        assert alone.name == answer.name and alone.confidence == pytest.approx(answer.confidence, rel=1e-3)
    assert [one.name for one in view.identify(PLACES[::-1], category)] == [one.name for one in together][::-1]
    monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 1)
    assert [one.name for one in view.identify(PLACES, category)] == [one.name for one in together]
    assert view.identify(PLACES[:0], category) == []


def test_a_single_point_has_a_single_answer_and_the_box_decides_the_view(model):
    picture = tiny.picture(60, 40)
    assert model.identify(picture, (10, 12)).name == model.identify(picture, np.array([[10, 12]]))[0].name
    large = tiny.picture(150, 130, seed=1)
    large[31:73, 57:99] = tiny.picture()
    inside = model.identify(large, (57 + 20, 31 + 10), box=(57, 31, 42, 42), category=NAMES)
    alone = model.identify(tiny.picture(), (20, 10), category=NAMES)
    assert inside.probabilities == pytest.approx(alone.probabilities, rel=1e-3)
    outside = model.identify(large, (3, 3), box=(57, 31, 42, 42), category=NAMES)  # in the picture, not in the box
    assert outside.probabilities != pytest.approx(alone.probabilities, rel=1e-3)


@pytest.mark.parametrize(
    ("points", "words"),
    [
        ((61.5, 3), r"The point \(61.5, 3\) lies outside the picture of 60 x 40 pixels; give points inside"),
        ([[1, 2], [3, -1.5]], r"The point \(3, -1.5\) lies outside"),
        ((np.nan, 3), "finite and in pixels"),
        ([1, 2, 3], r"must be \(x, y\) or \(P, 2\)"),
        ("here", r"must be \(x, y\) or \(P, 2\)"),
    ],
)
def test_points_that_are_none_are_refused(view, points, words):
    with pytest.raises(InputError, match=words):
        view.identify(points)


# --- named by where each name is found -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["digits", "triples"])
def test_a_model_may_name_a_point_by_where_it_finds_each_name(place, kind):
    model = tiny.kptllm(place, "lora", kind, naming="found", identify_first=False)
    view = model.encode(tiny.picture())  # just the size of the crop
    questions, _, engine, _ = view._asked(NAMES, [], True, "detailed", 1.0)
    (found,) = view._decoded(engine, questions, "mode", [0])
    points = PLACES * 0.7
    for answer, point in zip(view.identify(points, NAMES), points / 42, strict=True):
        likelihoods: dict[str, list[float]] = {}
        for name, x, y in zip(NAMES.names, found.x.tolist(), found.y.tolist(), strict=True):
            axes = []
            for shares, at in ((x, point[0]), (y, point[1])):
                middles = [(value + 0.5) / (len(shares) - 1) for value in range(len(shares) - 1)] + [1.0]
                pairs = zip(middles, shares, strict=True)
                axes.append(sum(share * np.exp(-((one - at) ** 2) / (2 * 0.04**2)) for one, share in pairs))
            likelihoods.setdefault(name, []).append(axes[0] * axes[1])
        means = {name: np.mean(values) for name, values in likelihoods.items()}
        expected = {name: mean / sum(means.values()) for name, mean in means.items()}
        assert answer.probabilities == pytest.approx(expected, rel=1e-6)
        assert answer.name == max(expected, key=expected.__getitem__)
        assert answer.confidence == answer.probabilities[answer.name]
    written = tiny.kptllm(place, "lora", kind, identify_first=False).encode(tiny.picture())
    assert [one.name for one in view.identify(points)] == [one.name for one in written.identify(points)]


def test_what_the_user_calls_a_point_is_weighed_in_written_names_alone(place):
    written, found = (
        tiny.kptllm(place, "lora", naming=one, identify_first=False).identify(
            tiny.picture(), PLACES * 0.7, category=NAMES, called="nose tip"
        )
        for one in ("written", "found")
    )
    assert [one.probabilities for one in written] == [one.probabilities for one in found]


# --- training's pass -----------------------------------------------------------------------------------------------


def test_the_packed_pass_of_training_sees_what_plain_sequences_see(place):
    model = tiny.kptllm(place, "lora", projector="mlp")
    pictures = [tiny.picture(seed=seed) for seed in (0, 1)]
    shown = tiny.picture(seed=2)
    # Query 0: a place of its own and one of the example. Query 1: words alone, and the example's other place.
    asked, words = ids(model, IDENTIFY), ids(model, "\nUSER: Find the nose\nASSISTANT:")
    parts = [[[PROMPT, *asked], [PROMPT - 1, *words]], [words, [PROMPT - 2, *asked]]]
    owners, points = torch.tensor([0, 2, 2]), torch.tensor([[0.2, 0.3], [0.6, 0.1], [0.9, 0.8]])
    length = max(sum(map(len, row)) for row in parts)
    tokens, positions = torch.zeros(2, length, dtype=torch.long), torch.zeros(2, length, dtype=torch.long)
    sees = torch.eye(length, dtype=torch.bool).repeat(2, 1, 1)
    spans = []
    for b, row in enumerate(parts):
        at = 0
        for part in row:
            span = slice(at, at + len(part))
            tokens[b, span], positions[b, span] = torch.tensor(part), torch.arange(len(part))
            sees[b, span, span] = torch.ones(len(part), len(part), dtype=torch.bool).tril()
            spans.append((b, span, part))
            at += len(part)
    crops = model.encoder.normalise(torch.from_numpy(np.stack(pictures)))
    others = model.encoder.normalise(torch.from_numpy(shown)[None])
    states = model(crops, tokens, sees, positions, others, owners, points)
    with torch.no_grad():
        for b, span, part in spans:
            pieces = [start(model, pictures[b])]
            if part[0] <= PROMPT:
                r = PROMPT - part[0]
                pieces.append(token(model, pictures[0] if owners[r] == 0 else shown, points[r] * 42))
            text = [one for one in part if one >= 0]
            pieces.append(model.language.get_input_embeddings()(torch.tensor([text])))
            whole = model.language.base_model(inputs_embeds=torch.cat(pieces, dim=1)).last_hidden_state[0]
            torch.testing.assert_close(states[b, span], whole[-len(part) :], atol=1e-4, rtol=1e-4)
    states.square().sum().backward()
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad and not name.startswith("encoder")}
    assert trained and not [name for name, p in trained.items() if p.grad is None or not p.grad.any()]
    prefix = model.prefix(crops)
    torch.testing.assert_close(prefix[:1], start(model, pictures[0]))
