"""What a training at full size takes: tokens of the real questions, memory of a process, work, hours."""

from dataclasses import replace

import pytest
import torch

from anykeypoint.category import Category, Keypoint
from anykeypoint.errors import InputError
from anykeypoint.library.lookup import category, mp100_categories
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.kptllm_config import KptLLMConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.language import LanguageConfig
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.reproduction.devices import device, devices
from anykeypoint.reproduction.items import item_lengths
from anykeypoint.reproduction.networks import empty_model
from anykeypoint.reproduction.passes import language_macs
from anykeypoint.reproduction.sizes import GIB, training_size
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig

PET = Category("pet", (Keypoint("nose", "The tip of the nose."), Keypoint("left ear"), Keypoint("tail")), noun="pet")
LORA = LanguageConfig("llama-3.2-1b", tuning="lora")


@pytest.fixture(scope="module")
def small():
    with torch.device("meta"):
        return empty_model(CapeLLMConfig(language=LORA))


def test_a_sample_has_the_tokens_of_its_questions(small):
    one = Category("pet", PET.keypoints[1:2], noun="pet")
    lengths = item_lengths(small, CapeLLMTrainConfig(), {one: 10})
    text = "\nUser: Where is the left ear of this object in this image? Please provide its coordinates.\nAssistant:"
    pieces = ["\n", "User", ":", " Where", " is", " the", " left", " ear", " of", " this", " object", " in", " this"]
    pieces += [" image", "?", " Please", " provide", " its", " coordinates", ".", "\n", "Assistant", ":"]
    answer = [" [", "0", ".", "500", ",", "0", ".", "500", "]", "</", "s", ">"]
    assert "".join(pieces) == text and "".join(answer) == " [0.500,0.500]</s>"
    assert (lengths.items, lengths.text, lengths.longest) == (10, len(pieces) + len(answer), len(pieces) + len(answer))
    assert lengths.answers == len(answer) and lengths.crops == 1


def test_an_epoch_of_split_1_has_the_papers_samples(small):
    """The 70 categories have 316 groups of 4; with about 200 pictures each they make 63,200 (v1: "over 60,000")."""
    unseen = {2, 3, 6, 10, 12, 14, 22, 24, 29, 30, 33, 35, 39, 42, 47, 48, 53, 60, 66, 68, 70, 73, 77, 78, 81, 84, 91}
    unseen |= {92, 95, 96}
    kinds = {category(f"mp100/{number}"): 200 for number in mp100_categories() if number not in unseen}
    lengths = item_lengths(small, CapeLLMTrainConfig(), kinds)
    assert lengths.items == pytest.approx(63_200)
    alone = item_lengths(small, CapeLLMTrainConfig(rounds=1), kinds)
    assert alone.items == pytest.approx(200 * 1093) and alone.text == pytest.approx(lengths.text / 4, rel=0.02)
    whole = item_lengths(small, CapeLLMTrainConfig(item="object", pack=8), kinds)
    assert lengths.text < whole.text and whole.items < lengths.items


def test_a_sample_of_kptllm_is_one_question_and_an_example_is_another_picture():
    with torch.device("meta"):
        model = empty_model(KptLLMConfig())
    by_text = item_lengths(model, KptLLMTrainConfig(tasks=TaskWeights(text=1), describe=0), {PET: 5})
    assert (by_text.items, by_text.crops) == (15, 1)
    mixed = training_size(KptLLMConfig(), KptLLMTrainConfig(tasks=TaskWeights(identify=1, example=1)), {PET: 5})
    assert (mixed.lengths.items, mixed.lengths.crops) == (15, 1.5)
    # Adapters of rank 128 in both towers and 16 samples at a time: on an A100 of 80 GB as the shipped recipe has it.
    assert mixed.memory(8, checkpointing=True).fits(device("a100")) and not mixed.memory(8).fits(device("a100"))


@pytest.fixture(scope="module")
def llama_1b():
    """A CapeLLM with Llama-3.2-1B."""
    return training_size(CapeLLMConfig(language=LORA), CapeLLMTrainConfig(), {PET: 1})


@pytest.fixture(scope="module")
def llama_8b():
    """The paper's CapeLLM."""
    return training_size(CapeLLMConfig(), CapeLLMTrainConfig(), {PET: 1})


