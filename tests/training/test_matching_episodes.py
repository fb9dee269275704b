"""The prompts of a matcher's training episodes, and the options of its recipe."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny_matchers
import tiny_trainees
import torch
from accelerate import Accelerator

from anykeypoint.configs.yaml_files import from_mapping
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.matching.heads.base import Prompt
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.matching.matcher_trainer import MatcherTrainer, train
from anykeypoint.training.trainer import StepPlan

CONFIG = MatcherTrainConfig(sampling="balanced", steps=2, batch=2, lr=1e-3, warmup=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 8, seed=2), folder / "images")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Where the tiny text encoder lies."""
    return tmp_path_factory.mktemp("base")


def settled(model, data, config, tmp_path) -> MatcherTrainer:
    """A trainer that is ready to open passes."""
    trainer = MatcherTrainer(model, data, config)
    trainer.prepare(Accelerator(), tmp_path)
    return trainer


def test_modalities_are_left_out_as_often_as_configured(tmp_path, base, data):
    model = tiny_trainees.matcher("flf", base)
    config = replace(CONFIG, modality_dropout=ModalityDropout(words_only=0.3, example_only=0.2), describe=0.6)
    trainer = MatcherTrainer(model, data, config)
    asked = [trainer.prompt(at, 5) for at in range(4000)]
    kinds = [(one.text, one.example) for one in asked]
    shares = [kinds.count(kind) / 4000 for kind in ((True, False), (False, True), (True, True), (False, False))]
    assert shares == pytest.approx([0.3, 0.2, 0.5, 0.0], abs=0.03)
    assert np.mean([one.described for one in asked]) == pytest.approx(0.6, abs=0.03)
    assert all(one.keypoints is None for one in asked)
    whole = MatcherTrainer(model, data, CONFIG)
    assert {(one.text, one.example, one.described) for one in (whole.prompt(at, 5) for at in range(99))} == {
        (True, True, True)
    }


@pytest.mark.parametrize(("name", "kind"), [("capex", (True, False)), ("graphcape", (False, True))])
def test_a_model_of_one_modality_is_asked_by_it(base, data, name, kind):
    trainer = MatcherTrainer(tiny_trainees.matcher(name, base), data, CONFIG)
    assert {(one.text, one.example) for one in (trainer.prompt(at, 4) for at in range(50))} == {kind}


def with_gaps(data: Dataset) -> Dataset:
    """The data with two points of each object not labelled, not the same ones."""
    objects = [replace(item, points=item.points.copy()) for item in data.objects]
    for place, item in enumerate(objects):
        item.points[[place % len(item.points), (2 * place + 1) % len(item.points)]] = np.nan
    return replace(data, objects=objects)


def test_a_batch_holds_what_its_episodes_say_and_no_more(tmp_path, base, data):
    data = with_gaps(data)
    config = replace(CONFIG, shots=2, batch=16, modality_dropout=ModalityDropout(words_only=0.3, example_only=0.3))
    trainer = settled(tiny_trainees.matcher("dlf", base), data, config, tmp_path)
    loaded = trainer.load(list(range(16)), 0)
    ((batch, share),) = loaded.batches
    assert not torch.equal(batch.labelled, batch.valid)
    assert share == 1.0 and len({(one.text, one.example) for one in batch.prompts}) == 3
    assert loaded.skipped == int((batch.labelled.sum(dim=1) == 0).sum()) and loaded.crops + loaded.skipped == 16
    rows = [row for row, one in enumerate(batch.prompts) if one.example]
    assert batch.with_examples.tolist() == rows and len(batch.examples) == len(rows)
    for row, one in enumerate(batch.prompts):
        episode = trainer.episodes.episode(row)
        count = len(episode.category)
        shown = np.stack([example.visible for example in episode.examples])
        assert not batch.valid[row, count:].any()
        assert np.array_equal(batch.valid[row, :count], shown.all(axis=0))
        assert np.array_equal(batch.labelled[row, :count], episode.common)
        assert np.array_equal(batch.has_text[row, :count], shown.all(axis=0) & one.text)
        assert np.array_equal(batch.example_visible[row, :, :count], np.tile(shown.all(axis=0) & one.example, (2, 1)))
        assert np.allclose(batch.points[row, :count], episode.query.points, atol=1e-6, equal_nan=True)
        assert np.array_equal(batch.query[row], episode.query.pixels)
    for place, row in enumerate(rows):
        pixels = np.stack([example.pixels for example in trainer.episodes.episode(row).examples])
        assert np.array_equal(batch.examples[place], pixels)


