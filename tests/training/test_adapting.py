"""Adapting a matcher to one category: what is learnt, how the parts are weighted, and the folder that it becomes."""

import json
from dataclasses import replace
from itertools import accumulate
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import tiny_matchers
import torch
from torch.profiler import ProfilerActivity, profile

import anykeypoint as ak
from anykeypoint import InputError
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.matching.adapted import templates
from anykeypoint.models.matching.adapted.adapted_model import combined, points_of
from anykeypoint.training.adapting import adapt as adapting
from anykeypoint.training.adapting.adapt_config import AdaptConfig
from anykeypoint.training.adapting.crops_of_pictures import PictureFeatures, picture_features
from anykeypoint.training.adapting.tune import tuned_member
from anykeypoint.training.held_out import fold_numbers, shares_within

SMALL = AdaptConfig(versions=2, folds=2, steps=4, batch=3, check_every=2, width=16, blocks=1, examples=2)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapting")
    write_dataset(folder / "data", 10, seed=4, per_category=10, size=64)
    return folder


@pytest.fixture(scope="module")
def objects(work):
    return read_coco(work / "data" / ANNOTATIONS, work / "data" / IMAGES).objects


@pytest.fixture(scope="module")
def start(work):
    return tiny_matchers.matcher("evidence", work)


@pytest.fixture(scope="module")
def adapted(start, objects):
    return adapting.adapt(start, objects, SMALL)


def spots(count: int, versions: int = 2) -> PictureFeatures:
    """Maps with one channel that is high in the cell of the first point, one for the second, and noise."""
    rng = np.random.default_rng(3)
    maps = 0.1 * rng.standard_normal((count, versions, 4, 8, 8))
    points = rng.uniform(0.1, 0.9, (count, versions, 2, 2))
    for place in np.ndindex(count, versions):
        for k in range(2):
            x, y = (points[place][k] * 8).astype(int)
            maps[(*place, k, y, x)] += 3
    points = (np.floor(points * 8) + 0.5) / 8
    tensor = torch.from_numpy(maps).half()
    return PictureFeatures(tensor, tensor[:, 0], torch.from_numpy(points).float(), np.full(count, 0.8))


def test_a_member_finds_on_other_pictures_what_its_pictures_have_in_common():
    pictures = spots(16)
    config = AdaptConfig(steps=60, batch=8, check_every=20, width=8, blocks=0, fine=1, rate=0.02)
    member = tuned_member(pictures, np.arange(10), np.arange(10, 16), config, 0)
    with torch.no_grad():
        scores = member(pictures.maps[10:, 0].float())
    found = points_of(combined(scores, None, 1.0, 0.0, 1)).numpy()
    near = shares_within(found, pictures.points[10:, 0].numpy(), pictures.sides[10:])
    assert near[1] == 1


