"""KptLLM end to end on a tiny random model: naming points, finding them by words, examples or both, folders."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
import torch
from plain import slow
from safetensors.torch import load_file

import anykeypoint
from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.example import Example
from anykeypoint.models import examples as memory
from anykeypoint.models.generative import folder as folders
from anykeypoint.models.generative.capellm import CapeLLM
from anykeypoint.models.generative.kptllm import PRESETS, PROMPT, KptLLM, KptLLMConfig
from anykeypoint.models.generative.kptllm_view import MOST_EXAMPLES, NAME_TOKENS

CATEGORY = Category(
    "cat",
    (
        Keypoint("left ear tip", "The highest point of the left ear."),
        Keypoint("right ear tip"),
        Keypoint("nose", "Its black end."),
        Keypoint("nose"),
    ),
    skeleton=((0, 2), (1, 2)),
    noun="cat",
)
NAMES = Category(
    "cat", tuple(map(Keypoint, ("left ear", "right ear", "nose tip"))) + (Keypoint("nose tip", "Second."),)
)
POINTS = np.array([[5.0, 6.0], [30.0, 8.0], [20.5, 30.25], [11.0, 40.0]])
PLACES = np.array([[3.0, 4.0], [30.5, 20.0], [59.0, 39.0]])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(place):
    return tiny.kptllm(place, "lora")


@pytest.fixture(scope="module")
def plain_model(place):
    return tiny.kptllm(place, "lora", identify_first=False)


@pytest.fixture(scope="module")
def view(model):
    return model.encode(tiny.picture(60, 40))


def example(seed=5, points=POINTS, size=50, **more) -> Example:
    return Example(tiny.picture(size, size, seed), points, **more)


def only(*rows) -> np.ndarray:
    """The points of these rows alone."""
    return np.where(np.isin(np.arange(len(POINTS)), rows)[:, None], POINTS, np.nan)


def features(model, pixels):
    return model.encoder(model.encoder.normalise(torch.from_numpy(pixels)[None]))


def token(model, pixels, point):
    """z_p (1 1 D) of one point, in pixels of a crop that is the whole picture."""
    places = torch.from_numpy(np.array(point, dtype=np.float32))[None, None] / len(pixels)
    with torch.no_grad():
        return model.prompt_tokens(features(model, pixels), places)


def start(model, pixels):
    """[BOS ; z_q], put together anew."""
    with torch.no_grad():
        bos = model.language.get_input_embeddings()(torch.tensor([[model.tokenizer.bos_token_id]]))
        return torch.cat([bos, model.projection(features(model, pixels))], dim=1)


def ids(model, text):
    return model.tokenizer(text, add_special_tokens=False)["input_ids"]


def written(model, before, question, ending, limit=NAME_TOKENS):
    """What plain `generate` writes behind embeddings and a question, up to the ending, and its probability."""
    embeddings = torch.cat([before, model.language.get_input_embeddings()(torch.tensor([question]))], dim=1)
    mask = torch.ones(embeddings.shape[:2], dtype=torch.long)
    options = {"do_sample": False, "max_new_tokens": limit, "return_dict_in_generate": True, "output_logits": True}
    found = model.language.generate(inputs_embeds=embeddings, attention_mask=mask, pad_token_id=0, **options)
    tokens, probability = [], 1.0
    for token_id, logits in zip(found.sequences[0].tolist(), found.logits, strict=True):
        tokens.append(token_id)
        probability *= float(logits[0].softmax(-1)[token_id])
        if tokens[-len(ending) :] == ending:
            return tokens[: -len(ending)], probability
        if token_id == model.tokenizer.eos_token_id:
            return tokens[:-1], probability
    return tokens, probability


IDENTIFY = "\nUSER: What is the name of the keypoint shown above?\nASSISTANT:"
EXAMPLE = "\nUSER: Name the keypoint shown above and find it on the object in the image.\nASSISTANT:"

# --- naming --------------------------------------------------------------------------------------------------------


def test_own_words_are_those_of_plain_generation(model):
    pixels = tiny.picture()  # just the size of the crop
    places = PLACES * 0.7
    found = model.identify(pixels, places)
    for answer, point in zip(found, places, strict=True):
        before = torch.cat([start(model, pixels), token(model, pixels, point)], dim=1)
        tokens, probability = written(model, before, ids(model, IDENTIFY), ids(model, "</s>"))
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


# --- finding -------------------------------------------------------------------------------------------------------


def found(model, **options):
    """Thousandths of the crop of a picture that is just its size."""
    return np.round(model.predict(tiny.picture(), CATEGORY, **options).xy / 42 * 1000).astype(int).tolist()


def expected(model, task, k, shown=None):
    """The digits of keypoint k by plain generation, of a model that names it first or not."""
    point, name = CATEGORY.keypoints[k], CATEGORY.keypoints[k].name
    reference = f" {point.description}" if point.description else ""
    question = {
        "example": EXAMPLE,
        "text": f"\nUSER: Find the {name} of the cat in the image.{reference}\nASSISTANT:",
        "both": f"\nUSER: The keypoint shown above is the {name}. Find it on the cat in the image.{reference}\n"
        "ASSISTANT:",
    }[task]
    before = start(model, tiny.picture())
    if shown is not None:
        before = torch.cat([before, token(model, shown.image, shown.points[k])], dim=1)
    asked = ids(model, question)
    if model.config.identify_first:
        said = ids(model, f" {name}")
        if task == "example":
            said, _ = written(model, before, asked, ids(model, "\n"))
        asked = [*asked, *said, *ids(model, "\n")]
    return slow(model.language, model.codec, before, asked)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("task", ["text", "example", "both"])
def test_the_digits_are_those_of_plain_generation(model, plain_model, task, first):
    asked = model if first else plain_model
    shown = None if task == "text" else example(size=42, points=POINTS * 0.8)
    options = {} if shown is None else {"example": shown, "words": task == "both"}
    answers = found(asked, **options)
    assert answers == [expected(asked, task, k, shown) for k in range(len(CATEGORY))]
    assert len({tuple(answer) for answer in answers}) > 1


@pytest.mark.parametrize("options", [{}, {"projector": "mlp", "extractor": "pool", "instruction": "kptllm"}])
def test_any_projector_and_extractor_answers(place, options):
    model = tiny.kptllm(place, "lora", **options)
    views = [model.encode(tiny.picture(60, 40, seed)) for seed in (0, 1)]
    answers = [view.predict(CATEGORY, example(), words=False).xy.tolist() for view in views]
    answers += [views[0].predict(CATEGORY, example(seed=6), words=False).xy.tolist()]
    assert answers[0] != answers[1] and answers[0] != answers[2]  # picture and example both matter
    assert ("extractor.encoder.mlp.0.weight" in model.state_dict()) == (not options)


@pytest.mark.parametrize("first", [True, False])
def test_neither_order_nor_company_of_the_keypoints_matters(model, plain_model, first, monkeypatch):
    asked = model if first else plain_model
    view = asked.encode(tiny.picture(60, 40))
    for strategy in ("greedy", "expected", "sampling"):
        together = view.predict(CATEGORY, example(), words=False, strategy=strategy, seed=2)
        for k in range(len(CATEGORY)):
            one = Category("cat", CATEGORY.keypoints[k : k + 1])
            alone = view.predict(one, example(points=POINTS[k : k + 1]), words=False, strategy=strategy, seed=2)
            assert np.array_equal(alone.xy[0], together.xy[k])
            assert alone.confidence[0] == pytest.approx(together.confidence[k], abs=1e-4)
            if first:
                assert alone.identified[0] == together.identified[k]
        back = Category("cat", CATEGORY.keypoints[::-1])
        turned = view.predict(back, example(points=POINTS[::-1]), words=False, strategy=strategy, seed=2)
        assert np.array_equal(turned.xy[::-1], together.xy)
        monkeypatch.setattr("anykeypoint.decoding.branches.PACKED", 1)
        apart = view.predict(CATEGORY, example(), words=False, strategy=strategy, seed=2)
        assert np.array_equal(apart.xy, together.xy)
        monkeypatch.undo()


def test_a_view_can_be_asked_often_in_any_way(model, view):
    ways = [{}, {"example": example(), "words": False}, {"example": [example(), example(6)]}, {}]
    for options in ways:
        asked, predicted = view.predict(CATEGORY, **options), model.predict(tiny.picture(60, 40), CATEGORY, **options)
        assert np.array_equal(asked.xy, predicted.xy) and asked.identified == predicted.identified


def test_words_are_not_read_where_they_are_not_to_be(model, view):
    other = Category("dog", tuple(Keypoint(f"point {k}", "Somewhere.") for k in range(4)), noun="dog")
    asked = [view.predict(category, example(), words=False) for category in (CATEGORY, other)]
    assert np.array_equal(asked[0].xy, asked[1].xy) and asked[0].identified == asked[1].identified
    told = [view.predict(category, example()) for category in (CATEGORY, other)]
    assert not np.array_equal(told[0].xy, told[1].xy)
    bare = Category("cat", tuple(Keypoint(point.name) for point in CATEGORY.keypoints[:3]), noun="cat")
    full, one = Category("cat", CATEGORY.keypoints[:3], noun="cat"), example(points=POINTS[:3])
    removed = view.predict(full, one, describe="removed")
    assert np.array_equal(removed.xy, view.predict(bare, one).xy)
    assert not np.array_equal(removed.xy, view.predict(full, one).xy)


def test_the_model_says_what_it_takes_a_shown_point_for(model, plain_model, view):
    pose = view.predict(CATEGORY, example(points=only(0, 2)), words=False)
    assert [name is None for name in pose.identified] == [False, True, False, True]
    assert anykeypoint.Pose.from_dict(json.loads(json.dumps(pose.to_dict()))).identified == pose.identified
    assert view.predict(CATEGORY, example()).identified is None  # the name was given
    assert plain_model.predict(tiny.picture(60, 40), CATEGORY, example=example(), words=False).identified is None


# --- several examples ----------------------------------------------------------------------------------------------

STRATEGIES = ["greedy", "sampling", "expected", "mode"]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("first", [True, False])
def test_equal_examples_answer_as_one_and_order_changes_nothing(model, plain_model, strategy, first):
    view = (model if first else plain_model).encode(tiny.picture(60, 40))
    options = {"words": False, "strategy": strategy, "seed": 1}
    one, three = (view.predict(CATEGORY, [example()] * count, **options) for count in (1, 3))
    assert np.array_equal(one.xy, three.xy) and one.identified == three.identified
    np.testing.assert_allclose(one.confidence, three.confidence, atol=1e-5)
    mixed = [example(5), example(6), example(7, points=only(1, 3))]
    turned = [view.predict(CATEGORY, [mixed[i] for i in order], **options) for order in ((0, 1, 2), (2, 0, 1))]
    assert np.array_equal(turned[0].xy, turned[1].xy) and turned[0].identified == turned[1].identified
    assert np.array_equal(turned[0].confidence, turned[1].confidence)
    assert not np.array_equal(turned[0].xy, one.xy)


def test_a_density_of_several_examples_is_the_mean_of_theirs(plain_model):
    view = plain_model.encode(tiny.picture(60, 40))
    shown = [example(5), example(6, points=only(0, 1))]
    options = {"words": False, "density": 10}
    both = view.predict(CATEGORY, shown, **options)
    first, second = (view.predict(CATEGORY, one, **options) for one in shown)
    for k, key in enumerate(both.keys):
        grids = [pose.density[key].grid for pose in (first, second) if key in pose.density]
        assert len(grids) == (2 if k < 2 else 1)
        np.testing.assert_allclose(both.density[key].grid, np.mean(grids, axis=0), atol=1e-6)
    assert both.covariance is not None and not second.present[2] and second.present[0]


def test_a_keypoint_that_no_example_shows_is_absent_unless_words_name_it(view):
    shown = [example(points=only(0)), example(6, points=only(2))]
    pose = view.predict(CATEGORY, shown, words=False)
    assert pose.present.tolist() == [True, False, True, False]
    assert np.isnan(pose.xy[1]).all() and np.isnan(pose.confidence[1])
    with_words, by_words = view.predict(CATEGORY, shown), view.predict(CATEGORY)
    assert with_words.present.all()
    assert np.array_equal(with_words.xy[[1, 3]], by_words.xy[[1, 3]])
    assert not np.array_equal(with_words.xy[[0, 2]], by_words.xy[[0, 2]])


def test_an_example_is_looked_at_once_for_all_points_and_questions(place, monkeypatch):
    model = tiny.kptllm(place)
    looks = []
    look = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda pixels: looks.append(1) or look(pixels))
    view = model.encode(tiny.picture(60, 40))
    answers = [view.predict(CATEGORY, example(), words=words).xy for words in (False, False, True)]
    assert len(looks) == 2 and np.array_equal(answers[0], answers[1])
    monkeypatch.setattr(memory, "KEPT", 1)
    view.predict(CATEGORY, example(6), words=False)
    assert len(looks) == 3 and len(model._seen) == 1
    assert np.array_equal(view.predict(CATEGORY, example(), words=False).xy, answers[0]) and len(looks) == 4
    model.train()
    assert not model._seen


# --- <KEYPOINT> answers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False])
def test_a_token_answers_as_a_plain_pass_and_several_examples_with_their_mean(place, first):
    model = tiny.kptllm(place, "lora", answer="token", projector="mlp", identify_first=first)
    pixels, shown = tiny.picture(), [example(seed, size=42, points=POINTS * 0.8) for seed in (5, 6)]
    expected = np.zeros((2, len(CATEGORY), 2))
    for m, one in enumerate(shown):
        for k in range(len(CATEGORY)):
            before = torch.cat([start(model, pixels), token(model, one.image, one.points[k])], dim=1)
            asked = ids(model, EXAMPLE)
            if first:
                asked = [*asked, *written(model, before, asked, ids(model, "\n"))[0], *ids(model, "\n")]
            with torch.no_grad():
                table = model.language.get_input_embeddings()
                last = model.keypoint_token.embedding[None, None]
                whole = torch.cat([before, table(torch.tensor([asked])), last], dim=1)
                states = model.language.base_model(inputs_embeds=whole).last_hidden_state[0]
                expected[m, k] = model.keypoint_token(states[-1])
    view = model.encode(pixels)
    for m, one in enumerate(shown):
        np.testing.assert_allclose(view.predict(CATEGORY, one, words=False).xy / 42, expected[m], atol=1e-4)
    both = view.predict(CATEGORY, shown, words=False)
    np.testing.assert_allclose(both.xy / 42, expected.mean(0), atol=1e-4)
    assert np.isnan(both.confidence).all() and both.present.all()
    assert np.ptp(expected, axis=0).max() > 1e-3
    assert view.predict(CATEGORY).present.all() and view.identify((3, 4)).confidence <= 1
    for options in ({"strategy": "greedy"}, {"density": True}):
        with pytest.raises(InputError, match="answers with <KEYPOINT>, not digits"):
            view.predict(CATEGORY, **options)


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


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"words": False}, "KptLLM needs words or an example; pass an example, or ask with words"),
        ({"example": []}, "The list of examples is empty"),
        ({"example": [example()] * (MOST_EXAMPLES + 1)}, "At most 32 examples can be shown, but got 33"),
        ({"example": example(points=POINTS[:2])}, "has 2 points, but 'cat' has 4"),
        ({"example": "cat.jpg"}, "must be an anykeypoint.Example, but got str"),
        ({"example": example(points=POINTS + 40)}, "lie outside, the first at"),
        ({"example": example(box=(0, 0, 3, 3))}, "None of the example's 4 points lies in its crop"),
        ({"example": example(), "words": False, "describe": "removed"}, "Descriptions are not read without words"),
        ({"describe": "loud"}, "Descriptions can be given"),
        ({"strategy": "guess"}, "greedy, sampling, temperature-T"),
        ({"cumulative": True}, "KptLLM has no choice of cumulative"),
        ({"example": [example(), example(6)], "strategy": "contrastive-0.5"}, "one question at a time"),
        ({"density": 2000}, "1 to 1000 cells"),
    ],
)
def test_what_makes_no_question_is_refused_in_one_sentence(view, options, words):
    with pytest.raises(InputError, match=words) as told:
        view.predict(CATEGORY, **options)
    assert str(told.value).count(". ") == 0


def test_an_example_of_another_category_is_refused(view):
    other = Category("dog", tuple(Keypoint(f"point {k}") for k in range(4)))
    with pytest.raises(InputError, match="'dog' names 'point 0' where 'cat' has 'left ear tip'"):
        view.predict(CATEGORY, example(category=other))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"projector": "deep"}, "projector must be one of linear, mlp, but got 'deep'"),
        ({"extractor": "max"}, "extractor must be one of attention, pool"),
        ({"answer": "digits"}, "answer must be one of text, token"),
        ({"layers": 0}, "layers must be a whole number from 1, but got 0"),
        ({"heads": 2.0}, "heads must be a whole number"),
        ({"sigma": 0}, "sigma must be a number above 0"),
        ({"crop_scale": float("inf")}, "crop_scale must be a number above 0"),
        ({"identify_first": 1}, "identify_first must be true or false"),
        ({"answer": "token", "strategy": "mode"}, "no strategy, but got 'mode'"),
        ({"instruction": "base"}, "no task form 'base'"),
        ({"preset": "kptllm3"}, r"no preset 'kptllm3' of KptLLM; known are kptllm, kptllm\+\+"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"vision": {"name": "dinov2-l", "colour": 1}}, "unknown key 'colour'"),
    ],
)
def test_a_config_that_is_none_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        KptLLMConfig.from_dict(changes)


# --- configs and folders -------------------------------------------------------------------------------------------


def test_the_presets_are_the_papers():
    older, newer = PRESETS["kptllm"], PRESETS["kptllm++"]
    assert (older.vision.name, older.vision.image_size, older.vision.tuning) == ("clip-vit-l-336", 336, "full")
    assert (older.projector, older.answer) == ("mlp", "token")
    assert (newer.vision.name, newer.vision.image_size, newer.vision.tuning) == ("dinov2-l", 224, "lora")
    assert (newer.projector, newer.answer) == ("linear", "text")
    for config in (older, newer):
        lora = config.language.lora
        assert (config.language.name, config.language.tuning, config.layers) == ("vicuna-7b", "lora", 2)
        assert (lora.r, lora.alpha, set(lora.targets)) == (128, 256, {"q", "k", "v", "o", "gate", "up", "down"})
        assert config.extractor == "attention" and config.identify_first
        assert KptLLMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert KptLLMConfig.from_dict({"preset": "kptllm", "layers": 3}) == dataclasses.replace(older, layers=3)
    assert KptLLMConfig() == newer


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_a_saved_model_answers_alike(place, tmp_path, tuning):
    options = {"answer": "token", "projector": "mlp"} if tuning == "full" else {"extractor": "pool"}
    model = tiny.kptllm(place, tuning, seed=1, **(options if tuning != "lora" else {"strategy": "expected"}))
    model.save_pretrained(tmp_path)
    again, loaded = KptLLM.from_pretrained(tmp_path), anykeypoint.load(str(tmp_path), device="cpu")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "kptllm"
    assert again.config == model.config == loaded.config and not again.training
    picture, shown = tiny.picture(60, 40), example()
    pose = model.predict(picture, CATEGORY, example=shown, words=False)
    for other in (again, loaded):
        assert isinstance(other, KptLLM)
        found = other.predict(picture, CATEGORY, example=shown, words=False)
        assert np.array_equal(found.xy, pose.xy) and found.identified == pose.identified
    named = [one.identify(picture, (3, 4), category=NAMES).probabilities for one in (model, again)]
    assert named[0] == named[1]


def test_what_is_saved_is_what_may_have_been_trained(place):
    kept = {part.split(".")[0] for part in folders.changed_tensors(tiny.kptllm(place))}
    assert kept == {"projection", "extractor", "prompt_projection"}
    kept = set(folders.changed_tensors(tiny.kptllm(place, "lora", answer="token")))
    assert {name.split(".")[0] for name in kept if ".lora_" not in name} == {
        "projection",
        "extractor",
        "prompt_projection",
        "keypoint_token",
    }
    assert any(name.startswith("language.") for name in kept) and any(name.startswith("encoder.") for name in kept)


def test_folders_of_the_two_families_are_told_apart(place, tmp_path):
    tiny.kptllm(place).save_pretrained(tmp_path / "kpt", torch.float16)
    tiny.capellm(place).save_pretrained(tmp_path / "cape")
    assert isinstance(anykeypoint.load(str(tmp_path / "cape"), device="cpu"), CapeLLM)
    assert {tensor.dtype for tensor in load_file(tmp_path / "kpt" / "model.safetensors").values()} == {torch.float16}
    for kind, wrong in ((CapeLLM, "kpt"), (KptLLM, "cape")):
        with pytest.raises(InputError, match=f"does not describe a {kind.model_type} model"):
            kind.from_pretrained(tmp_path / wrong)


def test_untrained_and_half_precision_and_size(place, model, tmp_path):
    bare, again = model.untrained(), model.untrained()
    assert all(torch.equal(a, b) for a, b in zip(bare.parameters(), again.parameters(), strict=True))
    assert not torch.equal(bare.prompt_projection.weight, model.prompt_projection.weight)
    model.save_pretrained(tmp_path)
    half = anykeypoint.load(str(tmp_path), device="cpu", dtype="bfloat16")
    assert half.language.dtype == torch.bfloat16 and half.prompt_projection.weight.dtype == torch.float32
    picture = tiny.picture(60, 40)
    assert np.isfinite(half.predict(picture, CATEGORY, example=[example(), example(6)], words=False).xy).all()
    assert 0 <= half.identify(picture, (3, 4)).confidence <= 1
    larger = anykeypoint.load(str(tmp_path), device="cpu", image_size=56)
    assert larger.predict(picture, CATEGORY, example=example(), words=False).present.all()
    assert not np.array_equal(larger.predict(picture, CATEGORY).xy, model.predict(picture, CATEGORY).xy)