@pytest.mark.parametrize("name", ["capex", "graphcape", "flf", "dlf"])
def test_the_loss_of_a_batch_is_the_mean_over_its_episodes_each_asked_alone(tmp_path, base, data, name):
    dropout = ModalityDropout(words_only=0.3, example_only=0.3) if name in ("flf", "dlf") else ModalityDropout()
    config = replace(CONFIG, shots=2, batch=6, modality_dropout=dropout)
    model = tiny_matchers.matcher(name, base)  # whose answers depend on all that is given
    trainer = settled(model, with_gaps(data), config, tmp_path)
    alone = []
    with torch.no_grad():
        ((batch, _),) = trainer.load(list(range(6)), 0).batches
        whole = trainer.losses(batch, 0)
        for place in range(6):
            episode, asked = trainer.episodes.episode(place), trainer.prompt(place, 4)

            def pixels(marked):
                return model.encoder.normalise(torch.from_numpy(np.stack([one.pixels for one in marked])))

            shown = torch.from_numpy(np.stack([one.visible for one in episode.examples]).all(axis=0))[None]
            given, examples = {}, None
            if asked.example:
                examples = pixels(episode.examples)[None]
                given["heatmaps"] = torch.from_numpy(np.stack([one.heatmaps for one in episode.examples]))[None]
            if asked.text:
                given["phrases"] = model.phrases(episode.category)[None]
            prompt = Prompt(**given, skeletons=[episode.category.skeleton])
            answer = model(pixels([episode.query]), shown, prompt, examples)
            points, heat = (
                torch.from_numpy(episode.query.points).float()[None],
                torch.from_numpy(episode.query.heatmaps)[None],
            )
            common = torch.from_numpy(episode.common)[None]
            alone.append(sum(model.losses(answer, points, heat, common, shown).values()).item())
    assert whole["loss"].item() == pytest.approx(np.mean(alone), rel=1e-4)
    assert whole["loss"].item() == pytest.approx(sum(v.item() for k, v in whole.items() if k != "loss"), rel=1e-5)


def test_half_precision_gives_nearly_the_same_loss_and_leaves_the_words_as_they_are(tmp_path, base, data):
    losses = []
    for half in (False, True):
        trainer = settled(tiny_trainees.matcher("flf", base, "full"), data, CONFIG, tmp_path)
        ((batch, _),) = trainer.load([0, 1], 0).batches
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            losses.append(trainer.losses(batch, 0)["loss"])
        losses[-1].backward()
        assert all(p.grad.isfinite().all() for p in trainer.model.parameters() if p.grad is not None)
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.05) and losses[0] != losses[1]
    fresh = tiny_trainees.matcher("flf", base)
    assert all(torch.equal(trainer.model.phrases(c), fresh.phrases(c)) for c in batch.categories)


def test_every_pass_has_dropout_of_its_own_and_the_same_when_it_is_run_again(tmp_path, base, data):
    trainer = settled(tiny_trainees.matcher("graphcape", base), data, replace(CONFIG, accumulate=3), tmp_path)
    plan = StepPlan.of(trainer.config, trainer.episodes.per_epoch, processes=2)
    passes = [items for step in range(2) for process in range(2) for items in plan.micro_batches(step, process)]
    seeds = [trainer.load(items, 0).seed for items in passes]
    assert sorted(place for items in passes for place in items) == list(range(24))
    assert len(set(seeds)) == 12 and seeds == [trainer.load(items, 1).seed for items in passes]


