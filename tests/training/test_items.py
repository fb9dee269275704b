"""The papers' training item: one picture with one conversation, in a crop of its own, counted in epochs and steps."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
from accelerate import Accelerator

from anykeypoint.category import Category, Keypoint
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import CapeLLMTrainer
from anykeypoint.training.generative.epochs import EpochItems
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.generative.kptllm_trainer import KptLLMTrainer
from anykeypoint.training.generative.object_sampler import SyntheticSeeds

PLAIN = AugmentConfig(scale=0, rotation=0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.capellm(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 6, seed=2, per_category=3), folder / "images")


def dots(item, count):
    """An object with `count` points in a row, in a box of 100 x 100 pixels; and the number of a point in its crop."""
    points = np.column_stack([np.arange(count) + 16.5, np.full(count, 50.0)])
    category = Category("dots", tuple(Keypoint(f"dot {i}") for i in range(count)))
    return replace(item, box=(0.0, 0.0, 100.0, 100.0), category=category, points=points)


def numbers(sequence):
    """Which of the `dots` a sequence asks about, without augmentation."""
    return [round(100 * answer.point[0] - 16.5) for answer in sequence.answers]


def prepared(trainer, folder):
    trainer.prepare(Accelerator(cpu=True), folder)
    return trainer


def epoch_of(sampler, epoch):
    sizes = sampler.sizes()
    return [sampler.sample(number) for number in range(sum(sizes[:epoch]), sum(sizes[: epoch + 1]))]


# --- the items of an epoch --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("grouping", ["fixed", "dynamic"])
def test_an_epoch_has_every_group_of_every_object_once(data, grouping):
    sampler = CapeLLMTrainer(None, data.objects, CapeLLMTrainConfig(grouping=grouping, rounds=3)).make_sampler()
    for epoch in (0, 1, 5):
        asked = {}
        for item, group, _ in epoch_of(sampler, epoch):
            asked.setdefault(item.id, []).append(group)
        assert asked.keys() == {item.id for item in data.objects}
        for item in data.objects:
            points = Counter(i for group in asked[item.id] for i in group)
            assert points.keys() == set(range(len(item.category)))
            if grouping == "dynamic":
                assert set(points.values()) == {1}
            else:
                assert len(asked[item.id]) == -(-len(item.category) // 3)
                assert {len(group) for group in asked[item.id]} == {min(3, len(item.category))}


def test_fixed_groups_are_drawn_once_and_dynamic_ones_in_every_epoch(data):
    def groups(epoch, **options):
        sampler = CapeLLMTrainer(None, data.objects, CapeLLMTrainConfig(**options)).make_sampler()
        return sorted((item.id, tuple(group)) for item, group, _ in epoch_of(sampler, epoch))

    assert groups(0) == groups(1) != groups(0, seed=7)
    dynamic = [groups(epoch, grouping="dynamic") for epoch in (0, 1, 1)]
    assert dynamic[0] != dynamic[1] == dynamic[2]


def test_the_order_of_the_items_is_another_in_every_epoch(data):
    sampler = CapeLLMTrainer(None, data.objects, CapeLLMTrainConfig()).make_sampler()
    orders = [[(item.id, tuple(group)) for item, group, _ in epoch_of(sampler, epoch)] for epoch in (0, 1)]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    ids = [identity for identity, _ in orders[0]]
    assert ids != sorted(ids, key=ids.index)  # the groups of an object do not follow each other


def test_a_sample_does_not_depend_on_those_before_it(data):
    """As a resumed run needs, in which nothing was drawn before its first step."""
    config = CapeLLMTrainConfig(grouping="dynamic", rounds=2)
    whole, late = (CapeLLMTrainer(None, data.objects, config).make_sampler() for _ in range(2))
    seen = [whole.sample(number)[:2] for number in range(100)]
    assert late.sample(99)[:2] == seen[99] and late.sample(40)[:2] == seen[40]


def test_epochs_of_different_sizes_follow_each_other():
    def groups(index, rng):
        return [[i] for i in range(int(rng.integers(1, 4)))]

    items = EpochItems(5, 0, groups, anew=True)
    sizes = [items.size(epoch) for epoch in range(6)]
    assert len(set(sizes)) > 1
    start = 0
    for size in sizes:
        found = [items.at(number) for number in range(start, start + size)]
        assert {index for index, _ in found} == set(range(5)) and len({str(item) for item in found}) == size
        start += size


def test_data_without_a_labelled_point_have_no_item(data):
    bare = replace(data.objects[0], points=np.full_like(data.objects[0].points, np.nan))
    trainer = KptLLMTrainer(tiny_config(), replace(data, objects=[bare]), KptLLMTrainConfig(tasks=TaskWeights(text=1)))
    with pytest.raises(InputError, match="no object with a labelled point"):
        trainer.make_sampler()


def tiny_config():
    """All that the making of a KptLLM's trainer reads of a model."""
    return type("Model", (), {"keypoint_token": None})()


