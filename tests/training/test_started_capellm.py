"""A new CapeLLM that starts from a saved one: other questions and answers, the same towers."""

from dataclasses import replace

import pytest
import tiny
import torch

from anykeypoint.errors import InputError
from anykeypoint.models.generative.storage import changed_tensors
from anykeypoint.training.generative.capellm_trainer import from_capellm


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return tiny.moved(tiny.capellm(tmp_path_factory.mktemp("model"), "lora"), 3)


def test_it_asks_in_its_own_words_with_the_towers_adapters_and_projection_of_the_saved_one(source):
    config = replace(source.config, instruction="name_list", crop_scale=1.5, strategy="mode")
    model = from_capellm(config, source)
    kept, found = changed_tensors(source), changed_tensors(model)
    assert kept.keys() == found.keys() and all(torch.equal(found[name], tensor) for name, tensor in kept.items())
    assert model.config == config and model.instruction.opening and source.config.instruction == "base"


def test_a_token_that_the_saved_one_lacks_is_new_and_the_seeds(source):
    config = replace(source.config, answer="token", keypoint_token="written")
    one, again, other = (changed_tensors(from_capellm(config, source, seed)) for seed in (1, 1, 2))
    assert {name.split(".")[0] for name in one.keys() - changed_tensors(source).keys()} == {"keypoint_token"}
    decoder = "keypoint_token.decoder.0.weight"
    assert torch.equal(one[decoder], again[decoder]) and not torch.equal(one[decoder], other[decoder])
    with_token = from_capellm(config, source, 1)
    assert from_capellm(config, with_token, 2).keypoint_token is with_token.keypoint_token


def test_other_towers_are_no_start(source):
    small = replace(source.config, vision=replace(source.config.vision, image_size=56))
    with pytest.raises(InputError, match="A CapeLLM that starts from another one has its vision, which is"):
        from_capellm(small, source)
