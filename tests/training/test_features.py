"""Features that are computed once: the same as computed on the fly, and kept through stops."""

import json
import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tiny_encoders
import tiny_matchers
import tiny_trainees
import torch
from accelerate import Accelerator
from training.test_matching_episodes import settled

from anykeypoint.category import Category, Keypoint
from anykeypoint.data.episodes import EpisodeConfig, EpisodeSampler
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.forms.dataset import Dataset
from anykeypoint.models.matching.heads.evidence import EvidenceConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.matching.model import build
from anykeypoint.models.towers.text import TextConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.matching.feature_cache import FixedCropSampler, compute_features
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig, ModalityDropout
from anykeypoint.training.matching.matcher_trainer import train
from anykeypoint.training.trainable import CAPELLM, MATCHER, shared_features

LIVE = MatcherTrainConfig(sampling="balanced", steps=3, batch=4, lr=1e-3, warmup=1, versions=2)
CACHED = replace(LIVE, features="cached")
CROPS = EpisodeConfig(size=64, cells=16)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 8, seed=2), folder / "images")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tmp_path_factory.mktemp("base")


class Counter:
    """A pretended backbone: the mean colour of each quarter of a crop; it remembers how many crops it saw."""

    def __init__(self, scale: float = 1.0) -> None:
        self.crops, self.scale = 0, scale

    def __call__(self, crops: np.ndarray) -> torch.Tensor:
        self.crops += len(crops)
        quarters = torch.from_numpy(crops).float().unflatten(1, (2, -1)).unflatten(3, (2, -1))  # B 2 s 2 s 3
        return self.scale * quarters.mean(dim=(2, 4)).permute(0, 3, 1, 2)


def kept(plan, folder, counter, weight=1.0, sizes=(), precision="fp32"):
    backbone = torch.nn.Linear(1, 1)
    backbone.config = SimpleNamespace(sizes=dict(sizes))
    torch.nn.init.constant_(backbone.weight, weight)
    torch.nn.init.zeros_(backbone.bias)
    return compute_features(plan, backbone, counter, folder, Accelerator(), precision=precision)


def encoded(model, pixels):
    """The image encoder's features of crops ... S S 3, ... C h w."""
    flat = model.encoder.normalise(pixels.flatten(0, -4))
    return model.features(flat).unflatten(0, pixels.shape[:-3])


@pytest.mark.parametrize("name", ["flf", "graphcape"])
def test_cached_features_are_those_of_the_same_crops_to_half_precision(tmp_path, base, data, name):
    model = tiny_trainees.matcher(name, base)
    dropout = ModalityDropout(words_only=0.3, example_only=0.3) if name == "flf" else ModalityDropout()
    trainers = [
        settled(model, data, replace(config, modality_dropout=dropout, batch=8), tmp_path) for config in (LIVE, CACHED)
    ]
    live, cached = (trainer.load(list(range(8)), 0).batches[0][0] for trainer in trainers)
    for field in ("with_examples", "example_heatmaps", "example_visible", "has_text", "valid", "labelled", "heatmaps"):
        assert torch.equal(getattr(live, field), getattr(cached, field)), field
    assert torch.equal(live.points.nan_to_num(-1), cached.points.nan_to_num(-1))
    with torch.no_grad():
        for field in ("query", "examples"):
            computed = encoded(model, getattr(live, field))
            assert torch.allclose(computed.half().float(), getattr(cached, field).float(), rtol=2e-3, atol=1e-4)
    live, cached = (trainer.losses(trainer.load(list(range(8)), 0).batches[0][0], 0) for trainer in trainers)
    for part in live:
        assert live[part].item() == pytest.approx(cached[part].item(), rel=1e-2), part


def test_each_version_is_one_crop_wherever_it_is_drawn(data):
    plan = FixedCropSampler(data, CROPS, 3)
    first = [plan.version(0, number).pixels for number in range(3)]
    assert all(np.array_equal(pixels, plan.version(0, number).pixels) for number, pixels in enumerate(first))
    assert not np.array_equal(first[0], first[1]) and not np.array_equal(first[1], first[2])
    known = {(index, number): plan.version(index, number).pixels.tobytes() for index in range(8) for number in range(3)}
    drawn = set()
    for at in range(30):
        pair, episode = plan.pair(at), plan.episode(at)
        for index, picture in zip((pair.query, *pair.examples), (episode.query, *episode.examples), strict=True):
            found = [key for key, pixels in known.items() if pixels == picture.pixels.tobytes()]
            assert len(found) == 1 and found[0][0] == index
            drawn.add(found[0])
    assert len(drawn) > 15


def test_the_pairs_are_those_of_freely_cut_episodes(data):
    assert [FixedCropSampler(data, CROPS, 2).pair(at) for at in range(20)] == [
        EpisodeSampler(data, CROPS).pair(at) for at in range(20)
    ]


