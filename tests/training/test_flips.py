"""Training with flips: what it says, what stops it, and that no crop of a category with a lone side is mirrored."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_encoders
import tiny_llava
import yaml

from anykeypoint import cli
from anykeypoint.category import Category, Keypoint
from anykeypoint.crops.augment import AugmentConfig
from anykeypoint.data.episodes import EpisodeConfig, label_crop
from anykeypoint.data.synthetic import ANNOTATIONS, IMAGES, write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.library.lookup import category
from anykeypoint.models.fewshot.fewshot_model import FewShotConfig, build
from anykeypoint.models.generative.image_text import ImageTextNamer
from anykeypoint.models.generative.image_text_config import ImageTextConfig
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.training.fewshot.fewshot_config import FewShotTrainConfig
from anykeypoint.training.fewshot.fewshot_trainer import train
from anykeypoint.training.flips import flip_lines, say_flips
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.capellm_trainer import CapeLLMTrainer
from anykeypoint.training.generative.image_text_config import ImageTextTrainConfig
from anykeypoint.training.generative.image_text_trainer import ImageTextTrainer
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig
from anykeypoint.training.generative.task_sequences import build_task_sequences
from anykeypoint.training.run_config import RunConfig

ALWAYS, NEVER = (AugmentConfig(scale=0, rotation=0, flip=flip) for flip in (1.0, 0.0))
FLIPS = RunConfig(augment=ALWAYS)


def named(name: str, *points: str, **options) -> Category:
    return Category(name, tuple(map(Keypoint, points)), **options)


PAIRED, LONE = named("cat", "left ear", "right ear"), named("tiger", "nose", "right ear")
MEANT = replace(LONE, name="tiger seen from its right", alone=(1,))


# --- what is said, and what stops a run ----------------------------------------------------------------------------


def test_each_category_has_a_line():
    assert flip_lines([PAIRED, MEANT, PAIRED, named("fish", "mouth")], FLIPS) == [
        "cat: mirrored crops exchange left ear and right ear",
        "tiger seen from its right: never mirrored, as without a partner on the other side: 'right ear'",
        "fish: mirrored as it is, as no point has another side",
    ]


def test_a_side_without_a_partner_stops_training_with_flips_by_name():
    more = named("gnu", *(f"left rib {i}" for i in range(12)))
    with pytest.raises(InputError) as refused:
        flip_lines([PAIRED, LONE, more], FLIPS)
    assert "'right ear' of 'tiger', 'left rib 0' of 'gnu'" in str(refused.value)
    assert " and 1 more; " in str(refused.value) and "--allow-unpaired" in str(refused.value)
    with pytest.raises(InputError, match="'left ear' of 'cat', 'right ear' of 'cat'"):
        flip_lines([replace(PAIRED, pairs=())], FLIPS)


def test_without_flips_or_where_it_is_allowed_nothing_stops():
    assert flip_lines([PAIRED, LONE], RunConfig(augment=NEVER)) == []
    line = "tiger: never mirrored, as without a partner on the other side: 'right ear'"
    assert flip_lines([LONE], replace(FLIPS, allow_unpaired=True)) == [line]


def test_many_lines_are_counted_and_all_are_in_a_file(tmp_path):
    kinds = [*(replace(PAIRED, name=f"cat {i}") for i in range(7)), MEANT, named("fish", "mouth")]
    lines = flip_lines(kinds, FLIPS)
    assert say_flips(lines[:3], tmp_path) == lines[:3] and say_flips([], tmp_path / "none") == []
    (said,) = say_flips(lines, tmp_path)
    assert "in 7 of 9 categories; 1 have no sides, and 1 are never mirrored" in said and "flips.txt" in said
    assert (tmp_path / "flips.txt").read_text().splitlines() == lines and not (tmp_path / "none").exists()


def test_shipped_definitions_never_stop_it():
    from anykeypoint.library.lookup import library_names

    kinds = [category(name) for name in library_names()]
    assert [kind.name for kind in kinds if not kind.flips] == ["field2_159_tiger_walking"]
    assert len(flip_lines(kinds, FLIPS)) == len(kinds)


# --- crops ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, 4, seed=2, per_category=2, size=64)
    return folder


@pytest.fixture(scope="module")
def crops(folder, tmp_path_factory):
    """Every kind of training: a function from an object and random changes to the pixels of a crop."""
    base = tmp_path_factory.mktemp("models")
    tiny_llava.write(base / "llava", seed=3)
    capellm, kptllm = tiny.capellm(base / "capellm"), tiny.kptllm(base / "kptllm")
    namer = ImageTextNamer.build(ImageTextConfig(str(base / "llava"), image_size=tiny_llava.SIDE, tuning="frozen"))
    data = read_coco(folder / ANNOTATIONS, folder / IMAGES)

    def rng():
        return np.random.default_rng(0)

    def of_capellm(item, augment):
        trainer = CapeLLMTrainer(capellm, [item], CapeLLMTrainConfig(augment=augment))
        return trainer.sequences(item, rng(), 0)[0].pixels

    def of_kptllm(item, augment):
        config = KptLLMTrainConfig(augment=augment)
        return build_task_sequences(kptllm, item, config, rng(), {item.category_id: [item]})[0].pixels

    def of_image_text(item, augment):
        trainer = ImageTextTrainer(namer, replace(data, objects=[item]), ImageTextTrainConfig(augment=augment))
        return trainer.load(range(1), 0).batches[0][0][0].pixels

    def of_episodes(item, augment):
        return label_crop(item, EpisodeConfig(size=32, augment=augment), rng()).pixels

    return {"capellm": of_capellm, "kptllm": of_kptllm, "image-text": of_image_text, "episodes": of_episodes}


@pytest.mark.parametrize("training", ["capellm", "kptllm", "image-text", "episodes"])
def test_no_crop_of_a_category_with_a_lone_side_is_mirrored(crops, folder, training):
    item = read_coco(folder / ANNOTATIONS, folder / IMAGES).objects[0]
    x, y, w, h = item.box
    points = np.array([[x + w / 2, y + h / 2], [x + w / 2 + 2, y + h / 2]])
    for kind, mirrored in ((PAIRED, True), (LONE, False), (MEANT, False)):
        one = replace(item, category=kind, points=points, visibility=np.array([2, 2]))
        plain, flipped = (crops[training](one, augment) for augment in (NEVER, ALWAYS))
        assert (plain != flipped).any() == mirrored


# --- runs ----------------------------------------------------------------------------------------------------------


def renamed(folder, out, *points: str):
    """Data whose categories have these points only, of the same pictures."""
    document = json.loads((folder / ANNOTATIONS).read_text())
    for entry in document["categories"]:
        entry.update(keypoints=list(points), skeleton=[])
    for entry in document["annotations"]:
        entry["keypoints"] = entry["keypoints"][: 3 * len(points)]
        entry.pop("num_keypoints", None)
    (out / "labels.json").write_text(json.dumps(document))
    return out / "labels.json"


@pytest.fixture
def model(tmp_path):
    vision = VisionConfig("resnet50", RANDOM, 64, "frozen", sizes=tiny_encoders.TINY["resnet50"])
    return FewShotConfig.from_dict({"method": "protonet", "options": {"width": 16}, "vision": vision.to_dict()})


def test_train_says_its_pairs_stops_for_a_lone_side_and_goes_on_when_allowed(folder, model, tmp_path, capsys):
    recipe = {"sampling": "balanced", "steps": 1, "batch": 1, "warmup": 0, "augment": {"flip": 0.5}}
    both = {"model": model.to_dict(), "recipe": recipe}
    (tmp_path / "both.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(both))))

    def ran(labels, *options):
        spec = ["--data", f"coco:{labels}", "--images", folder / IMAGES, "--model", tmp_path / "both.yaml"]
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in ("train", *spec, *options)])
        return ended.value.code, capsys.readouterr().err

    code, err = ran(renamed(folder, tmp_path, "eye.L", "eye.R"), "-o", tmp_path / "paired")
    assert code == 0 and ": mirrored crops exchange eye.L and eye.R\n" in err
    labels = renamed(folder, tmp_path, "leftEye", "nose")
    code, err = ran(labels, "-o", tmp_path / "lone")
    assert code == 2 and "'leftEye' of " in err and not (tmp_path / "lone").exists()
    code, err = ran(labels, "-o", tmp_path / "lone", "--allow-unpaired")
    assert code == 0 and ": never mirrored, as without a partner on the other side: 'leftEye'\n" in err
    assert (tmp_path / "lone" / "flips.txt").exists()


def test_a_run_from_python_stops_as_well(folder, model, tmp_path):
    data = read_coco(renamed(folder, tmp_path, "left eye", "nose"), folder / IMAGES)
    config = FewShotTrainConfig(sampling="balanced", steps=1, warmup=0, augment=ALWAYS)
    with pytest.raises(InputError, match="'left eye' of "):
        train(build(model), data, config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