# --- an item's conversation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["epoch", "balanced"])
def test_an_item_is_one_conversation_of_at_most_k_questions_in_a_crop_of_its_own(tmp_path, model, data, sampling):
    item = dots(data.objects[0], 10)
    config = CapeLLMTrainConfig(rounds=4, batch=3, sampling=sampling, steps=1, precision="fp32")
    trainer = prepared(CapeLLMTrainer(model, [item], config), tmp_path)
    ((batch, share),) = trainer.load(range(3), 0).batches
    assert share == 1 and len(batch) == 3
    assert all(set(sequence.conversation) == {0} and 1 <= sequence.questions <= 4 for sequence in batch)
    crops = [sequence.pixels.tobytes() for sequence in batch]
    assert len(set(crops)) == 3  # one picture, cropped anew for each


def test_what_the_crop_does_not_show_is_left_out_of_its_group(model, data):
    item = dots(data.objects[0], 6)
    points = item.points.copy()
    points[2], points[3] = np.nan, 10_000
    config = CapeLLMTrainConfig(rounds=4, augment=PLAIN)
    trainer = CapeLLMTrainer(model, [replace(item, points=points)], config)
    (sequence,) = trainer.sequences(trainer.objects[0], np.random.default_rng(0), 0, [3, 5, 2, 0])
    assert numbers(sequence) == [5, 0]


def test_locllm_asks_the_first_k_that_the_crop_shows_and_others_in_the_next_epoch(tmp_path, model, data):
    item = dots(data.objects[0], 12)
    points = item.points.copy()
    points[:5] = np.nan
    config = CapeLLMTrainConfig(grouping="locllm", rounds=5, augment=PLAIN)
    trainer = prepared(CapeLLMTrainer(model, [replace(item, points=points)], config), tmp_path)
    asked = [numbers(trainer.load(range(epoch, epoch + 1), 0).batches[0][0][0]) for epoch in range(12)]
    assert all(len(set(points)) == 5 for points in asked) and {i for points in asked for i in points} == {*range(5, 12)}


def test_a_dynamic_conversation_may_be_longer_than_any_sequence_of_packed_ones(model, data):
    item = dots(data.objects[0], 68)
    trainer = CapeLLMTrainer(model, [item], CapeLLMTrainConfig(grouping="dynamic", epochs=40, augment=PLAIN))
    sampler = trainer.make_sampler()
    longest = max((sampler.sample(number).group for number in range(sum(sampler.sizes()))), key=len)
    assert len(longest) > 64
    (sequence,) = trainer.sequences(item, np.random.default_rng(0), 0, longest)
    assert set(sequence.conversation) == {0} and numbers(sequence) == longest


