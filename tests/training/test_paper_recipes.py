"""The numbers of the papers' trainings: optimisers, the size of a step, and values that are taken from elsewhere."""

from dataclasses import replace

import pytest
import tiny_trainees
import torch

from anykeypoint.data.synthetic import write_dataset
from anykeypoint.forms.coco import read_coco
from anykeypoint.models.matching.heads.dlf import DecisionFusionConfig
from anykeypoint.models.towers.language import LANGUAGE_MODELS
from anykeypoint.models.towers.registry import encoder_class
from anykeypoint.models.towers.text import TEXT_ENCODERS
from anykeypoint.models.towers.vision import build_encoder
from anykeypoint.models.towers.vision_config import RANDOM, VisionConfig
from anykeypoint.models.tuning import ROLES
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig
from anykeypoint.training.loop import RunState
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.matching.matcher_trainer import MatcherTrainer
from anykeypoint.training.trainer import StepPlan

CONFIG = MatcherTrainConfig(sampling="balanced", steps=4, batch=2, lr=1e-3, warmup=2)


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """A trainer by its recipe."""
    folder = tmp_path_factory.mktemp("data")
    data = read_coco(write_dataset(folder, 4, seed=2), folder / "images")

    def trainer(config: MatcherTrainConfig) -> MatcherTrainer:
        return MatcherTrainer(tiny_trainees.matcher("graphcape", folder), data, config)

    return trainer


def stepped(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> list[torch.Tensor]:
    """The parameters after three steps with gradients that depend on the step alone; they are put back afterwards."""
    before = [parameter.detach().clone() for parameter in parameters]
    for step in range(3):
        draw = torch.Generator().manual_seed(step)
        for parameter in parameters:
            parameter.grad = torch.randn(parameter.shape, generator=draw)
        optimizer.step()
    after = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    return after


def test_the_optimiser_is_adamw_with_the_recipes_weight_decay(trainer):
    made = RunState.of(trainer(replace(CONFIG, weight_decay=0.3)))
    parameters = list(made.parameters.values())
    ours = stepped(made.optimizer, parameters)
    theirs = stepped(torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.3), parameters)
    assert all(map(torch.equal, ours, theirs))
    plain = stepped(torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0), parameters)
    assert not all(map(torch.equal, ours, plain))


def test_without_weight_decay_the_optimiser_is_adam(trainer):
    made = RunState.of(trainer(CONFIG))
    parameters = list(made.parameters.values())
    ours = stepped(made.optimizer, parameters)
    theirs = stepped(torch.optim.Adam(parameters, lr=1e-3), parameters)
    assert all(map(torch.allclose, ours, theirs)) and MatcherTrainConfig().weight_decay == 0


def test_capellms_step_has_128_samples_in_four_processes():
    plan = StepPlan.of(CapeLLMTrainConfig(), 12_800, processes=4)
    samples = [number for process in range(4) for part in plan.micro_batches(0, process) for number in part]
    assert sorted(samples) == list(range(128)) and CapeLLMTrainConfig().batch == 1
    assert plan.steps == 12 * 12_800 / 128


def test_kptllms_step_has_16_samples_in_each_of_eight_processes():
    plan = StepPlan.of(KptLLMTrainConfig(), 12_800, processes=8)
    parts = [list(plan.micro_batches(0, process)) for process in range(8)]
    assert [[len(part) for part in own] for own in parts] == [[16]] * 8


def test_kptllms_unsaid_values_are_llavas():
    config = KptLLMTrainConfig()
    assert (config.epochs, config.warmup, config.precision) == (1, 0.03, "bf16")
    assert set(ROLES) == {"q", "k", "v", "o", "gate", "up", "down"}


def test_the_networks_are_the_published_ones_that_the_papers_name():
    """The language models as base models, as CapeLLM has them; Vicuna is published only tuned for chat."""
    named = ("llama-3.1-8b", "llama-3.2-1b", "vicuna-7b", "vicuna-13b", "mistral-7b")
    assert [LANGUAGE_MODELS[name] for name in named] == [
        "meta-llama/Llama-3.1-8B",
        "meta-llama/Llama-3.2-1B",
        "lmsys/vicuna-7b-v1.5",
        "lmsys/vicuna-13b-v1.5",
        "mistralai/Mistral-7B-v0.3",
    ]
    for name, source in {
        "dinov2-l": "facebook/dinov2-large",
        "dinov2-reg-l": "facebook/dinov2-with-registers-large",
        "hiera-l": "facebook/hiera-large-224-hf",
        "clip-vit-l-336": "openai/clip-vit-large-patch14-336",
        "swinv2-t": "microsoft/swinv2-tiny-patch4-window16-256",
        "swinv2-s": "microsoft/swinv2-small-patch4-window16-256",
    }.items():
        assert encoder_class(name).published[name].source == source
    assert TEXT_ENCODERS["gte-base-en-v1.5"].source == "Alibaba-NLP/gte-base-en-v1.5"


def test_the_agreements_weight_is_one():
    assert DecisionFusionConfig().consistency == 1.0


def test_hieras_tokens_are_a_fifth_of_dinov2s():
    with torch.device("meta"):
        rows, others = (build_encoder(VisionConfig(name, RANDOM)).grid(224) for name in ("hiera-l", "dinov2-l"))
    assert (rows, others) == ((7, 7), (16, 16)) and 49 / 256 < 0.2