def test_a_training_run_computes_each_crop_once(tmp_path, base, data):
    model = tiny_trainees.matcher("graphcape", base)
    seen = []
    model.encoder.model.register_forward_pre_hook(lambda module, inputs: seen.append(len(inputs[0])))
    train(model, data, CACHED, tmp_path, stop_after=2)
    assert sum(seen) == len(data.objects) * 2 + 1  # one more tells the size
    train(model, data, CACHED, tmp_path)
    assert sum(seen) == len(data.objects) * 2 + 1


def test_a_stopped_computation_goes_on_with_what_is_missing(tmp_path, data):
    plan = FixedCropSampler(data, CROPS, 2)
    whole = kept(plan, tmp_path / "whole", Counter())
    broken = Counter()

    def stops(crops):
        if broken.crops > 6:
            raise KeyboardInterrupt
        return broken(crops)

    with pytest.raises(KeyboardInterrupt):
        kept(plan, tmp_path / "parts", stops)
    rest = Counter()
    parts = kept(plan, tmp_path / "parts", rest)
    assert np.array_equal(whole, parts) and whole.dtype == np.float16 and whole.shape == (8, 2, 3, 2, 2)
    assert 0 < rest.crops < 16 and broken.crops + rest.crops == 16 + 1
    for index in range(8):
        crops = np.stack([plan.version(index, number).pixels for number in range(2)])
        assert np.array_equal(whole[index], Counter()(crops).half().numpy())


def test_features_of_other_crops_or_another_backbone_are_refused(tmp_path, data):
    kept(FixedCropSampler(data, CROPS, 2), tmp_path, Counter())
    fewer = replace(data, objects=data.objects[:6])
    for other in (
        FixedCropSampler(data, CROPS, 3),
        FixedCropSampler(data, replace(CROPS, crop_scale=1.5), 2),
        FixedCropSampler(fewer, CROPS, 2),
    ):
        with pytest.raises(InputError, match="other crops or another image encoder; remove it"):
            kept(other, tmp_path, Counter())
    with pytest.raises(InputError, match="other crops or another image encoder"):
        kept(FixedCropSampler(data, CROPS, 2), tmp_path, Counter(), weight=2.0)
    with pytest.raises(InputError, match="other crops or another image encoder"):
        kept(FixedCropSampler(data, CROPS, 2), tmp_path, Counter(), sizes={"clip_scale": 1.0})
    assert json.loads((tmp_path / "about.json").read_text())["versions"] == 2
    kept(FixedCropSampler(data, replace(CROPS, sigma=2, shots=2), 2), tmp_path, Counter())  # labels are no part of them


def test_features_of_two_precisions_are_never_mixed_and_those_that_state_none_are_in_float32(tmp_path, data):
    plan = FixedCropSampler(data, CROPS, 1)
    for first, other in (("fp32", "bf16"), ("bf16", "fp32")):
        kept(plan, tmp_path / first, Counter(), precision=first)
        again = Counter()
        kept(plan, tmp_path / first, again, precision=first)
        assert again.crops == 0
        with pytest.raises(InputError, match=f"features in the precision {first}, but the recipe's is {other}; remove"):
            kept(plan, tmp_path / first, Counter(), precision=other)
        with pytest.raises(InputError, match="other crops or another image encoder"):
            kept(plan, tmp_path / first, Counter(), precision=other, weight=2.0)
    about = [json.loads((tmp_path / name / "about.json").read_text()) for name in ("fp32", "bf16")]
    assert "precision" not in about[0] and about[1] == {**about[0], "precision": "bf16"}


def test_features_of_crops_that_were_mirrored_are_refused_where_a_side_lacks_its_partner_now(tmp_path, data):
    names = ("left eye", "right eye", "left paw")
    kinds = [Category("thing", tuple(map(Keypoint, names[:count]))) for count in (2, 3)]
    for flip, refused in ((0.0, False), (0.5, True)):
        crops = replace(CROPS, augment=replace(CROPS.augment, flip=flip))
        plans = []
        for kind in kinds:
            marked = {"category": kind, "points": np.full((len(kind), 2), 9.0), "visibility": np.full(len(kind), 2)}
            plans.append(
                FixedCropSampler(replace(data, objects=[replace(o, **marked) for o in data.objects]), crops, 1)
            )
        kept(plans[0], tmp_path / str(flip), Counter())
        with pytest.raises(InputError, match="features of other objects, other crops") if refused else nullcontext():
            kept(plans[1], tmp_path / str(flip), Counter())


def test_trainings_with_other_seeds_share_the_features(tmp_path, data):
    first, other = (FixedCropSampler(data, replace(CROPS, seed=seed), 2) for seed in (0, 1))
    kept(first, tmp_path, Counter())
    again = Counter()
    kept(other, tmp_path, again)
    assert again.crops == 0
    assert np.array_equal(first.version(3, 1).pixels, other.version(3, 1).pixels)
    drawn = [[int(plan.crop(0, at, 0).pixels.sum()) for at in range(12)] for plan in (first, other)]
    assert drawn[0] != drawn[1] and set(drawn[0]) == set(drawn[1])