def test_the_work_of_a_sample_is_that_of_weights_times_tokens(llama_1b):
    """A forward pass multiplies each weight once a token; the backward pass of frozen weights as often again."""
    tokens = 257 + llama_1b.lengths.text
    assert llama_1b.prefix == 257  # BOS and 16 x 16 patches
    layers = 1_235_814_400 - 128_256 * 2048 + 851_968
    assert llama_1b.rest_macs == pytest.approx(
        tokens * (layers - 33 * 2048)  # but for the weights of norms
        + 2 * tokens**2 * 2048 * 16  # queries by keys, and these by values
        + llama_1b.lengths.answers * 128_256 * 2048
        + 256 * (1025 * 2048)
    )
    assert llama_1b.encoder_macs == pytest.approx(
        257 * (304_368_640 - 1_411_072), rel=0.06
    )  # attention's products beside
    assert llama_1b.flops() == pytest.approx(2 * 2 * llama_1b.macs, rel=0.01)
    assert llama_1b.flops(checkpointing=True) == pytest.approx(1.5 * llama_1b.flops(), rel=0.01)


def test_a_frozen_encoder_has_no_backward_pass(llama_1b):
    frozen = replace(llama_1b, encoder_trains=(False, False))
    whole = replace(llama_1b, encoder_trains=(True, True))
    assert llama_1b.encoder_trains == (True, False)
    assert llama_1b.flops() - frozen.flops() == pytest.approx(2 * llama_1b.encoder_macs)
    assert whole.flops() - llama_1b.flops() == pytest.approx(2 * llama_1b.encoder_macs)


def test_memory_is_four_bytes_a_weight_and_three_times_that_for_what_trains(llama_1b):
    trained, memory = 851_968 + 786_432 + 1024 * 2048 + 2048, llama_1b.memory()
    assert (llama_1b.trainable, llama_1b.parameters) == (trained, 1_235_814_400 + 304_368_640 + trained)
    assert memory.weights == 4 * llama_1b.parameters
    assert (memory.gradients, memory.optimiser) == (4 * trained, 8 * trained)
    averaged = replace(llama_1b, recipe=CapeLLMTrainConfig(ema=0.99))
    assert averaged.memory().optimiser == 12 * trained
    assert memory.total == sum(vars(memory).values())
    # Mixed precision copies the matrices of both towers' layers, and the output layer.
    copied = 1_235_814_400 - 33 * 2048 + 24 * 12 * 1024 * 1024
    assert memory.copies == pytest.approx(2 * copied, rel=0.01)


def test_layers_that_are_computed_twice_keep_less(llama_1b):
    plain, again = llama_1b.memory(), llama_1b.memory(checkpointing=True)
    assert again.activations < 0.3 * plain.activations and again.weights == plain.weights
    layer = 2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192
    assert again.copies == 2 * (layer + 128_256 * 2048)  # of a layer, and of the output layer
    assert replace(llama_1b, recipe=CapeLLMTrainConfig(checkpointing=True)).memory() == again


def test_shared_weights_are_divided_by_the_processes(llama_8b):
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336 + 2 * 4096
    alone, four = (llama_8b.memory(processes, shard=True) for processes in (1, 4))
    assert alone == llama_8b.memory(4) and alone.weights == 4 * llama_8b.parameters
    assert alone.weights - four.weights == 4 * layer * (24 - 2)  # three quarters of 32 layers, of which two are whole


def test_frozen_weights_in_bfloat16_take_half_and_need_no_copies(llama_1b, llama_8b):
    half = training_size(CapeLLMConfig(), CapeLLMTrainConfig(frozen_precision="bf16"), {PET: 1})
    layer = 2 * 4096 * 4096 + 2 * 4096 * 1024 + 3 * 4096 * 14_336
    encoder = 24 * (12 * 1024 * 1024 + 9 * 1024)  # matrices and their biases
    assert half.halved == 32 * layer + 128_256 * 4096 + encoder  # and the output layer, which is not the embeddings
    plain, memory = llama_8b.memory(), half.memory()
    assert (half.parameters, half.trainable) == (llama_8b.parameters, llama_8b.trainable)
    assert memory.weights == plain.weights - 2 * half.halved and memory.copies == 0
    assert (memory.gradients, memory.optimiser) == (plain.gradients, plain.optimiser)
    assert memory.activations == pytest.approx(plain.activations, rel=0.001)
    assert memory.fits(device("rtx-a6000")) and memory.fits(device("rtx-3090"))  # without `checkpointing` and `shard`
    four = half.memory(4, shard=True)
    assert memory.weights - four.weights == (2 * layer + 4 * 2 * 4096) * (24 - 2)  # norms stay float32
    tied = training_size(CapeLLMConfig(language=LORA), CapeLLMTrainConfig(frozen_precision="bf16"), {PET: 1})
    assert tied.halved == 1_235_814_400 - 33 * 2048 - 128_256 * 2048 + encoder
    assert tied.memory().copies == 2 * 128_256 * 2048  # of the output layer, which is the embeddings