def test_a_mirrored_crop_asks_about_the_same_points_by_their_other_names(model, data):
    item = next(one for one in data.objects if one.category.pairs)
    rows = [i for pair in item.category.pairs for i in pair]  # without sides that lack their partner
    item = replace(item, category=item.category.only(rows), points=item.points[rows], visibility=item.visibility[rows])
    left, right = item.category.pairs[0]
    answers = []
    for flip in (0.0, 1.0):
        config = CapeLLMTrainConfig(augment=AugmentConfig(scale=0, rotation=0, flip=flip))
        trainer = CapeLLMTrainer(model, [item], config)
        (sequence,) = trainer.sequences(item, np.random.default_rng(0), 0, [left])
        ((x, y),) = [answer.point for answer in sequence.answers]
        answers.append((1 - x if flip else x, y, model.tokenizer.decode(sequence.tokens).split(" of this")[0]))
    (x, y, name), (mirrored_x, mirrored_y, other) = answers
    assert (mirrored_x, mirrored_y) == pytest.approx((x, y)) and name != other
    names = [item.category.keypoints[i].name for i in (left, right)]
    assert names[0] in name and names[1] in other


# --- items with nothing to learn from ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["epoch", "balanced"])
def test_another_item_is_drawn_for_one_with_nothing_in_its_crop(tmp_path, model, data, sampling):
    far = [replace(item, points=item.points + 10_000) for item in data.objects[:3]]
    config = CapeLLMTrainConfig(batch=8, sampling=sampling, steps=1, augment=PLAIN)
    trainer = prepared(CapeLLMTrainer(model, [*far, *data.objects[3:]], config), tmp_path)
    loaded = trainer.load(range(8), 0)
    assert loaded.crops == len(loaded.batches[0][0]) == 8 and loaded.skipped > 0
    assert {*loaded.names} <= {str(item.id) for item in data.objects[3:]}
    again = trainer.load(range(8), 0)
    assert again.names == loaded.names
    assert [one.tokens for one in again.batches[0][0]] == [one.tokens for one in loaded.batches[0][0]]


def test_data_of_which_no_crop_shows_anything_end_in_a_skip(tmp_path, model, data):
    far = [replace(item, points=item.points + 10_000) for item in data.objects]
    trainer = prepared(CapeLLMTrainer(model, far, CapeLLMTrainConfig(augment=PLAIN)), tmp_path)
    loaded = trainer.load(range(1), 0)
    assert (loaded.batches, loaded.crops) == ([], 0) and loaded.skipped > 1


# --- KptLLM -----------------------------------------------------------------------------------------------------------

TASKS = TaskWeights(identify=1, example=1, text=1, both=1)


def test_a_kptllms_batch_has_as_many_questions_as_pictures(tmp_path, data):
    config = KptLLMTrainConfig(tasks=TASKS, precision="fp32")
    trainer = prepared(KptLLMTrainer(tiny.kptllm(tmp_path / "base"), data, config), tmp_path)
    ((batch, share),) = trainer.load(range(16), 0).batches
    assert share == 1 and len(batch) == config.batch == 16
    assert all(sequence.questions == 1 and len(sequence.tasks) == 1 for sequence in batch)
    assert all((sequence.example_pixels is None) == (sequence.tasks[0] in ("identify", "text")) for sequence in batch)


def test_a_kptllms_epoch_has_every_labelled_point_as_often_as_it_is_asked_about(data):
    first, *others = data.objects
    points = first.points.copy()
    points[1] = np.nan
    few = replace(data, objects=[replace(first, points=points), *others])
    config = KptLLMTrainConfig(tasks=TASKS, asks=2)
    sampler = KptLLMTrainer(tiny_config(), few, config).make_sampler()
    found = Counter((item.id, *group) for item, group, _ in epoch_of(sampler, 0))
    labelled = {(item.id, i) for item in few.objects for i in np.flatnonzero(np.isfinite(item.points[:, 0]))}
    assert found.keys() == labelled and set(found.values()) == {2}


def test_a_made_up_object_is_an_item_with_one_question_too(tmp_path, data):
    config = KptLLMTrainConfig(tasks=TASKS, sampling="balanced", made_up=1.0, steps=1, batch=4, precision="fp32")
    trainer = prepared(KptLLMTrainer(tiny.kptllm(tmp_path / "base"), data, config), tmp_path)
    sample = trainer.sampler.sample(0)
    assert isinstance(sample.item, SyntheticSeeds) and len(sample.group) == 1
    ((batch, _),) = trainer.load(range(4), 0).batches
    assert [sequence.questions for sequence in batch] == [1] * 4