def test_a_fraction_of_the_keypoints_is_asked_by_words_shown_or_not(tmp_path, base, data):
    hidden = [replace(item, points=item.points.copy()) for item in data.objects]
    for item in hidden:
        item.points[0] = np.nan
    blind = replace(data, objects=hidden)
    config = replace(CONFIG, batch=32, support_points_fraction=0.5)
    counts = {}
    for name in ("capex", "graphcape"):
        trainer = settled(tiny_trainees.matcher(name, base), blind, config, tmp_path)
        ((batch, _),) = trainer.load(list(range(32)), 0).batches
        counts[name] = batch.valid[:, 0].sum()
        for row, one in enumerate(batch.prompts):
            count = len(batch.categories[row])
            assert one.keypoints.sum() == max(1, count // 2) and len(one.keypoints) == count
            assert (batch.valid[row, :count].numpy() <= one.keypoints).all()
            if name == "capex":
                assert np.array_equal(batch.valid[row, :count].numpy(), one.keypoints)
    assert counts["capex"] > 5 and counts["graphcape"] == 0


def test_an_episode_of_many_keypoints_is_cut_to_so_many_of_them(tmp_path, base, data):
    model = tiny_trainees.matcher("flf", base)
    trainer = settled(model, data, replace(CONFIG, most_keypoints=3), tmp_path)
    whole = settled(model, data, CONFIG, tmp_path)
    kept = set()
    for at in range(12):
        ((batch, _),), ((full, _),) = (one.load([at], 0).batches for one in (trainer, whole))
        (category,), (every,) = batch.categories, full.categories
        rows = [every.names.index(name) for name in category.names]
        assert rows == sorted(rows) and len(rows) == min(3, len(every))
        kept.add(tuple(rows))
        assert torch.equal(batch.points[0].nan_to_num(-1), full.points[0, rows].nan_to_num(-1))
        assert torch.equal(batch.labelled[0], full.labelled[0, rows])
        assert torch.equal(batch.example_heatmaps[0], full.example_heatmaps[0][:, rows])
        edges = {tuple(category.names[i] for i in edge) for edge in category.skeleton}
        assert edges == {
            names
            for names in (tuple(every.names[i] for i in edge) for edge in every.skeleton)
            if set(names) <= set(category.names)
        }
    assert len(kept) > 2


def test_a_pass_without_any_point_to_learn_from_trains_nothing_and_says_so(tmp_path, base, data):
    far = replace(data, objects=[replace(item, points=item.points + 10_000) for item in data.objects])
    for name in ("capex", "graphcape", "dlf"):
        train(tiny_trainees.matcher(name, base), far, CONFIG, tmp_path / name, stop_after=1)
        (line,) = map(json.loads, (tmp_path / name / "log.jsonl").read_text().splitlines())
        assert (line["crops"], line["skipped"], line["loss"]) == (0, 2, 0.0)


def test_descriptions_are_told_to_a_model_that_reads_them_as_often_as_configured(tmp_path, base, data, monkeypatch):
    kinds = {key: _described(category) for key, category in data.categories.items()}
    told = replace(
        data,
        categories=kinds,
        objects=[replace(item, category=kinds[item.category_id]) for item in data.objects],
    )
    for described, share, wanted in ((True, 1.0, {True}), (True, 0.5, {True, False}), (False, 1.0, {False})):
        model = tiny_trainees.matcher("capex", base, described=described)
        read = []
        phrases = model.text_encoder.phrases
        monkeypatch.setattr(model.text_encoder, "phrases", lambda given, p=phrases, r=read: r.extend(given) or p(given))
        train(model, told, replace(CONFIG, describe=share, steps=4), tmp_path / f"{described}{share}")
        assert {": a place" in phrase for phrase in read} == wanted


def test_two_prompts_of_each_picture_ask_by_words_and_by_an_example(tmp_path, base, data):
    model = tiny_trainees.matcher("evidence", base)
    config = replace(CONFIG, prompts_per_picture=2, support_points_fraction=1.0, batch=4)
    trainer = settled(model, data, config, tmp_path)
    asked = [trainer.prompts(at, 5) for at in range(1000)]
    assert {(words.text, words.example) for words, _ in asked} == {(True, False)}
    assert all(shown.example for _, shown in asked)
    assert np.mean([shown.text for _, shown in asked]) == pytest.approx(0.5, abs=0.05)
    assert [(one.text, one.example) for one in trainer.prompts(0, 5, alone=True)] == [(True, False)] * 2

    loaded = trainer.load(range(4), 0)
    (batch, _), *_ = loaded.batches
    assert len(batch.query) == len(batch.examples) == 4 and len(batch.valid) == len(batch.categories) == 8
    assert loaded.crops + loaded.skipped == 4 and batch.with_examples.tolist() == [1, 3, 5, 7]
    assert torch.equal(batch.points[::2].nan_to_num(-1), batch.points[1::2].nan_to_num(-1))
    model.head.train()
    together = trainer.losses(batch, 0)
    each = [trainer.losses(_every_second(batch, first), 0) for first in (0, 1)]
    for name, value in together.items():
        assert value.item() == pytest.approx((each[0][name].item() + each[1][name].item()) / 2, rel=1e-4), name


def _every_second(batch, first):
    """The batch with the first or the second prompt of each picture alone."""
    whole = ("query", "examples", "with_examples")
    rows = {name: value[first::2] for name, value in vars(batch).items() if name not in whole}
    examples = batch.examples[:0] if first == 0 else batch.examples
    return replace(batch, examples=examples, with_examples=torch.arange(len(examples)), **rows)


def test_heads_that_take_one_prompt_refuse_two(base, data):
    with pytest.raises(InputError, match="prompts_per_picture 2 is for the head evidence, not flf"):
        MatcherTrainer(tiny_trainees.matcher("flf", base), data, replace(CONFIG, prompts_per_picture=2))


def _described(category):
    return replace(category, keypoints=tuple(replace(p, description="a place") for p in category.keypoints))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"shot": 1}, r"unknown key 'shot' \(near: shots\); known are .*shots"),
        ({"sampling": "epoch"}, "released, balanced"),
        ({"sampling": "balanced"}, "say how many optimiser steps"),
        ({"features": "cached"}, "say how many with 'versions'"),
        ({"features": "kept"}, "live, cached"),
        ({"schedule": "linear"}, "step, cosine"),
        ({"modality_dropout": {"words_only": 0.6, "example_only": 0.6}}, "must be 1 together at most"),
        ({"modality_dropout": {"words_only": -0.1}}, "modality_dropout's words_only must be a number from 0 to 1"),
        ({"modality_dropout": {"words_only": 0.5}, "prompts_per_picture": 2}, "leave modality_dropout out"),
        ({"prompts_per_picture": 3}, "prompts_per_picture must be 1 or 2"),
        ({"modality_dropout": {"both": 1}}, "unknown key 'both'"),
        ({"support_points_fraction": 0}, "above 0 and at most 1"),
        ({"drops": [160, 180]}, "Each of drops must be a number from 0 to 1"),
        ({"warmup": -1}, "warmup must be a whole number from 0"),
        ({"batch": 0}, "batch must be a whole number from 1"),
        ({"describe": 2}, "describe must be a number from 0 to 1"),
        ({"sigma": 2}, "unknown key 'sigma'"),
    ],
)
def test_a_recipe_that_does_not_fit_is_refused_by_name(settings, words):
    with pytest.raises(InputError, match=words):
        from_mapping(MatcherTrainConfig, settings, "recipe")


def test_a_recipe_survives_being_written_down():
    told = {"modality_dropout": ModalityDropout(words_only=0.5), "support_points_fraction": 0.5, "drops": (0.3,)}
    for config in (replace(CONFIG, **told), MatcherTrainConfig()):
        assert from_mapping(MatcherTrainConfig, config.to_dict(), "recipe") == config


def test_the_rate_of_the_encoder_is_read_under_its_former_name_too():
    assert from_mapping(MatcherTrainConfig, {"backbone_lr": 1e-6}, "recipe").encoder_lr == 1e-6