def test_capellm_fits_the_papers_cards_as_its_launch_file_has_it_and_no_card_of_24_gib_alone(llama_8b, llama_1b):
    assert llama_8b.memory(4, checkpointing=True, shard=True).fits(device("rtx-a6000"))
    assert llama_8b.memory().weights > 24 * GIB
    assert not llama_8b.memory().fits(device("rtx-a6000"))  # as the paper's recipe is, without either
    assert llama_1b.memory(checkpointing=True).fits(device("rtx-3090"))


def test_a_matcher_is_counted_too():
    config = MatcherConfig("flf", VisionConfig("swinv2-s", tuning="full"))
    found = training_size(config, MatcherTrainConfig(batch=2), {PET: 1})
    assert found.lengths is None and found.tokens_per_second(device("rtx-3060")) == 0
    assert found.encoder_macs == pytest.approx(2 * 12.78e9, rel=0.001)  # a look at the query, and one at the example
    assert 0 < found.rest_macs < 0.1 * found.encoder_macs
    assert found.flops() == pytest.approx(2 * 3 * found.macs, rel=0.01) and not found.half
    assert found.memory().copies == 0 and found.memory().activations > found.memory().weights / 2


def test_a_matcher_that_is_trained_on_some_keypoints_of_each_object_is_counted_with_as_many():
    face = Category("face", tuple(Keypoint(f"point {number}") for number in range(106)), noun="face")
    few = Category("face", face.keypoints[:24], noun="face")
    config = MatcherConfig("capeformer", VisionConfig("resnet50"))  # tells at most 100 keypoints apart
    found = training_size(config, MatcherTrainConfig(batch=2, most_keypoints=24), {face: 1})
    assert found == training_size(config, MatcherTrainConfig(batch=2, most_keypoints=24), {few: 1})
    with pytest.raises(InputError, match="at most 100 keypoints"):
        training_size(config, MatcherTrainConfig(batch=2), {face: 1})


def test_pomnet_is_counted_which_asks_for_the_valid_keypoints():
    found = training_size(MatcherConfig("pomnet", VisionConfig("resnet50")), MatcherTrainConfig(batch=2), {PET: 1})
    more = training_size(MatcherConfig("pomnet", VisionConfig("resnet50")), MatcherTrainConfig(batch=4), {PET: 1})
    assert found.rest_macs > 0 and found.memory().activations < more.memory().activations


def test_hours_are_work_by_speed_and_near_a_published_time(llama_8b):
    """LocLLM (its README): three days on four RTX 3090 for 12 epochs of COCO's 149,813 people, five questions each,
    with DINOv2-L and Vicuna-7B; within a factor of two."""
    config = CapeLLMConfig(language=LanguageConfig("vicuna-7b", tuning="lora"), instruction="locllm")
    with torch.device("meta"):
        model = empty_model(config)
    recipe = CapeLLMTrainConfig(grouping="locllm", rounds=5)
    lengths = item_lengths(model, recipe, {category("human_body"): 1})
    vicuna = replace(llama_8b, lengths=lengths, rest_macs=language_macs(model, 257 + lengths.text, lengths.answers))
    assert 36 < vicuna.hours(12 * 149_813, device("rtx-3090"), processes=4) < 144
    speed = 0.4 * 312e12
    assert llama_8b.hours(1000, device("a100")) == pytest.approx(1000 * llama_8b.flops() / speed / 3600)
    per_second = llama_8b.tokens_per_second(device("a100"), 8)
    assert per_second == pytest.approx((257 + llama_8b.lengths.text) / llama_8b.flops() * 8 * speed)


def test_an_unknown_card_is_refused_with_the_known_ones():
    assert {one.memory for one in devices().values()} >= {24, 48, 80}
    with pytest.raises(InputError, match=r"name of a graphics card must be .*rtx-3090.*rtx-9999"):
        device("rtx-9999")
