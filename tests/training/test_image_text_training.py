"""Fine-tuning an image-text model to name marked places ("LLaVA*")."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import tiny_llava
import torch
from safetensors.torch import load_file

import anykeypoint
from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.crops.augment import LOCLLM, PLAIN
from anykeypoint.data.synthetic import write_dataset
from anykeypoint.errors import InputError
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.generative.image_text import ImageTextNamer
from anykeypoint.models.generative.image_text_config import ImageTextConfig
from anykeypoint.models.tuning import LoraOptions, lora_state
from anykeypoint.training.generative.image_text_config import ImageTextTrainConfig
from anykeypoint.training.generative.image_text_trainer import ImageTextTrainer, train
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig
from anykeypoint.training.trainable import IMAGE_TEXT, SAVED, family_of, parts

LORA = LoraOptions(r=4, alpha=16, dropout=0.0, targets=("q", "v", "up", "down"))
RUN = ImageTextTrainConfig(steps=4, batch=4, lr=1e-2, precision="fp32", augment=PLAIN, save_every=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return read_coco(write_dataset(folder, 2, seed=2, per_category=1), folder / "images")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llava")
    tiny_llava.write(folder, seed=3)
    return folder


def build(llava, tuning="lora"):
    return ImageTextNamer.build(ImageTextConfig(str(llava), image_size=tiny_llava.SIDE, tuning=tuning, lora=LORA))


def test_the_loss_falls_and_the_saved_model_answers_alike(tmp_path, data, llava):
    model, losses = build(llava), []
    config = ImageTextTrainConfig(**{**vars(RUN), "steps": 25})
    train(model, data, config, tmp_path, on_step=lambda step, values: losses.append(values["loss"]), quiet=True)
    assert np.mean(losses[-3:]) < 0.6 * losses[0]
    again = anykeypoint.load(str(tmp_path / "model"), device="cpu")
    assert again.config == model.config
    saved = load_file(tmp_path / "model" / "model.safetensors")
    assert saved.keys() == lora_state(model.model).keys() and all(".lora_" in name for name in saved)
    item = data.objects[0]
    points = item.points[item.visibility > 0][:3]
    ours, theirs = (one.identify(item.image, points, box=item.box, category=item.category) for one in (model, again))
    assert [one.probabilities for one in ours] == [one.probabilities for one in theirs]


def test_only_the_language_models_adapters_train_and_the_rest_is_the_published_model(tmp_path, data, llava):
    model = build(llava)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert trained and all(".language_model." in name and ".lora_" in name for name in trained)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(model, data, RUN, tmp_path, quiet=True)
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(".lora_" in name for name in changed)
    assert all(torch.equal(after[name], tensor) for name, tensor in model.untrained().state_dict().items()
               if ".lora_" not in name)  # fmt: skip


def test_a_resumed_run_ends_where_the_whole_one_does_to_the_bit(tmp_path, data, llava):
    whole, stopped, resumed = (build(llava) for _ in range(3))
    train(whole, data, RUN, tmp_path / "a", quiet=True)
    train(stopped, data, RUN, tmp_path / "b", stop_after=2, quiet=True)
    train(resumed, data, RUN, tmp_path / "b", quiet=True)
    ours, theirs = lora_state(whole.model), lora_state(resumed.model)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_recomputing_layers_changes_no_gradient(data, llava, tmp_path):
    runs = []
    for name, checkpointing in (("a", False), ("b", True)):
        model = build(llava)
        config = ImageTextTrainConfig(**{**vars(RUN), "steps": 1, "checkpointing": checkpointing})
        train(model, data, config, tmp_path / name, quiet=True)
        runs.append(lora_state(model.model))
    assert all(torch.allclose(runs[0][name], runs[1][name], atol=1e-6) for name in runs[0])


def test_an_epoch_is_every_labelled_point_once_with_its_own_name(data, llava):
    trainer = ImageTextTrainer(build(llava), data, RUN)
    count = sum(int((item.visibility > 0).sum()) for item in data.objects)
    assert len(trainer.points) == count
    drawn = [trainer._point(number) for number in range(count)]
    assert sorted((item.id, k) for item, k in drawn) == sorted((item.id, k) for item, k in trainer.points)
    (batch, _), = trainer.load(range(count), 0).batches  # fmt: skip
    names = sorted(item.category.names[k] for item, k in trainer.points)
    assert sorted(one.name for one in batch) == names
    for one in batch[:3]:
        assert (one.pixels == (255, 0, 0)).all(axis=2).any()


def test_a_frozen_model_and_another_sampling_are_refused(tmp_path, data, llava):
    with pytest.raises(InputError, match="Nothing of the model is trainable"):
        train(build(llava, "frozen"), data, RUN, tmp_path, quiet=True)
    with pytest.raises(InputError, match="sampling must be"):
        ImageTextTrainConfig(sampling="balanced", steps=1)


def test_the_shipped_recipe_is_that_of_kptllm_on_llava():
    file = Path(str(resources.files("anykeypoint") / "experiments")) / "llava.yaml"
    described, recipe = parts(load_yaml(file), file.name)
    family = family_of(described, file.name)
    assert family is IMAGE_TEXT is SAVED["image_text"]
    model, config = family.described(described, file.name), from_mapping(family.recipe, recipe, file.name)
    assert (model.source, model.tuning) == ("llava-hf/llava-1.5-7b-hf", "lora")
    assert (model.lora.r, model.lora.alpha) == (128, 256)
    theirs = KptLLMTrainConfig()
    for key in ("lr", "weight_decay", "batch", "warmup", "epochs", "augment", "clip", "precision"):
        assert getattr(config, key) == getattr(theirs, key), key
    assert config.augment == LOCLLM