class Interrupted(Counter):
    """The same, that calls a function before it computes a crop for the time that `at` says, counted from 0."""

    def __init__(self, at, call):
        super().__init__()
        self.calls, self.at, self.call = 0, at, call

    def __call__(self, crops):
        self.calls += 1
        if self.calls == self.at + 1:
            self.call()
        return super().__call__(crops)


def test_a_run_that_begins_while_another_one_makes_the_files_waits_for_them(tmp_path, data):
    plan, second, found = FixedCropSampler(data, CROPS, 2), Counter(), []
    thread = threading.Thread(target=lambda: found.append(kept(plan, tmp_path / "both", second)))
    found.append(kept(plan, tmp_path / "both", Interrupted(0, thread.start)))  # its first crop tells the size
    thread.join()
    assert second.crops % 2 == 0  # two of each object, and none for the size: it found the files
    whole = kept(plan, tmp_path / "alone", Counter())
    assert len(found) == 2 and all(np.array_equal(whole, maps) for maps in found)


def test_a_run_leaves_out_what_another_one_has_computed_meanwhile(tmp_path, data):
    plan, second = FixedCropSampler(data, CROPS, 2), Counter()
    first = Interrupted(3, lambda: kept(plan, tmp_path, second))  # at its third object
    assert np.array_equal(kept(plan, tmp_path, first), kept(plan, tmp_path, Counter()))
    assert first.crops == 1 + 2 * 3 and second.crops == 2 * (8 - 2)


def test_a_folder_of_features_is_for_recipes_that_keep_some(tmp_path):
    assert shared_features(MATCHER, CACHED, tmp_path) == {"features": tmp_path}
    assert shared_features(CAPELLM, CapeLLMTrainConfig(), None) == {}
    for family, recipe in ((MATCHER, LIVE), (CAPELLM, CapeLLMTrainConfig())):
        with pytest.raises(InputError, match="--features is for a matcher whose recipe has features: cached"):
            shared_features(family, recipe, tmp_path)


def test_features_beyond_half_precision_are_refused(tmp_path, data):
    with pytest.raises(InputError, match="beyond float16; train with features: live"):
        kept(FixedCropSampler(data, CROPS, 1), tmp_path, Counter(scale=1e6))


def test_the_size_of_the_features_is_said_and_must_fit_on_the_disk(tmp_path, data, capsys, monkeypatch):
    plan = FixedCropSampler(data, CROPS, 2)
    kept(plan, tmp_path / "first", Counter())
    assert f"features: 0.00 GB in {tmp_path / 'first'}" in capsys.readouterr().err
    kept(plan, tmp_path / "first", Counter())
    assert "GB" not in capsys.readouterr().err  # nothing is made anew
    needed = 8 * 2 * 3 * 2 * 2 * 2
    for free, fits in ((needed, True), (needed - 1, False)):
        usage = SimpleNamespace(free=free)
        monkeypatch.setattr("anykeypoint.training.matching.feature_cache.shutil.disk_usage", lambda _, u=usage: u)
        with nullcontext() if fits else pytest.raises(InputError, match=r"8 objects in 2 versions take 0\.0 GB"):
            kept(plan, tmp_path / str(free), Counter())
    assert not (tmp_path / str(needed - 1) / "features.npy").exists()


def test_a_matcher_on_the_joined_encoder_trains_on_cached_features(tmp_path, base, data):
    name = "efficientnet-lite2+clip-vit-b16"
    vision = VisionConfig(name, RANDOM, 64, "frozen", sizes=tiny_encoders.TINY[name])
    text = TextConfig("bert", tiny_matchers.text_encoder(base / "text"))
    head = EvidenceConfig(336, 24, (120, 208, 8), members=1, width=16, heads=2, layers=1, blocks=1, likeness=4)
    model = build(MatcherConfig("evidence", vision, text, head))
    tiny_encoders.loud(model.encoder)
    before = {key: tensor.clone() for key, tensor in model.encoder.state_dict().items()}
    train(model, data, CACHED, tmp_path)
    maps = np.load(tmp_path / "features" / "features.npy")
    assert maps.shape == (8, 2, 336, 4, 4) and maps.dtype == np.float16 and np.isfinite(maps).all()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.encoder.state_dict().items())
    about = json.loads((tmp_path / "features" / "about.json").read_text())
    assert about["sizes"]["clip_scale"] == 0.8 and "precision" not in about
    train(model, data, replace(CACHED, precision="bf16"), tmp_path / "half", quiet=True)
    half = np.load(tmp_path / "half" / "features" / "features.npy")
    assert json.loads((tmp_path / "half" / "features" / "about.json").read_text())["precision"] == "bf16"
    assert np.array_equal(half[:, :, :328], maps[:, :, :328])  # EfficientNet-Lite2 is never rounded
    off = half[:, :, 328:].astype(float) - maps[:, :, 328:]
    assert 0 < np.linalg.norm(off) < 0.03 * np.linalg.norm(maps[:, :, 328:].astype(float))
    assert "forward" not in vars(model.encoder.model.lite)
