"""The files of `accelerate launch`: accelerate reads them, and a step has the papers' 128 samples.

`test_processes` trains by one of them.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType

from anykeypoint.configs.yaml_files import from_mapping, load_yaml
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig
from anykeypoint.training.trainable import EXPERIMENTS, family_of, find_yaml, parts, recipe_of

FILES = sorted((EXPERIMENTS / "launch").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_accelerate_reads_a_file_and_leaves_precision_and_sharding_to_the_recipe(file):
    read = load_config_from_file(str(file))
    assert read.distributed_type == DistributedType.MULTI_GPU and read.mixed_precision == "no" and not read.use_cpu
    text = file.read_text(encoding="utf-8")
    assert f"--config_file {file.name}" in text and "-m anykeypoint.cli train" in text


def test_the_papers_machines_take_their_128_samples_to_a_step():
    """CapeLLM, Sec. 4.1: 4 GPUs, 32 accumulated; KptLLM++, Sec. 4.1.3: 8 GPUs, a batch of 16."""
    processes = {file.stem: load_config_from_file(str(file)).num_processes for file in FILES}
    assert (processes["capellm_4x48gb"], processes["kptllm_8xa100"]) == (4, 8)
    assert set(processes) == {"one_host", "several_hosts", "capellm_4x48gb", "kptllm_8xa100"}
    capellm, spread = (
        from_mapping(CapeLLMTrainConfig, recipe_of(load_yaml(find_yaml(Path(name)))), name)
        for name in ("frozen_bf16", "sharded")
    )
    assert capellm == replace(CapeLLMTrainConfig(), frozen_precision="bf16") and capellm.precision == "bf16"
    assert spread == replace(capellm, shard=True, checkpointing=True)
    described, recipe = parts(load_yaml(find_yaml(Path("kptllm_pp"))), "kptllm_pp")
    kptllm = from_mapping(KptLLMTrainConfig, recipe, "kptllm_pp")
    assert family_of(described, "kptllm_pp").recipe is KptLLMTrainConfig
    for config, count in ((capellm, processes["capellm_4x48gb"]), (kptllm, processes["kptllm_8xa100"])):
        assert config.batch * config.accumulate * count == 128


def test_several_hosts_are_told_apart_by_their_rank():
    read = load_config_from_file(str(EXPERIMENTS / "launch" / "several_hosts.yaml"))
    assert read.num_machines == 2 and read.machine_rank == 0 and read.num_processes == -1