def peak(work):
    """The most bytes that torch holds at a time of what is made meanwhile."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


@pytest.mark.parametrize("channels", [1, 2, 7, 24])
def test_channels_that_are_measured_in_parts_are_scaled_as_when_all_are_measured_at_once(channels, monkeypatch):
    maps = (3 * torch.randn(9, 3, channels, 5, 5) + 1).half()
    rows = torch.tensor([0, 2, 3, 5, 7, 8])
    plain = maps[rows].flatten(0, 1).float()
    for cells in (1, 1000, 5000, 2**24):
        monkeypatch.setattr(templates, "_CELLS", cells)
        member = templates.Templates(templates.TemplateConfig(channels, 2))
        member.standardise(maps, rows)
        assert torch.equal(member.mean, plain.mean(dim=(0, 2, 3)))
        assert torch.equal(member.deviation, plain.std(dim=(0, 2, 3)))


def test_a_member_is_scaled_without_a_copy_of_all_maps(monkeypatch):
    monkeypatch.setattr(templates, "_CELLS", 20_000)
    maps = torch.ones(40, 3, 64, 8, 8, dtype=torch.float16)
    member = templates.Templates(templates.TemplateConfig(64, 2))
    assert peak(lambda: member.standardise(maps, torch.arange(40))) < maps.nbytes / 4


def test_features_of_objects_are_those_of_each_by_itself(start, objects):
    whole = picture_features(start, objects, 1, SMALL.augment, 0)
    for number, item in enumerate(objects):
        alone = picture_features(start, [item], 1, SMALL.augment, 0)
        assert torch.equal(alone.maps[0], whole.maps[number]) and torch.equal(alone.points[0], whole.points[number])
    assert torch.equal(whole.examples, whole.maps[:, 0])


def test_features_are_held_once(start, objects, monkeypatch):
    monkeypatch.setattr(start, "features", lambda crops, examples=False: torch.ones(len(crops), 256, 16, 16))
    size = 2 * len(objects) * 2 * 256 * 16 * 16
    assert size < peak(lambda: picture_features(start, objects, 2, SMALL.augment, 0)) < 1.5 * size


def test_more_features_than_the_memory_holds_are_refused_before_a_picture_is_read(start, objects, monkeypatch):
    gone = [replace(item, image=item.image.with_name(f"gone {item.id}.png")) for item in objects]
    needed = 2 * picture_features(start, objects[:1], 1, SMALL.augment, 0).maps[0].nbytes * len(objects)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=needed - 1))
    with pytest.raises(InputError, match=r"of 10 objects in 2 versions take \d\.\d GiB of memory, but \d\.\d GiB"):
        adapting.adapt(start, gone, SMALL)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=needed))
    with pytest.raises(InputError, match=r"gone 1\.png"):
        adapting.adapt(start, gone, SMALL)


def test_a_member_is_as_it_was_when_it_was_best_on_the_pictures_it_did_not_learn_from(monkeypatch):
    values = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr("anykeypoint.training.adapting.tune._measured", lambda *_: next(values))
    config = AdaptConfig(steps=6, batch=4, check_every=2, width=8, blocks=0, fine=1, rate=0.02)
    pictures = spots(8)
    whole = tuned_member(pictures, np.arange(6), np.arange(6, 8), config, 0)
    monkeypatch.setattr("anykeypoint.training.adapting.tune._measured", lambda *_: 1.0)
    early = tuned_member(pictures, np.arange(6), np.arange(6, 8), config, 0)  # the first of equals: step 2
    assert not torch.equal(whole.direct.weight, early.direct.weight)


def _logs(scores):
    return scores.flatten(2).log_softmax(-1).view_as(scores)


def test_the_share_of_the_matcher_is_what_is_best_on_left_out_pictures(start):
    pictures = spots(6)
    right = 5 * pictures.maps[:, 0, :2].float()
    wrong = right.flip(-1).roll(3, -2)
    share, before, after = adapting._chosen_share(start, wrong, _logs(right), pictures, 1)
    assert share > 0.5 and before[1] == after[1] == 1
    share, before, after = adapting._chosen_share(start, right, _logs(wrong), pictures, 1)
    assert share == 0 and before[1] < 0.5 and after[1] == 1


def test_an_adapted_model_is_a_folder_that_loads_and_answers_by_names_alone(adapted, objects, work):
    model, report = adapted
    adapting.write(model, report, work / "mine")
    loaded, item = ak.load(str(work / "mine")), objects[0]
    whole = loaded.predict(item.image, box=item.box)
    assert np.allclose(whole.xy, model.predict(item.image, box=item.box).xy, atol=1e-3)
    assert list(whole.names) == item.category.names and whole.xy.shape == (len(item.category), 2)
    rows = [2, 0]
    some = loaded.predict(item.image, [item.category.names[row] for row in rows], item.box, density=True)
    assert np.allclose(some.xy, whole.xy[rows]) and len(some.density) == 2
    written = json.loads((work / "mine" / adapting.REPORT).read_text())
    assert written["objects"] == 10 and written["after"] == list(report.after)


def test_with_the_matcher_alone_the_answer_is_the_matchers_with_its_examples(start, objects, monkeypatch):
    monkeypatch.setattr(adapting, "SHARES", (1.0,))
    model, report = adapting.adapt(start, objects, SMALL)
    assert report.start_share == 1 and report.before == report.after
    pictures = picture_features(start, objects, 1, SMALL.augment, 0)
    chosen = adapting.chosen_examples(pictures, np.arange(len(objects)), SMALL.examples)
    examples = [ak.Example(objects[i].image, objects[i].points, objects[i].box) for i in chosen]
    item = objects[1]
    own = model.predict(item.image, box=item.box, density=True)
    theirs = start.predict(item.image, item.category, item.box, examples, words=False, density=True)
    assert np.abs(own.xy - theirs.xy).max() < 0.5  # examples are kept in float16
    for name, density in theirs.density.items():
        assert np.abs(own.density[name].grid - density.grid).max() < 0.02


def test_examples_together_show_as_many_points_as_they_can():
    points = torch.full((3, 1, 4, 2), torch.nan)
    points[0, 0, :2], points[1, 0, :3], points[2, 0, 3:] = 0.5, 0.5, 0.5
    pictures = PictureFeatures(torch.zeros(3, 1, 1, 1, 1), torch.zeros(3, 1, 1, 1), points, np.ones(3))
    assert adapting.chosen_examples(pictures, np.arange(3), 2).tolist() == [1, 2]


def test_what_cannot_be_adapted_is_refused(start, objects, work):
    other = replace(objects[0], category_id=99)
    with pytest.raises(InputError, match="one category, but the data have 2"):
        adapting.adapt(start, [*objects, other], SMALL)
    with pytest.raises(InputError, match="needs 8 labelled objects or more"):
        adapting.adapt(start, objects[:5], SMALL)
    with pytest.raises(InputError, match="starts from a matcher that takes examples"):
        adapting.adapt(tiny_matchers.matcher("capex", work), objects, SMALL)


def test_what_an_adapted_model_does_not_know_is_refused(adapted, objects):
    model, item = adapted[0], objects[0]
    with pytest.raises(InputError, match="does not know the point 'antler'; its points are"):
        model.predict(item.image, ["antler"], item.box)
    with pytest.raises(InputError, match="answers by the names of its points"):
        model.predict(item.image, item.category, item.box, ak.Example(item.image, item.points, item.box))
    with pytest.raises(InputError, match="adapted to crops of 64 pixels"):
        model.resize(128)


def test_folds_keep_groups_whole_where_there_are_enough_of_them(objects):
    grouped = [replace(one, group=name) for one, name in zip(objects, "aaabbccdde", strict=True)]
    fold_of, whole = fold_numbers(grouped, 3, seed=0)
    assert whole and sorted(set(fold_of.tolist())) == [0, 1, 2]
    for name in "abcd":
        assert len({fold for fold, one in zip(fold_of, grouped, strict=True) if one.group == name}) == 1
    fold_of, whole = fold_numbers([replace(one, group="a") for one in objects], 3, seed=0)
    assert not whole and np.bincount(fold_of).tolist() in ([4, 3, 3], [3, 4, 3], [3, 3, 4])


def test_shares_within_are_means_over_objects_of_labelled_points():
    labelled = np.array([[[0.0, 0.0], [np.nan, np.nan]], [[1.0, 1.0], [2.0, 2.0]], [[np.nan] * 2] * 2])
    predicted = np.array([[[0.0, 0.4], [9.0, 9.0]], [[1.0, 1.0], [np.nan, np.nan]], [[0.0, 0.0]] * 2])
    assert shares_within(predicted, labelled, np.full(3, 10.0), (0.03, 0.05)).tolist() == [0.25, 0.75]
