"""The table of hours and memory in docs/reproducing.md, from `reproduction.sizes`: nothing is fetched or trained.

python tools/training_sizes.py            writes the table into the page
python tools/training_sizes.py --check    exits 1 where the page has another
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from written_page import write_or_check

from anykeypoint.category import Category
from anykeypoint.configs.strict import Config
from anykeypoint.library.lookup import category, mp100_categories
from anykeypoint.models.generative.capellm_config import CapeLLMConfig
from anykeypoint.models.generative.kptllm_config import PRESETS, KptLLMConfig
from anykeypoint.models.matching.matcher_config import MatcherConfig
from anykeypoint.models.towers.language import LanguageConfig
from anykeypoint.models.towers.vision_config import VisionConfig
from anykeypoint.reproduction.devices import Device, device
from anykeypoint.reproduction.sizes import GIB, TrainingSize, training_size
from anykeypoint.training.generative.capellm_config import CapeLLMTrainConfig
from anykeypoint.training.generative.kptllm_config import KptLLMTrainConfig, TaskWeights
from anykeypoint.training.matching.matcher_config import MatcherTrainConfig
from anykeypoint.training.run_config import RunConfig

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reproducing.md"
START, END = "<!-- written by tools/training_sizes.py -->\n", "<!-- end -->\n"
# Split 1 of MP-100 trains on the other 70 categories; each has about 200 objects.
UNSEEN = {2, 3, 6, 10, 12, 14, 22, 24, 29, 30, 33, 35, 39, 42, 47, 48, 53, 60, 66, 68, 70, 73, 77, 78, 81, 84, 91}
UNSEEN |= {92, 95, 96}
OBJECTS = 200
SMALL = device("rtx-3090")  # a card of 24 GiB
WAYS = (("fp32", False, False), ("bf16", False, False), ("bf16", True, False), ("bf16", True, True))
MARKS = ("", " (f)", " (c)", " (s)")  # of WAYS: frozen_precision, checkpointing and shard


@dataclass(frozen=True)
class Line:
    """A training of the table.

    epochs: of the run.
    processes, card: the paper's hardware; a name of devices.yaml.
    """

    name: str
    config: Config
    recipe: RunConfig
    objects: Mapping[Category, int]
    epochs: int
    processes: int
    card: str


def split_1() -> dict[Category, int]:
    """The training categories of split 1 with their numbers of objects, as far as they are known without the data."""
    return {category(f"mp100/{number}"): OBJECTS for number in mp100_categories() if number not in UNSEEN}


def lines() -> Iterator[Line]:
    """The papers' own rows, and those of CapeLLM's Table 16."""
    mp100, recipe = split_1(), CapeLLMTrainConfig()
    for name in ("llama-3.1-8b", "mistral-7b", "vicuna-7b", "llama-3.2-1b"):
        config = CapeLLMConfig(language=LanguageConfig(name, tuning="lora"))
        yield Line(f"CapeLLM, {name}", config, recipe, mp100, recipe.epochs, 4, "rtx-a6000")
    kptllm = KptLLMTrainConfig(tasks=TaskWeights(identify=1, example=1), checkpointing=True)
    yield Line("KptLLM, MP-100", PRESETS["kptllm"], kptllm, mp100, 1, 8, "a100")
    larger = KptLLMConfig.from_dict({"preset": "kptllm", "llava": "llava-hf/llava-1.5-13b-hf"})
    larger = replace(larger, language=replace(larger.language, name="vicuna-13b"))
    yield Line("KptLLM, 13B, MP-100", larger, kptllm, mp100, 1, 8, "a100")
    joint = {category("human_body"): 500_000}
    by_text = replace(kptllm, tasks=TaskWeights(text=1))
    yield Line("KptLLM++, joint data", KptLLMConfig(), by_text, joint, 1, 8, "a100")
    for name in ("graphcape", "capex", "flf", "dlf"):
        config = MatcherConfig(name, VisionConfig("swinv2-s", tuning="full"))
        yield Line(name, config, MatcherTrainConfig(batch=8), mp100, 200, 1, "rtx-3090")


def row(line: Line) -> str:
    """A line of the table."""
    sizes = {"fp32": training_size(line.config, line.recipe, line.objects)}
    size, card = sizes["fp32"], device(line.card)
    generative = size.lengths is not None
    if generative:
        sizes["bf16"] = training_size(line.config, replace(line.recipe, frozen_precision="bf16"), line.objects)
    samples = size.lengths.items if generative else sum(line.objects.values())
    ways = WAYS if generative else WAYS[:1]
    cells = [
        line.name,
        f"{size.parameters / 1e6:,.0f}",
        f"{size.trainable / 1e6:,.1f}",
        f"{size.prefix} + {size.lengths.text:.0f}" if generative else "",
        f"{samples:,.0f} x {line.epochs}",
        *[f"{sizes[kept].memory(line.processes, *way).total / GIB:.1f}" for kept, *way in ways],
        *[""] * (len(WAYS) - len(ways)),
        f"{line.processes} x {card.called.removeprefix('NVIDIA ')}",
        hours(sizes, line.epochs * samples, card, line.processes),
        hours(sizes, line.epochs * samples, SMALL, 1),
    ]
    return f"| {' | '.join(cells)} |"


def hours(sizes: Mapping[str, TrainingSize], samples: float, card: Device, processes: int) -> str:
    """The hours of a run in the first of WAYS that fits, and which it is. sizes: by the precision of frozen weights."""
    for (kept, checkpointing, shard), mark in zip(WAYS, MARKS, strict=True):
        size = sizes.get(kept)
        if size is not None and size.memory(processes, checkpointing, shard).fits(card):
            way = {"checkpointing": checkpointing} if size.lengths is not None else {}
            found = replace(size, recipe=replace(size.recipe, **way)).hours(samples, card, processes)
            return f"{found:,.0f}{mark}"
    return "does not fit"


def table() -> str:
    """The table as Markdown."""
    head = ["training", "parameters, M", "that train, M", "tokens of a sample", "samples x epochs"]
    head += [
        "GiB",
        "with `frozen_precision: bf16`",
        "and `checkpointing`",
        "and `shard`",
        "cards",
        "hours on them",
        "hours on one RTX 3090",
    ]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *map(row, lines())]) + "\n"


def main(arguments: list[str]) -> int:
    before, rest = PAGE.read_text(encoding="utf-8").split(START)
    after = rest.split(END)[1]
    said = "docs/reproducing.md has other hours and memory than the code; run python tools/training_sizes.py."
    return write_or_check(arguments, PAGE, f"{before}{START}{table()}{END}{after}", said)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
