"""Crops of language models sampled as CapeLLM's released code does: pixels, points, and what a config says."""

import json
from dataclasses import replace

import numpy as np
import pytest
import tiny
from PIL import Image
from safetensors.numpy import load_file

from anykeypoint.crops.augment import CropPlacement, crop_placed
from anykeypoint.errors import InputError
from anykeypoint.geometry import Crop
from anykeypoint.images import read_image
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.view import cut_object


def picture():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny.capellm(tmp_path_factory.mktemp("tiny"))


def test_a_model_cuts_as_its_config_says(model):
    box, size = (20.0, 10.0, 70.0, 60.0), model.config.vision.image_size
    released = replace(model.config, released_crop=True)
    cuts = []
    for config in (model.config, released):
        model.config = config
        cuts.append(model.cut(picture(), box))
        expected = cut_object(picture(), box, config.crop_scale, size, config.released_crop)
        np.testing.assert_array_equal(cuts[-1].pixels, expected.pixels)
    model.config = replace(released, released_crop=False)
    assert cuts[0].crop == cuts[1].crop and (cuts[0].pixels != cuts[1].pixels).any()


@pytest.mark.parametrize("degrees", [0, 20])
def test_a_training_crop_without_a_change_is_the_crop_that_is_asked_about(degrees):
    box, image = (20.0, 10.0, 70.0, 60.0), read_image(picture())
    asked = cut_object(image, box, 1.0, 56, True)
    trained = crop_placed(image, CropPlacement(asked.crop, degrees), 56, True)
    assert (trained == asked.pixels).all() == (degrees == 0)


def test_the_released_crop_at_224_is_the_released_codes_within_a_grey_level(shared):
    facts = json.loads((shared / "golden" / "mp100_protocol.json").read_text())["warp"]
    arrays = load_file(shared / "golden" / "mp100_protocol.safetensors")
    side = facts["scale"][0] * 200
    crop = Crop(facts["center"][0] - side / 2, facts["center"][1] - side / 2, side)
    image = read_image(arrays["warp/image"])
    found = crop_placed(image, CropPlacement(crop), 224, True).astype(int)
    assert np.abs(found - arrays["warp/224_rot0/image"].astype(int)).max() <= 1
    ours = crop_placed(image, CropPlacement(crop), 224).astype(int)
    assert np.abs(ours - arrays["warp/224_rot0/image"].astype(int)).max() > 1  # which is why there is an option


@pytest.mark.parametrize("kind", [CapeLLMConfig, KptLLMConfig])
def test_a_config_keeps_it_and_one_that_does_not_say_it_is_cut_as_before(kind):
    said = kind(released_crop=True)
    assert kind.from_dict(said.to_dict()) == said
    unsaid = kind().to_dict()
    assert unsaid.pop("released_crop") is False and kind.from_dict(unsaid) == kind()
    with pytest.raises(InputError, match="released_crop"):
        kind(released_crop="yes")
